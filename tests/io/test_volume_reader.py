from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, LoadImaged, Orientationd, SaveImaged, Spacingd

from monai_tasks.io.errors import InputError, input_error
from monai_tasks.io.volume_reader import VolumeReader

GRIDS = ["RAS", "LAS", "LPS", "oblique"]


def save(path, array, affine=None):
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


def load(path, **options):
    reader = VolumeReader(**options)
    return reader.get_data(reader.read(path))


@pytest.fixture
def noise():
    return np.random.default_rng(5).normal(size=(6, 7, 8)).astype(np.float32)


@pytest.mark.parametrize("name", GRIDS)
def test_transforms_find_their_way_back(tmp_path, grids, name):
    path = save(tmp_path / "case.nii.gz", *grids[name])
    chain = Compose(
        [
            LoadImaged(keys="image", reader=VolumeReader, ensure_channel_first=True),
            Orientationd(keys="image", axcodes="RAS", labels=None),
            Spacingd(keys="image", pixdim=(1.0, 1.0, 1.0)),
        ]
    )
    item = chain({"image": path})
    assert item["image"].pixdim.tolist() == pytest.approx([1.0, 1.0, 1.0])
    item["pred"] = MetaTensor(torch.ones_like(item["image"]), meta=item["image"].meta)
    item = Invertd(keys="pred", transform=chain, orig_keys="image")(item)
    folder = str(tmp_path / "out")
    SaveImaged(keys="pred", output_dir=folder, separate_folder=False, print_log=False)(item)
    written = nib.load(tmp_path / "out" / "case_trans.nii.gz")
    assert written.shape == grids[name].array.shape
    np.testing.assert_allclose(written.affine, nib.load(path).affine, atol=1e-5)


def test_metadata(tmp_path, grids):
    array, metadata = load(save(tmp_path / "a.nii", *grids["oblique"]))
    assert array.shape == tuple(metadata["spatial_shape"]) == grids["oblique"].array.shape
    assert metadata["space"] == "RAS"
    assert np.isnan(metadata["original_channel_dim"])
    np.testing.assert_allclose(metadata["affine"], grids["oblique"].affine, atol=1e-5)
    metadata["affine"][0, 0] = 99
    assert metadata["original_affine"][0, 0] != 99


def test_nothing_else_of_the_header_is_kept(tmp_path, noise):
    image = nib.Nifti1Image(noise, np.eye(4))
    image.header["descrip"] = b"free text"
    nib.save(image, tmp_path / "a.nii")
    assert "free text" not in repr(load(tmp_path / "a.nii")[1])


def test_channels_are_stacked_in_order(tmp_path, noise):
    paths = [save(tmp_path / f"{name}.nii", noise + shift) for name, shift in (("b", 0), ("a", 5))]
    item = LoadImaged(keys="image", reader=VolumeReader, ensure_channel_first=True)({"image": paths})
    np.testing.assert_array_equal(item["image"], np.stack([noise, noise + 5]))
    assert item["image"].meta["spatial_shape"].tolist() == [6, 7, 8]


def test_channels_of_another_shape(tmp_path, noise):
    paths = [save(tmp_path / "a.nii", noise), save(tmp_path / "b.nii", noise[:, :-1])]
    with pytest.raises(InputError, match=r"b\.nii: 6 x 6 x 8 voxels; expected 6 x 7 x 8 as in a\.nii"):
        load(paths)


def test_channels_in_another_place(tmp_path, noise):
    first = save(tmp_path / "a.nii", noise)
    turned = np.eye(4)
    turned[0, 1] = 0.05  # the first voxel stays in its place, the far corner does not
    with pytest.raises(InputError, match=r"a grid 0\.3 mm away from that of a\.nii"):
        load([first, save(tmp_path / "b.nii", noise, turned)])
    rounded = np.eye(4)
    rounded[:3, 3] = 1e-3
    assert load([first, save(tmp_path / "c.nii", noise, rounded)])[0].shape == (2, 6, 7, 8)


def test_the_channels_of_one_file_are_loaded_when_asked_for(tmp_path, grids):
    grid = grids["oblique"]
    channels = np.stack([grid.array, grid.array > 10, -grid.array]).astype(np.float32)
    path = save(tmp_path / "maps.nii.gz", np.moveaxis(channels, 0, -1), grid.affine)
    loader = LoadImaged(keys="label", reader=VolumeReader, ensure_channel_first=True, allow_channels=True)
    label = loader({"label": path})["label"]
    np.testing.assert_array_equal(label, channels)
    np.testing.assert_allclose(label.affine, grid.affine, atol=1e-5)
    assert label.meta["spatial_shape"].tolist() == [14, 18, 11]
    with pytest.raises(InputError, match="4 dimensions"):
        load(path)
    single = loader({"label": save(tmp_path / "one.nii.gz", *grid)})["label"]
    assert single.shape == (1, 14, 18, 11)


def test_each_channel_of_one_file_is_checked(tmp_path, noise):
    path = save(tmp_path / "maps.nii", np.stack([noise, np.zeros_like(noise)], axis=-1))
    with pytest.raises(InputError, match="all voxels equal"):
        load(path, allow_channels=True)
    assert load(path, allow_channels=True, allow_constant=True)[0].shape == (2, 6, 7, 8)


def test_of_several_files_each_is_one_channel(tmp_path, noise):
    one, two = save(tmp_path / "a.nii", noise), save(tmp_path / "b.nii", np.stack([noise, noise], axis=-1))
    with pytest.raises(InputError, match=r"b\.nii: 4 dimensions, 2 volumes"):
        load([one, two], allow_channels=True)


def spoilt(value, where=(1, 2, 3)):
    def change(array):
        array = array.astype(np.float64)
        array[where] = value
        return array

    return change


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (spoilt(np.nan), "1 NaN and 0 infinite voxels"),
        (spoilt(np.inf), "0 NaN and 1 infinite voxels"),
        (spoilt(-np.inf, (slice(2), 0, 0)), "0 NaN and 2 infinite voxels"),
        (spoilt(1e300), "float32's range"),
        (spoilt(-1e300), "float32's range"),
        (lambda array: np.full(array.shape, 7.0), r"all voxels equal \(7\.0\)"),
        (lambda array: np.zeros(array.shape, np.uint8), r"all voxels equal \(0\)"),
        (lambda array: array.astype(np.complex64), "voxels of type complex64"),
    ],
)
def test_bad_voxels(tmp_path, noise, change, reason):
    path = save(tmp_path / "a.nii", change(noise))
    with pytest.raises(InputError, match=reason):
        load(path)


def test_empty_labels_are_allowed_when_asked_for(tmp_path):
    path = save(tmp_path / "label.nii", np.zeros((4, 5, 6), np.uint8))
    assert not load(path, allow_constant=True)[0].any()
    item = LoadImaged(keys="label", reader=VolumeReader, allow_constant=True)({"label": path})
    assert item["label"].shape == (4, 5, 6)


@pytest.mark.parametrize(
    ("affine", "reason"),
    [
        (np.diag([1.0, 0.0, 1.0, 1.0]), r"singular affine \(voxel edges 1 x 0 x 1 mm\)"),
        (np.array([[1.0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]), "singular affine"),
        (np.diag([1.0, np.nan, 1.0, 1.0]), "not finite"),
    ],
)
def test_bad_affines(tmp_path, noise, affine, reason):
    image = nib.Nifti1Image(noise, np.eye(4))
    for row, name in enumerate(("srow_x", "srow_y", "srow_z")):
        image.header[name] = affine[row]
    image.header["sform_code"] = 2
    # Past nibabel's own checks on writing.
    (tmp_path / "a.nii").write_bytes(image.header.binaryblock + b"\0\0\0\0" + noise.tobytes(order="F"))
    with pytest.raises(InputError, match=reason):
        load(tmp_path / "a.nii")


def test_no_other_reader_takes_over(tmp_path):
    """MONAI's own readers load a 4D image without a word."""
    path = save(tmp_path / "a.nii", np.random.default_rng(0).normal(size=(4, 5, 6, 7)))
    loader = LoadImaged(keys="image", reader=VolumeReader)
    with pytest.raises(InputError, match="4 dimensions"):
        loader({"image": path})
    with pytest.raises(RuntimeError) as caught:
        Compose([loader])({"image": path})
    assert input_error(caught.value).reason.startswith("4 dimensions")


def test_named_in_a_config(tmp_path, noise):
    from monai.bundle import ConfigParser

    config = {
        "_target_": "LoadImaged",
        "keys": "image",
        "reader": "monai_tasks.io.volume_reader.VolumeReader",
    }
    loader = ConfigParser({"load": config})
    item = loader.get_parsed_content("load")({"image": save(tmp_path / "a.nii", noise)})
    np.testing.assert_array_equal(item["image"], noise)


def test_dicom_by_folder_and_by_file(tmp_path, grids, dicom):
    grid = grids["LPS"]
    grid = grid._replace(array=grid.array.astype(np.int16))
    files = dicom.series(tmp_path / "one", grid)
    by_folder, by_file = load(tmp_path / "one"), load(files[3])
    np.testing.assert_array_equal(by_folder[0], by_file[0])
    assert by_folder[0].shape == grid.array.shape
    assert "not-kept" not in repr(by_folder[1]).lower()
    nifti = save(tmp_path / "a.nii", by_folder[0], by_folder[1]["affine"])
    assert load([tmp_path / "one", nifti])[0].shape == (2, *grid.array.shape)


def test_folder_without_dicom(tmp_path):
    with pytest.raises(InputError, match="a folder without DICOM images"):
        load(tmp_path)


def test_real_cases(shared_data):
    folder = shared_data / "hippocampus" / "imagesTr"
    for path in sorted(folder.glob("*.nii.gz"))[:3]:
        array, metadata = load(path)
        np.testing.assert_array_equal(array, np.asanyarray(nib.load(path).dataobj))
        np.testing.assert_array_equal(metadata["affine"], nib.load(path).affine)
