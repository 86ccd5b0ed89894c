"""Files of an archive are told apart by their headers alone, and identifiers go no further."""

from __future__ import annotations

import os
import random
import re

import pytest
from archive_files import LEAKS, image
from radiograph_files import ramp, uid

from monai_tasks.radiographs import archive
from monai_tasks.radiographs.archive import scan, shown
from monai_tasks.radiographs.pseudonyms import Pseudonyms

PSEUDONYMS = Pseudonyms(b"key")


def entries(folder, **others):
    return {entry.file: entry for entry in scan(folder, PSEUDONYMS, progress=False, **others)}


def test_what_belongs_together_has_one_pseudonym(tmp_path):
    image(tmp_path, "x/one", "a", series=4, instance=8, SOPInstanceUID=uid("image"))
    image(tmp_path, "y/two", "a", series=5, SOPInstanceUID=uid("image"), SeriesNumber=None)
    image(tmp_path, "three", "b", patient="a")
    found = entries(tmp_path)
    one, two, three = (found[name] for name in ("x/one", "y/two", "three"))
    assert (one.study == two.study, one.study == three.study) == (True, False)
    assert (one.instance == two.instance, one.series == two.series) == (True, False)
    assert (one.patient, one.accession) == (three.patient, two.accession)
    assert (one.place, two.place) == ((4, 8), (float("inf"), 1))
    assert one.study == PSEUDONYMS("study", uid("study a"))
    assert not any(leak in str(one).lower().encode() for leak in LEAKS)


def test_pixels_are_not_read(tmp_path, monkeypatch):
    path = image(tmp_path, "one.dcm", "a")
    content = path.read_bytes()
    cut = content.index(ramp().tobytes())
    path.write_bytes(content[:cut])
    assert entries(tmp_path)["one.dcm"].reason == ""


def test_excluded_files_and_folders_are_passed_over(tmp_path):
    for name in ("kept.dcm", "out/one.dcm", "out/deep/two.dcm", "key"):
        image(tmp_path, name, "a")
    assert list(entries(tmp_path, exclude=[tmp_path / "out", tmp_path / "key"])) == ["kept.dcm"]


@pytest.mark.parametrize("jobs", [1, 2])
def test_many_files_are_listed_in_order(tmp_path, monkeypatch, jobs):
    monkeypatch.setattr(archive, "_CHUNK", 3)
    monkeypatch.setattr(archive, "_FEW", 5)
    names = [f"{number:02d}.txt" for number in range(10)]
    for name in names:
        (tmp_path / name).write_text("x")
    assert list(entries(tmp_path, jobs=jobs)) == names


def test_a_shown_path_keeps_what_is_not_personal(tmp_path):
    image(tmp_path, "2024/Leaka/IM1.dcm", "a")
    entry = entries(tmp_path)["2024/Leaka/IM1.dcm"]
    first, second, third = shown(entry, PSEUDONYMS).split("/")
    assert (first, third) == ("2024", "IM1.dcm")
    assert second == "~" + PSEUDONYMS("path", "Leaka")
    assert shown(entry, Pseudonyms(b"other")) != shown(entry, PSEUDONYMS)


def test_of_a_path_that_no_header_explains_nothing_is_shown(tmp_path):
    for name in ("Leaka/letter of Leakfirst.pdf", "Leaka/Leakfirst 1901.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    whole = image(tmp_path, "leaka.dcm", "a").read_bytes()
    (tmp_path / "leaka.dcm").write_bytes(whole[:300])
    image(tmp_path, "leakb.dcm", "b", PatientName="")
    paths = [shown(entry, PSEUDONYMS) for entry in entries(tmp_path).values()]
    assert len(paths) == 4
    assert all(re.fullmatch(r"(~\w{16}/)?~\w{16}(\.png|\.dcm)?", path) for path in paths)


def test_names_that_are_not_text(tmp_path):
    (tmp_path / os.fsdecode(b"M\xfcller.txt")).write_text("x")
    (entry,) = entries(tmp_path).values()
    assert entry.reason.startswith("not a radiograph")
    assert shown(entry, PSEUDONYMS) == "~" + PSEUDONYMS("path", entry.file)


@pytest.mark.parametrize("seed", range(20))
def test_damaged_headers_end_no_scan(tmp_path, seed):
    random.seed(seed)
    path = image(tmp_path, "one.dcm", "a")
    content = bytearray(path.read_bytes())
    for place in random.sample(range(132, len(content) - 2800), 12):
        content[place] = random.randrange(256)
    path.write_bytes(content)
    assert list(entries(tmp_path)) == ["one.dcm"]
