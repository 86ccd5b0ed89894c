"""ChestX-ray14's table and official lists: findings to labels, no patient in two parts, no age and no sex."""

from __future__ import annotations

import json

import pytest

from monai_tasks.datasets import chestxray14
from monai_tasks.io.errors import InputError

HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
# Of each patient an image each.
FINDINGS = ("No Finding", "Pneumothorax", "Effusion|Pneumothorax", "Effusion", "No Finding", "Mass|Nodule")
TEST = range(21, 31)


def row(patient, finding, number):
    return f"{patient:08d}_{number:03d}.png,{finding},{number},{patient},058Y,M,PA,2682,2749,0.143,0.143,"


@pytest.fixture
def source(tmp_path):
    """Thirty patients with six images each; the last ten are in the official test list."""
    rows, lists = [HEADER], {"train_val_list.txt": [], "test_list.txt": []}
    for patient in range(1, 31):
        for number, finding in enumerate(FINDINGS):
            rows.append(row(patient, finding, number))
            name = rows[-1].split(",")[0]
            lists["test_list.txt" if patient in TEST else "train_val_list.txt"].append(name)
            path = tmp_path / f"images_{1 + patient // 11:03d}" / "images" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"png")
    (tmp_path / "Data_Entry_2017.csv").write_text("\n".join(rows) + "\n")
    for name, names in lists.items():
        (tmp_path / name).write_text("\n".join(names))
    return tmp_path


def parts(found):
    return [found[part] for part in ("training", "validation", "test")]


def change(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_labels_follow_the_findings_and_the_official_lists_are_kept(source):
    found = chestxray14.datalist(source, fractions=(0.8, 0.2, 0), seed=1)
    assert [len(part) for part in parts(found)] == [16 * 4, 4 * 4, 10 * 4]
    subjects = [{item["subject"] for item in part} for part in parts(found)]
    assert subjects[2] == {str(patient) for patient in TEST}
    assert len(set.union(*subjects)) == sum(map(len, subjects)) == 30
    for item in (item for part in parts(found) for item in part):
        number = int(item["image"][-7:-4])
        assert item["label"] == {0: 0, 1: 1, 2: 1, 4: 0}[number]
    assert (found["negatives"], found["other_findings"]) == ("no_finding", 60)


def test_other_findings_are_negatives_where_asked(source):
    found = chestxray14.datalist(source, negatives="all")
    assert sum(map(len, parts(found))) == 180
    assert found["other_findings"] == 0
    assert sum(item["label"] for part in parts(found) for item in part) == 60
    with pytest.raises(ValueError, match=r"negatives 'none'; expected one of no_finding, all"):
        chestxray14.datalist(source, negatives="none")


def test_nothing_of_a_person_but_the_number_is_kept(source):
    found = chestxray14.datalist(source)
    assert all(item.keys() == {"image", "label", "subject"} for part in parts(found) for item in part)
    assert "058Y" not in json.dumps(found)


def test_what_cannot_be_used_is_listed_with_the_reason(source):
    first = source / "images_001" / "images"
    (first / "00000001_000.png").unlink()
    (first / "00000001_001.png").write_bytes(b"")
    (source / "copy").mkdir()
    (source / "copy" / "00000001_002.png").write_bytes(b"png")
    (source / "copy" / "._00000001_004.png").write_bytes(b"png")
    change(source / "train_val_list.txt", "00000002_000.png\n", "00000099_000.png\n")
    change(
        source / "Data_Entry_2017.csv",
        row(2, "Pneumothorax", 1),
        row(2, "Pneumothorax", 1).replace(",1,2,", ",1,,"),
    )
    # An image that is left out for its findings is no loss.
    (first / "00000001_003.png").unlink()
    reasons = {entry["subject"]: entry["reason"] for entry in chestxray14.datalist(source)["rejected"]}
    assert reasons == {
        "1 00000001_000.png": "no file 00000001_000.png",
        "1 00000001_001.png": "an empty file 00000001_001.png",
        "1 00000001_002.png": "2 files named 00000001_002.png",
        "2 00000002_000.png": "neither in train_val_list.txt nor in test_list.txt",
        "00000002_001.png": "no patient",
        "00000099_000.png": "in train_val_list.txt, and not in the table",
    }


def test_a_patient_or_an_image_in_both_lists_is_refused(source):
    lists = [source / name for name in ("train_val_list.txt", "test_list.txt")]
    whole = lists[0].read_text()
    change(lists[0], "00000003_003.png\n", "")
    lists[1].write_text(lists[1].read_text() + "\n00000003_003.png")
    with pytest.raises(
        InputError, match=r"1 patients in both train_val_list.txt and test_list.txt, such as 3;"
    ):
        chestxray14.datalist(source)
    lists[0].write_text(whole)
    with pytest.raises(InputError, match=r"1 images in both .*, such as 00000003_003.png"):
        chestxray14.datalist(source)


def test_the_later_table_is_read_where_the_first_is_missing(source):
    first = chestxray14.datalist(source)
    (source / "Data_Entry_2017.csv").rename(source / "Data_Entry_2017_v2020.csv")
    assert chestxray14.datalist(source) == first


def test_missing_files_and_columns_are_named(source):
    change(source / "Data_Entry_2017.csv", "Finding Labels", "Findings")
    with pytest.raises(InputError, match=r"Data_Entry_2017.csv: no column 'Finding Labels'"):
        chestxray14.datalist(source)
    change(source / "Data_Entry_2017.csv", "Findings", "Finding Labels")
    (source / "test_list.txt").unlink()
    with pytest.raises(InputError, match=r"test_list.txt: no such file; expected a name of an image a line"):
        chestxray14.datalist(source)
    (source / "Data_Entry_2017.csv").write_text(f"{HEADER}\n{row(1, 'Mass', 0)}\n{row(1, 'Mass', 0)}\n")
    with pytest.raises(InputError, match=r"2 rows of 1 images"):
        chestxray14.datalist(source)


def test_a_list_without_images_is_refused(source):
    for path in source.rglob("000000[23]*.png"):
        path.unlink()
    (source / "images_001" / "images" / "00000021_000.png").touch()
    with pytest.raises(InputError, match=r"test_list.txt: none of"):
        chestxray14.datalist(source)
