from __future__ import annotations

import os

import pytest

from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table, write_table


def test_round_trip(tmp_path):
    rows = [
        {"case": 'a, "b"', "reason": "line\nbreak", "seconds": 1.5},
        {"case": "ä", "reason": None},
    ]
    write_table(tmp_path / "t.csv", rows, ["case", "reason", "seconds"])
    assert read_table(tmp_path / "t.csv") == [
        {"case": 'a, "b"', "reason": "line\nbreak", "seconds": "1.5"},
        {"case": "ä", "reason": "", "seconds": ""},
    ]
    assert (tmp_path / "t.csv").read_text().startswith("case,reason,seconds\n")


def test_names_that_are_not_utf8_keep_their_bytes(tmp_path):
    name = os.fsdecode(b"scan_\xff.nii")
    write_table(tmp_path / "t.csv", [{"input": name}], ["input"])
    assert (tmp_path / "t.csv").read_bytes() == b"input\nscan_\xff.nii\n"
    assert read_table(tmp_path / "t.csv") == [{"input": name}]


def test_no_rows(tmp_path):
    write_table(tmp_path / "t.csv", [], ["case"])
    assert read_table(tmp_path / "t.csv") == []


def test_unknown_column_is_refused_and_nothing_written(tmp_path):
    with pytest.raises(ValueError, match="volume"):
        write_table(tmp_path / "t.csv", [{"case": "a", "volume": 1}], ["case"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "no such file"),
        (b"", "an empty file"),
        (b"a,b\n1,2,3\n", "row 1 does not fit"),
        (b"a,b\n1,2\n1\n", "row 2 does not fit"),
        (b'a,b\n"1"x,2\n', "not readable as a table"),
    ],
)
def test_bad_tables(tmp_path, content, reason):
    path = tmp_path / "t.csv"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=reason):
        read_table(path)


def test_a_table_without_a_header_line(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text("a/b.png,1\n c,\n")
    assert read_table(path, ["image", "label"]) == [
        {"image": "a/b.png", "label": "1"},
        {"image": " c", "label": ""},
    ]
    with pytest.raises(InputError, match=r"row 1 does not fit the header; expected 3 fields"):
        read_table(path, ["image", "label", "study"])
