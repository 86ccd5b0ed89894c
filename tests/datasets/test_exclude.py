"""What a reviewed list takes out of a datalist, and which rows it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from monai_tasks.datasets.cases import find_cases
from monai_tasks.datasets.exclude import read_parts, take_out
from monai_tasks.datasets.radiograph_cases import find_radiographs
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import sha256
from monai_tasks.io.tables import write_table

COLUMNS = ("rank", "case", "image", "decision")


@pytest.fixture
def datalist(tmp_path) -> Path:
    """Two sites with files of the same names, a case of two channels, and a study of two images."""
    parts = {
        "training": [
            {"image": "one/a.nii.gz", "label": "one/a_label.nii.gz", "subject": "1"},
            {"image": "two/a.nii.gz", "label": "two/a_label.nii.gz", "subject": "2"},
            {"image": ["one/c_t1.nii.gz", "one/c_t2.nii.gz"], "label": "one/c.nii.gz", "subject": "3"},
            {"image": "hands/x_1.png", "label": 1, "subject": "4", "study": "x"},
            {"image": "hands/x_2.png", "label": 1, "subject": "4", "study": "x"},
        ],
        "validation": [{"image": "one/d.nii.gz", "label": "one/d_label.nii.gz", "subject": "5"}],
        "test": [{"image": "one/e.nii.gz", "label": "one/e_label.nii.gz", "subject": "6"}],
    }
    file = tmp_path / "data" / "datalist.json"
    file.parent.mkdir()
    file.write_text(json.dumps(parts), encoding="utf-8")
    return file


@pytest.fixture
def listed(tmp_path):
    def write(*lines: str) -> Path:
        path = tmp_path / "lists" / "rejected.txt"
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def reviewed(tmp_path):
    def write(*rows: tuple[str, str, str]) -> Path:
        path = tmp_path / "review.csv"
        named = ({"rank": 1, "case": case, "image": image, "decision": own} for case, image, own in rows)
        write_table(path, named, COLUMNS)
        return path

    return write


def subjects(datalist: Path, file: Path) -> tuple[list[str], list[str], list[str]]:
    left, _ = take_out(read_parts(datalist), file, datalist)
    return tuple([item["subject"] for item in left[part]] for part in ("training", "validation", "test"))


@pytest.mark.parametrize(
    ("line", "training"),
    [
        ("one/a.nii.gz", ["2", "3", "4", "4"]),
        ("two_a", ["1", "3", "4", "4"]),
        ("c_t1", ["1", "2", "4", "4"]),
        ("one/c_t2.nii.gz", ["1", "2", "4", "4"]),
        ("../data/two/a.nii.gz", ["1", "3", "4", "4"]),
        ("x_2", ["1", "2", "3", "4"]),
        ("x", ["1", "2", "3"]),
    ],
)
def test_a_line_takes_out_the_image_case_or_study_that_it_names(datalist, listed, line, training):
    assert subjects(datalist, listed("# rejected", "", line)) == (training, ["5"], ["6"])


def test_an_absolute_path_stands_for_its_image(datalist, listed):
    assert subjects(datalist, listed(str(datalist.parent / "two/a.nii.gz")))[0] == ["1", "3", "4", "4"]


def test_of_a_review_the_rows_that_say_exclude_count(datalist, reviewed):
    file = reviewed(
        ("one_a", "one/a.nii.gz", " Exclude "),
        ("two_a", "two/a.nii.gz", "keep"),
        ("c", "one/c_t1.nii.gz;one/c_t2.nii.gz", "exclude"),
        ("d", "one/d.nii.gz", "exclude"),
        ("x", "hands/x_1.png", ""),
    )
    assert subjects(datalist, file) == (["2", "4", "4"], [], ["6"])
    _, excluded = take_out(read_parts(datalist), file, datalist)
    assert excluded.taken == {"training": 2, "validation": 1}
    assert excluded.facts() == {"sha256": sha256(file), "training": 2, "validation": 1, "left_in_test": 0}


def test_a_review_that_keeps_all_takes_nothing_out(datalist, reviewed):
    assert subjects(datalist, reviewed(("d", "one/d.nii.gz", "keep")))[1] == ["5"]


def test_the_test_part_keeps_its_cases_and_the_outcome_names_them(datalist, listed):
    left, excluded = take_out(read_parts(datalist), listed("e", "d"), datalist)
    assert [item["subject"] for item in left["test"]] == ["6"]
    assert excluded.in_test == ("e",)
    assert excluded.taken == {"training": 0, "validation": 1}


def test_a_row_that_stands_for_nothing_is_named(datalist, listed, reviewed):
    with pytest.raises(InputError, match=r"rejected.txt: one/z.nii.gz, which the datalist does not have"):
        take_out(read_parts(datalist), listed("d", "one/z.nii.gz"), datalist)
    half = reviewed(("c", "one/c_t1.nii.gz;one/c_t3.nii.gz", "exclude"))
    with pytest.raises(InputError, match=r"c \(one/c_t3.nii.gz\), which the datalist does not have"):
        take_out(read_parts(datalist), half, datalist)
    # Two sites have a file of this name, which alone is no case.
    with pytest.raises(InputError, match="a, which the datalist does not have"):
        take_out(read_parts(datalist), listed("a"), datalist)


@pytest.fixture
def numbered(tmp_path):
    """Makes a datalist of images, in the given order, of the subjects 0, 1, ..."""

    def make(*images: str) -> Path:
        file = tmp_path / "numbered.json"
        items = [{"image": image, "label": 1, "subject": str(n)} for n, image in enumerate(images)]
        file.write_text(json.dumps({"training": items}), encoding="utf-8")
        return file

    return make


@pytest.mark.parametrize("order", [1, -1])
def test_a_name_that_needs_a_number_is_refused_in_every_order(numbered, listed, order):
    # Two formats of one name in one folder, which no folder can tell apart.
    datalist = numbered(*["X.nii.gz", "X.mha", "Y.nii.gz"][::order])
    names = [case.name for case in find_cases([datalist]) if case.name != "Y"]
    assert sorted(name.endswith("_X_2") for name in names) == [False, True]
    for name in names:
        with pytest.raises(
            InputError, match="stands for several cases; expected the absolute path of the image"
        ):
            take_out(read_parts(datalist), listed(name), datalist)
    left, _ = take_out(read_parts(datalist), listed("X.mha", "Y"), datalist)
    assert [Path(item["image"]).name for item in left["training"]] == ["X.nii.gz"]


def test_a_name_that_is_both_a_case_and_another_study_is_refused(numbered, listed):
    datalist = numbered("one/x.png", "one/z.png")
    parts = read_parts(datalist)
    parts["training"][1]["study"] = "x"
    with pytest.raises(InputError, match="x, which stands for several cases"):
        take_out(parts, listed("x"), datalist)
    left, _ = take_out(parts, listed("z"), datalist)
    assert [item["subject"] for item in left["training"]] == ["0"]
    left, _ = take_out(parts, listed(parts["training"][0]["image"]), datalist)
    assert [item["subject"] for item in left["training"]] == ["1"]
    # Studies that the names of files cannot tell apart.
    parts["training"][0]["study"], parts["training"][1]["study"] = "a b", "a_b"
    with pytest.raises(InputError, match="a_b, which stands for several cases"):
        take_out(parts, listed("a_b"), datalist)
    left, _ = take_out(parts, listed("a b"), datalist)
    assert [item["subject"] for item in left["training"]] == ["1"]


def test_every_name_that_infer_gives_stands_for_its_case(tmp_path, numbered, listed):
    images = ["a/1.2.840.1", "a/1.2.840.2", "b/im.3.dcm", "b/wrist.v2.png", "b/c.dcm#frame=2"]
    (tmp_path / "series.v1").mkdir()
    for search, own in ((find_radiographs, images), (find_cases, ["series.v1", "b/t1.v3.nii.gz"])):
        datalist = numbered(*own)
        for number, case in enumerate(search([datalist])):
            left, _ = take_out(read_parts(datalist), listed(case.name), datalist)
            others = [str(other) for other in range(len(own)) if other != number]
            assert [item["subject"] for item in left["training"]] == others, case.name


def test_rows_of_data_that_moved_stand_for_cases_of_the_same_name(datalist, tmp_path):
    file, columns = tmp_path / "review.csv", (*COLUMNS, "subject")

    def review(case: str, image: str, subject: str) -> Path:
        row = {"rank": 1, "case": case, "image": image, "subject": subject, "decision": "exclude"}
        write_table(file, [row], columns)
        return file

    assert subjects(datalist, review("d", "/before/one/d.nii.gz", "5"))[1] == []
    both = "/before/c_t1.nii.gz;/before/c_t2.nii.gz"
    assert subjects(datalist, review("c_t1", both, "3"))[0] == ["1", "2", "4", "4"]
    for case, image, subject in (
        ("a", "/before/one/a.nii.gz", "1"),  # two cases have this file's name, and neither is called so
        ("d", "/before/one/d.nii.gz", "9"),  # of another subject
        ("d", "/before/one/other.nii.gz", "5"),  # another file
        ("c_t1", "one/c_t1.nii.gz;/before/c_t2.nii.gz", "3"),  # in part at its place
    ):
        with pytest.raises(InputError, match="which the datalist does not have"):
            subjects(datalist, review(case, image, subject))


def test_what_is_no_reviewed_list_is_refused(datalist, listed, reviewed, tmp_path):
    parts = read_parts(datalist)
    with pytest.raises(InputError, match="no such file"):
        take_out(parts, tmp_path / "none.csv", datalist)
    with pytest.raises(InputError, match="an empty list"):
        take_out(parts, listed("# nothing"), datalist)
    with pytest.raises(InputError, match="no row with a decision"):
        take_out(parts, reviewed(("d", "one/d.nii.gz", "")), datalist)
    with pytest.raises(InputError, match="the decision 'drop' on d"):
        take_out(parts, reviewed(("d", "one/d.nii.gz", "drop")), datalist)
    other = tmp_path / "other.csv"
    write_table(other, [{"case": "d", "image": "one/d.nii.gz"}], ("case", "image"))
    with pytest.raises(InputError, match="no column 'decision'"):
        take_out(parts, other, datalist)
