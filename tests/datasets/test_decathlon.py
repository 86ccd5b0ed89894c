"""The Decathlon layout becomes a datalist that MONAI reads; cases that do not fit are reported."""

from __future__ import annotations

import hashlib
import json

import nibabel
import numpy as np
import pytest
from monai.data import load_decathlon_datalist

from monai_tasks.datasets import decathlon
from monai_tasks.io.errors import InputError


def write(path, shape=(4, 5, 6), spacing=1.0):
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(np.ones(shape, np.uint8), np.diag([spacing] * 3 + [1.0])), path)


@pytest.fixture
def source(tmp_path):
    """Ten good cases, some with a fourth axis of one, with the files that macOS leaves."""
    for number in range(10):
        write(
            tmp_path / "set" / "imagesTr" / f"case_{number}.nii.gz", (4, 5, 6, 1) if number % 2 else (4, 5, 6)
        )
        write(tmp_path / "set" / "labelsTr" / f"case_{number}.nii.gz")
        (tmp_path / "set" / "imagesTr" / f"._case_{number}.nii.gz").write_bytes(b"mac")
    write(tmp_path / "set" / "imagesTs" / "case_99.nii.gz")
    return tmp_path / "set"


def test_parts_and_paths(source):
    result = decathlon.datalist(source, seed=0)
    assert [len(result[part]) for part in ("training", "validation", "test")] == [7, 1, 2]
    assert result["rejected"] == []
    for item in result["training"] + result["validation"] + result["test"]:
        assert item["image"] == str(source / "imagesTr" / f"{item['subject']}.nii.gz")
        assert item["label"] == str(source / "labelsTr" / f"{item['subject']}.nii.gz")
    assert result["name"] == "set"
    assert result["labels"] == {}


def test_description_is_taken_over(source):
    labels = {"0": "background", "1": "Anterior"}
    (source / "dataset.json").write_text(json.dumps({"name": "Hippocampus", "labels": labels}))
    result = decathlon.datalist(source)
    assert (result["name"], result["labels"]) == ("Hippocampus", labels)


@pytest.mark.parametrize("content", ["{", "[]", '{"labels": ["a"]}'])
def test_a_broken_description_is_an_error(source, content):
    (source / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=r"dataset\.json"):
        decathlon.datalist(source)


def test_monai_reads_it(source, tmp_path):
    result = decathlon.datalist(source, seed=5, folds=3)
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "datalist.json"
    path.write_text(json.dumps(result))
    for part in ("training", "validation", "test"):
        assert load_decathlon_datalist(str(path), data_list_key=part) == result[part]
    assert {item["fold"] for item in result["training"]} == {0, 1, 2}


def test_relative_source_gives_absolute_paths(source, monkeypatch):
    monkeypatch.chdir(source.parent)
    assert decathlon.datalist("set") == decathlon.datalist(source)


def test_cases_that_do_not_fit_are_rejected(source):
    images, labels = source / "imagesTr", source / "labelsTr"
    write(images / "only_image.nii.gz")
    write(labels / "only_label.nii.gz")
    write(images / "shape.nii.gz", (4, 5, 7))
    write(labels / "shape.nii.gz")
    write(images / "affine.nii.gz", spacing=1.2)
    write(labels / "affine.nii.gz")
    write(images / "channels.nii.gz", (4, 5, 6, 2))
    write(labels / "channels.nii.gz")
    (images / "text.nii.gz").write_text("no image")
    write(labels / "text.nii.gz")
    result = decathlon.datalist(source)
    assert {entry["subject"]: entry["reason"] for entry in result["rejected"]} == {
        "only_image": "no label of this name in labelsTr",
        "only_label": "no image of this name in imagesTr",
        "shape": "grids differ: imagesTr/shape.nii.gz has shape 4x5x7, labelsTr/shape.nii.gz 4x5x6",
        "affine": "grids differ: imagesTr/affine.nii.gz and labelsTr/affine.nii.gz lie up to 1.41 mm apart",
        "channels": "imagesTr/channels.nii.gz: 2 volumes in one file, not 1",
        "text": "imagesTr/text.nii.gz: unreadable, damaged or no image",
    }
    assert sum(len(result[part]) for part in ("training", "validation", "test")) == 10


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match=r"no cases found; expected imagesTr"):
        decathlon.datalist(tmp_path)


def test_real_cases_are_split_as_published(shared_data):
    result = decathlon.datalist(shared_data / "hippocampus", seed=0)
    assert [len(result[part]) for part in ("training", "validation", "test")] == [145, 21, 42]
    assert result["rejected"] == []
    # The weights rest on this split: the same cases must stay in the test part.
    names = " ".join(item["subject"] for item in result["test"])
    assert hashlib.sha256(names.encode()).hexdigest()[:16] == "a7bfc81cbe8f8c99"
