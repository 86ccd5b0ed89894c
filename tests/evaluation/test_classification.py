"""Metrics of classifications against slow restatements, and intervals against resamples that are written out."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score, f1_score, precision_score, recall_score

from monai_tasks.evaluation.class_statistics import Scores, WeightedMetrics
from monai_tasks.evaluation.classification import compare, confusion, heading, measure
from monai_tasks.evaluation.subject_bootstrap import draws, percentile_interval


def drawn(classes: int, seed: int, cases: int = 60, subjects: int = 20) -> Scores:
    """A table in which several cases share a probability."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, cases)
    scores = rng.random((cases, classes)) + 0.3 * np.eye(classes)[labels]
    probabilities = np.round(scores / scores.sum(axis=1, keepdims=True), 1)
    probabilities[:, 0] = 1 - probabilities[:, 1:].sum(axis=1)
    decisions = (probabilities[:, 1] >= 0.45).astype(int) if classes == 2 else probabilities.argmax(axis=1)
    return Scores.of(
        labels, np.clip(probabilities, 0, 1), decisions, [str(n % subjects) for n in range(cases)]
    )


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else math.nan


def area(true: list[bool], values: list[float]) -> float:
    """The share of pairs that are ordered rightly; half of those that are level."""
    pairs = [
        (a, b)
        for a, one in zip(values, true, strict=True)
        if one
        for b, two in zip(values, true, strict=True)
        if not two
    ]
    return ratio(sum((a > b) + (a == b) / 2 for a, b in pairs), len(pairs))


def average_precision(true: list[bool], values: list[float]) -> float:
    """What each threshold finds beyond the one above it, times its precision."""
    total, before = 0.0, 0
    for limit in sorted(set(values), reverse=True):
        named = [one for one, value in zip(true, values, strict=True) if value >= limit]
        total += (sum(named) - before) * sum(named) / len(named)
        before = sum(named)
    return ratio(total, sum(true)) if not all(true) else math.nan


def counted(labels: list[int], decisions: list[int], number: int) -> dict[str, float]:
    pairs = list(zip(labels, decisions, strict=True))
    found = sum(label == number and decision == number for label, decision in pairs)
    missed = sum(label == number and decision != number for label, decision in pairs)
    wrong = sum(label != number and decision == number for label, decision in pairs)
    left = len(pairs) - found - missed - wrong
    return {
        "sensitivity": ratio(found, found + missed),
        "specificity": ratio(left, left + wrong),
        "precision": ratio(found, found + wrong),
        "f1": ratio(2 * found, 2 * found + missed + wrong),
    }


def kappa(labels: list[int], decisions: list[int], weight) -> float:
    """Disagreement over that of decisions dealt out anew."""
    seen = sum(weight(a - b) for a, b in zip(labels, decisions, strict=True)) / len(labels)
    dealt = sum(weight(a - b) for a in labels for b in decisions) / len(labels) ** 2
    return 1 - seen / dealt if dealt else math.nan


def restated(scores: Scores, rows: list[int]) -> dict[tuple[str, int | None], float]:
    """All metrics of some rows of a table, which may be there several times."""
    labels, decisions = ([int(array[row]) for row in rows] for array in (scores.labels, scores.decisions))
    values = [scores.probabilities[row].tolist() for row in rows]
    classes = scores.classes
    found = {("accuracy", None): sum(map(int.__eq__, labels, decisions)) / len(rows)}
    found["kappa", None] = kappa(labels, decisions, bool)
    per_class = {}
    for number in range(classes):
        true = [label == number for label in labels]
        own = [value[number] for value in values]
        per_class[number] = counted(labels, decisions, number)
        per_class[number] |= {"auroc": area(true, own), "average_precision": average_precision(true, own)}
    if classes == 2:
        found |= {(name, None): value for name, value in per_class[1].items()}
        said, came = [value[1] for value in values], labels
        found["brier", None] = sum((a - b) ** 2 for a, b in zip(said, came, strict=True)) / len(rows)
    else:
        found |= {(name, k): value for k, own in per_class.items() for name, value in own.items()}
        there = sorted(set(labels))
        for name in per_class[0]:
            # Nothing decided for a class that is there: its precision counts as 0 in the mean.
            zero = 0.0 if name == "precision" else math.nan
            means = [zero if math.isnan(per_class[k][name]) else per_class[k][name] for k in there]
            known = [value for value in means if not math.isnan(value)]
            found[f"macro_{name}", None] = ratio(sum(known), len(known))
        found["quadratic_kappa", None] = kappa(labels, decisions, lambda gap: gap**2)
        found["mean_absolute_error", None] = sum(
            abs(a - b) for a, b in zip(labels, decisions, strict=True)
        ) / len(rows)
        said = [max(value) for value in values]
        came = [value.index(max(value)) == label for value, label in zip(values, labels, strict=True)]
        errors = [
            sum((p - (k == label)) ** 2 for k, p in enumerate(value))
            for value, label in zip(values, labels, strict=True)
        ]
        found["brier", None] = sum(errors) / len(rows)
    error = 0.0
    for place in range(10):
        edges = np.linspace(0, 1, 11)
        held = [
            n for n, p in enumerate(said) if edges[place] < p <= edges[place + 1] or (p == 0 and place == 0)
        ]
        error += abs(sum(said[n] for n in held) - sum(came[n] for n in held))
    found["calibration_error", None] = error / len(rows)
    return found


@pytest.mark.parametrize("classes", [2, 3, 5])
@pytest.mark.parametrize("seed", range(3))
def test_metrics_are_what_counting_gives(classes, seed):
    scores = drawn(classes, seed)
    expected = restated(scores, list(range(len(scores.labels))))
    found = {(one.metric, one.number): one.value for one in measure(scores, resamples=2)}
    assert found == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize("classes", [2, 3])
def test_weights_stand_for_rows_that_are_there_several_times(classes):
    scores = drawn(classes, 5, cases=30, subjects=8)
    weights = np.random.default_rng(0).integers(0, 4, (6, 8)).astype(float)
    weights[0] = [5, 0, 0, 0, 0, 0, 0, 0]
    found = WeightedMetrics(scores)(weights)
    for place, own in enumerate(weights):
        rows = [row for row, subject in enumerate(scores.subjects) for _ in range(int(own[subject]))]
        assert {key: values[place] for key, values in found.items()} == pytest.approx(
            restated(scores, rows), nan_ok=True
        )


def test_the_kappa_of_two_classes_is_that_of_scikit_learn():
    scores = drawn(2, 4)
    found = {one.metric: one.value for one in measure(scores, resamples=2)}
    assert found["kappa"] == pytest.approx(cohen_kappa_score(scores.labels, scores.decisions))
    alike = Scores(scores.labels, scores.probabilities, np.zeros_like(scores.labels), scores.subjects)
    assert {one.metric: one.value for one in measure(alike, resamples=2)}["kappa"] == 0


def test_means_over_classes_are_those_of_scikit_learn():
    scores = drawn(4, 1)
    # No case of the last class, and none decided for the third.
    keep = scores.labels < 3
    decisions = np.where(scores.decisions == 2, 0, scores.decisions)[keep]
    labels = scores.labels[keep]
    cut = Scores(labels, scores.probabilities[keep], decisions, np.arange(keep.sum()))
    found = {one.metric: one.value for one in measure(cut, resamples=2) if one.number is None}
    options = {"labels": np.unique(labels), "average": "macro", "zero_division": 0}
    for name, function in (("f1", f1_score), ("precision", precision_score), ("sensitivity", recall_score)):
        assert found[f"macro_{name}"] == pytest.approx(function(labels, decisions, **options))
    assert found["kappa"] == pytest.approx(cohen_kappa_score(labels, decisions))
    assert found["quadratic_kappa"] == pytest.approx(
        cohen_kappa_score(labels, decisions, weights="quadratic")
    )


def test_intervals_are_percentiles_of_resampled_patients():
    scores = drawn(2, 7, cases=30, subjects=10)
    own = []
    for batch in draws(10, 30, resamples=300, seed=3):
        for counts in batch:
            rows = [row for row, subject in enumerate(scores.subjects) for _ in range(int(counts[subject]))]
            assert len(rows) == 30
            own.append(restated(scores, rows))
    for one in measure(scores, resamples=300, seed=3):
        values = [metrics[one.metric, None] for metrics in own]
        if one.metric == "calibration_error":
            assert (one.low, one.high) == (None, None)
            continue
        assert (one.low, one.high) == pytest.approx(tuple(np.nanpercentile(values, [2.5, 97.5])))
        assert one.resamples == np.isfinite(values).sum()


def test_alike_images_of_a_patient_do_not_narrow_the_interval():
    scores = drawn(2, 2, cases=40, subjects=40)
    four = Scores(
        *(np.repeat(array, 4, axis=0) for array in vars(scores).values() if isinstance(array, np.ndarray))
    )
    alone = Scores(four.labels, four.probabilities, four.decisions, np.arange(160))
    widths = [
        {one.metric: one.high - one.low for one in measure(table, seed=1) if one.low is not None}
        for table in (scores, four, alone)
    ]
    assert widths[1] == pytest.approx(widths[0])
    assert all(widths[2][name] < 0.7 * widths[0][name] for name in ("accuracy", "auroc", "brier"))


def test_resamples_of_one_class_are_left_out_and_counted():
    # Each of three patients has one image; one of them is of class 1.
    scores = Scores.of([1, 0, 0], [[0.2, 0.8], [0.9, 0.1], [0.4, 0.6]], [1, 0, 1], ["a", "b", "c"])
    found = {one.metric: one for one in measure(scores, resamples=4000)}
    # All of them lack it in 8 of 27 resamples, and in one of 27 have it only.
    assert found["auroc"].resamples == pytest.approx(4000 * 18 / 27, abs=150)
    assert found["accuracy"].resamples == 4000
    assert (found["auroc"].value, found["auroc"].low) == (1.0, 1.0)
    # With the class in one patient of a thousand, fewer than half would be an interval of lucky ones.
    rare = Scores.of([1] + [0] * 9, [[0.5, 0.5]] * 10, [0] * 10, ["a"] + ["b"] * 9)
    found = {one.metric: one for one in measure(rare, resamples=400)}
    assert found["auroc"].resamples == pytest.approx(200, abs=40)
    one_class = {
        one.metric: one
        for one in measure(Scores.of([0] * 3, [[0.5, 0.5]] * 3, [0, 1, 0], list("abc")), resamples=50)
    }
    assert [one_class[name].value for name in ("auroc", "average_precision", "sensitivity", "f1")] == [
        None,
        None,
        None,
        0,
    ]
    assert (one_class["auroc"].low, one_class["auroc"].resamples) == (None, 0)


def test_too_few_resamples_with_a_value_give_no_interval():
    scores = Scores.of([1, 0, 1], [[0.5, 0.5]] * 3, [0] * 3, ["a", "b", "b"])
    weights = np.array([[2.0, 0.0]] * 3)
    assert np.isnan(WeightedMetrics(scores)(weights)["auroc", None]).all()
    assert percentile_interval(np.array([0.5, 0.6, np.nan, np.nan])) == (
        pytest.approx(0.5025),
        pytest.approx(0.5975),
        2,
    )
    assert percentile_interval(np.array([0.5, np.nan, np.nan])) == (None, None, 1)
    assert percentile_interval(np.array([])) == (None, None, 0)


def test_a_single_patient_has_no_interval():
    scores = Scores.of([1, 0], [[0.2, 0.8], [0.9, 0.1]], [1, 0], ["a", "a"])
    assert {(one.low, one.high, one.resamples) for one in measure(scores)} == {(None, None, 0)}


def test_the_same_seed_gives_the_same_intervals():
    scores = drawn(2, 0)
    assert measure(scores, resamples=100, seed=4) == measure(scores, resamples=100, seed=4)
    assert measure(scores, resamples=100, seed=4) != measure(scores, resamples=100, seed=5)


def test_the_difference_of_two_runs_is_paired():
    first = drawn(2, 3, cases=80, subjects=40)
    # The second is a little worse, on the same hard cases.
    values = first.probabilities[:, 1] * 0.98 + 0.02 * np.random.default_rng(1).random(80)
    second = Scores(
        first.labels, np.stack([1 - values, values], axis=1), (values >= 0.45).astype(int), first.subjects
    )
    found = {one.metric: one for one in compare(first, second, resamples=500, seed=2)}
    assert set(found) == {"auroc", "accuracy", "kappa"}
    apart = [{one.metric: one for one in measure(table, resamples=500, seed=2)} for table in (first, second)]
    for name, one in found.items():
        assert (one.value, one.other) == (apart[0][name].value, apart[1][name].value)
        assert one.difference == pytest.approx(one.value - one.other)
        assert one.low <= one.difference <= one.high
        assert one.high - one.low < 0.7 * (apart[0][name].high - apart[0][name].low)
    own = []
    for batch in draws(40, 80, 500, seed=2):
        values = [WeightedMetrics(table)(batch)["auroc", None] for table in (first, second)]
        own += (values[0] - values[1]).tolist()
    assert (found["auroc"].low, found["auroc"].high) == pytest.approx(tuple(np.percentile(own, [2.5, 97.5])))
    same = compare(first, first, resamples=50)
    assert {(one.difference, one.low, one.high) for one in same} == {(0.0, 0.0, 0.0)}
    assert [one.metric for one in compare(drawn(3, 0), drawn(3, 0), resamples=5)] == [
        "macro_auroc",
        "accuracy",
        "kappa",
    ]


def test_runs_on_other_cases_are_not_compared():
    first = drawn(2, 3)
    for second in (drawn(2, 4), drawn(2, 3, cases=50)):
        with pytest.raises(ValueError, match="expected the same cases in the same order"):
            compare(first, second)


def test_votes_have_no_calibration():
    scores = drawn(2, 0)
    votes = Scores(scores.labels, scores.probabilities, scores.decisions, scores.subjects, calibrated=False)
    names = {one.metric for one in measure(scores, resamples=2)} - {
        one.metric for one in measure(votes, resamples=2)
    }
    assert names == {"brier", "calibration_error"}


def test_confusion_counts_the_true_class_by_the_decision():
    scores = Scores.of([0, 0, 1, 2], np.full((4, 3), 1 / 3), [0, 1, 1, 1], list("abcd"))
    assert confusion(scores).tolist() == [[1, 1, 0], [0, 1, 0], [0, 1, 0]]
    assert heading("macro_auroc") == "AUROC, mean of classes"


@pytest.mark.parametrize(
    ("lists", "message"),
    [
        (([], np.zeros((0, 2)), [], []), "at least one case"),
        (([0, 1], [[0.5, 0.5]], [0], ["a"]), r"lists of \[1, 2\] cases"),
        (([2], [[0.5, 0.5]], [0], ["a"]), r"classes \[2\]; expected 0 to 1"),
        (([0], [[0.5, 0.5]], [-1], ["a"]), r"classes \[-1\]"),
    ],
)
def test_lists_that_are_no_table_are_refused(lists, message):
    with pytest.raises(ValueError, match=message):
        Scores.of(*lists)
