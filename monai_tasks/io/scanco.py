"""Volumes of Scanco's scanners: ISQ and AIM files, slice by slice and in units."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from monai_tasks.io.errors import InputError
from monai_tasks.io.formats import LPS_TO_RAS
from monai_tasks.io.scan_base import Scan
from monai_tasks.io.scanco_header import RADIOGRAPH, ScancoHeader, read_header
from monai_tasks.io.scanco_units import check_unit


@dataclass(frozen=True, eq=False)
class ScancoScan(Scan):
    """An ISQ file, of which the slices that are asked for are read and nothing else.

    Args:
        header: its header.
    """

    header: ScancoHeader = field(kw_only=True)

    def _slices(self, indices: list[int]) -> np.ndarray:
        factor, offset = self.header.calibration.equation(self.path, self.unit)
        stored = self.stored()
        voxels = np.empty((len(indices), *stored.shape[1:]), dtype=np.float32)
        for place, index in enumerate(indices):
            np.multiply(stored[index], np.float32(factor), out=voxels[place])
            voxels[place] += np.float32(offset)
        return voxels.transpose(2, 1, 0)

    def stored(self) -> np.ndarray:
        """The stored values as they lie in the file, mapped into memory: (Z, Y, X), int16."""
        return np.memmap(self.path, "<i2", "r", self.header.data_offset, self.shape[::-1])


def open_isq(path: str | os.PathLike[str], unit: str = "density") -> ScancoScan:
    """Open an ISQ file; only its header is read.

    The file does not tell how the limb lay: x runs to the left and y to the back, as ITK has it, and the first
    voxel is the origin.

    Args:
        path: the file.
        unit: one of `scanco_units.UNITS`.

    Returns:
        The scan.

    Raises:
        ValueError: if there is no such unit.
        InputError: if the file is no complete ISQ volume, or has no calibration for the unit.
    """
    check_unit(unit)
    path = Path(path)
    header = read_header(path)
    if header.data_type == RADIOGRAPH or min(header.extent) <= 0:
        raise InputError(path, "a file without a size in space, as of a radiograph", "an ISQ volume")
    if min(header.shape) < 2:
        text = " x ".join(map(str, header.shape))
        raise InputError(path, f"one plane ({text})", "a volume of several slices")
    # A file that lacks the calibration is refused when it is opened, not at its first slice.
    header.calibration.equation(path, unit)
    affine = LPS_TO_RAS @ np.diag([*header.spacing_mm, 1.0])
    return ScancoScan(path, header.shape, affine, unit, header=header)
