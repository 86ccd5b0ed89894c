"""Images and labels of all kinds of bundles come upright, and of large scans a few slices only."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from monai_tasks.datasets.checks_read import SLICES, read_channels, read_classified, read_label
from monai_tasks.io.errors import InputError
from monai_tasks.io.picture import write_png

AFFINE = np.diag([1.0, 0.8, 1.5, 1.0])


@pytest.fixture
def volume():
    return np.random.default_rng(2).normal(100, 10, (9, 11, 30)).astype(np.float32)


def save(path, array, affine=AFFINE):
    nibabel.save(nibabel.Nifti1Image(array, affine), path)
    return path


def test_axes_go_right_front_and_top_whatever_the_file_has(volume, tmp_path):
    plain = read_channels([save(tmp_path / "plain.nii.gz", volume)])[0]
    turned = nibabel.Nifti1Image(volume, AFFINE).as_reoriented(
        nibabel.orientations.axcodes2ornt("SLP", (("R", "L"), ("P", "A"), ("I", "S")))
    )
    nibabel.save(turned, tmp_path / "turned.nii.gz")
    other = read_channels([tmp_path / "turned.nii.gz"])[0]
    assert (plain.orientation, other.orientation) != ("", "")
    assert plain.orientation != other.orientation
    np.testing.assert_array_equal(plain.array, other.array)
    np.testing.assert_allclose(plain.affine, other.affine, atol=1e-5)
    assert plain.shape == other.shape == volume.shape


def test_channels_are_in_their_order(volume, tmp_path):
    paths = [save(tmp_path / f"{name}.nii.gz", volume + add) for name, add in (("t2", 5), ("t1", 0))]
    first, second = read_channels(paths)
    np.testing.assert_allclose(first.array - second.array, 5, atol=1e-4)


def test_labels_of_a_map_of_files_and_of_channels(tmp_path):
    labels = np.zeros((4, 5, 6), np.uint8)
    labels[1, 2, 3], labels[2, 2, 3], labels[3, 1, 1] = 1, 2, 17
    found = read_label([save(tmp_path / "map.nii.gz", labels)])
    assert {value: np.argwhere(mask).tolist() for value, mask in found.masks.items()} == {
        1: [[1, 2, 3]],
        2: [[2, 2, 3]],
        17: [[3, 1, 1]],
    }
    assert found.shape == (4, 5, 6)
    assert list(read_label([tmp_path / "map.nii.gz"], values=[17, 53]).masks) == [17]
    files = [save(tmp_path / f"{value}.nii.gz", (labels == value).astype(np.uint8)) for value in (17, 1)]
    assert np.argwhere(read_label(files).masks[1]).tolist() == [[3, 1, 1]]
    both = np.stack([labels == 17, labels == 2]).astype(np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(both.T, isVector=True), tmp_path / "channels.mha")
    channels = read_label([tmp_path / "channels.mha"])
    assert sorted(channels.masks) == [1, 2]
    assert channels.masks[2].sum() == 1


def test_label_values_that_are_no_whole_numbers(tmp_path):
    labels = np.zeros((4, 5, 6), np.float32)
    labels[1] = 0.5
    with pytest.raises(InputError, match=r"label values such as 0\.5"):
        read_label([save(tmp_path / "soft.nii.gz", labels)])


def test_a_few_slices_of_a_volume_that_is_classified(volume, tmp_path):
    image = read_classified(save(tmp_path / "scan.nii.gz", volume))
    assert image.array.shape == (9, 11, SLICES)
    assert image.shape == (9, 11, 30)
    # Evenly, and neither the first nor the last.
    np.testing.assert_array_equal(image.array, volume[:, :, [5, 10, 14, 19, 24]])


def test_a_volume_of_few_slices(volume, tmp_path):
    thin = volume[:, :, :3]
    np.testing.assert_array_equal(read_classified(save(tmp_path / "thin.nii.gz", thin)).array, thin)


def test_slices_without_contrast_are_no_image(tmp_path):
    blank = np.full((9, 11, 30), -1000, np.float32)
    blank[2, 3, 0] = 5  # in a slice that is not looked at, so that the scan as a whole is not of one value
    with pytest.raises(InputError, match=r"all voxels looked at equal \(-1000\); expected an image"):
        read_classified(save(tmp_path / "blank.nii.gz", blank))


def test_pictures_and_dicom_series(dicom, grids, tmp_path):
    pixels = np.random.default_rng(1).integers(0, 65535, (20, 30), dtype=np.uint16)
    write_png(tmp_path / "wrist.png", pixels)
    picture = read_classified(tmp_path / "wrist.png")
    assert (picture.affine, picture.orientation, picture.shape) == (None, "", (20, 30))
    np.testing.assert_array_equal(picture.array, pixels)
    ras = grids["RAS"]
    dicom.series(tmp_path / "series", ras)
    series = read_classified(tmp_path / "series")
    assert series.shape == ras.array.shape
    assert series.affine is not None
    assert read_channels([tmp_path / "series"])[0].shape == ras.array.shape


@pytest.mark.parametrize("name", ["missing.png", "missing.nii.gz", "missing", "text.dcm"])
def test_what_cannot_be_read_is_an_input_error(name, tmp_path):
    (tmp_path / "text.dcm").write_text("no image")
    with pytest.raises(InputError):
        read_classified(tmp_path / name)
