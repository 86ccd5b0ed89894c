"""Written folders are read back by the layouts of `monai_tasks.datasets`, and hold what was drawn."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from monai_tasks.datasets import decathlon, ixi
from monai_tasks.io.volume_reader import VolumeReader
from monai_tasks.phantoms import hippocampus
from monai_tasks.phantoms.knee import BONES, GRIDS, knee
from monai_tasks.phantoms.layouts import write_decathlon, write_ixi, write_knee_mhd


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return write_decathlon(tmp_path_factory.mktemp("crops"), 5, seed=2, unlabelled=2)


def test_decathlon_is_read_back(crops):
    result = decathlon.datalist(crops)
    assert [len(result[part]) for part in ("training", "validation", "test", "rejected")] == [3, 1, 1, 0]
    assert result["labels"] == {"0": "background", "1": "Anterior", "2": "Posterior"}
    assert result["name"] == "Hippocampus phantom"


def test_decathlon_files(crops):
    image, label, affine = hippocampus.crop(np.random.default_rng([2, 3]))
    for folder, array in (("imagesTr", image), ("labelsTr", label)):
        stored = nibabel.load(crops / folder / "phantom_003.nii.gz")
        np.testing.assert_array_equal(np.asarray(stored.dataobj), array)
        np.testing.assert_allclose(stored.affine, affine, atol=1e-4)
        assert stored.get_data_dtype() == array.dtype
    content = json.loads((crops / "dataset.json").read_text())
    for item in content["training"]:
        assert (crops / item["image"]).is_file()
        assert (crops / item["label"]).is_file()
    assert all((crops / image).is_file() for image in content["test"])
    assert (content["numTraining"], content["numTest"]) == (5, 2)


def test_no_two_cases_are_alike(crops):
    shapes_and_sums = {
        (nibabel.load(path).shape, float(nibabel.load(path).get_fdata().sum()))
        for path in crops.glob("images*/*.nii.gz")
    }
    assert len(shapes_and_sums) == 7


def test_more_cases_change_none(crops, tmp_path):
    write_decathlon(tmp_path, 1, seed=2, unlabelled=0)
    first, second = (
        nibabel.load(f / "imagesTr" / "phantom_001.nii.gz").get_fdata() for f in (crops, tmp_path)
    )
    np.testing.assert_array_equal(first, second)


def test_ixi_is_read_back(tmp_path):
    write_ixi(tmp_path, 3, size=(86, 56, 36))
    result = ixi.datalist(tmp_path)
    assert [len(result[part]) for part in ("training", "validation", "test", "rejected")] == [1, 1, 1, 0]
    item = result["training"][0]
    volumes = [nibabel.load(path) for path in (*item["image"], item["label"])]
    for volume in volumes:
        np.testing.assert_allclose(volume.affine, volumes[0].affine, atol=1e-4)
    assert {17, 53} <= set(np.unique(np.asarray(volumes[2].dataobj)))


PIXELS = {"epi": 4.0, "jopp": 5.0}


@pytest.fixture(scope="module")
def knees(tmp_path_factory):
    return write_knee_mhd(tmp_path_factory.mktemp("knees"), 4, seed=2, pixels=PIXELS)


def knee_case(number):
    """What the file of this number was written from."""
    source = ("jopp", "epi")[number % 2]
    return source, knee(np.random.default_rng([2, number]), GRIDS[source].reduced(PIXELS[source]))


def read(path):
    reader = VolumeReader(allow_constant=True)
    array, metadata = reader.get_data(reader.read(path))
    return array, metadata["affine"]


@pytest.mark.parametrize("number", range(1, 5))
def test_knees_are_read_back(knees, number):
    source, (image, maps, affine, _) = knee_case(number)
    stem = knees / source / f"knee_{number:03d}"
    array, read_affine = read(stem.with_name(f"{stem.name}.mhd"))
    assert array.dtype == np.int16
    np.testing.assert_array_equal(array, image)
    np.testing.assert_allclose(read_affine, affine, atol=1e-6)
    if source == "epi":
        for bone, expected in zip(BONES, maps, strict=True):
            array, read_affine = read(stem.with_name(f"{stem.name}_{bone}.mhd"))
            np.testing.assert_array_equal(array, expected)
            np.testing.assert_allclose(read_affine, affine, atol=1e-6)
    else:
        stored = sitk.ReadImage(str(stem.with_name(f"{stem.name}_maps.mhd")))
        assert stored.GetNumberOfComponentsPerPixel() == 3
        np.testing.assert_array_equal(sitk.GetArrayFromImage(stored).T, maps)
        plain = sitk.ReadImage(str(stem.with_name(f"{stem.name}.mhd")))
        np.testing.assert_allclose(stored.GetDirection(), plain.GetDirection())
        np.testing.assert_allclose(stored.GetOrigin(), plain.GetOrigin())
        np.testing.assert_allclose(stored.GetSpacing(), plain.GetSpacing())


def test_knees_come_from_both_sources_with_maps_of_both_forms(knees):
    names = {source: sorted(path.name for path in (knees / source).glob("*.mhd")) for source in GRIDS}
    assert names["jopp"] == ["knee_002.mhd", "knee_002_maps.mhd", "knee_004.mhd", "knee_004_maps.mhd"]
    assert names["epi"] == [
        f"knee_{number}{bone}.mhd"
        for number in ("001", "003")
        for bone in ("", "_femur", "_fibula", "_tibia")
    ]


def test_more_knees_change_none_and_maps_go_where_asked(knees, tmp_path):
    write_knee_mhd(tmp_path, 1, seed=2, pixels=PIXELS, three_channel=("epi",))
    names = sorted(path.name for path in (tmp_path / "epi").glob("*.mhd"))
    assert names == ["knee_001.mhd", "knee_001_maps.mhd"]
    again, first = (read(folder / "epi" / "knee_001.mhd")[0] for folder in (tmp_path, knees))
    np.testing.assert_array_equal(again, first)
    write_knee_mhd(tmp_path / "other", 1, seed=3, pixels=PIXELS)
    assert not np.array_equal(read(tmp_path / "other" / "epi" / "knee_001.mhd")[0], first)
