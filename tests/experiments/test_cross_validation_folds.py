"""Who is held out in which fold, and what is refused before a training."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest

from monai_tasks.catalog import open_bundle
from monai_tasks.experiments.cross_validation_folds import Folds, make_folds, read_items
from monai_tasks.io.errors import InputError

CHEST = open_bundle("chest_xray_pneumothorax_classification")
HIPPOCAMPUS = open_bundle("hippocampus_mri_segmentation")


def image(number: int, subject: str, label: Any, **more: Any) -> dict[str, Any]:
    return {"image": f"/images/{number}.png", "label": label, "subject": subject, **more}


def chests(subjects: int, each: int = 2) -> list[dict[str, Any]]:
    """Every third subject has the second class."""
    return [
        image(each * number + view, f"p{number:02d}", int(number % 3 == 0))
        for number in range(subjects)
        for view in range(each)
    ]


@pytest.fixture
def listed(tmp_path) -> Callable[..., Path]:
    """Writes a datalist: training and validation, and what else is given."""

    def written(items: list[dict[str, Any]], **parts: Any) -> Path:
        file = tmp_path / "datalist.json"
        file.write_text(json.dumps({"training": items[2:], "validation": items[:2], **parts}))
        return file

    return written


def folds_of(file: Path, count: int, **options: Any) -> Folds:
    return make_folds(CHEST, file, read_items(file)[0], count, **options)


def subjects(items: list[dict[str, Any]]) -> set[str]:
    return {item["subject"] for item in items}


def test_every_subject_is_held_out_once_and_its_images_are_together(listed):
    file = listed(chests(20))
    folds = folds_of(file, 4)
    held = []
    for fold in range(4):
        parts = folds.parts(fold)
        names = [subjects(parts[part]) for part in ("training", "validation", "test")]
        assert sum(map(len, names)) == 20 == len(set.union(*names))
        assert {item["fold"] for item in parts["test"]} == {fold}
        assert all(folds.parts(fold)[part] == parts[part] for part in parts)
        # Classes have about their share in each part: 7 of 20 subjects have the second one.
        for part, own in (("test", (1, 2)), ("training", (4, 5)), ("validation", (1,))):
            assert len(subjects([item for item in parts[part] if item["label"]])) in own
        held += parts["test"]
    assert sorted(item["image"] for item in held) == sorted(item["image"] for item in chests(20))
    assert (folds.origin, folds.stratify) == ("dealt", ("label",))
    assert folds_of(file, 4, seed=1).items != folds.items


def test_numbers_of_folds_in_the_datalist_are_taken_where_they_are_as_many(listed):
    items = [item | {"fold": 1 + int(item["subject"][1:]) % 3} for item in chests(12)]
    for item in items:
        item["label"] = int(int(item["subject"][1:]) < 6)
    folds = folds_of(listed(items), 3)
    assert folds.origin == "datalist"
    assert all(item["fold"] == int(item["subject"][1:]) % 3 for item in folds.items)
    assert folds_of(listed(items), 2).origin == "dealt"
    items[0]["fold"] = 2
    with pytest.raises(InputError, match="subject p00 in the folds 2 and 1; expected subjects of one fold"):
        folds_of(listed(items), 3)


def test_other_keys(listed):
    items = [item | {"site": "ab"[int(item["subject"][1:]) % 2], "source": "one"} for item in chests(24)]
    folds = folds_of(listed(items), 2)
    assert folds.stratify == ("label", "site")  # of one source only
    for fold in range(2):
        sites = {item["subject"]: item["site"] for item in folds.parts(fold)["test"]}
        assert list(sites.values()).count("a") == 6
    assert folds_of(listed(items), 2, stratify=["site"]).stratify == ("site",)
    with pytest.raises(InputError, match="p01 has no 'age'; expected it, to stratify by"):
        folds_of(listed(items), 2, stratify=["age"])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"image": "/images/5.png"},
            "5.png of the subjects p02 and other; expected images and studies of one",
        ),
        ({"study": "s1"}, "study s1 of the subjects other and p00; expected images and studies of one"),
        ({"subject": ""}, "no subject of /images/99.png; expected one for each image"),
        ({"image": "/images/5.png", "subject": "p02"}, "5.png listed twice; expected each image once"),
    ],
)
def test_what_would_let_a_subject_cross_is_refused(listed, change, message):
    items = chests(9)
    items[0]["study"] = "s1"
    file = listed([*items, image(99, "other", 0) | change])
    with pytest.raises(InputError, match=message):
        read_items(file)


def test_too_few_subjects_or_classes_are_refused(listed):
    with pytest.raises(InputError, match="4 subjects for 5 folds; expected 2 folds or more, and 5 subjects"):
        folds_of(listed(chests(4)), 5)
    with pytest.raises(InputError, match="1 subjects to hold some back from"):
        folds_of(listed(chests(3)), 2)
    one = [item | {"label": int(item["subject"] == "p03")} for item in chests(12)]
    with pytest.raises(InputError, match="no image of class 1 in the training part of fold"):
        folds_of(listed(one), 3)
    with pytest.raises(InputError, match="class 0 only; expected two classes"):
        folds_of(listed([item | {"label": 0} for item in chests(12)]), 3)


def test_the_test_part_is_left_alone_unless_it_is_asked_for(listed):
    test = [image(90 + number, f"t{number}", 0) for number in range(3)]
    file = listed(chests(6), test=test)
    assert subjects(read_items(file)[0]) == {f"p{number:02d}" for number in range(6)}
    assert len(subjects(read_items(file, with_test=True)[0])) == 9
    with pytest.raises(InputError, match="no case in part 'test'"):
        read_items(listed(chests(6)), with_test=True)
    without = file.with_name("training.json")
    without.write_text(json.dumps({"training": chests(6)}))
    assert len(read_items(without)[0]) == 12


def test_excluded_cases_are_in_no_fold(listed, tmp_path):
    file = listed(chests(6), test=[image(90, "t0", 0)])
    (tmp_path / "list.txt").write_text("/images/3.png\n/images/90.png\n")
    items, excluded = read_items(file, exclude=tmp_path / "list.txt")
    assert len(items) == 11
    assert "/images/3.png" not in [item["image"] for item in items]
    assert excluded.taken == {"training": 1, "validation": 0}
    items, excluded = read_items(file, with_test=True, exclude=tmp_path / "list.txt")
    assert len(items) == 11
    assert "/images/90.png" not in [item["image"] for item in items]
    assert excluded.in_test == ()


@pytest.fixture
def maps(tmp_path) -> Path:
    """Nine subjects with two label maps each, the larger the label the later the name; value 7 is of no label."""
    items = []
    for number in range(9):
        for part in range(2):
            values = np.zeros((6, 6, 6), dtype=np.uint8)
            values.reshape(-1)[: 3 * number + part] = 1 + part
            values[-1] = 7
            path = tmp_path / f"{number}_{part}.nii.gz"
            nibabel.save(nibabel.Nifti1Image(values, np.diag([2.0, 1.0, 1.0, 1.0])), path)
            items.append(
                {"image": f"/images/{number}_{part}.nii.gz", "label": str(path), "subject": f"p{number}"}
            )
    file = tmp_path / "maps.json"
    file.write_text(json.dumps({"training": items}))
    return file


def test_label_maps_are_stratified_by_thirds_of_their_volume(maps):
    folds = make_folds(HIPPOCAMPUS, maps, read_items(maps)[0], 3)
    assert folds.stratify == ("label_volume",)
    assert all("label_volume" not in item for item in folds.items)
    for fold in range(3):
        held = {int(item["subject"][1:]) for item in folds.parts(fold)["test"]}
        assert {number // 3 for number in held} == {0, 1, 2}
    (maps.parent / "3_1.nii.gz").write_bytes(b"no volume")
    with pytest.raises(InputError, match="3_1"):
        make_folds(HIPPOCAMPUS, maps, read_items(maps)[0], 3)
