"""One reader for the volumes of all bundles, which refuses what a network cannot use."""

from __future__ import annotations

import gzip
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from monai.data import ImageReader
from monai.data.utils import correct_nifti_header_if_necessary
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from monai_tasks.io.errors import InputError

NIBABEL_SUFFIXES = (".nii", ".nii.gz", ".mgz", ".mgh")
SUFFIXES = NIBABEL_SUFFIXES


class VolumeReader(ImageReader):
    """Read a volume, or several on one grid as the channels of a case.

    `LoadImage` turns to other readers when `read` fails, and they would load what is refused here. So `read`
    only keeps the paths, and `get_data` decodes and checks.

    Args:
        allow_constant: take volumes whose voxels are all equal; for labels, which may be empty.
    """

    def __init__(self, allow_constant: bool = False) -> None:
        super().__init__()
        self.allow_constant = allow_constant

    def verify_suffix(self, filename: Sequence[str | os.PathLike[str]] | str | os.PathLike[str]) -> bool:
        return True

    def read(
        self, data: Sequence[str | os.PathLike[str]] | str | os.PathLike[str], **kwargs: Any
    ) -> tuple[Path, ...]:
        names = (data,) if isinstance(data, (str, os.PathLike)) else tuple(data)
        return tuple(Path(name) for name in names)

    def get_data(self, img: Sequence[Path]) -> tuple[np.ndarray, dict[str, Any]]:
        volumes = [self._volume(path) for path in img]
        arrays = [array for array, _ in volumes]
        affine = volumes[0][1]
        array = arrays[0] if len(arrays) == 1 else np.stack(arrays)
        return array, {
            "affine": affine.copy(),
            "original_affine": affine.copy(),
            "spatial_shape": np.asarray(arrays[0].shape),
            "space": "RAS",
            "original_channel_dim": float("nan") if len(arrays) == 1 else 0,
        }

    def _volume(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        try:
            image = nib.load(path)
            if path.name.endswith("gz"):
                image = type(image).from_bytes(gzip.decompress(path.read_bytes()))
            image = correct_nifti_header_if_necessary(image)
            array = np.asanyarray(image.dataobj)
        except EOFError as cause:
            raise InputError(path, "a truncated gzip file", "a complete file") from cause
        except (ImageFileError, HeaderDataError, OSError, ValueError, zlib.error) as cause:
            raise InputError(path, f"not readable ({cause})", "a NIfTI volume") from cause
        if array.ndim != 3:
            raise InputError(path, f"{array.ndim} dimensions", "a volume of 3 dimensions")
        low, high = array.min(), array.max()
        if not (np.isfinite(low) and np.isfinite(high)):
            raise InputError(path, "voxels that are NaN or infinite", "finite voxels")
        if low == high and not self.allow_constant:
            raise InputError(path, f"all voxels are {low}", "an image")
        return array, np.array(image.affine, dtype=np.float64)
