from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import JPEGLSLossless

from monai_tasks.io.dicom_series import read_series
from monai_tasks.io.errors import InputError
from monai_tasks.io.scan_dicom import open_series


@pytest.fixture
def volumes(grids):
    """The four grids with voxels that fit 16 bits."""
    return {name: grid._replace(array=grid.array.round().astype(np.int16)) for name, grid in grids.items()}


def rescaled(dataset, number):
    dataset.RescaleSlope, dataset.RescaleIntercept = 0.25, -100 + number


@pytest.mark.parametrize("name", ["RAS", "LAS", "LPS", "oblique"])
def test_as_the_whole_series_is_read(tmp_path, volumes, dicom, name):
    files = dicom.series(tmp_path, volumes[name], edit=rescaled)
    whole, affine = read_series(files)
    scan = open_series(tmp_path, "density")
    assert scan.shape == whole.shape
    np.testing.assert_array_equal(scan.affine, affine)
    np.testing.assert_array_equal(scan.read(range(11)), whole)
    np.testing.assert_array_equal(scan.read([8, 1]), whole[:, :, [8, 1]])


def test_order_is_that_of_space_and_not_of_names(tmp_path, volumes, dicom):
    files = dicom.series(tmp_path, volumes["RAS"])
    expected = open_series(tmp_path, "density").read(range(11))
    for place, file in enumerate(files):
        file.rename(tmp_path / f"{(place * 7) % 11:02d}.dcm")
    np.testing.assert_array_equal(open_series(tmp_path, "density").read(range(11)), expected)


def test_a_file_stands_for_its_series(tmp_path, volumes, dicom):
    files = dicom.series(tmp_path, volumes["RAS"], syntax=JPEGLSLossless)
    dicom.series(tmp_path / "more", volumes["RAS"])
    scan = open_series(files[3], "density")
    assert scan.path == files[3]
    np.testing.assert_array_equal(scan.read([2]), open_series(tmp_path, "density").read([2]))


def test_only_asked_files_are_decoded(tmp_path, volumes, dicom):
    files = dicom.series(tmp_path, volumes["RAS"])
    whole, _ = read_series(files)
    last = open_series(tmp_path, "density").planes[-1].path
    last.write_bytes(last.read_bytes()[:-100])
    scan = open_series(tmp_path, "density")
    np.testing.assert_array_equal(scan.read([0, 9]), whole[:, :, [0, 9]])
    with pytest.raises(InputError, match=rf"{last.name}: pixels that cannot be decoded"):
        scan.read([10])


def test_multi_frame_file(tmp_path, volumes, dicom):
    path = dicom.enhanced(tmp_path / "a.dcm", volumes["oblique"], slopes=list(np.linspace(0.5, 2, 11)))
    whole, affine = read_series([path])
    scan = open_series(path, "density")
    np.testing.assert_array_equal(scan.affine, affine)
    np.testing.assert_array_equal(scan.read([7, 3]), whole[:, :, [7, 3]])


def test_missing_slice_is_refused_from_the_headers(tmp_path, volumes, dicom):
    dicom.series(tmp_path, volumes["RAS"])[4].unlink()
    with pytest.raises(InputError, match="missing slices"):
        open_series(tmp_path, "density")


def test_nothing_of_the_patient_is_kept(tmp_path, volumes, dicom):
    dicom.series(tmp_path, volumes["RAS"])
    scan = open_series(tmp_path, "density")
    assert "Kept" not in repr(scan) + repr(vars(scan))
