"""The paragraph claims a difference where there is one, and nothing where it cannot be told."""

from __future__ import annotations

import pytest

from monai_tasks.experiments.transfer_answers import Measure
from monai_tasks.experiments.transfer_statistics import Difference, Statistics
from monai_tasks.experiments.transfer_words import answer

DICE = Measure("dice", "Dice")
SUBJECTS = {"8": 8, "16": 16, "all": 40}


def difference(
    subset: str, low: float, high: float, arm: str = "source", other: str = "scratch"
) -> Difference:
    middle = (low + high) / 2
    return Difference(subset, arm, other, middle, low, high, dict.fromkeys((0, 1, 2), middle))


def said(*differences: Difference, subjects: int = 42, left_out: int = 0, **options) -> str:
    statistics = Statistics((), differences, subjects, subjects, left_out)
    return answer(statistics, DICE, "scratch", options.pop("seeds", 3), SUBJECTS, **options)


def test_it_helps():
    text = said(difference("8", 0.02, 0.08))
    assert "Measured by Dice on 42 images of 42 test subjects, the mean over 3 seeds." in text
    assert (
        "source is better than scratch with 8 training subjects "
        "(+0.050, 95 % interval +0.020 to +0.080, above zero in each of 3 seeds)." in text
    )
    assert "worse" not in text
    assert "cannot be told" not in text


def test_it_hurts():
    text = said(difference("all", -0.08, -0.02))
    assert (
        "source is worse than scratch with all 40 training subjects "
        "(-0.050, 95 % interval -0.080 to -0.020, below zero in each of 3 seeds)." in text
    )
    assert "better" not in text


def test_it_cannot_be_told():
    text = said(difference("8", -0.03, 0.09), difference("16", -0.05, 0.01))
    assert (
        "source cannot be told from scratch with 8 and 16 training subjects "
        "(the intervals reach from -0.050 to +0.090)." in text
    )
    assert "they need not be equal" in text
    for claim in ("better", "worse", "helps", "hurts"):
        assert claim not in text


def test_an_interval_off_zero_claims_nothing_where_the_seeds_disagree():
    one = Difference("8", "source", "scratch", 0.05, 0.02, 0.08, {0: -0.01, 1: 0.11})
    text = said(one, seeds=2)
    assert "source cannot be told from scratch" in text
    assert "(the interval reaches from +0.020 to +0.080, but not every seed agrees)" in text
    assert "better" not in text
    text = said(one, difference("16", -0.01, 0.05), seeds=2)
    assert "from -0.010 to +0.080, and where they exclude zero not every seed agrees)" in text


def test_each_size_has_its_own_answer_and_the_reference_comes_first():
    text = said(
        difference("8", 0.01, 0.03, "source", "random"),
        difference("8", 0.02, 0.08),
        difference("16", -0.01, 0.05),
        difference("all", -0.05, -0.01),
    )
    assert text.index("than scratch") < text.index("than random")
    sentence = text[text.index("source is better than scratch") :].split(". ")[0]
    assert "; it is worse than scratch with all 40" in sentence
    assert "; it cannot be told from scratch with 16 training subjects (the interval reaches" in sentence
    assert "Of 4 comparisons, about 0.2 would exclude zero by chance" in text


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({}, "nor what other training subjects would change."),
        ({"seeds": 1}, "With one seed a difference may be luck"),
        ({"subjects": 5}, "Intervals of so few subjects (5) are too narrow."),
        ({"failed": 2}, "2 runs failed and are not in this"),
        ({"left_out": 1}, "Left out: 1 image that some run has no answer for."),
    ],
)
def test_what_the_intervals_do_not_hold_is_said(options, sentence):
    assert sentence in said(difference("8", 0.02, 0.08), **options)
    assert sentence not in said(difference("8", 0.02, 0.08), redraw=True)


def test_without_a_comparison_nothing_is_claimed():
    text = said(failed=3)
    assert "nothing is said about a difference" in text
    assert "3 runs failed" in text
