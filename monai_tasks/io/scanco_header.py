"""The header of Scanco's ISQ volumes, and what their RSQ projections share with it."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from monai_tasks.io.errors import InputError
from monai_tasks.io.files import check_content
from monai_tasks.io.scanco_units import DENSITY_UNIT, Calibration

BLOCK = 512
VERSION = b"CTDATA-HEADER_V1"
# The patient's name lies at these bytes. They are passed over, so that nothing can show it.
NAME_BEGIN, NAME_END = 128, 168
VALUE_BYTES = 2

# Byte offsets of the 32-bit fields that are used; all integers are little endian.
DATA_TYPE, SHAPE, EXTENT, DATA_RANGE, MU_SCALING = 16, 44, 56, 80, 88
PROJECTIONS, ENERGY, INTENSITY, DATA_OFFSET = 96, 168, 172, 508
RADIOGRAPH = 9

# The extended header: a directory of at most four parts of 128 bytes, then the parts in whole blocks.
DIRECTORY_NAME, CALIBRATION_NAME = b"MultiHeader     ", b"Calibration     "
PART, PARTS, PART_NAME, PART_BLOCKS = 128, 4, 8, 24
# Within the calibration, after free text, which is passed over, too.
UNIT, SLOPE, INTERCEPT, MU_WATER, CALIBRATION_END = 648, 664, 672, 688, 696
UNIT_LENGTH = 16


@dataclass(frozen=True)
class ScancoHeader:
    """What an ISQ header tells of the image; nothing of the patient, of the scanner or of the day.

    Args:
        shape: (X, Y, Z).
        extent_um: the lengths of the whole volume along x, y and z.
        data_offset: bytes before the voxels, which are 16-bit integers, x first.
        data_range: the least and the largest voxel, as the header has them.
        projections: the number of views in half a turn, or 0 where the header has none.
        energy_kv: peak voltage of the tube.
        intensity_ma: its current.
        calibration: from voxels to units.
    """

    shape: tuple[int, int, int]
    extent_um: tuple[int, int, int]
    data_offset: int
    data_range: tuple[int, int]
    projections: int
    energy_kv: float
    intensity_ma: float
    calibration: Calibration

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of neighbouring voxels along x, y and z."""
        x, y, z = (length / count / 1000.0 for length, count in zip(self.extent_um, self.shape, strict=True))
        return (x, y, z)


def read_header(path: Path) -> ScancoHeader:
    """Read the header of an ISQ file, and check that the file is as long as the header says.

    Args:
        path: the file.

    Returns:
        The header.

    Raises:
        InputError: if the file is missing or no Scanco file, of a version that is not known, a radiograph, or
            shorter or longer than its header says.
    """
    block = first_block(path)
    (kind,), extent = integers(block, DATA_TYPE), integers(block, EXTENT, 3)
    if kind == RADIOGRAPH or min(extent) <= 0:
        raise InputError(path, "a file without a size in space, as of a radiograph", "an ISQ volume")
    x, y, z = integers(block, SHAPE, 3)
    offset = check_size(path, block, (x, y, z))
    (mu_scaling,), (projections,) = integers(block, MU_SCALING), integers(block, PROJECTIONS)
    with path.open("rb", buffering=0) as stream:
        calibration = _calibration(path, stream, offset, float(mu_scaling))
    return ScancoHeader(
        shape=(x, y, z),
        extent_um=(extent[0], extent[1], extent[2]),
        data_offset=offset,
        data_range=(integers(block, DATA_RANGE)[0], integers(block, DATA_RANGE + 4)[0]),
        projections=projections,
        energy_kv=integers(block, ENERGY)[0] / 1000.0,
        intensity_ma=integers(block, INTENSITY)[0] / 1000.0,
        calibration=calibration,
    )


def first_block(path: Path) -> bytes:
    """The first block of an ISQ or RSQ file, with zeros in the place of the name.

    Args:
        path: the file.

    Returns:
        512 bytes.

    Raises:
        InputError: if the file is missing, no Scanco file, or of a version that is not known.
    """
    check_content(path, "a Scanco file")
    size = path.stat().st_size
    if size < BLOCK:
        raise InputError(path, f"{size} bytes", f"a Scanco header of {BLOCK} bytes at least")
    # Unbuffered: a buffer would read ahead, over the name.
    with path.open("rb", buffering=0) as stream:
        before = stream.read(NAME_BEGIN)
        _check_version(path, before[: len(VERSION)])
        stream.seek(NAME_END)
        return before + bytes(NAME_END - NAME_BEGIN) + stream.read(BLOCK - NAME_END)


def integers(block: bytes, offset: int, count: int = 1) -> tuple[int, ...]:
    """Signed 32-bit fields of the first block that lie one after the other.

    Args:
        block: what `first_block` gave.
        offset: bytes before the first one.
        count: how many.
    """
    return struct.unpack_from(f"<{count}i", block, offset)


def check_size(path: Path, block: bytes, shape: tuple[int, int, int]) -> int:
    """Refuse a file that is not as long as its header says, but for the rest of its last block.

    Args:
        path: the file.
        block: what `first_block` gave.
        shape: the three numbers of values.

    Returns:
        The number of bytes before the values.

    Raises:
        InputError: if the file is shorter or longer, or its header has no place for the values.
    """
    size, offset = path.stat().st_size, (integers(block, DATA_OFFSET)[0] + 1) * BLOCK
    text = " x ".join(map(str, shape))
    if min(shape) < 1 or offset < BLOCK:
        found = f"a header of {text} values that begin at byte {offset}"
        raise InputError(path, found, "positive sizes and a place for the values")
    end = offset + VALUE_BYTES * math.prod(shape)
    expected = f"{end} bytes for the {text} values that its header tells of"
    if size < end:
        raise InputError(path, f"a truncated file of {size} bytes", expected)
    if size > -(-end // BLOCK) * BLOCK:
        raise InputError(path, f"{size} bytes", f"{expected}, or to the end of a block of {BLOCK}")
    return offset


def decode_double(data: bytes) -> float:
    """A 64-bit number in the G form of the VAX.

    It is IEEE's form with the 16-bit words in the opposite order and an exponent that is greater by two.

    Args:
        data: 8 bytes.

    Returns:
        The number.
    """
    return struct.unpack("<d", struct.pack("<4H", *reversed(struct.unpack("<4H", data))))[0] / 4.0


def encode_double(value: float) -> bytes:
    """The opposite of `decode_double`.

    Args:
        value: the number.

    Returns:
        8 bytes.
    """
    return struct.pack("<4H", *reversed(struct.unpack("<4H", struct.pack("<d", value * 4.0))))


def _check_version(path: Path, version: bytes) -> None:
    """Refuse other files and other versions, and show nothing of the former, which may hold anything."""
    if version == VERSION:
        return
    known = VERSION.decode()
    family = VERSION[: VERSION.rindex(b"V")]
    number = version.removeprefix(family)
    if number != version and number.isalnum():
        raise InputError(
            path, f"a Scanco header of version {number.decode()}", f"version {known[len(family) :]}"
        )
    raise InputError(path, "no Scanco header", f"a file that begins with {known}")


def _calibration(path: Path, stream: BinaryIO, offset: int, mu_scaling: float) -> Calibration:
    """The calibration of the extended header, without water and density where there is none."""
    begin = _calibration_begin(stream, offset)
    if begin is None:
        return Calibration(mu_scaling)
    fields = _at(stream, begin + UNIT, CALIBRATION_END - UNIT)
    unit = fields[:UNIT_LENGTH].split(b"\0")[0].decode("latin-1").strip()
    slope, intercept, water = (
        decode_double(fields[place - UNIT :][:8]) for place in (SLOPE, INTERCEPT, MU_WATER)
    )
    if not all(map(math.isfinite, (slope, intercept, water))):
        raise InputError(path, "a damaged calibration", "finite numbers for density and water")
    # Another unit of density is no density that could be given as one.
    has_density = slope != 0 and unit in (DENSITY_UNIT, "")
    return Calibration(
        mu_scaling,
        mu_water=water if water > 0 else None,
        slope=slope if has_density else None,
        intercept=intercept if has_density else None,
    )


def _calibration_begin(stream: BinaryIO, offset: int) -> int | None:
    """The byte at which the calibration begins, or None where the header has none."""
    directory = BLOCK
    if _at(stream, directory + PART_NAME, len(DIRECTORY_NAME)) == DIRECTORY_NAME:
        directory += BLOCK
    begin = directory + BLOCK
    for part in range(directory, directory + PARTS * PART, PART):
        length = int.from_bytes(_at(stream, part + PART_BLOCKS, 4), "little") * BLOCK
        if begin + length > offset:
            return None
        if _at(stream, part + PART_NAME, len(CALIBRATION_NAME)) == CALIBRATION_NAME:
            return begin if length >= CALIBRATION_END else None
        begin += length
    return None


def _at(stream: BinaryIO, begin: int, count: int) -> bytes:
    stream.seek(begin)
    return stream.read(count)
