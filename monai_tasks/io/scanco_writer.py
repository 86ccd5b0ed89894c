"""Write Scanco's ISQ volumes and RSQ projections, for tests and for generated data."""

from __future__ import annotations

import math
import struct
from collections.abc import Sequence
from os import PathLike

import numpy as np

from monai_tasks.io import scanco_header as fields
from monai_tasks.io.files import atomic_path

_ISQ_TYPE = 3
_RSQ_TYPE = 1
_MOST = 2**31 - 1
# Two blocks of directory and three of calibration come between the first block and the values.
_EXTENDED_BLOCKS = 5
_CALIBRATION_BLOCKS = 3


def write_isq(
    path: str | PathLike[str],
    array: np.ndarray,
    spacing_mm: Sequence[float],
    mu_scaling: int = 8192,
    slope: float | None = 1603.51904,
    intercept: float | None = -391.209015,
    mu_water: float | None = 0.2409,
    name: str = "",
) -> None:
    """Write a volume as an ISQ file.

    The default calibration is usual for HR-pQCT scanners of the first kind.

    Args:
        path: the file to write; appears complete or not at all.
        array: (X, Y, Z), int16, stored values: linear attenuation in 1/cm times `mu_scaling`.
        spacing_mm: along x, y and z; kept to whole micrometres over each axis.
        mu_scaling: scale of the stored values.
        slope: mg HA/ccm for each 1/cm; None, as `intercept` and `mu_water` then, for a file without calibration.
        intercept: mg HA/ccm at no attenuation.
        mu_water: linear attenuation of water, 1/cm.
        name: the patient's name; for tests that readers pass over it.

    Raises:
        ValueError: if the array is not three-dimensional int16, or the calibration is given in part.
    """
    if array.ndim != 3 or array.dtype != np.int16:
        raise ValueError(f"{array.ndim} dimensions of {array.dtype}; expected (X, Y, Z) of int16")
    header = isq_header(array.shape, spacing_mm, mu_scaling, slope, intercept, mu_water, name)
    struct.pack_into("<2i", header, fields.DATA_RANGE, int(array.min()), int(array.max()))
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(header)
        for index in range(array.shape[2]):
            stream.write(array[:, :, index].T.astype("<i2").tobytes())
        stream.write(bytes(-stream.tell() % fields.BLOCK))


def write_rsq(
    path: str | PathLike[str], counts: np.ndarray, angle_degrees: float, object_views: int | None = None
) -> None:
    """Write projections as an RSQ file.

    Args:
        path: the file to write; appears complete or not at all.
        counts: (views, rows, columns), uint16, counts of the detector.
        angle_degrees: the angle that the views of the object span: their number times the step between two.
        object_views: how many views show the object; all by default.

    Raises:
        ValueError: if the array is not three-dimensional uint16.
    """
    if counts.ndim != 3 or counts.dtype != np.uint16:
        raise ValueError(
            f"{counts.ndim} dimensions of {counts.dtype}; expected (views, rows, columns) of uint16"
        )
    views, rows, columns = counts.shape
    header = _first_block(_RSQ_TYPE, (columns, views, rows), (0, round(angle_degrees * 1000.0), 0), "")
    struct.pack_into("<i", header, fields.OBJECT_VIEWS, views if object_views is None else object_views)
    struct.pack_into("<2i", header, fields.DATA_RANGE, int(counts.min()), int(counts.max()))
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(header)
        for row in range(rows):
            stream.write(counts[:, row].astype("<u2").tobytes())
        stream.write(bytes(-stream.tell() % fields.BLOCK))


def isq_header(
    shape: Sequence[int],
    spacing_mm: Sequence[float],
    mu_scaling: int = 8192,
    slope: float | None = 1603.51904,
    intercept: float | None = -391.209015,
    mu_water: float | None = 0.2409,
    name: str = "",
) -> bytearray:
    """The header of an ISQ file, after which the values follow, x first.

    Args:
        shape: (X, Y, Z).
        spacing_mm: see `write_isq`, as for the rest.
        mu_scaling: ...
        slope: ...
        intercept: ...
        mu_water: ...
        name: ...

    Returns:
        Whole blocks; the range of the values is 0 to 0.

    Raises:
        ValueError: if the calibration is given in part.
    """
    calibration = (slope, intercept, mu_water)
    if None in calibration and calibration != (None, None, None):
        raise ValueError(f"slope, intercept and mu_water are {calibration}; expected all three or none")
    extent = [round(count * 1000.0 * step) for count, step in zip(shape, spacing_mm, strict=True)]
    header = _first_block(_ISQ_TYPE, shape, extent, name, 0 if slope is None else _EXTENDED_BLOCKS)
    struct.pack_into("<i", header, fields.MU_SCALING, mu_scaling)
    if slope is None:
        return header
    for part, blocks in ((fields.DIRECTORY_NAME, 1), (fields.CALIBRATION_NAME, _CALIBRATION_BLOCKS)):
        entry = bytearray(fields.BLOCK)
        entry[fields.PART_NAME : fields.PART_NAME + len(part)] = part
        struct.pack_into("<i", entry, fields.PART_BLOCKS, blocks)
        header += entry
    numbers = bytearray(_CALIBRATION_BLOCKS * fields.BLOCK)
    unit = fields.DENSITY_UNITS[0].encode()
    numbers[fields.DENSITY_UNIT : fields.DENSITY_UNIT + len(unit)] = unit
    places = (fields.DENSITY_SLOPE, fields.DENSITY_INTERCEPT, fields.MU_WATER)
    for place, value in zip(places, calibration, strict=True):
        numbers[place : place + 8] = fields.encode_double(value)
    return header + numbers


def _first_block(
    kind: int, shape: Sequence[int], extent: Sequence[int], name: str, extended_blocks: int = 0
) -> bytearray:
    block = bytearray(fields.BLOCK)
    block[: len(fields.VERSION)] = fields.VERSION
    size = (1 + extended_blocks) * fields.BLOCK + fields.VALUE_BYTES * math.prod(shape)
    # A file of more than 2 GiB has no number of bytes that fits, only one of blocks.
    sizes = (kind, size if size <= _MOST else 0, -(-size // fields.BLOCK))
    struct.pack_into("<3i", block, fields.DATA_TYPE, *sizes)
    struct.pack_into("<6i", block, fields.SHAPE, *shape, *extent)
    length = fields.NAME_END - fields.NAME_BEGIN
    block[fields.NAME_BEGIN : fields.NAME_END] = name.encode("latin-1")[:length].ljust(length, b"\0")
    struct.pack_into("<i", block, fields.DATA_OFFSET, extended_blocks)
    return block
