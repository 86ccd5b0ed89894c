"""Grades of several raters become one grade, a distribution, and a split in which no subject is in two parts."""

from __future__ import annotations

import csv
import itertools
import json
from collections import Counter
from decimal import ROUND_HALF_UP, Decimal

import pytest

from monai_tasks.datasets import hrpqct
from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.io.errors import InputError

RATERS = ("rater_1", "rater_2", "rater_3")


def write(folder, rows, name="grades.csv", columns=(*hrpqct.COLUMNS, *RATERS)):
    """A file a scan and the table."""
    (folder / "scans").mkdir(parents=True, exist_ok=True)
    for row in rows:
        (folder / row["image"]).write_bytes(b"scan")
    with (folder / name).open("w", newline="") as stream:
        writer = csv.DictWriter(stream, columns, restval="")
        writer.writeheader()
        writer.writerows(rows)
    return folder


def scan(number, grades=("1", "1", "1"), site="radius", subject=None):
    row = {"image": f"scans/{number:03d}.ISQ", "site": site, "subject": subject or f"p{number:03d}"}
    return row | dict(zip(RATERS, grades, strict=False))


@pytest.fixture
def source(tmp_path):
    """Forty subjects with a radius and a tibia each, in grades 1, 2 and 4."""
    rows = []
    for number in range(40):
        grade = "124"[number % 3]
        for half, site in enumerate(("radius", "tibia")):
            rows.append(scan(2 * number + half, [grade] * 3, site, f"p{number}"))
    return write(tmp_path / "data", rows)


def test_no_subject_is_in_two_parts_and_grades_are_in_all(source):
    found = hrpqct.datalist(source, seed=1, folds=3)
    parts = {part: found[part] for part in ("training", "validation", "test")}
    assert sum(map(len, parts.values())) == 80
    subjects = [{item["subject"] for item in items} for items in parts.values()]
    assert sum(map(len, subjects)) == len(set.union(*subjects)) == 40
    for part, items in parts.items():
        shares = Counter(item["label"] for item in items)
        assert set(shares) == {0, 1, 3}, part
        assert max(shares.values()) <= 2 * min(shares.values())
        assert {item["site"] for item in items} == {"radius", "tibia"}
    assert {item["fold"] for item in parts["training"]} == {0, 1, 2}
    assert found["labels"] == {str(k): f"grade_{k + 1}" for k in range(5)}


def test_the_consensus_is_the_mean_rounded_half_up():
    for count in (1, 2, 3, 4):
        for grades in itertools.product((1, 2, 3, 4, 5), repeat=count):
            mean = Decimal(sum(grades)) / count
            assert hrpqct.consensus(grades) == int(mean.quantize(Decimal(1), ROUND_HALF_UP))
    assert hrpqct.consensus([2, 3]) == 3


def test_one_item(tmp_path):
    rows = [scan(0, ("2", " 3", ""), "Tibia")] + [scan(number) for number in range(1, 8)]
    found = hrpqct.datalist(write(tmp_path, rows))
    items = [item for part in ("training", "validation", "test") for item in found[part]]
    assert next(item for item in items if item["subject"] == "p000") == {
        "image": str(tmp_path / "scans" / "000.ISQ"),
        "label": 2,
        "soft": [0.0, 0.5, 0.5, 0.0, 0.0],
        "raters": {"rater_1": 2, "rater_2": 3},
        "site": "tibia",
        "subject": "p000",
    }
    for item in items:
        assert sum(item["soft"]) == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"rater_2": "6"}, "rater_2: grade '6'; expected 1 to 5"),
        ({"rater_2": "2.5"}, "rater_2: grade '2.5'; expected 1 to 5"),
        (dict.fromkeys(RATERS, ""), "no grade"),
        ({"site": "knee"}, "site 'knee'; expected radius or tibia"),
        ({"subject": " "}, "no subject"),
        ({"image": "scans/none.ISQ"}, "no file scans/none.ISQ"),
        ({"image": ""}, "no file "),
    ],
)
def test_what_cannot_be_used_is_listed_with_its_reason(tmp_path, change, reason):
    rows = [scan(number) for number in range(6)]
    write(tmp_path, rows)
    rows[2] |= change
    with (tmp_path / "grades.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    found = hrpqct.datalist(tmp_path)
    assert [entry["reason"] for entry in found["rejected"]] == [reason]
    assert sum(len(found[part]) for part in ("training", "validation", "test")) == 5


def test_an_empty_file_is_not_used_and_a_folder_of_slices_is(tmp_path):
    rows = [scan(number) for number in range(6)]
    write(tmp_path, rows)
    (tmp_path / rows[0]["image"]).write_bytes(b"")
    (tmp_path / rows[1]["image"]).unlink()
    (tmp_path / rows[1]["image"]).mkdir()
    rejected = hrpqct.datalist(tmp_path)["rejected"]
    assert rejected == [{"subject": "p000 scans/000.ISQ", "reason": "an empty file (0 bytes)"}]


def test_another_table_and_other_raters(tmp_path):
    columns = (*hrpqct.COLUMNS, "rater_1", "expert")
    rows = [scan(number, ("1",)) | {"expert": "5"} for number in range(5)]
    write(tmp_path / "data", rows, columns=columns)
    table = tmp_path / "own.csv"
    (tmp_path / "data" / "grades.csv").rename(table)
    for raters, label in ((None, 0), (["expert"], 4), (["rater_1", "expert"], 2)):
        found = hrpqct.datalist(tmp_path / "data", grades=table, raters=raters)
        assert {item["label"] for item in found["training"]} == {label}


@pytest.mark.parametrize(
    ("columns", "raters", "message"),
    [
        (hrpqct.COLUMNS, None, "no column that begins with rater"),
        (("image", "subject", "rater_1"), None, "no column site"),
        ((*hrpqct.COLUMNS, "rater_1"), ["rater_1", "expert"], "no column expert"),
    ],
)
def test_a_table_without_a_column_is_refused(tmp_path, columns, raters, message):
    rows = [{key: value for key, value in scan(0).items() if key in columns}]
    with pytest.raises(InputError, match=message):
        hrpqct.datalist(write(tmp_path, rows, columns=columns), raters=raters)


def test_a_table_that_is_of_no_use_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"grades\.csv: no such file"):
        hrpqct.datalist(tmp_path)
    with pytest.raises(InputError, match="no rows"):
        hrpqct.datalist(write(tmp_path, []))
    with pytest.raises(InputError, match=r"scans/003\.ISQ in two rows"):
        hrpqct.datalist(write(tmp_path, [scan(3), scan(3)]))
    with pytest.raises(InputError, match=r"none of 1 cases usable, such as p000 scans/000\.ISQ"):
        hrpqct.datalist(write(tmp_path, [scan(0, ("9", "", ""))]))


def test_items_survive_the_datalist_file(source, tmp_path, monkeypatch):
    """Also where a folder is called as a site or a subject is."""
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps(hrpqct.datalist(source)))
    for name in ("radius", "tibia", "p3"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path)
    for part in ("training", "validation", "test"):
        assert read_part(path, part) == hrpqct.datalist(source)[part]
        assert read_part(None, part, source, layout="hrpqct") == hrpqct.datalist(source)[part]
