"""Grids are compared by what the headers say about space, whatever the file format."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from monai_tasks.datasets.grids import difference, header_of


def write(path, grid, shape=None):
    array = grid.array if shape is None else np.zeros(shape, np.float32)
    if path.suffix in (".mhd", ".mha", ".nrrd"):
        return write_itk(path, grid, array)
    kind = nibabel.MGHImage if path.suffix == ".mgz" else nibabel.Nifti1Image
    nibabel.save(kind(array, grid.affine), path)
    return path


def write_itk(path, grid, array):
    """A fourth axis of the array becomes values of one voxel."""
    image = sitk.GetImageFromArray(array.transpose(2, 1, 0, *range(3, array.ndim)), isVector=array.ndim > 3)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(image, str(path))
    return path


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "mri").mkdir()
    return tmp_path / "mri"


@pytest.mark.parametrize("orientation", ["RAS", "LAS", "LPS", "oblique"])
@pytest.mark.parametrize("name", ["b.nii", "b.nii.gz", "b.mgz", "b.mhd", "b.mha", "b.nrrd"])
def test_the_same_grid_agrees_in_every_format(grids, folder, orientation, name):
    first = write(folder / "a.nii.gz", grids[orientation])
    second = write(folder / name, grids[orientation])
    assert difference(first, second) is None
    shape, affine, channels = header_of(second)
    assert channels == 1
    assert shape == grids[orientation].array.shape
    np.testing.assert_allclose(affine, grids[orientation].affine, atol=1e-4)


def test_flipped_shifted_and_turned_grids_differ(grids, folder):
    first = write(folder / "a.nii.gz", grids["RAS"])
    for orientation in ("LAS", "LPS", "oblique"):
        second = write(folder / "b.nii.gz", grids[orientation])
        assert "apart" in difference(first, second)
    shift = np.eye(4)
    for distance, agrees in ((0.004, True), (0.1, False)):
        shift[2, 3] = distance
        moved = grids["RAS"]._replace(affine=shift @ grids["RAS"].affine)
        assert (difference(first, write(folder / "b.nii.gz", moved)) is None) == agrees
    assert difference(first, folder / "b.nii.gz").endswith(
        "mri/a.nii.gz and mri/b.nii.gz lie up to 0.1 mm apart"
    )


def test_the_distance_is_the_farthest_of_all_voxels(grids, folder):
    paths = [write(folder / f"{name}.nii", grids[name]) for name in ("RAS", "oblique")]
    shape = grids["RAS"].array.shape
    corners = [(i, j, k, 1) for i in range(shape[0]) for j in range(shape[1]) for k in range(shape[2])]
    apart = max(np.linalg.norm((grids["RAS"].affine - grids["oblique"].affine) @ c) for c in corners)
    assert difference(*paths).endswith(f"up to {apart:.3g} mm apart")


def test_shapes_are_named(grids, folder):
    first = write(folder / "a.nii.gz", grids["RAS"])
    second = write(folder / "b.nii.gz", grids["RAS"], (14, 18, 12))
    assert difference(first, second) == "grids differ: mri/a.nii.gz has shape 14x18x11, mri/b.nii.gz 14x18x12"


def test_several_volumes_in_a_file_are_refused(grids, folder):
    first = write(folder / "a.nii.gz", grids["RAS"])
    assert difference(first, write(folder / "b.nii.gz", grids["RAS"], (14, 18, 11, 1))) is None
    second = write(folder / "b.nii.gz", grids["RAS"], (14, 18, 11, 4))
    assert difference(first, second) == "mri/b.nii.gz: 4 volumes in one file, not 1"


@pytest.mark.parametrize("name", ["b.nii", "b.mhd", "b.mha", "b.nrrd"])
def test_a_number_of_channels_can_be_asked_for(grids, folder, name):
    first = write(folder / "a.mha", grids["oblique"])
    second = write(folder / name, grids["oblique"], (14, 18, 11, 3))
    assert header_of(second).channels == 3
    assert difference(first, second, channels=(3,)) is None
    assert difference(first, second) == f"mri/{name}: 3 volumes in one file, not 1"
    assert difference(first, first, channels=(3,)) == "mri/a.mha: 1 volume in one file, not 3"
    assert difference(first, first, channels=(1, 3)) is None
    assert difference(first, second, channels=(1, 2)).endswith("3 volumes in one file, not 1 or 2")
    turned = write(folder / name, grids["LPS"], (14, 18, 11, 3))
    assert "apart" in difference(first, turned, channels=(3,))


def test_headers_are_read_without_pixels(grids, folder):
    path = write(folder / "a.mhd", grids["LAS"])
    (folder / "a.raw").unlink()
    assert header_of(path).shape == (14, 18, 11)


@pytest.mark.parametrize("name", ["b.nii", "b.nii.gz", "b.mgz", "b.mhd", "b.nrrd", "b.txt"])
@pytest.mark.parametrize("content", [b"", b"no image", b"\x1f\x8b\x08\x00broken"])
def test_unreadable_files_are_named(grids, folder, name, content):
    first = write(folder / "a.nii.gz", grids["RAS"])
    (folder / name).write_bytes(content)
    assert difference(first, folder / name) == f"mri/{name}: unreadable, damaged or no image"


def test_flat_images_are_no_volumes(grids, folder):
    first, second = (write(folder / name, grids["RAS"], (14, 18)) for name in ("a.nii", "b.nii"))
    assert difference(first, second) == "mri/a.nii: 2 dimensions, not 3"
    sitk.WriteImage(sitk.GetImageFromArray(np.zeros((4, 5))), str(folder / "c.mha"))
    assert difference(first, folder / "c.mha") == "mri/a.nii: 2 dimensions, not 3"
    assert difference(folder / "c.mha", first) == "mri/c.mha: 2 dimensions, not 3"


def test_a_missing_file_is_named(grids, folder):
    assert difference(write(folder / "a.nii", grids["RAS"]), folder / "b.nii") == "mri/b.nii: no such file"
