"""Volumes of Scanco's scanners, ISQ and AIM files: slice by slice and in units."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from monai_tasks.io.errors import InputError
from monai_tasks.io.formats import LPS_TO_RAS, volume_suffix
from monai_tasks.io.scan_base import Scan
from monai_tasks.io.scanco_aim import AimHeader, decode_aim, read_aim_header
from monai_tasks.io.scanco_header import read_header
from monai_tasks.io.scanco_units import Calibration, check_unit


@dataclass(frozen=True, eq=False)
class ScancoScan(Scan):
    """A file whose 16-bit voxels lie in it as they are: slices cost their own bytes, and nothing else is read.

    Args:
        calibration: from stored values to the unit.
        data_offset: bytes before the voxels.
    """

    calibration: Calibration = field(kw_only=True)
    data_offset: int = field(kw_only=True)

    def stored(self) -> np.ndarray:
        """The stored values as they lie in the file, mapped into memory: (Z, Y, X), int16."""
        return np.memmap(self.path, "<i2", "r", self.data_offset, self.shape[::-1])

    def _slices(self, indices: list[int]) -> np.ndarray:
        factor, offset = self.calibration.equation(self.path, self.unit)
        stored = self.stored()
        voxels = np.empty((len(indices), *stored.shape[1:]), dtype=np.float32)
        for place, index in enumerate(indices):
            # Float32 holds 16-bit integers exactly, and one rounding of each step is far below one of them.
            np.multiply(stored[index], np.float32(factor), out=voxels[place])
            voxels[place] += np.float32(offset)
        return voxels.transpose(2, 1, 0)


@dataclass(frozen=True, eq=False)
class PackedAimScan(ScancoScan):
    """An AIM file of packed bytes or of floating-point voxels, which is decoded as a whole at each reading."""

    def stored(self) -> np.ndarray:
        """The stored values: (Z, Y, X), int8 or float32."""
        return decode_aim(self.path)


def open_scanco(path: str | os.PathLike[str], unit: str = "density") -> ScancoScan:
    """Open an ISQ or AIM file; only its header is read.

    The files do not tell how the limb lay: x runs to the left and y to the back, as ITK has it.

    Args:
        path: the file; its suffix says which it is.
        unit: `native`, `attenuation` (1/cm), `density` (mg HA/ccm) or `hu`.

    Returns:
        The scan.

    Raises:
        ValueError: if there is no such unit.
        InputError: if the file is no complete volume of its kind, or has no calibration for the unit.
    """
    check_unit(unit)
    path = Path(path)
    scan = _open_aim(path, unit) if volume_suffix(path).startswith(".aim") else _open_isq(path, unit)
    if min(scan.shape) < 2:
        text = " x ".join(map(str, scan.shape))
        raise InputError(path, f"one plane ({text})", "a volume of several slices")
    # A file that lacks the calibration is refused when it is opened, not at its first slice.
    scan.calibration.equation(path, unit)
    return scan


def _open_isq(path: Path, unit: str) -> ScancoScan:
    header = read_header(path)
    affine = LPS_TO_RAS @ np.diag([*header.spacing_mm, 1.0])
    return ScancoScan(
        path, header.shape, affine, unit, calibration=header.calibration, data_offset=header.data_offset
    )


def _open_aim(path: Path, unit: str) -> ScancoScan:
    header = read_aim_header(path)
    if header.is_segmentation and unit != "native":
        raise InputError(path, f"8-bit values, as of a segmentation, which have no {unit}", "16-bit values")
    kind = PackedAimScan if header.is_packed else ScancoScan
    affine = _aim_affine(header)
    return kind(
        path, header.shape, affine, unit, calibration=header.calibration, data_offset=header.data_offset
    )


def _aim_affine(header: AimHeader) -> np.ndarray:
    affine = np.diag([*header.spacing_mm, 1.0])
    affine[:3, 3] = header.origin_mm
    return LPS_TO_RAS @ affine
