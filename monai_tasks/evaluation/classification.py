"""Measure a classification: every metric with its interval, and the difference of two classifications."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, brier_score_loss, confusion_matrix, roc_auc_score

from monai_tasks.evaluation.class_statistics import Key, Scores, WeightedMetrics
from monai_tasks.evaluation.intervals import RESAMPLES
from monai_tasks.evaluation.subject_bootstrap import draws, percentile_interval


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Args:
        heading: its name.
        what: what it says, in a sentence without its end.
    """

    heading: str
    what: str


METRICS = {
    "accuracy": Metric("Accuracy", "the share of cases that are decided rightly"),
    "sensitivity": Metric(
        "Sensitivity", "the share of the cases of a class that are decided for it (recall)"
    ),
    "specificity": Metric("Specificity", "the share of all other cases that are not"),
    "precision": Metric("Precision", "the share of those decided for a class that are of it"),
    "f1": Metric("F1", "the harmonic mean of sensitivity and precision"),
    "auroc": Metric(
        "AUROC",
        "the share of pairs, one case of the class and one of the rest, that its probability orders rightly",
    ),
    "average_precision": Metric(
        "Average precision", "the mean precision over all thresholds, which a class that is rare makes low"
    ),
    "kappa": Metric("Kappa", "agreement beyond chance"),
    "quadratic_kappa": Metric(
        "Quadratic kappa", "the same, where a decision two classes off counts four times one"
    ),
    "mean_absolute_error": Metric("Mean absolute error", "how many classes off decisions are"),
    "brier": Metric("Brier score", "the mean squared error of the probabilities; 0 is best"),
    "calibration_error": Metric(
        "Calibration error",
        "how far the probabilities of ten bins are from the shares that came true, on average",
    ),
}
MACRO = "macro_"
# A sum of absolute differences grows in nearly every resample, so that percentiles would lie above the value.
WITHOUT_INTERVAL = ("calibration_error",)
# What the difference of two runs is taken of.
COMPARED = ("auroc", "macro_auroc", "accuracy", "kappa")


def heading(metric: str) -> str:
    """How a metric is called for people.

    Args:
        metric: a key of `METRICS`, with `macro_` in front for a mean over the classes.
    """
    own = METRICS[metric.removeprefix(MACRO)].heading
    return f"{own}, mean of classes" if metric.startswith(MACRO) else own


@dataclass(frozen=True)
class Measure:
    """A metric, its interval and what these rest on.

    Args:
        metric: a key of `METRICS`, or one with `macro_` in front.
        number: of the class, where the metric is of one of several.
        value: None where it has none.
        low: lower end of the interval, or None.
        high: upper end, or None.
        resamples: how many resamples have a value; others lack a class.
    """

    metric: str
    number: int | None
    value: float | None
    low: float | None
    high: float | None
    resamples: int


def confusion(scores: Scores) -> np.ndarray:
    """Counts of decisions, (K, K): true class by decision.

    Args:
        scores: the table.
    """
    return confusion_matrix(scores.labels, scores.decisions, labels=range(scores.classes))


def measure(scores: Scores, resamples: int = RESAMPLES, seed: int = 0) -> list[Measure]:
    """Every metric with its percentile bootstrap interval; subjects are drawn, with all cases of theirs.

    Args:
        scores: the table.
        resamples: how many to draw.
        seed: of the draws.

    Returns:
        Metrics of all classes first. One subject alone has no intervals, nor has the calibration error.
    """
    points = _points(scores)
    drawn = _resampled([scores], resamples, seed)
    drawn |= {(name, None): [] for name in WITHOUT_INTERVAL}
    found = [
        Measure(*key, _known(value), *_interval(values[0] for values in drawn[key]))
        for key, value in points.items()
    ]
    return sorted(found, key=lambda one: one.number is not None)


@dataclass(frozen=True)
class Difference:
    """A metric of two runs on the same cases.

    Args:
        metric: a key of `METRICS`, or one with `macro_` in front.
        value: of the first run.
        other: of the second.
        difference: the first less the second.
        low: lower end of the interval of the difference, or None.
        high: upper end, or None.
        resamples: how many resamples have a value.
    """

    metric: str
    value: float | None
    other: float | None
    difference: float | None
    low: float | None
    high: float | None
    resamples: int


def compare(
    first: Scores,
    second: Scores,
    resamples: int = RESAMPLES,
    seed: int = 0,
    metrics: Sequence[str] = COMPARED,
) -> list[Difference]:
    """The difference of two classifications of the same cases, with paired intervals.

    Each resample draws subjects for both, so that what is hard for both does not widen the interval.

    Args:
        first: a table.
        second: one of the same cases in the same order.
        resamples: how many to draw.
        seed: of the draws.
        metrics: of all classes together; those that the tables have are compared.

    Returns:
        The differences; without `metrics` those of AUROC (of several classes its mean), accuracy
        and kappa.

    Raises:
        ValueError: when the tables are not of the same cases.
    """
    same = all(np.array_equal(getattr(first, name), getattr(second, name)) for name in ("labels", "subjects"))
    if not same or first.classes != second.classes:
        raise ValueError("two tables of different cases; expected the same cases in the same order")
    points = _points(first), _points(second)
    drawn = _resampled([first, second], resamples, seed)
    differences = []
    for name in metrics:
        if (key := (name, None)) in points[0]:
            own, other = (_known(values[key]) for values in points)
            gap = None if own is None or other is None else own - other
            interval = _interval(one - two for one, two in drawn[key])
            differences.append(Difference(name, own, other, gap, *interval))
    return differences


def _points(scores: Scores) -> dict[Key, float]:
    """The metrics of the cases as they are: by scikit-learn where it has them."""
    weighted = WeightedMetrics(scores)(np.ones((1, scores.subject_count)))
    points = {key: float(values[0]) for key, values in weighted.items()}
    for number in scores.ranked:
        true, values = scores.labels == number, scores.probabilities[:, number]
        if true.all() or not true.any():
            continue
        key = None if scores.classes == 2 else number
        points["auroc", key] = float(roc_auc_score(true, values))
        points["average_precision", key] = float(average_precision_score(true, values))
    if scores.classes == 2 and scores.calibrated:
        points["brier", None] = float(
            brier_score_loss(scores.labels, scores.probabilities[:, 1], pos_label=1)
        )
    return points


def _resampled(tables: Sequence[Scores], resamples: int, seed: int) -> dict[Key, list[np.ndarray]]:
    """For each metric that all tables have: arrays (T, B), a batch of resamples each."""
    metrics = [WeightedMetrics(scores) for scores in tables]
    subjects, rows = tables[0].subject_count, len(tables[0].labels)
    found: dict[Key, list[np.ndarray]] = defaultdict(list)
    if subjects < 2:  # drawn again, it is the same
        return found
    for weights in draws(subjects, rows, resamples, seed):
        values = [own(weights) for own in metrics]
        for key in values[0]:
            if all(key in one for one in values):
                found[key].append(np.stack([one[key] for one in values]))
    return found


def _interval(batches: Iterable[np.ndarray]) -> tuple[float | None, float | None, int]:
    values = list(batches)
    return percentile_interval(np.concatenate(values)) if values else (None, None, 0)


def _known(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
