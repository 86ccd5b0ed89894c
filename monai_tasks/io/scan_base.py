"""What every lazily read scan has, whatever its format."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_tasks.io.errors import InputError


@dataclass(frozen=True, eq=False)
class Scan(ABC):
    """A volume of which single slices are read when they are asked for.

    It holds no pixels and no open file, so that it can be copied and sent to another process.

    Args:
        path: the file, or the folder of a DICOM series.
        shape: (X, Y, Z); slices lie along the last axis of the file's own order.
        affine: (4, 4), voxel indices to RAS+ millimetres.
        unit: what the values are in, one of `scanco_units.UNITS`.
    """

    path: Path
    shape: tuple[int, int, int]
    affine: np.ndarray
    unit: str

    @property
    def dtype(self) -> np.dtype:
        """What `read` gives; MONAI Label asks for it wherever there is a shape."""
        return np.dtype(np.float32)

    def read(self, indices: Iterable[int]) -> np.ndarray:
        """Read slices.

        Args:
            indices: which slices, from 0, in any order.

        Returns:
            (X, Y, number of indices), float32, in the order of the indices.

        Raises:
            ValueError: if there are no indices.
            InputError: if there is no such slice, or if its voxels cannot be read or are not finite.
        """
        asked = np.array(list(indices), dtype=np.int64)
        if not asked.size:
            raise ValueError("no slices are asked for; expected one index at least")
        outside = asked[(asked < 0) | (asked >= self.shape[2])]
        if outside.size:
            raise InputError(self.path, f"no slice {outside[0]}", f"one of 0 to {self.shape[2] - 1}")
        # In the file's order and once each, for some formats are read from their beginning on.
        wanted, order = np.unique(asked, return_inverse=True)
        voxels = self._slices(wanted.tolist())
        if not np.isfinite(voxels).all():
            raise InputError(self.path, "voxels that are not finite", "finite voxels")
        return voxels if (wanted.size == asked.size and (wanted == asked).all()) else voxels[:, :, order]

    @abstractmethod
    def _slices(self, indices: list[int]) -> np.ndarray:
        """Read slices.

        Args:
            indices: ascending, each once, and within the scan.

        Returns:
            (X, Y, number of indices), float32.
        """
