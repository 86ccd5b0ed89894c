"""One positive image makes a study positive; what failed is told and not counted."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_tasks.datasets.cases import Case
from monai_tasks.inference.studies import StudyTally

THRESHOLD = 0.4
# Of each study: the probability of each image, None for one that failed.
STUDIES = {"x": [0.1, 0.45, 0.2], "y": [0.39], "z": [None, 0.9], "w": [None, None]}


def _cases() -> dict[Case, float | None]:
    return {
        Case(f"{study}{number}", Path(f"{study}{number}.png"), study): value
        for study, values in STUDIES.items()
        for number, value in enumerate(values)
    }


def _row(value: float | None, status: str = "done") -> dict:
    if value is None:
        return {"status": "failed", "seconds": 0.25}
    decision = "broken" if value >= THRESHOLD else "whole"
    return {"status": status, "seconds": 0.5, "probability_broken": value, "decision": decision}


def _rows(status: str = "done", backwards: bool = False) -> dict[str, dict]:
    cases = _cases()
    tally = StudyTally(list(cases), ("whole", "broken"), THRESHOLD)
    for case in list(cases)[:: -1 if backwards else 1]:
        tally.add(case, _row(cases[case], status))
    return {row["case"]: row for row in tally.rows()}


def test_at_least_one_and_the_share_of_votes() -> None:
    rows = _rows()
    for name, values in STUDIES.items():
        good = [value for value in values if value is not None]
        if good:
            assert rows[name]["probability_broken"] == max(good)
            assert rows[name]["probability_whole"] == pytest.approx(1 - max(good))
            assert rows[name]["decision"] == ("broken" if any(v >= THRESHOLD for v in good) else "whole")
            assert rows[name]["prediction"] == ("broken" if max(good) > 0.5 else "whole")
            share = sum(value >= THRESHOLD for value in good) / len(good)
            assert rows[name]["votes"] == pytest.approx(share, abs=1e-6)
        assert rows[name]["level"] == "study"
        assert rows[name]["input"] == ";".join(f"{name}{number}.png" for number in range(len(values)))
    assert rows["x"]["seconds"] == 1.5


def test_failed_images_are_told() -> None:
    rows = _rows()
    assert [rows[name].get("note", "") for name in "xyz"] == ["", "", "1 of 2 images failed"]
    assert rows["w"]["status"] == "failed"
    assert "probability_broken" not in rows["w"]


def test_the_order_in_which_images_are_through_does_not_count() -> None:
    assert list(_rows(backwards=True).items()) == list(_rows().items())


def test_skipped_images_count_as_they_were() -> None:
    skipped = _rows("skipped")
    assert [row["status"] for row in skipped.values()] == ["skipped", "skipped", "skipped", "failed"]
    values = ("probability_broken", "decision", "votes")
    for name, row in _rows().items():
        assert [skipped[name].get(key) for key in values] == [row.get(key) for key in values]
