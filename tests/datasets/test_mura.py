"""MURA's tables and tree: the published validation part is the test part, and no patient is split."""

from __future__ import annotations

import pytest

from monai_tasks.datasets import mura
from monai_tasks.datasets.radiographs import by_study
from monai_tasks.io.errors import InputError


def write_tree(root, studies):
    """Studies as (part, region, patient, study, label, images); lists, tables and files as published."""
    lines = {f"{part}_{table}": [] for part in ("train", "valid") for table in ("images", "studies")}
    for part, region, patient, study, label, images in studies:
        sign = ("negative", "positive")[label]
        folder = f"{part}/XR_{region}/patient{patient:05d}/study{study}_{sign}"
        lines[f"{part}_studies"].append(f"MURA-v1.1/{folder}/,{label}")
        for number in range(1, images + 1):
            path = root / folder / f"image{number}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"png")
            lines[f"{part}_images"].append(f"MURA-v1.1/{folder}/{path.name}")
    for part in ("train", "valid"):
        (root / f"{part}_image_paths.csv").write_text("".join(f"{x}\n" for x in lines[f"{part}_images"]))
        (root / f"{part}_labeled_studies.csv").write_text("".join(f"{x}\n" for x in lines[f"{part}_studies"]))
    return root


def studies():
    """Sixty patients with two images each in two regions, every third abnormal; five have a second study."""
    found = []
    for patient in range(1, 61):
        region, label = ("WRIST", "ELBOW")[patient % 2], int(patient % 3 == 0)
        found.append(("train", region, patient, 1, label, 2))
        if patient % 12 == 0:
            found.append(("train", "HAND", patient, 1, 0, 1))
    return [*found, *(("valid", "WRIST", 11185 + number, 1, number % 2, 3) for number in range(4))]


@pytest.fixture
def tree(tmp_path):
    return write_tree(tmp_path / "MURA-v1.1", studies())


def append(path, line):
    path.write_text(path.read_text() + line + "\n")


def test_the_published_parts_are_kept_and_patients_are_not_split(tree):
    found = mura.datalist(tree, seed=1, fractions=(0.6, 0.2, 0.2), folds=3)
    assert [len(found[part]) for part in ("training", "validation", "test")] == [94, 31, 12]
    subjects = [{item["subject"] for item in found[part]} for part in ("training", "validation", "test")]
    assert [len(group) for group in subjects] == [45, 15, 4]
    assert len(set.union(*subjects)) == 64
    assert subjects[2] == {f"patient{11185 + number}" for number in range(4)}
    assert {item["fold"] for item in found["training"]} == {0, 1, 2}
    assert found["fractions"] == [pytest.approx(0.75), pytest.approx(0.25), 0.0]
    assert found["rejected"] == []
    for item in (item for part in ("training", "validation", "test") for item in found[part]):
        assert (item["label"] == 1) == ("_positive/" in item["image"])
        assert f"/XR_{item['region'].upper()}/{item['subject']}/" in item["image"]


def test_labels_of_each_region_are_spread_alike(tree):
    found = mura.datalist(tree, fractions=(0.5, 0.5, 0))
    for region in ("wrist", "elbow"):
        counts = [
            sum(item["region"] == region and item["label"] == label for item in found[part])
            for part in ("training", "validation")
            for label in (0, 1)
        ]
        # Of each region 20 normal and 10 abnormal patients of two images, some of them with a hand, too.
        assert abs(counts[0] - counts[2]) <= 4
        assert abs(counts[1] - counts[3]) <= 4


def test_images_of_a_study_have_its_name_and_no_others(tree):
    items = mura.datalist(tree)["test"]
    joined = by_study(items)
    assert [len(study["image"]) for study in joined] == [3, 3, 3, 3]
    assert joined[0]["study"] == "patient11185_wrist_study1_negative"
    training = mura.datalist(tree)
    twelfth = [
        x for part in ("training", "validation") for x in training[part] if x["subject"] == "patient00012"
    ]
    assert {item["region"]: item["study"] for item in twelfth} == {
        "wrist": "patient00012_wrist_study1_positive",
        "hand": "patient00012_hand_study1_negative",
    }


def test_the_folder_above_and_a_renamed_folder_are_read(tree, tmp_path):
    below = mura.datalist(tree)
    assert mura.datalist(tmp_path) == below
    renamed = tree.rename(tmp_path / "bones")
    items = mura.datalist(renamed)["test"]
    assert [item["image"].replace("/bones/", "/MURA-v1.1/") for item in items] == [
        item["image"] for item in below["test"]
    ]


def test_what_cannot_be_used_is_listed_with_the_reason(tree):
    wrist = "train/XR_WRIST/patient00002/study1_negative"
    (tree / wrist / "image1.png").unlink()
    (tree / wrist / "image2.png").write_bytes(b"")
    images, labels = tree / "train_image_paths.csv", tree / "train_labeled_studies.csv"
    for folder in ("XR_WRIST/patient00090/study1_negative", "XR_KNEE/patient00091/study1_positive"):
        append(images, f"MURA-v1.1/train/{folder}/image1.png")
    append(images, "MURA-v1.1/train/image.png")
    append(images, "MURA-v1.1/train/XR_HAND/patient00092/study1_positive/image1.png")
    append(labels, "MURA-v1.1/train/XR_KNEE/patient00091/study1_positive/,1")
    append(labels, "MURA-v1.1/train/XR_HAND/patient00092/study1_positive/,0")
    append(labels, "MURA-v1.1/train/XR_HAND/patient00093/study1_positive/,1")
    reasons = [(entry["subject"], entry["reason"]) for entry in mura.datalist(tree)["rejected"]]
    assert reasons == [
        ("patient00002", f"no file {wrist}/image1.png"),
        ("patient00002", f"an empty file {wrist}/image2.png"),
        ("patient00090", "no label of the study train/XR_WRIST/patient00090/study1_negative"),
        ("patient00091", f"region KNEE; expected one of {', '.join(mura.REGIONS).upper()}"),
        (
            "MURA-v1.1/train/image.png",
            "another path than train/XR_WRIST/patient00001/study1_positive: MURA-v1.1/train/image.png",
        ),
        (
            "patient00092",
            "label 0 of the study train/XR_HAND/patient00092/study1_positive, which its name contradicts",
        ),
        ("patient00093", "no image listed of train/XR_HAND/patient00093/study1_positive"),
    ]


def test_a_patient_in_both_published_parts_is_refused(tmp_path):
    both = write_tree(tmp_path, [*studies(), ("valid", "HAND", 7, 1, 0, 1)])
    with pytest.raises(ValueError, match=r"1 subjects, such as patient00007, in the test part and outside"):
        mura.datalist(both)


def test_a_tree_that_is_none_is_refused(tree):
    (tree / "valid_labeled_studies.csv").write_text(
        "MURA-v1.1/valid/XR_WRIST/patient11185/study1_negative/,?\n"
    )
    with pytest.raises(InputError, match=r"valid_labeled_studies.csv: label '\?' in row 1; expected 0 or 1"):
        mura.datalist(tree)
    (tree / "train_image_paths.csv").unlink()
    with pytest.raises(InputError, match=r"train_image_paths.csv: no such file"):
        mura.datalist(tree)


def test_a_published_part_without_images_is_refused(tree):
    for path in tree.glob("valid/**/*.png"):
        path.unlink()
    with pytest.raises(InputError, match=r"valid: none of 12 cases usable, such as patient11185"):
        mura.datalist(tree)
