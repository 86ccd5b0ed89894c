"""One study: series and images are numbered in the order of their headers."""

from __future__ import annotations

import random

import pytest
from archive_files import image, truncated
from radiograph_files import uid

from monai_tasks.datasets.radiographs import read_study
from monai_tasks.radiographs.archive import scan
from monai_tasks.radiographs.import_study import StudyTask, import_study
from monai_tasks.radiographs.pseudonyms import Pseudonyms


def run(source, output, label="broken"):
    entries = tuple(scan(source, Pseudonyms(b"key"), progress=False))
    task = StudyTask(source, output, label, "study", "patient", entries)
    return import_study(task), [entry.file for entry in entries]


@pytest.fixture
def source(tmp_path):
    return tmp_path / "archive"


def test_numbers_of_order(source, tmp_path):
    for name, series, instance in (("c", 2, 11), ("b", 2, 3), ("a", 10, 1), ("d", 0, 5)):
        image(source, f"{name}.dcm", "s", series=series, instance=instance)
    image(source, "e.dcm", "s", series=2, instance=11)  # another image of one number
    image(source, "f.dcm", "s", series=77, instance=1, SeriesNumber=None)
    result, files = run(source, tmp_path / "data")
    names = {files[place]: name for name, place in result.images}
    assert names == {
        "d.dcm": "S1_I1.png",
        "b.dcm": "S2_I1.png",
        "c.dcm": "S2_I2.png",
        "e.dcm": "S2_I3.png",
        "a.dcm": "S3_I1.png",
        "f.dcm": "S4_I1.png",
    }
    rows = read_study(tmp_path / "data" / "broken" / "study")
    assert [(row["series"], row["instance"]) for row in rows] == [
        (name[1], name[4]) for name in sorted(names.values())
    ]
    assert {row["image"] for row in rows} == {f"broken/study/{name}" for name in names.values()}


def test_a_study_without_a_good_file_leaves_no_folder(source, tmp_path):
    truncated(image(source, "a.dcm", "s"))
    truncated(image(source, "b.dcm", "s", instance=2))
    result, _ = run(source, tmp_path / "data")
    assert (result.images, [place for place, _ in result.rejected]) == ((), [0, 1])
    assert list((tmp_path / "data" / "broken").iterdir()) == []


def test_a_copy_in_another_series_is_still_a_copy(source, tmp_path):
    image(source, "a.dcm", "s", series=5, SOPInstanceUID=uid("one"))
    image(source, "b.dcm", "s", series=1, SOPInstanceUID=uid("one"))
    result, _ = run(source, tmp_path / "data")
    assert result.images == (("S1_I1.png", 0),)
    assert result.rejected == ((1, "a copy of an image that is used"),)


@pytest.mark.parametrize("seed", range(12))
def test_damaged_files_are_used_or_refused(source, tmp_path, seed):
    random.seed(seed)
    path = image(source, "a.dcm", "s", WindowCenter=9, WindowWidth=90)
    image(source, "b.dcm", "s", instance=2)
    content = bytearray(path.read_bytes())
    for place in random.sample(range(600, len(content)), 60):
        content[place] = random.randrange(256)
    path.write_bytes(content)
    result, _ = run(source, tmp_path / "data")
    assert {place for _, place in result.images} | {place for place, _ in result.rejected} == {0, 1}
    assert 1 in {place for _, place in result.images}
