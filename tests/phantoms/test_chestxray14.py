"""A generated ChestX-ray14 is read back by its layout, with what is odd in the published one."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from PIL import Image

from monai_tasks.datasets import chestxray14
from monai_tasks.io.radiograph import read_radiograph
from monai_tasks.phantoms.chestxray14 import write_chestxray14

COUNT = 60


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return write_chestxray14(tmp_path_factory.mktemp("chests"), COUNT, seed=3, size=(40, 36))


def rows(source):
    with (source / "Data_Entry_2017.csv").open(newline="") as stream:
        return list(csv.DictReader(stream))


def test_it_is_read_back_and_missing_files_are_named(source):
    found = chestxray14.datalist(source, negatives="all")
    items = [item for part in ("training", "validation", "test") for item in found[part]]
    assert len(items) == COUNT - 4
    assert len(found["test"]) > 8
    assert {item["label"] for item in found["test"]} == {0, 1}
    assert [entry["reason"].split()[0] for entry in found["rejected"]] == ["no"] * 4
    assert chestxray14.datalist(source)["other_findings"] > 5


def test_findings_are_as_the_published_ones(source):
    findings = [row["Finding Labels"] for row in rows(source)]
    assert 0.25 < sum("Pneumothorax" in finding for finding in findings) / COUNT < 0.35
    assert 0.4 < findings.count("No Finding") / COUNT < 0.5
    assert any("|" in finding and "Pneumothorax" in finding for finding in findings)
    assert any("|" in finding and "Pneumothorax" not in finding for finding in findings)
    patients = [row["Patient ID"] for row in rows(source)]
    assert len(set(patients)) == COUNT * 3 // 5
    assert {row["Follow-up #"] for row in rows(source)} == {"0", "1"}


def test_pictures_are_grey_or_have_equal_colours(source):
    paths = sorted(source.rglob("*.png"))
    assert len({path.parent.parent.name for path in paths}) == 2
    modes = set()
    for path in paths:
        with Image.open(path) as picture:
            modes.add(picture.mode)
        assert read_radiograph(path).pixels.shape == (40, 36)
    assert modes == {"L", "RGBA"}


def test_more_images_change_none_and_another_seed_all(source, tmp_path):
    few = write_chestxray14(tmp_path / "few", 5, seed=3, size=(40, 36))
    other = write_chestxray14(tmp_path / "other", 5, seed=4, size=(40, 36))
    for path in sorted(few.rglob("*.png")):
        assert path.read_bytes() == (source / path.relative_to(few)).read_bytes()
        assert path.read_bytes() != (other / path.relative_to(few)).read_bytes()
    assert rows(few) == rows(source)[:5]


def test_without_faults_no_file_is_missing(tmp_path):
    write_chestxray14(tmp_path, 12, size=(16, 16), faults=False)
    assert chestxray14.datalist(tmp_path)["rejected"] == []
    assert len(np.unique([path.stat().st_size for path in tmp_path.rglob("*.png")])) > 1
