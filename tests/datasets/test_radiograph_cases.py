"""Radiographs are found with their studies, named without headers, and nothing is lost without a word."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from radiograph_files import ramp, uid, write

from monai_tasks.datasets.cases import Case
from monai_tasks.datasets.radiograph_cases import (
    find_radiographs,
    group_studies,
    image_items,
    search_radiographs,
)
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import write_table

CR = "1.2.840.10008.5.1.4.1.1.1"


def png(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 4), 900, np.uint16)).save(path)
    return path


@pytest.fixture
def radiograph(dicom, grids):
    """Writes a DICOM radiograph of a study; other fields by keyword, None takes one away."""
    plane = grids["RAS"]._replace(array=grids["RAS"].array[..., :1].round().astype(np.int16))

    def write(path: Path, study: str | None, **fields: object) -> Path:
        def edit(dataset, number):
            given = {"SOPClassUID": CR, "Modality": "CR", "StudyInstanceUID": study, **fields}
            for name, value in given.items():
                if value is not None:
                    setattr(dataset, name, value)
                elif name in dataset:
                    delattr(dataset, name)

        return dicom.series(path.parent, plane, edit=edit)[0].rename(path)

    return write


def found(*inputs: Path, **options: object) -> dict[str, str | None]:
    return {case.name: case.study for case in find_radiographs(inputs, **options)}


def test_a_named_file_is_a_case_and_a_study_of_its_own(tmp_path, radiograph):
    files = [png(tmp_path / "a.png"), png(tmp_path / "b.PNG"), tmp_path / "notes.txt"]
    files[2].write_text("no image")
    files += [radiograph(tmp_path / "d.dcm", "1.2.3"), radiograph(tmp_path / "1.2.840.7", "1.2.4")]
    assert found(*files) == {name: name for name in ("a", "b", "notes.txt", "d", "1.2.840.7")}


def test_pictures_belong_together_by_their_folder_below_the_searched_one(tmp_path):
    for name in ("s1/a.png", "s1/b.png", "s2/a.png", "s2/deep/c.png", "loose.png"):
        png(tmp_path / name)
    (tmp_path / "s1" / "report.txt").write_text("no image")
    expected = {"loose": "loose", "s1_a": "s1", "b": "s1", "s2_a": "s2", "c": "deep"}
    assert found(tmp_path) == expected
    assert found(tmp_path / "s1") == {"a": "a", "b": "b"}


def test_a_folder_of_many_pictures_is_no_study(tmp_path, radiograph):
    for number in range(21):
        png(tmp_path / "many" / f"m{number}.png")
        radiograph(tmp_path / "told" / f"t{number}.dcm", "1.2.77")
        if number < 20:
            png(tmp_path / "few" / f"f{number}.png")
    studies = found(tmp_path)
    assert {name: study for name, study in studies.items() if name[0] == "m"} == {
        f"m{number}": f"m{number}" for number in range(21)
    }
    assert {study for name, study in studies.items() if name[0] != "m"} == {"few", "told"}


def test_a_header_tells_studies_apart_and_names_none(tmp_path, radiograph):
    radiograph(tmp_path / "one" / "pa" / "a.dcm", "1.2.77", PatientName="Kept^Not")
    radiograph(tmp_path / "one" / "lateral" / "b.dcm", "1.2.77")
    for name, study in {"c": "1.2.88", "d": "1.2.99", "e": "1.2.88", "f": "1.2.55"}.items():
        radiograph(tmp_path / "mixed" / f"{name}.dcm", study)
    radiograph(tmp_path / "single" / "g.dcm", "1.2.66")
    png(tmp_path / "mixed" / "h.png")
    cases = find_radiographs([tmp_path])
    assert {case.name: case.study for case in cases} == {
        "a": "one",
        "b": "one",
        "c": "mixed_1",
        "e": "mixed_1",
        "d": "d",
        "f": "f",
        "h": "mixed",
        "g": "single",
    }
    assert "Kept" not in repr(cases)
    assert "1.2." not in repr(cases)


def test_no_warning_shows_a_value_of_a_header(tmp_path, radiograph):
    with warnings.catch_warnings(action="ignore"):
        radiograph(tmp_path / "s" / "a.dcm", "Kept^Not" * 9)
    with warnings.catch_warnings(action="always", record=True) as shown:
        assert found(tmp_path) == {"a": "s"}
    assert [str(warning.message) for warning in shown] == []


def test_a_file_without_a_study_in_its_header_goes_by_its_folder(tmp_path, radiograph):
    radiograph(tmp_path / "s" / "a.dcm", None)
    png(tmp_path / "s" / "b.png")
    assert found(tmp_path) == {"a": "s", "b": "s"}


def test_what_is_no_radiograph_is_listed_with_its_reason(tmp_path, radiograph):
    radiograph(tmp_path / "good.dcm", "1")
    radiograph(tmp_path / "unsaid.dcm", "1", Modality=None)
    pixels = dict.fromkeys(("Rows", "Columns", "PixelData"))
    bad = {
        "report.dcm": radiograph(tmp_path / "report.dcm", "1", Modality="SR", **pixels),
        "slice.dcm": radiograph(tmp_path / "slice.dcm", "1", Modality="CT"),
        "sheet.dcm": radiograph(tmp_path / "sheet.dcm", "1", SOPClassUID="1.2.840.10008.5.1.4.1.1.7"),
        "film.dcm": radiograph(tmp_path / "film.dcm", "1", SOPClassUID="1.2.840.10008.5.1.4.1.1.7.2"),
    }
    (tmp_path / "broken.dcm").write_bytes(b"no header")
    search = search_radiographs([tmp_path])
    # A damaged file may be a radiograph: it is a case, which fails with a reason when it is read.
    assert [case.name for case in search.cases] == ["broken", "good", "unsaid"]
    reasons = {one.file.name: one.reason for one in search.passed_over}
    assert reasons == {
        "report.dcm": "no pixels (modality SR)",
        "slice.dcm": "not a radiograph (modality CT)",
        "sheet.dcm": "secondary capture",
        "film.dcm": "secondary capture",
    }
    # What a person names is not passed over.
    again = search_radiographs([tmp_path, bad["slice.dcm"]])
    assert "slice" in [case.name for case in again.cases]
    assert "slice.dcm" not in [one.file.name for one in again.passed_over]
    for path in tmp_path.iterdir():
        if path.name not in bad:
            path.unlink()
    with pytest.raises(InputError, match="without radiographs, with 4 DICOM files that are none"):
        find_radiographs([tmp_path])


def data_set(folder: Path) -> Path:
    """Two studies, one with a file that is missing, in the layout of `import`; with a picture that is no image."""
    rows = [
        {"image": f"{label}/{study}/{name}.png", "label": label, "study": study}
        for label, study, name in [
            ("broken", "k7", "S1_I1"),
            ("broken", "k7", "S1_I2"),
            ("not_broken", "m2", "S1_I1"),
            ("not_broken", "m2", "gone"),
        ]
    ]
    for row in rows[:3]:
        png(folder / row["image"])
    columns = ["image", "label", "study"]
    write_table(folder / "metadata.csv", rows, columns)
    for study, label in (("k7", "broken"), ("m2", "not_broken")):
        own = [row for row in rows if row["study"] == study]
        write_table(folder / label / study / "metadata.csv", own, columns)
    png(folder / "contact_sheets" / "k7.png")
    return folder


def test_a_data_set_is_what_its_table_lists(tmp_path):
    folder = data_set(tmp_path / "data")
    expected = {"k7_S1_I1": "k7", "S1_I2": "k7", "m2_S1_I1": "m2", "gone": "m2"}
    assert found(folder) == found(tmp_path) == expected
    assert found(folder / "broken") == {"S1_I1": "k7", "S1_I2": "k7"}
    assert found(folder / "broken" / "k7") == {"S1_I1": "k7", "S1_I2": "k7"}


def test_a_damaged_table_of_a_data_set_is_refused_and_an_empty_one_is_no_folder_of_pictures(tmp_path):
    folder = data_set(tmp_path / "data")
    (folder / "metadata.csv").write_text("image,label,study\nbroken/k7/S1_I1.png\n")
    with pytest.raises(InputError, match=r"metadata\.csv: row 1 does not fit the header"):
        find_radiographs([folder])
    (folder / "metadata.csv").write_text("image,label,study\n")
    with pytest.raises(InputError, match="a folder without radiographs"):
        find_radiographs([folder])


def test_another_table_of_that_name_is_none_of_a_data_set(tmp_path):
    png(tmp_path / "s" / "a.png")
    (tmp_path / "metadata.csv").write_text("name,age\nx,3\n")
    assert found(tmp_path) == {"a": "s"}


def test_a_datalist_says_the_study_before_all_else(tmp_path, radiograph):
    for name in ("a.png", "b.png", "c.png", "d.png", "e.png"):
        png(tmp_path / "images" / name)
    radiograph(tmp_path / "images" / "f.dcm", "1.2.3")
    items = [
        {"image": "images/a.png", "study": "k 7"},
        {"image": "images/f.dcm", "study": "k 7"},
        {"image": ["images/b.png", "images/c.png"]},
        {"image": ["images/d.png"], "study": "m2"},
        "images/e.png",
    ]
    (tmp_path / "list.json").write_text(json.dumps({"test": items}))
    expected = {"a": "k_7", "f": "k_7", "b": "b", "c": "b", "d": "m2", "e": "e"}
    assert found(tmp_path / "list.json") == expected


def test_a_study_may_be_called_zero(tmp_path):
    items = [
        {"image": png(tmp_path / name).name, "study": study} for name, study in [("a.png", 0), ("b.png", 0)]
    ]
    (tmp_path / "list.json").write_text(json.dumps(items))
    assert found(tmp_path / "list.json") == {"a": "0", "b": "0"}


def test_each_frame_is_an_image_of_its_study(tmp_path):
    stored = np.stack([ramp(), ramp()])
    for name, study in {"IM1.dcm": "a", "IM2": "a", "IM3.dcm": "b", "one/IM4.dcm": "c"}.items():
        shown = ramp() if name == "IM2" else stored
        write(tmp_path / "s" / name, shown, StudyInstanceUID=uid(f"study {study}"))
    search = search_radiographs([tmp_path / "s"])
    assert {case.name: case.study for case in search.cases} == {
        "IM1_F1": "s_1",
        "IM1_F2": "s_1",
        "IM2": "s_1",
        "IM3_F1": "IM3",
        "IM3_F2": "IM3",
        "IM4_F1": "one",
        "IM4_F2": "one",
    }
    paths = {case.name: case.image.relative_to(tmp_path / "s").as_posix() for case in search.cases}
    assert (paths["IM1_F2"], paths["IM2"], paths["IM4_F1"]) == (
        "IM1.dcm#frame=2",
        "IM2",
        "one/IM4.dcm#frame=1",
    )
    assert group_studies(search.cases)[1].paths == (
        tmp_path / "s/IM3.dcm#frame=1",
        tmp_path / "s/IM3.dcm#frame=2",
    )
    # A frame can be named, on the command line and in a datalist; it is no other image than when its file is.
    named = tmp_path / "s" / "IM3.dcm#frame=2"
    assert found(named) == {"IM3_F2": "IM3"}
    assert len(find_radiographs([named, tmp_path / "s" / "IM3.dcm"])) == 2
    (tmp_path / "list.json").write_text(
        json.dumps(["s/IM3.dcm#frame=2", {"image": "s/IM1.dcm", "study": "k"}])
    )
    assert found(tmp_path / "list.json") == {"IM3_F2": "IM3", "IM1_F1": "k", "IM1_F2": "k"}
    with pytest.raises(InputError, match="no such file"):
        find_radiographs([tmp_path / "s" / "IM9.dcm#frame=2"])


def test_a_film_of_a_thousand_frames_is_one_case_and_a_slice_that_is_named_is_not_passed_over(tmp_path):
    film = write(tmp_path / "film.dcm", ramp(), NumberOfFrames=1001)
    scan = write(tmp_path / "scan.dcm", np.stack([ramp(), ramp()]), Modality="CT")
    assert found(film) == {"film": "film"}
    search = search_radiographs([tmp_path, scan])
    assert ([case.name for case in search.cases], search.passed_over) == (["film", "scan_F1", "scan_F2"], [])


def test_studies_are_cases_of_several_images(tmp_path):
    for name in ("s1/a.png", "s1/b.png", "s2/c.png"):
        png(tmp_path / name)
    first, second, third = (tmp_path / name for name in ("s1/a.png", "s1/b.png", "s2/c.png"))
    cases = group_studies(find_radiographs([tmp_path]))
    assert cases == [Case("s1", (first, second), "s1"), Case("s2", third, "s2")]
    assert image_items([tmp_path]) == [{"image": str(path)} for path in (first, second, third)]
    assert image_items([tmp_path], by_study=True) == [
        {"image": [str(first), str(second)]},
        {"image": [str(third)]},
    ]


def test_studies_of_one_name_stay_apart(tmp_path):
    for name in ("x/s/a.png", "y/s/b.png", "y/s/c.png"):
        png(tmp_path / name)
    assert found(tmp_path) == {"a": "x_s", "b": "y_s", "c": "y_s"}


def test_an_image_found_twice_is_one_case_and_results_are_none(tmp_path):
    png(tmp_path / "s" / "a.png")
    png(tmp_path / "out" / "previews" / "a.png")
    assert found(tmp_path, tmp_path / "s" / "a.png", exclude=[tmp_path / "out"]) == {"a": "s"}


def test_results_of_an_earlier_run_among_the_images_are_no_images(tmp_path):
    png(tmp_path / "s" / "a.png")
    png(tmp_path / "s" / "out" / "previews" / "a.png")
    for name in ("results.csv", "journal.jsonl"):
        (tmp_path / "s" / "out" / name).touch()
    png(tmp_path / "s" / "pictures" / "b.png")
    assert found(tmp_path) == {"a": "s", "b": "pictures"}


def test_missing_input_and_empty_folder(tmp_path):
    with pytest.raises(InputError, match="no such file or folder"):
        find_radiographs([tmp_path / "none"])
    with pytest.raises(InputError, match="a folder without radiographs; expected"):
        find_radiographs([tmp_path])


def test_real_files(shared_data):
    search = search_radiographs([shared_data / "dicom", shared_data / "wrist_xray"])
    studies = {case.name: case.study for case in search.cases}
    assert studies["RG2_JPLY"] == studies["RG2_JPLY_fixed"] == "radiographs_2"
    assert (studies["966_fixed"], studies["RG3_J2KR"]) == ("966_fixed", "RG3_J2KR")
    assert len(search.cases) == 6
    files = set((shared_data / "dicom").rglob("*.dcm"))
    assert files == {one.file for one in search.passed_over} | {
        case.image for case in search.cases if case.image.suffix == ".dcm"
    }
