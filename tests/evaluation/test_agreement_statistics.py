"""Figures of agreement against published ones, scikit-learn's and slow restatements."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from statistics import mean

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from monai_tasks.evaluation.agreement_ratings import Ratings
from monai_tasks.evaluation.agreement_statistics import AgreementStatistics, measure_agreement

# [Fleiss1971], table 1: of 30 patients, how many of 6 psychiatrists gave which of 5 diagnoses.
DIAGNOSES = (
    "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031 "
    "00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
)


def ratings(rows, subjects=None, missing=None) -> Ratings:
    """Grades (N, R), each scan of a subject of its own unless they are given; `missing` is not given."""
    grades = np.array(rows)
    given = np.ones(grades.shape, bool) if missing is None else grades != missing
    subjects = np.arange(len(grades)) if subjects is None else np.array(subjects)
    scale = tuple(range(int(grades[given].min()), int(grades[given].max()) + 1))
    names = tuple(f"rater_{k + 1}" for k in range(grades.shape[1]))
    return Ratings(names, grades, given, subjects, scale, (0,) * len(names))


@pytest.fixture
def three() -> Ratings:
    """Three raters who differ now and then, with some grades not given; two scans a subject."""
    rng = np.random.default_rng(5)
    truth = rng.integers(1, 6, 80)
    rows = np.clip(truth[:, None] + rng.choice([-1, 0, 0, 0, 1, 2], (80, 3)), 1, 5)
    rows[rng.random((80, 3)) < 0.1] = 0
    return ratings(rows, np.arange(80) // 2, missing=0)


def values(own: Ratings, rescan_from: int = 4) -> dict:
    found = AgreementStatistics(own, rescan_from)(np.ones((1, own.subject_count)))
    return {key: float(value[0]) for key, value in found.items()}


def half_up(grades) -> int:
    return int(mean(grades) + 0.5 + 1e-9)


def restated_fleiss(rows) -> float:
    """The share of agreeing pairs of raters, less what chance gives."""
    agree = mean(mean(a == b for a, b in combinations(row, 2)) for row in rows)
    votes = Counter(grade for row in rows for grade in row)
    total = sum(votes.values())
    chance = sum((count / total) ** 2 for count in votes.values())
    return (agree - chance) / (1 - chance)


def restated_kappa(first, second, weight) -> float:
    """How far two raters are apart, less how far their grades are when they are dealt out anew."""
    seen = mean(weight(a - b) for a, b in zip(first, second, strict=True))
    dealt = mean(weight(a - b) for a in first for b in second)
    return 1 - seen / dealt


def test_fleiss_kappa_is_the_published_one():
    rows = [[k for k, count in enumerate(text) for _ in range(int(count))] for text in DIAGNOSES.split()]
    assert len(rows) == 30
    assert {len(row) for row in rows} == {6}
    assert values(ratings(rows))["fleiss_kappa", None] == pytest.approx(0.430, abs=5e-4)


def test_what_is_of_all_raters(three):
    complete = [row.tolist() for row in three.grades[three.complete]]
    assert 40 < len(complete) < 80
    found = values(three)
    assert found["fleiss_kappa", None] == pytest.approx(restated_fleiss(complete))
    assert found["consensus", None] == pytest.approx(mean(len(set(row)) == 1 for row in complete))
    again = [[grade >= 4 for grade in row] for row in complete]
    split = [any(row) and not all(row) for row in again]
    assert found["rescan_disagreement", None] == pytest.approx(mean(split))
    assert found["rescan_any", None] == pytest.approx(mean(map(any, again)))
    assert found["rescan_all", None] == pytest.approx(mean(map(all, again)))
    assert found["rescan_consensus", None] == pytest.approx(mean(half_up(row) >= 4 for row in complete))
    near = [one for one, row in zip(split, complete, strict=True) if half_up(row) in (3, 4)]
    assert found["rescan_disagreement_near", None] == pytest.approx(mean(near))


def test_what_is_of_each_pair(three):
    found = values(three)
    kappas = {"kappa": [], "quadratic_kappa": []}
    for a, b in combinations(range(3), 2):
        both = three.given[:, a] & three.given[:, b]
        first, second = three.grades[both, a], three.grades[both, b]
        weighted = {
            "kappa": (None, lambda gap: int(gap != 0)),
            "quadratic_kappa": ("quadratic", lambda gap: gap**2),
        }
        for name, (weights, weight) in weighted.items():
            kappas[name].append(restated_kappa(first.tolist(), second.tolist(), weight))
            assert found[name, (a, b)] == pytest.approx(kappas[name][-1])
            assert found[name, (a, b)] == pytest.approx(cohen_kappa_score(first, second, weights=weights))
        assert found["agreement", (a, b)] == pytest.approx(np.mean(first == second))
        assert found["mean_absolute_difference", (a, b)] == pytest.approx(np.mean(np.abs(first - second)))
        assert found["mean_difference", (a, b)] == pytest.approx(np.mean(second - first))
        assert found["rescan_disagreement", (a, b)] == pytest.approx(np.mean((first >= 4) != (second >= 4)))
    for name, own in kappas.items():
        assert found[f"mean_{name}", None] == pytest.approx(mean(own))


@pytest.mark.parametrize("grades", [(0, 1), (-3, 4), (7, 9)])
def test_grades_of_any_scale(grades):
    rng = np.random.default_rng(1)
    rows = rng.choice(grades, (30, 2))
    rows[:15, 1] = rows[:15, 0]
    found = values(ratings(rows), rescan_from=grades[1])
    assert found["quadratic_kappa", (0, 1)] == pytest.approx(cohen_kappa_score(*rows.T, weights="quadratic"))
    assert found["kappa", (0, 1)] == pytest.approx(cohen_kappa_score(*rows.T))
    assert found["fleiss_kappa", None] == pytest.approx(restated_fleiss(rows.tolist()))
    assert found["rescan_disagreement", None] == pytest.approx(np.mean(rows[:, 0] != rows[:, 1]))


def test_a_weight_stands_for_copies_of_a_subject(three):
    weights = np.random.default_rng(2).integers(0, 3, three.subject_count)
    found = AgreementStatistics(three, 4)(weights[None].astype(float))
    place = [k for k in range(len(three.grades)) for _ in range(weights[three.subjects[k]])]
    rows = np.where(three.given, three.grades, 0)[place]
    copied = values(ratings(rows, missing=0))
    for key, value in found.items():
        assert float(value[0]) == pytest.approx(copied[key]), key


def test_intervals_hold_the_values_and_draw_subjects(three):
    found = measure_agreement(three, 4, resamples=400)
    again = measure_agreement(three, 4, resamples=400)
    assert found == again
    for one in found:
        assert one.low <= one.value <= one.high
        assert one.low < one.high
    pair = next(one for one in found if one.metric == "kappa" and one.pair == (0, 1))
    assert pair.n == (three.given[:, 0] & three.given[:, 1]).sum()
    # One subject's scans all count together, so that fewer subjects have wider intervals.
    few = ratings(np.where(three.given, three.grades, 0), np.arange(80) // 16, missing=0)
    wide = next(
        one
        for one in measure_agreement(few, 4, resamples=400)
        if one.metric == "consensus" and one.pair is None
    )
    narrow = next(one for one in found if one.metric == "consensus")
    assert wide.value == narrow.value
    assert (wide.low, wide.high) != (narrow.low, narrow.high)


def test_where_there_is_nothing_to_say():
    same = {(one.metric, one.pair): one for one in measure_agreement(ratings([[2, 2], [2, 2]]), 4, 100)}
    assert same["consensus", None].value == 1
    for key in (("fleiss_kappa", None), ("kappa", (0, 1)), ("rescan_disagreement_near", None)):
        assert same[key].value is same[key].low is None
    # Nobody graded what another did, but for the first and the third rater.
    apart = values(ratings([[1, 0, 3], [0, 2, 3]], missing=0))
    assert np.isnan(apart["consensus", None])
    assert np.isnan(apart["agreement", (0, 1)])
    assert apart["agreement", (0, 2)] == 0
    alone = measure_agreement(ratings([[1, 2], [3, 3]], subjects=[0, 0]), 4, 100)
    assert alone[0].value == 0.5
    assert {one.low for one in alone} == {None}
