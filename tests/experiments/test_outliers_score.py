"""How suspicious a case is, against a slow restatement."""

from __future__ import annotations

import math

import numpy as np
import pytest

from monai_tasks.datasets.checks_compare import Remark
from monai_tasks.experiments.outliers_cases import Case
from monai_tasks.experiments.outliers_score import ranked, shares_as_high


def cases(*losses: float | None) -> list[Case]:
    return [
        Case(f"case_{number}", f"s{number}", "0", (f"/{number}.nii.gz",), ("l",), loss=loss)
        for number, loss in enumerate(losses)
    ]


def slow_left(case: int, remarks: list[Remark]) -> float:
    """The doubt that the remarks leave: of each check that of the strongest."""
    left = 1.0
    for check in sorted({remark.check for remark in remarks}):
        strongest = 0.0
        for remark in remarks:
            if remark.case == case and remark.check == check:
                strongest = max(strongest, remark.strength)
        left *= 1 - strongest
    return left


def slow_score(case: int, losses: list[float | None], remarks: list[Remark]) -> float:
    """As the page words it, in plain loops."""
    if losses[case] is None:
        return 1.0
    known = [loss for loss in losses if loss is not None]
    as_high = sum(1 for loss in known if loss >= losses[case]) / len(known)
    own = slow_left(case, remarks)
    as_strong = sum(1 for other in range(len(losses)) if slow_left(other, remarks) <= own) / len(losses)
    return 1 - math.sqrt(as_high) * math.sqrt(as_strong) * own


def test_scores_are_as_they_are_worded_and_ranks_follow_them():
    rng = np.random.default_rng(3)
    losses = [*rng.choice([0.1, 0.2, 0.5, 0.9], 20).tolist(), None]
    remarks = [
        Remark(
            int(rng.integers(20)),
            str(rng.choice(["label", "sides", "grid"])),
            float(rng.uniform(0.1, 1)),
            "x",
        )
        for _ in range(25)
    ]
    found = ranked(cases(*losses), remarks)
    assert [one.rank for one in found] == list(range(1, 22))
    for one in found:
        number = int(one.case.name.removeprefix("case_"))
        assert one.score == pytest.approx(slow_score(number, losses, remarks))
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_of_one_check_the_strongest_remark_counts_and_the_strongest_check_is_first():
    own = [Remark(0, "label", 0.2, "a"), Remark(0, "label", 0.6, "b"), Remark(0, "sides", 0.3, "c")]
    first = ranked(cases(0.1, 0.1), own)[0]
    assert [remark.text for remark in first.remarks] == ["b", "c"]
    # All losses are the same; half of the cases have a remark.
    assert first.score == pytest.approx(1 - math.sqrt(0.5) * 0.4 * 0.7)


def test_a_case_without_a_prediction_comes_first_and_equal_scores_follow_the_loss():
    remarks = [Remark(number, "unreadable", 1.0, "x") for number in (1, 2)]
    found = ranked(cases(0.9, 0.2, 0.3, None), remarks)
    # All three have the score 1.
    assert [one.case.name for one in found] == ["case_3", "case_2", "case_1", "case_0"]


def test_the_share_of_a_loss_counts_those_as_high_and_no_missing_ones():
    assert shares_as_high([0.1, 0.5, None, 0.5, 0.2]) == [1.0, 0.5, None, 0.5, 0.75]
