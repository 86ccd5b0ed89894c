"""What is read of a table of results, and which tables are none."""

from __future__ import annotations

import pytest
from classification_tables import CLASSES, row, write_results

from monai_tasks.evaluation.class_predictions import class_number, preview_of, read_predictions, table_of
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import write_table

GRADES = ("one", "two", "three")


def test_rows_of_images_and_studies(tmp_path):
    rows = [
        row("a_0", 0.4, image="x/a_0.png", study="a", decision="cracked"),
        row("a", 0.9, image="x/a_0.png;x/a_1.png", level="study", study="a", decision="cracked", votes=0.5),
        row("bad", None, study="a"),
    ]
    image, study, bad = read_predictions(write_results(tmp_path, rows), CLASSES)
    assert (image.case, image.level, image.study, image.inputs) == ("a_0", "image", "a", ("x/a_0.png",))
    assert (image.probabilities, image.prediction, image.decision) == ((0.6, 0.4), 0, 1)
    assert (study.level, study.inputs) == ("study", ("x/a_0.png", "x/a_1.png"))
    assert (bad.probabilities, bad.decision, bad.problem) == ((), None, "infer: a damaged file")


def test_a_table_of_ones_own_needs_little(tmp_path):
    rows = [{"case": "a", "probability_cracked": 0.7}, {"case": "b", "probability_cracked": 0.5}]
    write_table(tmp_path / "own.csv", rows, ["case", "probability_cracked"])
    found = read_predictions(tmp_path / "own.csv", CLASSES)
    assert [(one.level, one.decision) for one in found] == [("image", 1), ("image", 0)]
    assert found[0].probabilities == pytest.approx((0.3, 0.7))


@pytest.mark.parametrize(
    ("decision", "expected"),
    [("cracked", 1), ("1", 1), ("0", 0), ("positive", 1), ("False", 0), ("", 0), ("1.0", 1)],
)
def test_words_for_a_decision(tmp_path, decision, expected):
    write_results(tmp_path, [row("a", 0.2, decision=decision)])
    assert read_predictions(tmp_path, CLASSES)[0].decision == expected


def test_several_classes_are_decided_by_the_highest_probability(tmp_path):
    write_results(tmp_path, [row("a", [0.2, 0.1, 0.7], classes=GRADES)], GRADES)
    (one,) = read_predictions(tmp_path, GRADES)
    assert (one.probabilities, one.prediction, one.decision) == ((0.2, 0.1, 0.7), 2, 2)


def test_a_row_that_cannot_be_used_says_why(tmp_path):
    rows = [
        row("a", 0.5, decision="maybe"),
        *(row(str(v), 0.5) | {"probability_cracked": v} for v in ("", 1.5, "nan")),
    ]
    found = read_predictions(write_results(tmp_path, rows), CLASSES)
    assert found[0].problem == "class 'maybe'; expected one of whole (0), cracked (1)"
    assert [one.problem for one in found[1:]] == [
        f"probabilities {text!r}; expected numbers from 0 to 1" for text in ("", "1.5", "nan")
    ]


def test_a_failed_row_without_a_level_is_of_the_usual_one(tmp_path):
    write_results(tmp_path, [row("a", 0.5, level="study"), row("b", None, level="")])
    assert [(one.level, one.study) for one in read_predictions(tmp_path, CLASSES)] == [
        ("study", "a"),
        ("study", "b"),
    ]


@pytest.mark.parametrize(
    ("columns", "values", "message"),
    [
        (["case", "probability_whole"], ["a", 1], "no column probability_cracked"),
        (["name", "probability_cracked"], ["a", 1], "no column case or input"),
        (
            ["case", "level", "probability_cracked"],
            ["a", "pixel", 1],
            "level 'pixel'; expected image or study",
        ),
    ],
)
def test_other_tables_are_refused(tmp_path, columns, values, message):
    write_table(tmp_path / "t.csv", [dict(zip(columns, values, strict=True))], columns)
    with pytest.raises(InputError, match=message):
        read_predictions(tmp_path / "t.csv", CLASSES)


def test_what_is_no_table_is_refused(tmp_path):
    for path in (tmp_path, tmp_path / "absent.csv"):
        with pytest.raises(InputError, match=r"no results\.csv"):
            table_of(path)
    write_results(tmp_path, [])
    with pytest.raises(InputError, match="no rows"):
        read_predictions(tmp_path, CLASSES)
    assert preview_of(table_of(tmp_path), "a") == tmp_path / "previews" / "a.png"


def test_the_number_of_a_class():
    assert [class_number(text, ("1", "2", "3")) for text in ("1", "3", 0, 2, 1.0, " 2 ")] == [
        0,
        2,
        0,
        2,
        1,
        1,
    ]
    for text in ("5", 3, -1, 0.5, True, None, "", "nan", [1]):
        with pytest.raises(ValueError, match="expected one of 1 \\(0\\)"):
            class_number(text, ("1", "2", "3"))
