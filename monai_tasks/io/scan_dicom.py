"""Scans in DICOM series, of which only the files of the asked slices are decoded."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

import numpy as np

from monai_tasks.io.dicom_file import decode, read_grey, read_header
from monai_tasks.io.dicom_planes import Plane, planes_of, stack_planes
from monai_tasks.io.dicom_series import series_of
from monai_tasks.io.formats import LPS_TO_RAS
from monai_tasks.io.scan_base import Scan


@dataclass(frozen=True, eq=False, repr=False)
class DicomScan(Scan):
    """A series. A multi-frame file is decoded as a whole.

    Args:
        planes: where each slice is.
    """

    planes: tuple[Plane, ...] = field(kw_only=True)

    def _slices(self, indices: list[int]) -> np.ndarray:
        slices = []
        for path, planes in groupby((self.planes[index] for index in indices), lambda plane: plane.path):
            frames = decode(path, read_grey(path))
            for plane in planes:
                values = frames[plane.frame].astype(np.float32)
                slices.append(values * np.float32(plane.slope) + np.float32(plane.intercept))
        return np.stack(slices).transpose(2, 1, 0)


def open_series(path: Path, unit: str) -> DicomScan:
    """Open a DICOM series; only the headers are read.

    Args:
        path: a folder with one series, or a file, which stands for the series in its folder that it belongs to.
        unit: what its values are in, with rescale slope and intercept applied.

    Returns:
        The scan.

    Raises:
        InputError: if a header cannot be read, or the slices do not make one complete volume.
    """
    files = series_of(path).files
    planes = [plane for file in files for plane in planes_of(file, read_header(file))]
    ordered, affine = stack_planes(files[0] if len(files) == 1 else files[0].parent, planes)
    shape = (*ordered[0].size, len(ordered))
    return DicomScan(path, shape, LPS_TO_RAS @ affine, unit, planes=tuple(ordered))
