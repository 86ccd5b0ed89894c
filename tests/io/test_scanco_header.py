from __future__ import annotations

import struct

import numpy as np
import pytest

from monai_tasks.io.errors import InputError
from monai_tasks.io.scanco_header import decode_double, encode_double, first_block, read_header
from monai_tasks.io.scanco_units import Calibration
from monai_tasks.io.scanco_writer import write_isq

NAME = "Quilla Nevermore"


@pytest.fixture
def isq(tmp_path):
    array = np.arange(7 * 6 * 5, dtype=np.int16).reshape(7, 6, 5)
    write_isq(tmp_path / "a.ISQ", array, (0.082, 0.061, 0.0825), name=NAME)
    return tmp_path / "a.ISQ"


def edit(path, offset, data):
    content = bytearray(path.read_bytes())
    content[offset : offset + len(data)] = data
    path.write_bytes(content)


def test_real_file(shared_data):
    """The numbers that the maker of the file states, and those that a dump of its bytes shows."""
    header = read_header(shared_data / "scanco_isq" / "test_isq_calibrated_binary_25.ISQ")
    assert header.shape == (25, 25, 25)
    assert header.spacing_mm == pytest.approx((0.06, 0.06, 0.06))
    assert header.data_offset == 2560
    assert header.data_range == (0, 1)
    assert (header.projections, header.energy_kv, header.intensity_ma) == (900, 68.0, 1.47)
    assert header.calibration == Calibration(1000.0, mu_water=1.0, slope=2.0, intercept=3.0)


def test_generated_file(isq):
    header = read_header(isq)
    assert header.shape == (7, 6, 5)
    assert header.spacing_mm == pytest.approx((0.082, 0.061, 0.0824), abs=1e-9)  # 412.5 um are written as 412
    assert header.data_range == (0, 209)
    assert header.calibration == Calibration(8192.0, mu_water=0.2409, slope=1603.51904, intercept=-391.209015)


def test_the_name_is_never_read(isq):
    assert NAME.encode() in isq.read_bytes()
    assert NAME.encode() not in first_block(isq)
    assert NAME not in repr(read_header(isq))


def test_doubles_of_the_vax():
    """The bytes of 1 and -2.5 in the G form, by its definition: sign, exponent + 1024, fraction after 0.1."""
    assert decode_double(bytes.fromhex("1040000000000000")) == 1.0
    assert decode_double(bytes.fromhex("34c0 000000000000")) == -2.5 * 2
    assert encode_double(1.0).hex() == "1040000000000000"
    for value in (0.0, -391.209015, 1603.51904, 0.2409):
        assert decode_double(encode_double(value)) == value


def test_no_calibration_is_told(isq):
    array = np.zeros((4, 4, 4), dtype=np.int16)
    write_isq(isq, array, (0.1, 0.1, 0.1), mu_scaling=4096, slope=None, intercept=None, mu_water=None)
    header = read_header(isq)
    assert header.calibration == Calibration(4096.0)
    assert header.data_offset == 512


def test_density_in_another_unit_is_no_density(isq):
    edit(isq, 1536 + 648, b"g HA/ccm\0\0")
    assert read_header(isq).calibration == Calibration(8192.0, mu_water=0.2409)


def test_calibration_is_found_after_another_part(isq):
    """A directory whose first part is another one: the calibration's blocks come after those of that part."""
    content = isq.read_bytes()
    entry = bytearray(512)
    entry[8:24], entry[24:28] = b"Measurement     ", struct.pack("<i", 1)
    entry[128:256] = content[1024:1152]
    content = content[:1024] + bytes(entry) + bytes(512) + content[1536:]
    isq.write_bytes(content)
    edit(isq, 508, struct.pack("<i", 6))
    assert read_header(isq).calibration.slope == 1603.51904


def test_damaged_calibration(isq):
    # The exponent of infinity in IEEE's form.
    edit(isq, 1536 + 664, bytes.fromhex("f07f000000000000"))
    with pytest.raises(InputError, match="a damaged calibration; expected finite numbers"):
        read_header(isq)


@pytest.mark.parametrize("size", [1, 511])
def test_shorter_than_a_header(isq, size):
    isq.write_bytes(isq.read_bytes()[:size])
    with pytest.raises(InputError, match=f"a.ISQ: {size} bytes; expected a Scanco header of 512 bytes"):
        read_header(isq)


def test_truncated_voxels(isq):
    end = 3072 + 2 * 7 * 6 * 5
    isq.write_bytes(isq.read_bytes()[:end])  # without the rest of the block: complete
    assert read_header(isq).shape == (7, 6, 5)
    isq.write_bytes(isq.read_bytes()[: end - 1])
    text = f"a truncated file of {end - 1} bytes; expected {end} bytes for the 7 x 6 x 5 values"
    with pytest.raises(InputError, match=text):
        read_header(isq)


def test_longer_than_its_header_says(isq):
    isq.write_bytes(isq.read_bytes() + b"\0")
    with pytest.raises(InputError, match="3585 bytes; expected 3492 bytes for the 7 x 6 x 5 values"):
        read_header(isq)


def test_unknown_version(isq):
    edit(isq, 0, b"CTDATA-HEADER_V2")
    with pytest.raises(InputError, match="version V2; expected version V1"):
        read_header(isq)


def test_other_content_is_not_shown(isq):
    edit(isq, 0, NAME.encode())
    with pytest.raises(
        InputError, match="no Scanco header; expected a file that begins with CTDATA-HEADER_V1"
    ) as e:
        read_header(isq)
    assert "Nevermore" not in str(e.value)


@pytest.mark.parametrize("offset", [44, 48, 52])
@pytest.mark.parametrize("count", [0, -3])
def test_sizes_that_are_not_positive(isq, offset, count):
    edit(isq, offset, struct.pack("<i", count))
    with pytest.raises(InputError, match="expected positive sizes"):
        read_header(isq)


def test_values_within_the_header(isq):
    edit(isq, 508, struct.pack("<i", -1))
    with pytest.raises(InputError, match="begin at byte 0"):
        read_header(isq)


def test_radiograph(isq):
    edit(isq, 16, struct.pack("<i", 9))
    with pytest.raises(InputError, match="as of a radiograph; expected an ISQ volume"):
        read_header(isq)


def test_missing_and_empty(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_header(tmp_path / "a.ISQ")
    (tmp_path / "a.ISQ").touch()
    with pytest.raises(InputError, match="an empty file"):
        read_header(tmp_path / "a.ISQ")
