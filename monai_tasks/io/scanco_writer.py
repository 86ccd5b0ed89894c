"""Write Scanco's ISQ volumes and RSQ projections, for tests and for generated data."""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable, Sequence
from os import PathLike

import numpy as np

from monai_tasks.io import scanco_header as header
from monai_tasks.io.files import atomic_path
from monai_tasks.io.scanco_projections import ANGLE, OBJECT_VIEWS
from monai_tasks.io.scanco_units import DENSITY_UNIT, Calibration

_ISQ_TYPE = 3
_MOST = 2**31 - 1
# Two blocks of directory and three of calibration come between the first block and the voxels.
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
    """Write a volume as an ISQ file; its calibration is usual for HR-pQCT unless another one is given.

    Args:
        path: the file to write; appears complete or not at all.
        array: (X, Y, Z), int16, stored values: linear attenuation in 1/cm times `mu_scaling`.
        spacing_mm: along x, y and z; each axis has a length of whole micrometres.
        mu_scaling: see above.
        slope: mg HA/ccm for each 1/cm; None, as `intercept` and `mu_water` then, for a file without calibration.
        intercept: mg HA/ccm at no attenuation.
        mu_water: linear attenuation of water, 1/cm.
        name: the patient's name, of 40 letters at most; for tests that readers pass over it.

    Raises:
        ValueError: if the array is not three-dimensional int16, or the calibration is there in part.
    """
    if array.ndim != 3 or array.dtype != np.int16:
        raise ValueError(f"{array.ndim} dimensions of {array.dtype}; expected (X, Y, Z) of int16")
    calibration = Calibration(mu_scaling, mu_water, slope, intercept)
    blocks = isq_header(array.shape, spacing_mm, calibration, name)
    struct.pack_into("<2i", blocks, header.DATA_RANGE, int(array.min()), int(array.max()))
    # Slice by slice, so that a large volume is not copied as a whole.
    _write(path, blocks, (array[:, :, index].T.astype("<i2") for index in range(array.shape[2])))


def isq_header(
    shape: Sequence[int], spacing_mm: Sequence[float], calibration: Calibration, name: str = ""
) -> bytearray:
    """What comes before the voxels of an ISQ file; see `write_isq`.

    Args:
        shape: (X, Y, Z).
        spacing_mm: along x, y and z.
        calibration: from voxels to units; without water, slope and intercept there are no blocks of calibration.
        name: the patient's name.

    Returns:
        Whole blocks, with 0 for the least and the largest voxel.

    Raises:
        ValueError: if the calibration is there in part.
    """
    numbers = (calibration.slope, calibration.intercept, calibration.mu_water)
    if None in numbers and numbers != (None, None, None):
        raise ValueError(f"slope, intercept and mu_water are {numbers}; expected all three or none")
    extent = [round(count * 1000.0 * step) for count, step in zip(shape, spacing_mm, strict=True)]
    extended = 0 if None in numbers else _EXTENDED_BLOCKS
    blocks = _first_block(_ISQ_TYPE, shape, extent, extended, name)
    struct.pack_into("<i", blocks, header.MU_SCALING, int(calibration.mu_scaling))
    if not extended:
        return blocks
    for part, length in ((header.DIRECTORY_NAME, 1), (header.CALIBRATION_NAME, _CALIBRATION_BLOCKS)):
        blocks += _directory(part, length)
    fields = bytearray(_CALIBRATION_BLOCKS * header.BLOCK)
    fields[header.UNIT : header.UNIT + len(DENSITY_UNIT)] = DENSITY_UNIT.encode()
    places = (header.SLOPE, header.INTERCEPT, header.MU_WATER)
    for place, number in zip(places, numbers, strict=True):
        fields[place : place + 8] = header.encode_double(number)
    return blocks + fields


def write_rsq(
    path: str | PathLike[str],
    counts: np.ndarray,
    step_degrees: float,
    dark: np.ndarray | None = None,
    bright: np.ndarray | None = None,
) -> None:
    """Write projections as an RSQ file.

    Args:
        path: the file to write; appears complete or not at all.
        counts: (views, rows, columns), uint16, counts of the detector.
        step_degrees: the angle between two views; all of them span whole thousandths of a degree.
        dark: (rows, columns), uint16, counts without radiation.
        bright: (rows, columns), uint16, counts without an object.

    Raises:
        ValueError: if the array is not three-dimensional uint16, or one of dark and bright is there alone.
    """
    if counts.ndim != 3 or counts.dtype != np.uint16:
        raise ValueError(
            f"{counts.ndim} dimensions of {counts.dtype}; expected (views, rows, columns) of uint16"
        )
    if (dark is None) != (bright is None):
        raise ValueError("one of dark and bright; expected both or none")
    views, rows, columns = counts.shape
    references = np.empty((0, rows, columns), np.uint16) if dark is None else np.stack([dark, bright])
    shape = (columns, len(references) + views, rows)
    block = _first_block(0, shape, (0, 0, 0))
    struct.pack_into("<i", block, ANGLE, round(views * step_degrees * 1000.0))
    struct.pack_into("<i", block, OBJECT_VIEWS, views)
    frames = (np.concatenate([references[:, row], counts[:, row]]).astype("<u2") for row in range(rows))
    _write(path, block, frames)


def _write(path: str | PathLike[str], blocks: bytearray, parts: Iterable[np.ndarray]) -> None:
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(blocks)
        for part in parts:
            stream.write(part.tobytes())
        stream.write(bytes(-stream.tell() % header.BLOCK))


def _first_block(
    kind: int, shape: Sequence[int], extent: Sequence[int], extended_blocks: int = 0, name: str = ""
) -> bytearray:
    block = bytearray(header.BLOCK)
    block[: len(header.VERSION)] = header.VERSION
    size = (1 + extended_blocks) * header.BLOCK + header.VALUE_BYTES * math.prod(shape)
    # A file of more than 2 GiB has no number of bytes that fits, only one of blocks.
    sizes = (kind, size if size <= _MOST else 0, -(-size // header.BLOCK))
    struct.pack_into("<3i", block, header.DATA_TYPE, *sizes)
    struct.pack_into("<6i", block, header.SHAPE, *shape, *extent)
    length = header.NAME_END - header.NAME_BEGIN
    block[header.NAME_BEGIN : header.NAME_END] = name.encode("latin-1")[:length].ljust(length, b"\0")
    struct.pack_into("<i", block, header.DATA_OFFSET, extended_blocks)
    return block


def _directory(part: bytes, blocks: int) -> bytearray:
    entry = bytearray(header.BLOCK)
    entry[header.PART_NAME : header.PART_NAME + len(part)] = part
    struct.pack_into("<i", entry, header.PART_BLOCKS, blocks)
    return entry
