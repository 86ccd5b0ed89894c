"""A generated BraTS tree is read back by its layout, with what is odd in the published one."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from monai_tasks.datasets import brats
from monai_tasks.io.volume_reader import VolumeReader
from monai_tasks.phantoms import brain_tumour
from monai_tasks.phantoms.brats import write_brats

SIZE = (22, 26, 20)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_brats(tmp_path_factory.mktemp("tumours"), 13, seed=2, size=SIZE)


def values(path):
    return np.asarray(nibabel.load(path).dataobj)


def test_it_is_read_back_and_a_missing_modality_is_named(tree):
    found = brats.datalist(tree, with_lgg=True)
    items = [item for part in ("training", "validation", "test") for item in found[part]]
    assert len(items) == 12
    assert {item["grade"] for item in items} == {"HGG", "LGG"}
    assert found["rejected"] == [
        {"subject": "Brats18_PHANTOM_005_1", "reason": "no file Brats18_PHANTOM_005_1_t2.nii.gz"}
    ]
    assert brats.datalist(tree, modalities=("t1", "t1ce", "flair"))["rejected"] == []
    assert {item["subject"][-5:-2] for item in items if item["grade"] == "LGG"} == {"004", "008", "012"}


def test_files_hold_what_was_drawn(tree):
    images, parts, affine = brain_tumour.head(np.random.default_rng([2, 6]), SIZE)
    case = tree / "MICCAI_BraTS_2018_Data_Training" / "HGG" / "Brats18_PHANTOM_006_1"
    assert sorted(path.name.split("_")[-1] for path in case.iterdir()) == [
        "flair.nii.gz",
        "seg.nii.gz",
        "t1.nii.gz",
        "t1ce.nii.gz",
        "t2.nii.gz",
    ]
    reader = VolumeReader()
    for name, image in images.items():
        array, metadata = reader.get_data(reader.read(case / f"{case.name}_{name}.nii.gz"))
        np.testing.assert_array_equal(array, image)
        np.testing.assert_allclose(metadata["affine"], affine, atol=1e-4)
    np.testing.assert_array_equal(values(case / f"{case.name}_seg.nii.gz"), parts)


def test_some_tumours_do_not_enhance(tree):
    enhance = {
        path.parent.name[-5:-2]: bool((values(path) == 4).any())
        for path in sorted(tree.rglob("*_seg.nii.gz"))
    }
    assert sorted(number for number, seen in enhance.items() if not seen) == ["003", "004", "008", "011"]


def test_more_cases_change_none_and_without_faults_no_file_is_missing(tree, tmp_path):
    few = write_brats(tmp_path, 5, seed=2, size=SIZE, faults=False)
    assert brats.datalist(few, with_lgg=True)["rejected"] == []
    for path in few.rglob("*_t1.nii.gz"):
        np.testing.assert_array_equal(values(path), values(tree / path.relative_to(few)))
