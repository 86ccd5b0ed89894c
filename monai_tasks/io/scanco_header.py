"""The header of Scanco's CTDATA files: ISQ volumes and RSQ projections."""

from __future__ import annotations

import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from monai_tasks.io.errors import InputError
from monai_tasks.io.files import check_content
from monai_tasks.io.scanco_units import Calibration

BLOCK = 512
VERSION = b"CTDATA-HEADER_V1"
# The patient's name lies at these bytes. They are passed over, so that it never is in memory.
NAME_BEGIN, NAME_END = 128, 168
VALUE_BYTES = 2

# Byte offsets of the 32-bit fields that are used; all integers are little endian.
DATA_TYPE, SHAPE, EXTENT, DATA_RANGE, MU_SCALING = 16, 44, 56, 80, 88
PROJECTIONS, ENERGY, INTENSITY, OBJECT_VIEWS, DATA_OFFSET = 96, 168, 172, 260, 508
RADIOGRAPH = 9

# The extended header: a directory of at most four parts of 128 bytes, then the parts in whole blocks.
DIRECTORY_NAME, CALIBRATION_NAME = b"MultiHeader     ", b"Calibration     "
PART, PARTS, PART_NAME, PART_BLOCKS = 128, 4, 8, 24
# Within the calibration; free text comes before these fields and is passed over, too.
DENSITY_UNIT, DENSITY_SLOPE, DENSITY_INTERCEPT, MU_WATER, CALIBRATION_END = 648, 664, 672, 688, 696
DENSITY_UNITS = ("mg HA/ccm", "")


@dataclass(frozen=True)
class ScancoHeader:
    """What a header tells of the image; nothing of the patient, of the scanner or of the day.

    Args:
        shape: the three numbers of values: of an ISQ along x, y and z, x first in memory; of an RSQ the columns
            of the detector, the views, and its rows.
        extent: the three lengths of the whole: of an ISQ in micrometres; an RSQ's second is the angle that its
            views span, in thousandths of a degree.
        data_type: the kind of data, 3 for an ISQ, 9 for a radiograph.
        data_offset: bytes before the values, which are 16-bit integers.
        data_range: the least and the largest value, as the header has them.
        projections: the number of views in half a turn, or 0 where the header has none.
        object_views: of an RSQ the number of views that show the object, or 0 where the header has none.
        energy_kv: peak voltage of the tube.
        intensity_ma: its current.
        calibration: from values to units.
    """

    shape: tuple[int, int, int]
    extent: tuple[int, int, int]
    data_type: int
    data_offset: int
    data_range: tuple[int, int]
    projections: int
    object_views: int
    energy_kv: float
    intensity_ma: float
    calibration: Calibration

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Distance of an ISQ's voxels along x, y and z."""
        x, y, z = (um / count / 1000.0 for um, count in zip(self.extent, self.shape, strict=True))
        return (x, y, z)


def read_header(path: Path) -> ScancoHeader:
    """Read the header of an ISQ or RSQ file, and check that the file is as long as the header says.

    Args:
        path: the file.

    Returns:
        The header.

    Raises:
        InputError: if the file is missing or no CTDATA file, of a version that is not known, or shorter or longer
            than its header says.
    """
    check_content(path, "a Scanco file")
    size = path.stat().st_size
    if size < BLOCK:
        raise InputError(path, f"{size} bytes", f"a Scanco header of {BLOCK} bytes at least")
    with path.open("rb") as stream:
        before = stream.read(NAME_BEGIN)
        _check_version(path, before[: len(VERSION)])
        stream.seek(NAME_END)
        block = before + bytes(NAME_END - NAME_BEGIN) + stream.read(BLOCK - NAME_END)
        shape, offset = _integers(block, SHAPE, 3), (_integers(block, DATA_OFFSET)[0] + 1) * BLOCK
        _check_size(path, size, shape, offset)
        calibration = _calibration(path, stream, offset, float(_integers(block, MU_SCALING)[0]))
    return ScancoHeader(
        shape=shape,
        extent=_integers(block, EXTENT, 3),
        data_type=_integers(block, DATA_TYPE)[0],
        data_offset=offset,
        data_range=_integers(block, DATA_RANGE, 2),
        projections=_integers(block, PROJECTIONS)[0],
        object_views=_integers(block, OBJECT_VIEWS)[0],
        energy_kv=_integers(block, ENERGY)[0] / 1000.0,
        intensity_ma=_integers(block, INTENSITY)[0] / 1000.0,
        calibration=calibration,
    )


def decode_double(data: bytes) -> float:
    """A 64-bit number in the G form of the VAX.

    It is IEEE's form with the 16-bit words in the opposite order and two more in the exponent.

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


def _integers(block: bytes, offset: int, count: int = 1) -> tuple[int, ...]:
    return struct.unpack_from(f"<{count}i", block, offset)


def _check_version(path: Path, version: bytes) -> None:
    """Refuse other files and other versions, and show nothing of the former, which may be anything."""
    if version == VERSION:
        return
    known = VERSION.decode()
    digits = version.removeprefix(known[:-1].encode())
    if version != digits and digits.isalnum():
        raise InputError(path, f"version {version.decode(errors='replace')} of Scanco's header", known)
    raise InputError(path, "no Scanco header", f"a file that begins with {known}")


def _check_size(path: Path, size: int, shape: tuple[int, ...], offset: int) -> None:
    """Refuse a file that is not as long as its header says, but for the rest of its last block."""
    text = " x ".join(map(str, shape))
    if min(shape) < 1 or offset < BLOCK:
        found = f"a header of {text} values that begin at byte {offset}"
        raise InputError(path, found, "positive sizes and a place for the values")
    end = offset + VALUE_BYTES * math.prod(shape)
    expected = f"{end} bytes for the {text} values that its header tells of"
    if size < end:
        raise InputError(path, f"a truncated file of {size} bytes", expected)
    if size > -(-end // BLOCK) * BLOCK:
        raise InputError(path, f"{size} bytes", f"{expected}, to a whole block of {BLOCK} at most")


def _calibration(path: Path, stream: BinaryIO, offset: int, mu_scaling: float) -> Calibration:
    """The calibration of the extended header, without water and density where there is none."""
    begin = _calibration_begin(stream, offset)
    if begin is None:
        return Calibration(mu_scaling)
    stream.seek(begin + DENSITY_UNIT)
    fields = stream.read(CALIBRATION_END - DENSITY_UNIT)
    unit = fields[:16].split(b"\0")[0].decode("latin-1").strip()
    slope, intercept, water = (
        decode_double(fields[field - DENSITY_UNIT :][:8])
        for field in (DENSITY_SLOPE, DENSITY_INTERCEPT, MU_WATER)
    )
    if not all(map(math.isfinite, (slope, intercept, water))):
        raise InputError(path, "a damaged calibration", "finite numbers for density and water")
    has_density = slope != 0 and unit in DENSITY_UNITS
    return Calibration(
        mu_scaling,
        water if water > 0 else None,
        slope if has_density else None,
        intercept if has_density else None,
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
