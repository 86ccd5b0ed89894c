"""The layout of radiographs: studies are complete or absent, and datalists split by patient."""

from __future__ import annotations

import json

import pytest

from monai_tasks.datasets import radiographs
from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import write_table


def row(folder, patient, study, name="S1_I1", **columns):
    return {
        "image": f"{folder}/{study}/{name}.png",
        "label": folder,
        "study": study,
        "patient": patient,
        **columns,
    }


def add_study(data, label, patient, study, images=2):
    folder = radiographs.study_folder(data, label, study)
    with radiographs.new_study(folder) as new:
        rows = [row(label, patient, study, f"S1_I{number}") for number in range(images)]
        for entry in rows:
            (new / entry["image"].rsplit("/", 1)[1]).write_bytes(b"png")
        radiographs.write_study(new, rows)
    return folder


@pytest.fixture
def data(tmp_path):
    """Thirty patients, the first five with two studies, a third of them broken; one study unlabelled."""
    for number in range(30):
        label = "broken" if number % 3 == 0 else "not_broken"
        add_study(tmp_path / "data", label, f"p{number:02d}", f"a{number:02d}")
        if number < 5:
            add_study(tmp_path / "data", "not_broken", f"p{number:02d}", f"b{number:02d}", images=1)
    add_study(tmp_path / "data", "unlabelled", "p90", "u90")
    radiographs.write_overall(tmp_path / "data", [])
    return tmp_path / "data"


def test_no_patient_is_in_two_parts_and_broken_studies_are_in_all(data):
    found = radiographs.datalist(data, seed=4)
    parts = {part: found[part] for part in ("training", "validation", "test")}
    assert sum(map(len, parts.values())) == 65
    patients = [{item["subject"] for item in items} for items in parts.values()]
    assert sum(map(len, patients)) == len(set.union(*patients)) == 30
    for items in parts.values():
        broken = {item["study"] for item in items if item["label"] == 1}
        assert 0.2 < len(broken) / len({item["subject"] for item in items}) < 0.5
        assert all((item["label"] == 1) == ("/broken/" in item["image"]) for item in items)
    assert [item["study"] for item in found["unlabelled"]] == ["u90", "u90"]
    assert "label" not in found["unlabelled"][0]
    assert found["labels"] == {"0": "not_broken", "1": "broken"}


def test_images_without_a_patient_or_study_are_not_taken_for_one_patient(tmp_path):
    for number in range(10):
        add_study(tmp_path, ("broken", "not_broken")[number % 2], "", f"a{number}", images=2)
    rows = radiographs.write_overall(tmp_path, [])
    write_table(
        tmp_path / "metadata.csv",
        [*rows[:-2], *(one | {"study": ""} for one in rows[-2:])],
        radiographs.COLUMNS,
    )
    found = radiographs.datalist(tmp_path)
    items = [item for part in ("training", "validation", "test") for item in found[part]]
    assert len(found["test"]) > 0
    assert len({item["subject"] for item in items}) == 9 + 2
    assert {len(item["image"]) for item in radiographs.by_study(items)} == {1, 2}


def test_a_missing_image_is_listed_as_rejected(data):
    (data / "broken" / "a00" / "S1_I1.png").unlink()
    found = radiographs.datalist(data)
    assert found["rejected"] == [{"subject": "p00", "reason": "no file broken/a00/S1_I1.png"}]
    assert sum(len(found[part]) for part in ("training", "validation", "test")) == 64


def test_a_data_set_without_labels_is_refused(tmp_path):
    add_study(tmp_path, "unlabelled", "p1", "u1")
    radiographs.write_overall(tmp_path, [])
    with pytest.raises(InputError, match="2 unlabelled images; expected images of the classes not_broken"):
        radiographs.datalist(tmp_path)
    with pytest.raises(InputError, match="no such file"):
        radiographs.datalist(tmp_path / "elsewhere")


def test_labels_and_studies_survive_the_datalist_file(data, tmp_path, monkeypatch):
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps(radiographs.datalist(data)))
    # Files of the names of studies beside the datalist: a study must not become the path of one.
    for name in [f"{kind}{number:02d}" for kind in "ab" for number in range(30)]:
        (tmp_path / name).touch()
    items = read_part(path, "training")
    assert items == radiographs.datalist(data)["training"]
    assert {type(item["label"]) for item in items} == {int}
    assert read_part(None, "training", data, layout="radiographs") == items


def test_images_of_a_study_become_one_item(data):
    items = radiographs.datalist(data)["training"]
    studies = radiographs.by_study(reversed(items))
    assert len(studies) == len({item["study"] for item in items})
    for study in studies:
        images = [item for item in reversed(items) if item["study"] == study["study"]]
        assert study["image"] == [item["image"] for item in images]
        assert (study["label"], study["subject"]) == (images[0]["label"], images[0]["subject"])


@pytest.mark.parametrize("key", ["label", "subject"])
def test_a_study_of_two_labels_or_patients_is_refused(key):
    one = {"image": "1.png", "label": 0, "subject": "p", "study": "s"}
    with pytest.raises(ValueError, match=f"study s: {key}"):
        radiographs.by_study([one, {**one, key: 1}])


def test_a_study_that_fails_leaves_nothing_and_keeps_an_older_one(tmp_path):
    folder = add_study(tmp_path, "broken", "p1", "s1")

    def fail():
        with radiographs.new_study(folder) as new:
            (new / "half.png").write_bytes(b"p")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert [path.name for path in folder.parent.iterdir()] == ["s1"]
    assert len(radiographs.read_study(folder)) == 2
    add_study(tmp_path, "broken", "p1", "s1", images=1)
    assert sorted(path.name for path in folder.iterdir()) == ["S1_I0.png", "metadata.csv"]
    with radiographs.new_study(folder):
        pass
    assert list(folder.parent.iterdir()) == []


def test_folders_without_a_table_and_temporary_ones_are_no_studies(tmp_path):
    add_study(tmp_path, "not_broken", "p1", "s2")
    add_study(tmp_path, "broken", "p1", "s1")
    (tmp_path / "broken" / "s3").mkdir()
    (tmp_path / "broken" / "s3" / "S1_I1.png").touch()
    left = add_study(tmp_path, "broken", "p1", "s4")
    left.rename(left.with_name(".s4.1-2.tmp"))
    assert [folder.name for folder in radiographs.study_folders(tmp_path)] == ["s1", "s2"]
    rejected = [{"file": "a.dcm", "study": "", "reason": "no pixels"}]
    rows = radiographs.write_overall(tmp_path, rejected)
    assert [entry["study"] for entry in rows] == ["s1", "s1", "s2", "s2"]
    assert radiographs.read_rows(tmp_path) == rows
    assert radiographs.read_rejected(tmp_path) == rejected
    assert radiographs.read_rejected(tmp_path / "broken") == []


@pytest.mark.parametrize("label", ["Broken", "", "../broken"])
def test_an_unknown_class_is_refused(tmp_path, label):
    with pytest.raises(ValueError, match="expected one of not_broken, broken, unlabelled"):
        radiographs.study_folder(tmp_path, label, "s1")
    radiographs.write_study(tmp_path, [row(label, "p1", "s1")])
    with pytest.raises(InputError, match=r"label .* in row 1; expected one of"):
        radiographs.read_study(tmp_path)


def test_a_table_of_another_kind_is_refused(tmp_path):
    (tmp_path / "metadata.csv").write_text("image,label\na.png,broken\n")
    with pytest.raises(InputError, match="no column 'study'"):
        radiographs.read_rows(tmp_path)
    with pytest.raises(ValueError, match="name"):
        radiographs.write_study(tmp_path, [{**row("broken", "p1", "s1"), "name": "someone"}])
