"""Written folders are read back by the layouts of `monai_tasks.datasets`, and hold what was drawn."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest

from monai_tasks.datasets import decathlon, ixi
from monai_tasks.phantoms import hippocampus
from monai_tasks.phantoms.layouts import write_decathlon, write_ixi


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
