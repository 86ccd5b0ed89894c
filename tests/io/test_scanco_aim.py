from __future__ import annotations

import struct

import numpy as np
import py_aimio
import pytest

from monai_tasks.io.errors import InputError
from monai_tasks.io.scanco_aim import decode_aim, read_aim_header
from monai_tasks.io.scanco_units import Calibration

NAME = "Quilla Nevermore"
LOG = f"""! Processing Log
!-------------------------------------------------------------------------------
Patient Name                  {NAME}
Mu_Scaling                                       8192
Density: unit                 mg HA/ccm
Density: slope                         1.60351904e+03
Density: intercept                    -3.91209015e+02
HU: mu water                                  0.24090
"""


@pytest.fixture
def array():
    return np.random.default_rng(5).integers(-3000, 16000, (4, 5, 6)).astype(np.int16)


@pytest.fixture
def aim(tmp_path, array):
    meta = {"element_size": (0.06, 0.061, 0.08), "position": (10, 20, 30), "processing_log": LOG}
    py_aimio.write_aim(str(tmp_path / "a.AIM"), array, meta)
    return tmp_path / "a.AIM"


def test_header(aim):
    header = read_aim_header(aim)
    assert header.shape == (6, 5, 4)
    assert header.spacing_mm == pytest.approx((0.06, 0.061, 0.08))
    assert header.origin_mm == pytest.approx((0.6, 1.22, 2.4))
    assert not header.is_packed
    assert not header.is_segmentation
    assert header.calibration == Calibration(8192.0, mu_water=0.2409, slope=1603.51904, intercept=-391.209015)


def test_only_numbers_of_the_log_are_kept(aim):
    assert NAME.encode() in aim.read_bytes()
    assert NAME not in repr(read_aim_header(aim))


@pytest.mark.parametrize("line", ["Mu_Scaling", "Density: slope", "Density: intercept", "HU: mu water"])
def test_what_the_log_lacks_is_not_made_up(tmp_path, array, line):
    log = "\n".join(kept for kept in LOG.splitlines() if not kept.startswith(line))
    meta = {"element_size": (0.06, 0.06, 0.06), "processing_log": log}
    py_aimio.write_aim(str(tmp_path / "a.AIM"), array, meta)
    calibration = read_aim_header(tmp_path / "a.AIM").calibration
    assert calibration.mu_scaling == (0 if line == "Mu_Scaling" else 8192)
    assert (calibration.slope is None) == (calibration.intercept is None) == line.startswith("Density")
    assert (calibration.mu_water is None) == line.startswith("HU")


def test_density_in_another_unit_is_no_density(tmp_path, array):
    meta = {"element_size": (0.06, 0.06, 0.06), "processing_log": LOG.replace("mg HA", "g HA")}
    py_aimio.write_aim(str(tmp_path / "a.AIM"), array, meta)
    assert read_aim_header(tmp_path / "a.AIM").calibration == Calibration(8192.0, mu_water=0.2409)


@pytest.mark.parametrize("dtype", [np.int8, np.float32])
def test_packed_and_float_voxels(tmp_path, array, dtype):
    values = np.sign(array).astype(dtype)
    py_aimio.write_aim(str(tmp_path / "a.AIM"), values, {"element_size": (0.06, 0.06, 0.06)})
    header = read_aim_header(tmp_path / "a.AIM")
    assert header.is_packed
    assert header.is_segmentation == (dtype is np.int8)
    np.testing.assert_array_equal(decode_aim(tmp_path / "a.AIM"), values)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32])
def test_truncated(tmp_path, array, dtype):
    path = tmp_path / "a.AIM"
    py_aimio.write_aim(str(path), array.astype(dtype), {"element_size": (0.06, 0.06, 0.06)})
    size = path.stat().st_size
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(InputError, match=f"a truncated file of {size - 20} bytes; expected {size} bytes"):
        read_aim_header(path)


@pytest.mark.parametrize("size", [10, 50, 100, 200])
def test_truncated_header(aim, size):
    aim.write_bytes(aim.read_bytes()[:size])
    with pytest.raises(InputError, match=r"cannot be read|a truncated file") as error:
        read_aim_header(aim)
    assert NAME not in str(error.value)


@pytest.mark.parametrize("dtype", [np.int8, np.int16, np.float32])
def test_more_voxels_than_bytes(tmp_path, array, dtype):
    """aimio-py would read beyond the end."""
    path = tmp_path / "a.AIM"
    py_aimio.write_aim(str(path), array.astype(dtype), {"element_size": (0.06, 0.06, 0.06)})
    content = bytearray(path.read_bytes())
    place = content.index(struct.pack("<3q", 6, 5, 4))
    struct.pack_into("<q", content, place + 16, 400_000)
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"bytes of voxels; expected .* for the 6 x 5 x 400000"):
        read_aim_header(path)


def test_other_files(tmp_path, aim):
    edited = bytearray(aim.read_bytes())
    edited[9:12] = b"040"
    aim.write_bytes(edited)
    with pytest.raises(InputError, match="an AIM file of version 040; expected version 010 to 030"):
        read_aim_header(aim)
    aim.write_bytes(np.random.default_rng(1).bytes(5000))
    with pytest.raises(InputError, match="header that cannot be read; expected a complete AIM file"):
        read_aim_header(aim)
    with pytest.raises(InputError, match="no such file; expected an AIM file"):
        read_aim_header(tmp_path / "b.AIM")


def test_no_spacing(aim, array):
    py_aimio.write_aim(str(aim), array, {})
    with pytest.raises(InputError, match="6 x 5 x 4 voxels, 0 mm apart"):
        read_aim_header(aim)
