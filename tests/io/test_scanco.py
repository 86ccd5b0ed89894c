from __future__ import annotations

import pickle
import tracemalloc

import numpy as np
import py_aimio
import pytest

from monai_tasks.io.errors import InputError
from monai_tasks.io.scanco import open_scanco
from monai_tasks.io.scanco_units import UNITS, Calibration
from monai_tasks.io.scanco_writer import isq_header, write_isq

NAME = "Quilla Nevermore"


@pytest.fixture
def array():
    """(8, 7, 6) over the range of 16 bits."""
    return np.random.default_rng(3).integers(-32768, 32768, (8, 7, 6)).astype(np.int16)


@pytest.fixture
def isq(tmp_path, array):
    write_isq(tmp_path / "a.ISQ", array, (0.061, 0.061, 0.082), name=NAME)
    return tmp_path / "a.ISQ"


def itk_read(path):
    """What itk-ioscanco makes of a file: its header, and the voxels, (Z, Y, X)."""
    itk = pytest.importorskip("itk")
    if not hasattr(itk, "ScancoImageIO"):
        pytest.skip("no itk-ioscanco")
    header = itk.ScancoImageIO.New()
    reader = itk.ImageFileReader[itk.Image[itk.SS, 3]].New(FileName=str(path), ImageIO=header)
    reader.Update()
    image = reader.GetOutput()
    return header, image, itk.array_from_image(image)


def test_native_slices(isq, array):
    scan = open_scanco(isq, "native")
    assert scan.shape == array.shape
    np.testing.assert_array_equal(scan.read([5, 0, 2, 5]), array[:, :, [5, 0, 2, 5]])


def test_units(isq, array):
    mu = array[:, :, [1, 4]] / 8192
    expected = {"attenuation": mu, "density": mu * 1603.51904 - 391.209015, "hu": 1000 * (mu / 0.2409 - 1)}
    for unit, values in expected.items():
        scan = open_scanco(isq, unit)
        assert scan.unit == unit
        np.testing.assert_allclose(scan.read([1, 4]), values, rtol=1e-6, atol=2e-3)


def test_density_is_the_default(isq):
    assert open_scanco(isq).unit == "density"


def test_place_in_space(isq):
    """x to the left and y to the back, the first voxel in the origin."""
    np.testing.assert_allclose(open_scanco(isq).affine, np.diag([-0.061, -0.061, 0.082, 1]))


def test_real_file(shared_data):
    path = shared_data / "scanco_isq" / "test_isq_calibrated_binary_25.ISQ"
    native = open_scanco(path, "native").read(range(25))
    assert np.unique(native).tolist() == [0, 1]
    np.testing.assert_allclose(open_scanco(path, "hu").read(range(25)), native - 1000)
    np.testing.assert_allclose(open_scanco(path, "attenuation").read(range(25)), native / 1000)
    np.testing.assert_allclose(open_scanco(path).read(range(25)), native * 0.002 + 3, rtol=1e-6)
    stored, _ = py_aimio.read_isq(str(path))
    np.testing.assert_array_equal(native.T, stored)


@pytest.mark.parametrize("mu_scaling", [4096, 8192])
def test_as_itk_reads_it(tmp_path, mu_scaling):
    # ITK keeps 16 bits, so that the range must not be left in Hounsfield units.
    array = np.random.default_rng(4).integers(-2000, 12000, (8, 7, 6)).astype(np.int16)
    write_isq(tmp_path / "a.ISQ", array, (0.061, 0.0607, 0.082), mu_scaling=mu_scaling)
    header, image, voxels = itk_read(tmp_path / "a.ISQ")
    scan = open_scanco(tmp_path / "a.ISQ", "hu")
    assert (header.GetMuScaling(), header.GetMuWater()) == (mu_scaling, 0.2409)
    assert (header.GetRescaleSlope(), header.GetRescaleIntercept()) == (1603.51904, -391.209015)
    # ITK cuts off what is behind the point.
    assert np.abs(scan.read(range(6)).T - voxels).max() < 1.001
    np.testing.assert_allclose(np.abs(np.diag(scan.affine)[:3]), list(image.GetSpacing()))
    assert list(image.GetOrigin()) == [0, 0, 0]


def test_as_itk_reads_the_real_file(shared_data):
    path = shared_data / "scanco_isq" / "test_isq_calibrated_binary_25.ISQ"
    header, image, voxels = itk_read(path)
    scan = open_scanco(path, "hu")
    np.testing.assert_allclose(scan.read(range(25)).T, voxels)
    np.testing.assert_allclose(np.abs(np.diag(scan.affine)[:3]), list(image.GetSpacing()))
    calibration = scan.calibration
    assert (calibration.mu_scaling, calibration.mu_water) == (header.GetMuScaling(), header.GetMuWater())
    assert calibration.slope == header.GetRescaleSlope()
    assert calibration.intercept == header.GetRescaleIntercept()


def test_as_aimio_reads_it(isq, array):
    stored, info = py_aimio.read_isq(str(isq), "hu")
    np.testing.assert_allclose(open_scanco(isq, "hu").read(range(6)).T, stored, atol=2e-3)
    assert (info["rescale_slope"], info["mu_water"]) == (1603.51904, 0.2409)


def test_slices_cost_their_own_memory(tmp_path):
    """8 slices of a file of 400 MB, most of it a hole: eight times a slice of floats, and little beside."""
    path, shape = tmp_path / "large.ISQ", (512, 512, 800)
    header = isq_header(shape, (0.06, 0.06, 0.06), Calibration(8192, 0.24, 1600.0, -390.0))
    with path.open("wb") as stream:
        stream.write(header)
        stream.truncate(len(header) + 2 * 512 * 512 * 800)
    tracemalloc.start()
    voxels = open_scanco(path).read(range(50, 800, 100))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert voxels.shape == (512, 512, 8)
    assert peak < 1.5 * voxels.nbytes


def test_no_name_in_anything(isq):
    scan = open_scanco(isq)
    assert NAME.encode() not in pickle.dumps(scan)
    assert NAME not in repr(scan)
    isq.write_bytes(isq.read_bytes()[:-400])
    with pytest.raises(InputError) as error:
        open_scanco(isq)
    assert NAME not in str(error.value)


def test_a_copy_in_another_process_reads_on(isq, array):
    scan = pickle.loads(pickle.dumps(open_scanco(isq, "native")))
    np.testing.assert_array_equal(scan.read([3]), array[:, :, [3]])
    assert len(pickle.dumps(scan)) < 2000


def test_without_calibration(tmp_path, array):
    write_isq(tmp_path / "a.ISQ", array, (0.1, 0.1, 0.1), slope=None, intercept=None, mu_water=None)
    for unit in ("native", "attenuation"):
        assert open_scanco(tmp_path / "a.ISQ", unit).unit == unit
    for unit in ("density", "hu"):
        with pytest.raises(InputError, match=r"a\.ISQ: no .* in the header"):
            open_scanco(tmp_path / "a.ISQ", unit)


def test_one_plane(tmp_path, array):
    write_isq(tmp_path / "a.ISQ", array[:, :, :1], (0.1, 0.1, 0.1))
    with pytest.raises(InputError, match=r"one plane \(8 x 7 x 1\); expected a volume of several slices"):
        open_scanco(tmp_path / "a.ISQ")


def test_unknown_unit(isq):
    with pytest.raises(ValueError, match="'bmd'; expected one of"):
        open_scanco(isq, "bmd")


def test_name_with_a_version(isq, array):
    """As the scanners' computers name their files."""
    versioned = isq.rename(isq.with_name("C0001234.ISQ;1"))
    np.testing.assert_array_equal(open_scanco(versioned, "native").read([2]), array[:, :, [2]])


@pytest.mark.parametrize("unit", UNITS)
def test_aim_has_the_values_of_the_isq(tmp_path, isq, array, unit):
    log = (
        f"Patient Name                  {NAME}\n"
        "Mu_Scaling                                       8192\n"
        "HU: mu water                                  0.24090\n"
        "Density: unit                 mg HA/ccm\n"
        "Density: slope                         1.60351904e+03\n"
        "Density: intercept                    -3.91209015e+02\n"
    )
    meta = {"element_size": (0.061, 0.061, 0.082), "position": (10, 20, 30), "processing_log": log}
    py_aimio.write_aim(str(tmp_path / "a.AIM"), np.ascontiguousarray(array.T), meta)
    aim, scan = open_scanco(tmp_path / "a.AIM", unit), open_scanco(isq, unit)
    np.testing.assert_array_equal(aim.read([4, 0]), scan.read([4, 0]))
    if unit != "attenuation":
        theirs, _ = py_aimio.read_aim(str(tmp_path / "a.AIM"), density=unit == "density", hu=unit == "hu")
        np.testing.assert_allclose(aim.read(range(6)).T, theirs, rtol=1e-6, atol=2e-3)
    np.testing.assert_allclose(aim.affine[:3, :3], scan.affine[:3, :3], atol=1e-7)
    np.testing.assert_allclose(aim.affine[:3, 3], (-0.61, -1.22, 2.46), atol=1e-5)
    assert NAME not in repr(aim)
    assert NAME.encode() not in pickle.dumps(aim)


def test_aim_of_floats(tmp_path, array):
    values = (array / 7).astype(np.float32)
    log = "Mu_Scaling                                       8192\n"
    meta = {"element_size": (0.1, 0.1, 0.1), "processing_log": log}
    py_aimio.write_aim(str(tmp_path / "a.AIM"), np.ascontiguousarray(values.T), meta)
    scan = open_scanco(tmp_path / "a.AIM", "attenuation")
    np.testing.assert_allclose(scan.read([1, 3]), values[:, :, [1, 3]] / 8192, rtol=1e-6)


def test_aim_segmentation(tmp_path, array):
    mask = np.where(array > 0, 127, 0).astype(np.int8)
    py_aimio.write_aim(
        str(tmp_path / "a.AIM"), np.ascontiguousarray(mask.T), {"element_size": (0.1, 0.1, 0.1)}
    )
    np.testing.assert_array_equal(open_scanco(tmp_path / "a.AIM", "native").read(range(6)), mask)
    with pytest.raises(InputError, match="as of a segmentation, which have no density"):
        open_scanco(tmp_path / "a.AIM")
