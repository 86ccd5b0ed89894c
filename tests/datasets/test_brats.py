"""The tree of BraTS 2018: the modalities asked for, both grades, and cases that lack a file."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from monai_tasks.datasets import brats
from monai_tasks.io.errors import InputError

NAMES = ("t1", "t1ce", "t2", "flair", "seg")
AFFINE = np.diag([-1.0, -1, 1, 1])


def write_case(folder, shape=(4, 5, 3), affine=AFFINE, suffix=".nii.gz"):
    folder.mkdir(parents=True)
    for name in NAMES:
        nibabel.save(
            nibabel.Nifti1Image(np.ones(shape, np.int16), affine), folder / f"{folder.name}_{name}{suffix}"
        )


@pytest.fixture
def tree(tmp_path):
    """Twelve cases of high grade and six of low grade."""
    root = tmp_path / "MICCAI_BraTS_2018_Data_Training"
    for number in range(18):
        write_case(root / ("HGG" if number < 12 else "LGG") / f"Brats18_A_{number}_1")
    (root / "HGG" / ".cache").mkdir()
    (root / "survival_data.csv").write_text("Brats18ID,Age,Survival\n")
    return root


def parts(found):
    return [found[part] for part in ("training", "validation", "test")]


def test_high_grade_with_t1_and_t2_is_listed(tree):
    found = brats.datalist(tree, seed=3, fractions=(0.5, 0.25, 0.25), folds=2)
    assert [len(part) for part in parts(found)] == [6, 3, 3]
    assert {item["grade"] for part in parts(found) for item in part} == {"HGG"}
    item = found["test"][0]
    folder = tree / "HGG" / item["subject"]
    assert item["image"] == [str(folder / f"{item['subject']}_{name}.nii.gz") for name in ("t1", "t2")]
    assert item["label"] == str(folder / f"{item['subject']}_seg.nii.gz")
    assert (found["modalities"], sorted(found["labels"])) == (["t1", "t2"], ["0", "1", "2", "4"])


def test_both_grades_are_spread_over_all_parts(tree):
    found = brats.datalist(tree, with_lgg=True, fractions=(0.5, 0.25, 0.25))
    counts = [[item["grade"] for item in part].count("LGG") for part in parts(found)]
    assert sum(counts) == 6
    assert min(counts) >= 1
    assert sum(map(len, parts(found))) == 18


def test_modalities_keep_the_order_in_which_they_are_asked_for(tree):
    image = brats.datalist(tree, modalities=("flair", "t1ce", "t1", "t2"))["test"][0]["image"]
    assert [path.rsplit("_", 1)[1] for path in image] == [
        "flair.nii.gz",
        "t1ce.nii.gz",
        "t1.nii.gz",
        "t2.nii.gz",
    ]


@pytest.mark.parametrize("modalities", [(), ("t1", "t1"), ("t1", "pd")])
def test_other_modalities_are_refused(tree, modalities):
    with pytest.raises(ValueError, match=r"expected some of t1, t1ce, t2, flair, each once"):
        brats.datalist(tree, modalities=modalities)


def test_the_folder_above_and_files_without_compression_are_read(tree, tmp_path):
    assert brats.datalist(tmp_path) == brats.datalist(tree)
    write_case(tree / "HGG" / "plain", suffix=".nii")
    items = [item for part in parts(brats.datalist(tree)) for item in part]
    assert [item["label"] for item in items if item["subject"] == "plain"] == [
        str(tree / "HGG" / "plain" / "plain_seg.nii")
    ]


def test_what_cannot_be_used_is_listed_with_the_reason(tree):
    case = tree / "HGG" / "Brats18_A_0_1"
    (case / f"{case.name}_t2.nii.gz").unlink()
    (case / f"{case.name}_seg.nii.gz").unlink()
    # Nobody asked for this one.
    other = tree / "HGG" / "Brats18_A_1_1"
    (other / f"{other.name}_t1ce.nii.gz").unlink()
    damaged = tree / "HGG" / "Brats18_A_2_1"
    (damaged / f"{damaged.name}_t2.nii.gz").write_bytes(b"no image")
    write_case(tree / "HGG" / "apart")
    apart = AFFINE.copy()
    apart[0, 3] = 7
    nibabel.save(
        nibabel.Nifti1Image(np.ones((4, 5, 3), np.uint8), apart), tree / "HGG" / "apart" / "apart_seg.nii.gz"
    )
    found = brats.datalist(tree)
    assert {entry["subject"]: entry["reason"] for entry in found["rejected"]} == {
        case.name: f"no file {case.name}_t2.nii.gz and no file {case.name}_seg.nii.gz",
        damaged.name: f"{damaged.name}/{damaged.name}_t2.nii.gz: unreadable, damaged or no image",
        "apart": "grids differ: apart/apart_t1.nii.gz and apart/apart_seg.nii.gz lie up to 7 mm apart",
    }
    assert sum(map(len, parts(found))) == 10
    assert other.name in {
        entry["subject"] for entry in brats.datalist(tree, modalities=("t1ce",))["rejected"]
    }


def test_a_folder_without_cases_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no cases found; expected HGG/CASE/CASE_t1.nii.gz"):
        brats.datalist(tmp_path)
