"""AIM volumes through aimio-py: the numbers of their header, and their voxels."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import py_aimio

from monai_tasks.io.errors import InputError
from monai_tasks.io.files import check_content
from monai_tasks.io.scanco_units import DENSITY_UNIT, Calibration

# The kinds of voxels that lie in the file as they are, as files number them, and the bytes of each: signed bytes,
# 16-bit integers and floats of the VAX. All others are bytes that are packed.
_INT16, _FLOAT32 = 0x00020002, 0x00040004
_VOXEL_BYTES = {0x00010001: 1, _INT16: 2, _FLOAT32: 4}
# A packed byte stands for at most so many voxels.
_LONGEST_RUN = 255

# Files of version 030 say so and have 64-bit numbers; older ones begin with their 32-bit numbers: the size of this
# list, then those of the header, the log, the voxels and, where there is a fifth, of associated data.
_FAMILY, _VERSION_030 = b"AIMDATA_V", b"AIMDATA_V030   \0"

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
    voxel_bytes = _check_blocks(path)
    try:
        info = py_aimio.aim_info(str(path))
    except _ERRORS as cause:
        raise _unreadable(path) from cause
    shape, spacing, kind = info["dimensions"], info["spacing"], info["aim_type"]
    text = " x ".join(map(str, shape))
    if min(shape) < 1 or min(spacing) <= 0:
        raise InputError(path, f"a header of {text} voxels, {min(spacing):g} mm apart", "positive sizes")
    # Packed files may leave out a border on all sides, which cannot be more than all.
    border = max(2 * max(info["offset"]) - min(shape) + 1, -min(info["offset"]))
    least = math.prod(shape) * _VOXEL_BYTES.get(kind, 1.0 / _LONGEST_RUN)
    if border > 0 or voxel_bytes < least:
        found = f"{voxel_bytes} bytes of voxels"
        raise InputError(path, found, f"{math.ceil(least)} at least for the {text} that its header tells of")
    return AimHeader(
        shape=shape,
        spacing_mm=spacing,
        origin_mm=info["origin"],
        data_offset=info["byte_offset"],
        is_packed=kind != _INT16,
        is_segmentation=kind not in (_INT16, _FLOAT32),
        calibration=_calibration(py_aimio.log_to_dict(info["processing_log"])),
    )


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


def _check_blocks(path: Path) -> int:
    """Refuse a file whose parts do not all lie within it, which aimio-py would read beyond its end.

    Returns:
        The number of bytes of voxels.
    """
    size = path.stat().st_size
    with path.open("rb", buffering=0) as stream:
        start = stream.read(64)
    begin, number = (len(_VERSION_030), "q") if start.startswith(_VERSION_030) else (0, "i")
    version = start[len(_FAMILY) :][:3]
    if not begin and start.startswith(_FAMILY) and len(version) == 3 and version.isalnum():
        raise InputError(path, f"an AIM file of version {version.decode()}", "version 010 to 030")
    width = struct.calcsize(number)
    if len(start) < begin + 5 * width:
        raise _unreadable(path)
    length, header, log, voxels = struct.unpack_from(f"<4{number}", start, begin)
    if length not in (4 * width, 5 * width) or min(header, log, voxels) < 0:
        raise _unreadable(path)
    end = begin + length + header + log + voxels
    if size < end:
        raise InputError(path, f"a truncated file of {size} bytes", f"{end} bytes, as its header tells")
    return voxels


def _unreadable(path: Path) -> InputError:
    return InputError(path, "an AIM header that cannot be read", "a complete AIM file of version 010 to 030")


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
