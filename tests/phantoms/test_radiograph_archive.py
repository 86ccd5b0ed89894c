"""Data sets and archives hold what their truth tells, and depend on the seed alone."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from monai_tasks.datasets.radiographs import COLUMNS, datalist, read_rows, study_folders
from monai_tasks.io.radiograph import read_frames
from monai_tasks.io.tables import read_table
from monai_tasks.phantoms.radiograph_archive import (
    ARCHIVE,
    FAULTS,
    LABELS,
    TRUTH,
    write_archive,
    write_radiographs,
)
from monai_tasks.phantoms.radiograph_dicom import LEAK
from monai_tasks.phantoms.radiograph_scenes import PARTS
from monai_tasks.phantoms.radiograph_studies import draw_image, plan_study

SIZE = (96, 64)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return write_radiographs(
        tmp_path_factory.mktemp("data"), 10, seed=1, size=SIZE, broken_share=0.5, metal="uncorrelated"
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    folder = tmp_path_factory.mktemp("archive")
    return write_archive(folder, 14, seed=2, size=SIZE, other_share=0.4, outlier=6, broken_share=0.5)


@pytest.fixture(scope="module")
def truth(archive):
    return read_table(archive / TRUTH)


def test_the_layout_is_the_data_sets_own(data):
    rows = read_rows(data)
    assert tuple(rows[0]) == COLUMNS
    assert len(study_folders(data)) == 10
    split = datalist(data)
    items = [item for part in ("training", "validation", "test") for item in split[part]]
    assert len(items) == len(rows)
    assert {item["label"] for item in items} == {0, 1}
    for row in rows:
        with Image.open(data / row["image"]) as image:
            assert image.mode.startswith("I;16")
            assert image.size == SIZE[::-1]
            assert (int(row["rows"]), int(row["columns"])) == SIZE


def test_the_truth_beside_it(data):
    rows, known = read_rows(data), read_table(data / TRUTH)
    assert {row["image"] for row in rows} == {row["image"] for row in known}
    for row in known:
        if row["label"] == "not_broken":
            assert row["visible"] == "no"
        box = [row[name] for name in ("rows0", "rows1", "cols0", "cols1")]
        assert all(box) == any(box) == (row["visible"] == "yes")
        if any(box):
            top, bottom, left, right = map(int, box)
            assert 0 <= top < bottom <= SIZE[0]
            assert 0 <= left < right <= SIZE[1]
    assert {row["metal"] for row in known} == {"yes", "no"}


def test_more_studies_change_none(data, tmp_path):
    write_radiographs(tmp_path, 3, seed=1, size=SIZE, broken_share=0.5, metal="uncorrelated", jobs=2)
    rows = read_rows(tmp_path)
    assert {row["study"] for row in rows} == {f"s001{number:05d}" for number in (1, 2, 3)}
    for row in rows:
        assert (tmp_path / row["image"]).read_bytes() == (data / row["image"]).read_bytes()


def test_every_file_of_the_archive_has_its_row(archive, truth):
    files = {
        path.relative_to(archive / ARCHIVE).as_posix()
        for path in (archive / ARCHIVE).rglob("*")
        if path.is_file()
    }
    assert files == {row["file"] for row in truth}
    assert len(files) == len(truth)
    kinds = {row["kind"] for row in truth}
    assert kinds == {"wrist", "outlier", *FAULTS, *PARTS}
    assert len({path.rpartition("/")[0] for path in files}) > 3


def test_files_hold_what_the_truth_says(archive, truth):
    for row in truth:
        path = archive / ARCHIVE / row["file"]
        if row["kind"] == "text":
            with pytest.raises(InvalidDicomError):
                dcmread(path)
            continue
        read = dcmread(path)
        assert read.StudyInstanceUID == row["study"]
        assert LEAK in str(read.PatientName)
        if row["kind"] == "truncated":
            with pytest.raises((ValueError, EOFError, AttributeError)):
                _ = read.pixel_array
        elif row["kind"] == "report":
            assert "PixelData" not in read
        elif row["kind"] not in FAULTS:
            assert read.file_meta.TransferSyntaxUID == row["transfer_syntax"]
            assert (read.PhotometricInterpretation, str(read.BitsStored)) == (
                row["photometric"],
                row["bits_stored"],
            )
            assert read.pixel_array.shape[-2:] == (read.Rows, read.Columns)
            assert read.get("NumberOfFrames", 1) == int(row["frames"])
            assert len(list(read_frames(path))) == int(row["frames"])


def test_colours_and_turns_are_those_of_the_truth(archive, truth):
    checked = []
    for row in truth:
        if row["kind"] != "wrist" or row["parts"] != "1":
            continue
        plan = plan_study(int(row["study"].rpartition(".")[2]), 2, broken_share=0.5)
        turn = float(row["rotation_degrees"])
        size = SIZE[::-1] if turn in (90, 270) else SIZE
        drawn = draw_image(plan, int(row["instance"]) - 1, 2, size, rotation_degrees=turn).pixels
        read = next(iter(read_frames(archive / ARCHIVE / row["file"]))).pixels
        likeness = np.corrcoef(read.ravel(), drawn.ravel())[0, 1]
        assert abs(likeness) > 0.98
        assert (likeness < 0) == (row["inverted"] == "yes")
        checked.append(turn)
    assert len(checked) > 12
    assert max(checked) >= 90


def test_labels_fit_most_studies(archive, truth):
    labels = {row["study"]: row["label"] for row in read_table(archive / LABELS)}
    for row in truth:
        assert (row["study"] in labels) == (row["labelled"] == "yes")
        if row["kind"] == "wrist" and row["labelled"] == "yes":
            assert labels[row["study"]] == row["label"]
    studies = {row["study"] for row in truth}
    assert len(labels.keys() - studies) == 2
    assert {row["labelled"] for row in truth if row["kind"] == "wrist"} == {"yes", "no"}
    assert sum(row["kind"] == "outlier" for row in truth) == 6


def test_a_clean_archive_has_wrists_alone(tmp_path):
    first, second = (
        write_archive(tmp_path / name, 2, seed=3, size=SIZE, other_share=0.0, faults=False)
        for name in ("a", "b")
    )
    truth = read_table(first / TRUTH)
    assert {row["kind"] for row in truth} == {"wrist"}
    assert truth == read_table(second / TRUTH)
    for row in truth:
        assert (first / ARCHIVE / row["file"]).read_bytes() == (second / ARCHIVE / row["file"]).read_bytes()
