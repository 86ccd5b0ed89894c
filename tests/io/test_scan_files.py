from __future__ import annotations

import tracemalloc

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from monai_tasks.io.errors import InputError
from monai_tasks.io.scan_files import open_file
from monai_tasks.io.volume_files import read_volume_file

GRIDS = ["RAS", "LAS", "LPS", "oblique"]
SUFFIXES = [".nii", ".nii.gz", ".mgz", ".mha", ".mhd", ".nrrd"]


@pytest.mark.parametrize("name", GRIDS)
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_slices_and_place_on_every_grid(tmp_path, grids, name, suffix, write_volume):
    grid = grids[name]
    scan = open_file(write_volume(tmp_path / f"a{suffix}", *grid), "hu")
    assert scan.shape == grid.array.shape
    assert scan.unit == "hu"
    np.testing.assert_allclose(scan.affine, grid.affine, atol=1e-5)
    np.testing.assert_array_equal(scan.read([9, 0, 4]), grid.array[:, :, [9, 0, 4]])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_as_the_whole_file_is_read(tmp_path, grids, suffix, write_volume):
    array = grids["oblique"].array.round().astype(np.int16)
    path = write_volume(tmp_path / f"a{suffix}", array, grids["oblique"].affine)
    whole, affine = read_volume_file(path)
    scan = open_file(path, "density")
    np.testing.assert_array_equal(scan.read(range(11)), whole)
    np.testing.assert_array_equal(scan.affine, affine)
    assert scan.read([0]).dtype == np.float32


def test_packed_metaimage(tmp_path, grids, write_volume):
    path = write_volume(tmp_path / "a.mha", *grids["RAS"], useCompression=True)
    np.testing.assert_array_equal(open_file(path, "density").read([2, 7]), grids["RAS"].array[:, :, [2, 7]])


def test_slope_of_nifti(tmp_path, grids):
    image = nib.Nifti1Image(grids["RAS"].array.astype(np.int16), grids["RAS"].affine)
    image.header.set_slope_inter(0.5, -10)
    nib.save(image, tmp_path / "a.nii")
    expected = nib.load(tmp_path / "a.nii").get_fdata()[:, :, [3]]
    assert not (expected == image.get_fdata()[:, :, [3]]).all()
    np.testing.assert_allclose(open_file(tmp_path / "a.nii", "density").read([3]), expected)


@pytest.mark.parametrize("suffix", [".nii", ".mha"])
def test_a_fourth_axis_of_one_volume(tmp_path, grids, suffix):
    array, affine = grids["RAS"]
    if suffix == ".nii":
        nib.save(nib.Nifti1Image(array[..., None], affine), tmp_path / "a.nii")
    else:
        sitk.WriteImage(sitk.JoinSeries([sitk.GetImageFromArray(array.T)]), str(tmp_path / "a.mha"))
    scan = open_file(tmp_path / f"a{suffix}", "density")
    assert scan.shape == array.shape
    np.testing.assert_array_equal(scan.read([5]), array[:, :, [5]])


def test_slices_of_nifti_cost_their_own_memory(tmp_path):
    """Slices of a file of 200 MB, most of it a hole."""
    shape = (512, 512, 400)
    header = nib.Nifti1Header()
    header.set_data_shape(shape)
    header.set_data_dtype(np.int16)
    with (tmp_path / "a.nii").open("wb") as stream:
        header.write_to(stream)
        stream.truncate(352 + 2 * 512 * 512 * 400)
    tracemalloc.start()
    voxels = open_file(tmp_path / "a.nii", "density").read(range(25, 400, 50))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert voxels.shape == (512, 512, 8)
    assert peak < 3 * voxels.nbytes


def test_several_volumes_and_several_values(tmp_path, grids):
    array, affine = grids["RAS"]
    nib.save(nib.Nifti1Image(np.stack([array] * 2, axis=3), affine), tmp_path / "a.nii")
    with pytest.raises(InputError, match="2 volumes"):
        open_file(tmp_path / "a.nii", "density")
    image = sitk.GetImageFromArray(np.stack([array.T] * 2, axis=3), isVector=True)
    sitk.WriteImage(image, str(tmp_path / "a.mha"))
    with pytest.raises(InputError, match="2 values a voxel"):
        open_file(tmp_path / "a.mha", "density")


def test_complex_values(tmp_path, grids):
    nib.save(nib.Nifti1Image(grids["RAS"].array.astype(np.complex64), np.eye(4)), tmp_path / "a.nii")
    with pytest.raises(InputError, match="voxels of type complex64; expected real numbers"):
        open_file(tmp_path / "a.nii", "density")


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".mha", ".nrrd"])
def test_truncated(tmp_path, grids, suffix, write_volume):
    path = write_volume(tmp_path / f"a{suffix}", *grids["RAS"])
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(InputError, match="damaged or incomplete voxels"):
        open_file(path, "density").read([0, 10])
