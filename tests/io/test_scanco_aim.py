from __future__ import annotations

import os

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


def test_truncated(tmp_path, aim, array):
    size = aim.stat().st_size
    aim.write_bytes(aim.read_bytes()[:-20])
    text = f"a truncated file of {size - 20} bytes; expected {size} bytes for the 6 x 5 x 4 values"
    with pytest.raises(InputError, match=text):
        read_aim_header(aim)
    py_aimio.write_aim(str(aim), array.astype(np.float32), {"element_size": (0.06, 0.06, 0.06)})
    aim.write_bytes(aim.read_bytes()[:-20])
    with pytest.raises(InputError, match="damaged or incomplete voxels"):
        decode_aim(aim)


@pytest.mark.parametrize("size", [10, 100, 200])
def test_truncated_header(aim, size):
    aim.write_bytes(aim.read_bytes()[:size])
    with pytest.raises(InputError, match="cannot be read; expected a complete AIM file of version") as error:
        read_aim_header(aim)
    assert NAME not in str(error.value)


def test_other_files(tmp_path):
    (tmp_path / "a.AIM").write_bytes(os.urandom(5000))
    with pytest.raises(InputError, match="header that cannot be read"):
        read_aim_header(tmp_path / "a.AIM")
    with pytest.raises(InputError, match="no such file; expected an AIM file"):
        read_aim_header(tmp_path / "b.AIM")


def test_no_spacing(aim, array):
    py_aimio.write_aim(str(aim), array, {})
    with pytest.raises(InputError, match="6 x 5 x 4 voxels, 0 mm apart"):
        read_aim_header(aim)
