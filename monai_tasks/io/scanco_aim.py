"""AIM volumes through aimio-py: the numbers of their header, and their voxels."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import py_aimio

from monai_tasks.io.errors import InputError
from monai_tasks.io.files import check_content
from monai_tasks.io.scanco_units import DENSITY_UNIT, Calibration

# The kinds of voxels, as the files number them: 16-bit integers and 32-bit floats that lie there as they are.
# All others are bytes, packed or not.
_INT16 = 0x00020002
_FLOAT32 = (0x00040004, 0x001A0004)

# What aimio-py raises on files that are damaged or of another kind.
_ERRORS = (RuntimeError, ValueError, MemoryError, OverflowError)


@dataclass(frozen=True)
class AimHeader:
    """What an AIM header tells of the image. Of its log, which may name the patient, only numbers are taken.

    Args:
        shape: (X, Y, Z).
        spacing_mm: along x, y and z.
        origin_mm: the first voxel, (3,); not at zero where the volume was cut from a larger one.
        data_offset: bytes before the voxels.
        is_packed: whether the voxels must be decoded; the others are 16-bit integers.
        is_segmentation: whether the voxels are bytes.
        calibration: from voxels to units.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]
    origin_mm: tuple[float, float, float]
    data_offset: int
    is_packed: bool
    is_segmentation: bool
    calibration: Calibration


def read_aim_header(path: Path) -> AimHeader:
    """Read the header of an AIM file, and check that voxels which are not packed are all there.

    Args:
        path: the file.

    Returns:
        The header.

    Raises:
        InputError: if the file is missing, no AIM file, of a version that is not known, or truncated.
    """
    check_content(path, "an AIM file")
    try:
        info = py_aimio.aim_info(str(path))
    except _ERRORS as cause:
        expected = "a complete AIM file of version 020 or 030"
        raise InputError(path, "an AIM header that cannot be read", expected) from cause
    shape, spacing, kind = info["dimensions"], info["spacing"], info["aim_type"]
    if min(shape) < 1 or min(spacing) <= 0:
        text = " x ".join(map(str, shape))
        raise InputError(path, f"a header of {text} voxels, {min(spacing):g} mm apart", "positive sizes")
    header = AimHeader(
        shape=shape,
        spacing_mm=spacing,
        origin_mm=info["origin"],
        data_offset=info["byte_offset"],
        is_packed=kind != _INT16,
        is_segmentation=kind not in (_INT16, *_FLOAT32),
        calibration=_calibration(py_aimio.log_to_dict(info["processing_log"])),
    )
    end = header.data_offset + 2 * math.prod(shape)
    size = path.stat().st_size
    if not header.is_packed and size < end:
        text = " x ".join(map(str, shape))
        expected = f"{end} bytes for the {text} values that its header tells of"
        raise InputError(path, f"a truncated file of {size} bytes", expected)
    return header


def decode_aim(path: Path) -> np.ndarray:
    """Decode all voxels of an AIM file.

    Args:
        path: the file.

    Returns:
        (Z, Y, X), stored values: int8, int16 or float32.

    Raises:
        InputError: if they are incomplete or damaged.
    """
    try:
        return py_aimio.read_aim(str(path))[0]
    except _ERRORS as cause:
        raise InputError(path, "damaged or incomplete voxels", "a complete AIM file") from cause


def _calibration(log: dict[str, Any]) -> Calibration:
    def number(key: str) -> float | None:
        value = log.get(key)
        return float(value) if isinstance(value, int | float) and math.isfinite(value) else None

    water, slope, intercept = map(number, ("HU: mu water", "Density: slope", "Density: intercept"))
    has_density = slope and intercept is not None and log.get("Density: unit", DENSITY_UNIT) == DENSITY_UNIT
    return Calibration(
        number("Mu_Scaling") or 0.0,
        mu_water=water if water and water > 0 else None,
        slope=slope if has_density else None,
        intercept=intercept if has_density else None,
    )
