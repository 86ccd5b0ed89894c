"""An archive becomes a data set: every file is used or explained, and nothing personal leaves."""

from __future__ import annotations

import re
import stat
from pathlib import Path

import archive_files
import numpy as np
import pytest
from archive_files import LEAKS, fields, image, truncated, write_archive
from PIL import Image
from radiograph_files import radiograph, ramp, save, uid

from monai_tasks.datasets.radiographs import COLUMNS, datalist, read_rejected, read_rows, study_folders
from monai_tasks.io.errors import InputError
from monai_tasks.io.radiograph import read_frames, read_radiograph
from monai_tasks.io.tables import read_table
from monai_tasks.radiographs import import_study
from monai_tasks.radiographs.importing import import_archive


def run(source, output, labels=None, **others):
    return import_archive(source, output, labels, **{"jobs": 1, "progress": False, **others})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("import")


@pytest.fixture(scope="module")
def expected(folder):
    return write_archive(folder)


@pytest.fixture(scope="module")
def summary(folder, expected):
    return run(folder / "archive", folder / "data", folder / "labels.csv")


@pytest.fixture(scope="module")
def origins(summary):
    """The file of the archive by the name of an image, or of a changed name in rejected.csv."""
    return {row["name"]: row["file"] for row in read_table(summary.origins)}


def contents(data):
    """All files of a data set but the journal, whose lines come in the order of the work."""
    return {
        path.relative_to(data).as_posix(): path.read_bytes()
        for path in sorted(data.rglob("*"))
        if path.is_file() and path.name != "journal.jsonl"
    }


def reasons(data):
    """The reason of each file that is not used, without those of studies and labels."""
    others = ("study without label", "label without study", "label of a study")
    rows = (row for row in read_rejected(data) if not row["reason"].startswith(others))
    return {row["file"]: row["reason"] for row in rows}


def test_every_file_is_used_or_explained(summary, origins, expected):
    """Studies are found by their files, for nothing else tells which pseudonym is whose."""
    study_of = {}
    for name, file in origins.items():
        if name.endswith(".png") and not name.split("/")[-1].startswith("~"):
            study_of.setdefault(expected[file][0].split("/")[1], name.split("/")[1])
    used = {name for name, file in origins.items() if isinstance(expected[file], list)}
    wanted = [name for names in expected.values() if isinstance(names, list) for name in names]
    assert used == {
        "/".join((label, study_of[study], name)) for label, study, name in (one.split("/") for one in wanted)
    }
    assert used == {row["image"] for row in read_rows(summary.output)}
    assert all((summary.output / name).is_file() for name in used)
    found = {origins.get(file, file): reason for file, reason in reasons(summary.output).items()}
    assert found.pop("in/IM5").startswith("frame 2: all pixels equal")
    unused = {file: reason for file, reason in expected.items() if isinstance(reason, str)}
    assert found.keys() == unused.keys()
    for file, reason in unused.items():
        assert reason in found[file]


def test_images_are_those_of_the_files(summary, origins, folder):
    for name in [row["image"] for row in read_rows(summary.output)]:
        frame = re.search(r"_F(\d+)", name)
        frames = list(read_frames(folder / "archive" / origins[name]))
        wanted = frames[int(frame[1]) - 1 if frame else 0].pixels
        np.testing.assert_array_equal(read_radiograph(summary.output / name).pixels, wanted)


def test_rows_say_what_the_headers_say(summary, origins):
    rows = {
        (origins[row["image"]], row["frame"]): {key: value for key, value in row.items() if value}
        for row in read_rows(summary.output)
    }
    first = rows["other/1.2.840.17.5.4.3", ""]
    assert {key: first[key] for key in first if key not in ("image", "study", "patient")} == {
        "label": "broken",
        "series": "1",
        "instance": "1",
        "modality": "CR",
        "rows": "40",
        "columns": "34",
        "pixel_spacing_mm": "0.1 x 0.2",
        "bits_stored": "12",
        "photometric": "MONOCHROME1",
        "burned_in_annotation": "YES",
    }  # the body part held the patient's name
    second = rows["in/IM1.dcm", ""]
    assert (second["body_part"], second["view_position"], second["laterality"]) == ("WRIST", "PA", "R")
    assert first["study"] == second["study"]
    other = rows["e.dcm", ""]
    assert (first["patient"], first["study"] == other["study"]) == (other["patient"], False)
    assert {frame for file, frame in rows if file == "in/IM5"} == {"1", "3"}
    patients = {row["patient"] for row in rows.values()}
    assert len(patients) == 5
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in patients)


def test_nothing_personal_is_anywhere_in_the_output(summary):
    for path in [summary.output, *summary.output.rglob("*")]:
        content = path.read_bytes() if path.is_file() else b""
        for leak in LEAKS:
            assert leak not in content.lower(), path
            assert leak not in path.relative_to(summary.output.parent).as_posix().encode().lower()
        if path.suffix == ".png":
            with Image.open(path) as picture:
                assert picture.info == {}
    for table in summary.output.rglob("metadata.csv"):
        assert table.read_text().splitlines()[0].split(",") == list(COLUMNS)


def test_the_search_for_personal_text_sees_it(summary):
    secret = summary.origins.read_bytes().lower()
    assert LEAKS[0] in secret
    assert stat.S_IMODE(summary.origins.stat().st_mode) == 0o600


def test_labels_and_studies_that_do_not_meet_are_listed(summary, origins):
    rows = [tuple(row.values()) for row in read_rejected(summary.output)]
    unlabelled = next(name.split("/")[1] for name in origins if name.startswith("unlabelled/"))
    assert ("", unlabelled, "study without label; kept as unlabelled") in rows
    assert ("labels.csv, row 6", "", "label without study") in rows
    named = [row for row in rows if row[2] == "label of a study of which no file is used"]
    assert [row[0] for row in named] == ["labels.csv, row 5"]
    assert re.fullmatch("[0-9a-f]{16}", named[0][1])
    assert sum("label" in row[2] for row in rows) == 3


def test_the_summary_counts(summary):
    assert summary.studies == {"broken": 3, "not_broken": 2, "unlabelled": 1}
    assert (summary.images, summary.burned_in, summary.skipped) == (9, 1, 0)
    assert sum(summary.reasons.values()) == len(read_table(summary.rejects))
    assert summary.failures == ()


def test_the_data_set_can_be_listed(summary):
    found = datalist(summary.output, fractions=(0.5, 0.25, 0.25))
    assert sum(len(found[part]) for part in ("training", "validation", "test")) == 8
    assert len(found["unlabelled"]) == 1


def test_two_processes_write_the_same(summary, folder):
    key = folder / "data.key"
    run(folder / "archive", folder / "two", folder / "labels.csv", key=key, jobs=2)
    assert contents(folder / "two") == contents(summary.output)


def test_without_labels_all_studies_are_unlabelled_and_none_is_reported(summary, folder):
    found = run(folder / "archive", folder / "bare")
    assert found.studies == {"unlabelled": 6}
    assert not any("label" in row["reason"] for row in read_rejected(folder / "bare"))
    # Another key, and so other names.
    assert not {path.name for path in study_folders(folder / "bare")} & {
        path.name for path in study_folders(summary.output)
    }


@pytest.fixture
def small(tmp_path):
    """Three studies of one image each."""
    for study in "abc":
        image(tmp_path / "archive", f"{study}.dcm", study)
    (tmp_path / "labels.csv").write_text(f"study,label\n{uid('study a')},1\n")
    return tmp_path


def test_a_finished_study_is_skipped_until_its_files_or_label_change(small):
    archive, data, labels = small / "archive", small / "data", small / "labels.csv"
    run(archive, data, labels)
    before = {path: path.stat().st_mtime_ns for path in data.rglob("*.png")}
    assert run(archive, data, labels).skipped == 3
    assert {path: path.stat().st_mtime_ns for path in data.rglob("*.png")} == before
    image(archive, "b.dcm", "b", stored=ramp(low=90))
    assert run(archive, data, labels).skipped == 2
    labels.write_text(f"study,label\n{uid('study a')},0\n")
    again = run(archive, data, labels)
    assert (again.skipped, again.studies) == (2, {"not_broken": 1, "unlabelled": 2})
    fresh = run(archive, small / "fresh", labels, key=small / "data.key")
    assert contents(data) == contents(fresh.output)


def test_a_run_that_ends_early_leaves_nothing_half_written(small, monkeypatch):
    archive, data, write_png = small / "archive", small / "data", import_study.write_png
    written = []

    def full(path, pixels):
        if written:
            raise OSError(28, "No space left on device", str(path))
        written.append(path)
        write_png(path, pixels)

    monkeypatch.setattr(import_study, "write_png", full)
    full_disk = "failed: OSError (No space left on device)"
    assert [reason for _, reason in run(archive, data).failures] == [full_disk] * 2
    assert sorted(reasons(data).values()) == [full_disk] * 2
    assert len(study_folders(data)) == 1
    assert len([path for path in data.rglob("*") if path.is_dir()]) == 2
    monkeypatch.undo()
    (data / "unlabelled" / ".0123.9-a.tmp").mkdir()  # of a run that was killed
    again = run(archive, data)
    assert (again.skipped, again.images) == (1, 3)
    fresh = run(archive, small / "fresh", key=small / "data.key")
    assert contents(data) == contents(fresh.output)


def test_a_decoder_that_fails_in_any_way_costs_one_file(small, monkeypatch):
    read = import_study.read_frames

    def failing(path):
        if path.name == "b.dcm":
            raise ZeroDivisionError
        yield from read(path)

    monkeypatch.setattr(import_study, "read_frames", failing)
    assert run(small / "archive", small / "data").images == 2
    found = reasons(small / "data")
    assert found == {"b.dcm": "a file that ends in ZeroDivisionError; expected a complete radiograph"}


def test_a_study_that_has_no_image_any_more_is_gone(small):
    run(small / "archive", small / "data")
    (small / "archive" / "b.dcm").write_bytes(b"nothing")
    with pytest.raises(InputError, match="which this archive and key do not give"):
        run(small / "archive", small / "data")
    image(small / "archive", "b.dcm", "b")
    truncated(small / "archive" / "b.dcm")
    assert run(small / "archive", small / "data").images == 2
    assert len(study_folders(small / "data")) == 2
    assert run(small / "archive", small / "data").skipped == 3


def test_studies_of_another_archive_or_key_are_not_mixed(small):
    run(small / "archive", small / "data")
    (small / "other.key").write_text("0" * 64)
    with pytest.raises(InputError, match="which this archive and key do not give"):
        run(small / "archive", small / "data", key=small / "other.key")
    (small / "data.key").unlink()
    with pytest.raises(InputError, match="the key that the studies in"):
        run(small / "archive", small / "data")


@pytest.mark.parametrize("place", ["archive", "."])
def test_folders_that_hold_each_other_are_refused(small, place):
    with pytest.raises(InputError, match="the archive, or a folder around it"):
        run(small / "archive", small / place)
    with pytest.raises(InputError, match="no such folder"):
        run(small / "none", small / "data")


def test_an_output_in_the_archive_is_not_read_as_a_part_of_it(small):
    archive = small / "archive"
    labels = (small / "labels.csv").rename(archive / "labels.csv")
    for _ in range(2):
        found = run(archive, archive / "data", labels)
        assert (found.images, reasons(archive / "data")) == (3, {})


def test_a_study_of_too_many_images_is_left_out(tmp_path):
    image(tmp_path / "archive", "a1.dcm", "a", stored=np.stack([ramp()] * 3))
    image(tmp_path / "archive", "a2.dcm", "a", instance=2)
    image(tmp_path / "archive", "b.dcm", "b")
    run(tmp_path / "archive", tmp_path / "data", max_images=3)
    text = "a study of 4 images; expected at most 3"
    assert reasons(tmp_path / "data") == {"a1.dcm": text, "a2.dcm": text}
    found = run(tmp_path / "archive", tmp_path / "more", max_images=4)
    assert found.images == 5
    again = run(tmp_path / "archive", tmp_path / "more", max_images=3)
    assert (again.images, again.skipped) == (1, 1)


def test_a_study_of_too_few_images_is_left_out(tmp_path):
    image(tmp_path / "archive", "a.dcm", "a", stored=np.stack([ramp()] * 2))
    image(tmp_path / "archive", "b.dcm", "b")
    found = run(tmp_path / "archive", tmp_path / "data", min_images=2)
    assert reasons(tmp_path / "data") == {"b.dcm": "a study of 1 image; expected at least 2"}
    assert found.images == 2


def test_copies_count_once_and_the_first_good_one_is_used(tmp_path):
    same = {"SOPInstanceUID": uid("one image")}
    for name in ("a1.dcm", "a2.dcm", "a3.dcm"):
        image(tmp_path / "archive", name, "a", **same)
    truncated(tmp_path / "archive" / "a1.dcm")
    found = run(tmp_path / "archive", tmp_path / "data", max_images=1)
    assert found.images == 1
    assert reasons(tmp_path / "data")["a3.dcm"] == "a copy of an image that is used"
    assert "cannot be decoded" in reasons(tmp_path / "data")["a1.dcm"]
    assert [row["file"] for row in read_table(found.origins)] == ["a2.dcm"]


def test_a_study_of_several_patients_or_labels_is_left_out(tmp_path):
    image(tmp_path / "archive", "a1.dcm", "a")
    image(tmp_path / "archive", "a2.dcm", "a", PatientID="LEAKOTHER")
    image(tmp_path / "archive", "b.dcm", "b")
    image(tmp_path / "archive", "c.dcm", "c")
    rows = f"study,label\n{uid('study b')},1\nLEAKACCb,0\n{uid('study c')},1\nLEAKACCc,1\n"
    (tmp_path / "labels.csv").write_text(rows)
    found = run(tmp_path / "archive", tmp_path / "data", tmp_path / "labels.csv")
    assert found.studies == {"broken": 1}
    text = "labels that contradict each other, by study and by accession number"
    several = "a study of several patients"
    assert reasons(tmp_path / "data") == {"a1.dcm": several, "a2.dcm": several, "b.dcm": text}


def test_patients_without_an_identifier(tmp_path):
    """By name and birth date; a study of which no header tells both counts as a patient."""
    nobody = {"PatientID": ""}
    image(tmp_path / "archive", "a.dcm", "a", PatientName="Leak^X", **nobody)
    image(tmp_path / "archive", "b.dcm", "b", PatientName="LEAK^X", **nobody)
    image(tmp_path / "archive", "c.dcm", "c", PatientName="Leak^X", PatientBirthDate="19500101", **nobody)
    image(tmp_path / "archive", "d.dcm", "d", PatientName="Leak^X", PatientBirthDate="", **nobody)
    image(tmp_path / "archive", "e.dcm", "c", instance=2, PatientName="", **nobody)
    found = run(tmp_path / "archive", tmp_path / "data")
    names = {row["file"]: row["name"] for row in read_table(found.origins)}
    patients = {row["image"]: row["patient"] for row in read_rows(tmp_path / "data")}
    a, b, c, d, e = (patients[names[f"{name}.dcm"]] for name in "abcde")
    assert (a == b, c == e, len({a, c, d})) == (True, True, 3)


def test_a_person_is_one_patient_with_and_without_an_identifier(tmp_path):
    born = {"PatientBirthDate": "19500101"}
    image(tmp_path / "archive", "a.dcm", "a", PatientID="p1", PatientName="Leak^X", **born)
    image(tmp_path / "archive", "b.dcm", "b", PatientID="P1", PatientName="Leak^Y", **born)
    image(tmp_path / "archive", "c.dcm", "c", PatientID="", PatientName="LEAK^X", **born)
    image(tmp_path / "archive", "d.dcm", "d", PatientID="p2", PatientName="Alike", **born)
    image(tmp_path / "archive", "e.dcm", "e", PatientID="p3", PatientName="Alike", **born)
    image(tmp_path / "archive", "f.dcm", "f", PatientID="", PatientName="Alike", **born)
    found = run(tmp_path / "archive", tmp_path / "data")
    names = {row["file"]: row["name"] for row in read_table(found.origins)}
    patients = {row["image"]: row["patient"] for row in read_rows(tmp_path / "data")}
    a, b, c, d, e, f = (patients[names[f"{name}.dcm"]] for name in "abcdef")
    assert a == b == c
    assert len({a, d, e, f}) == 4


@pytest.mark.parametrize("modality", ["DR", "DX", "RG", "", "MG", "XA", "OT"])
def test_which_modalities_are_radiographs(tmp_path, modality):
    image(tmp_path / "archive", "a.dcm", "a", Modality=modality)
    image(tmp_path / "archive", "b.dcm", "b")
    run(tmp_path / "archive", tmp_path / "data")
    text = f"not a radiograph (modality {modality})"
    assert reasons(tmp_path / "data") == ({"a.dcm": text} if modality in ("MG", "XA", "OT") else {})


@pytest.mark.parametrize(("conversion", "used"), [("WSD", False), ("SD", False), ("DF", True)])
def test_a_digitised_film_is_a_radiograph_and_a_screen_is_not(tmp_path, conversion, used):
    image(tmp_path / "archive", "a.dcm", "a", ConversionType=conversion)
    run(tmp_path / "archive", tmp_path / "data")
    assert reasons(tmp_path / "data") == ({} if used else {"a.dcm": "secondary capture"})


def test_paths_hide_persons_for_all_files_of_a_folder(tmp_path):
    archive = tmp_path / "archive"
    image(archive / "Leaka, Leakfirst", "fine.dcm", "a")
    (archive / "Leaka, Leakfirst" / "deep").mkdir()
    (archive / "Leaka, Leakfirst" / "deep" / "notes.txt").touch()
    save(radiograph(ramp(), **fields("b", Modality="CT")), archive / "LEAKIDb.dcm")
    save(radiograph(ramp(), **fields("b", Modality="CT")), archive / "1.2.3.4.5.6.7")
    found = run(archive, tmp_path / "data")
    files = sorted(reasons(tmp_path / "data"))
    patterns = [r"~\w{16}", r"~\w{16}/~\w{16}/~\w{16}", r"~\w{16}\.dcm"]
    assert len(files) == 3
    for pattern in patterns:
        assert sum(bool(re.fullmatch(pattern, file)) for file in files) == 1
    origins = {row["name"]: row["file"] for row in read_table(found.origins)}
    assert {origins[file] for file in files} == {
        "Leaka, Leakfirst/deep/notes.txt",
        "LEAKIDb.dcm",
        "1.2.3.4.5.6.7",
    }


def test_real_radiographs(shared_data, tmp_path):
    found = run(shared_data / "dicom", tmp_path / "data")
    origins = {row["name"]: Path(row["file"]) for row in read_table(found.origins)}
    used = {path.name for name, path in origins.items() if name.startswith("unlabelled/")}
    assert used == {"966_fixed.dcm", "RG2_JPLY_fixed.dcm", "RG3_J2KR.dcm"}
    # The broken file is called after its patient, and so has a pseudonym in the table.
    named = {str(origins.get(file, file)): reason for file, reason in reasons(tmp_path / "data").items()}
    assert "pixels that cannot be decoded" in named.pop("radiographs/RG2_JPLY.dcm")
    files = [path for path in (shared_data / "dicom").rglob("*") if path.is_file()]
    assert len(named) == len(files) - 4
    assert {row["body_part"] for row in read_rows(tmp_path / "data")} == {"CHEST", "HIP", "EXTREMITY"}


def test_real_pictures(shared_data, tmp_path):
    (tmp_path / "labels.csv").write_text("study,label\nimages,no fracture\n")
    found = run(shared_data / "wrist_xray", tmp_path / "data", tmp_path / "labels.csv")
    assert (found.studies, found.images) == ({"not_broken": 1}, 2)
    names = {row["name"]: row["file"] for row in read_table(found.origins)}
    assert [names[file] for file in reasons(tmp_path / "data")] == ["SOURCE.txt"]


def test_the_generated_archive_has_a_leak_in_each_kind_of_place():
    assert {leak for leak in LEAKS if leak in str(archive_files.fields("a")).lower().encode()} >= {
        LEAKS[0],
        LEAKS[1],
        LEAKS[3],
    }
