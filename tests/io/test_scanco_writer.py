from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.io.scanco_header import read_header
from monai_tasks.io.scanco_units import Calibration
from monai_tasks.io.scanco_writer import isq_header, write_isq, write_rsq

SPACING = (0.082, 0.082, 0.082)


def test_header_of_a_large_file():
    """2304 x 2304 x 168 at 0.0607 mm, as of a scanner of the second kind."""
    header = isq_header((2304, 2304, 168), (0.0607,) * 3, Calibration(8192, 0.24, 1600.0, -390.0))
    assert len(header) == 3072
    assert int.from_bytes(header[20:24], "little") == 3072 + 2 * 2304 * 2304 * 168
    assert int.from_bytes(header[56:60], "little") == 139853


def test_number_of_bytes_that_does_not_fit():
    header = isq_header((4608, 4608, 336), (0.03,) * 3, Calibration(8192))
    size = 512 + 2 * 4608 * 4608 * 336
    assert int.from_bytes(header[20:24], "little") == 0
    assert int.from_bytes(header[24:28], "little") == -(-size // 512)


def test_file_of_whole_blocks(tmp_path):
    write_isq(tmp_path / "a.ISQ", np.ones((3, 3, 3), np.int16), SPACING)
    assert (tmp_path / "a.ISQ").stat().st_size == 3072 + 512


def test_order_of_the_axes_in_memory_does_not_matter(tmp_path):
    array = np.arange(60, dtype=np.int16).reshape(3, 4, 5)
    write_isq(tmp_path / "a.ISQ", array, SPACING)
    write_isq(tmp_path / "b.ISQ", np.asfortranarray(array), SPACING)
    assert (tmp_path / "a.ISQ").read_bytes() == (tmp_path / "b.ISQ").read_bytes()


def test_long_names_end_in_their_field(tmp_path):
    write_isq(tmp_path / "a.ISQ", np.ones((3, 3, 3), np.int16), SPACING, name="N" * 60)
    assert (tmp_path / "a.ISQ").read_bytes().count(b"N") == 40
    assert read_header(tmp_path / "a.ISQ").energy_kv == 0


def test_refused(tmp_path):
    with pytest.raises(ValueError, match="3 dimensions of float32; expected"):
        write_isq(tmp_path / "a.ISQ", np.ones((3, 3, 3), np.float32), SPACING)
    with pytest.raises(ValueError, match="2 dimensions of int16"):
        write_isq(tmp_path / "a.ISQ", np.ones((3, 3), np.int16), SPACING)
    with pytest.raises(ValueError, match="expected all three or none"):
        write_isq(tmp_path / "a.ISQ", np.ones((3, 3, 3), np.int16), SPACING, slope=None)
    with pytest.raises(ValueError, match="of int16; expected"):
        write_rsq(tmp_path / "a.RSQ", np.ones((3, 3, 3), np.int16), 1.0)
    with pytest.raises(ValueError, match="expected both or none"):
        write_rsq(tmp_path / "a.RSQ", np.ones((3, 3, 3), np.uint16), 1.0, dark=np.ones((3, 3), np.uint16))
    assert not list(tmp_path.iterdir())
