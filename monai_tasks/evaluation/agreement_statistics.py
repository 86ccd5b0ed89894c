"""How far raters agree, for many weightings of the subjects at once, and the intervals of that."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_tasks.evaluation.agreement_ratings import Ratings
from monai_tasks.evaluation.class_statistics import from_confusion
from monai_tasks.evaluation.intervals import LEVEL, RESAMPLES
from monai_tasks.evaluation.subject_bootstrap import draws, percentile_interval

# Name of a figure, and the numbers of the two raters where it is of a pair.
Key = tuple[str, tuple[int, int] | None]

PAIRED = {
    "agreement": "accuracy",
    "kappa": "kappa",
    "quadratic_kappa": "quadratic_kappa",
    "mean_absolute_difference": "mean_absolute_error",
}
AVERAGED = ("kappa", "quadratic_kappa")


@dataclass(frozen=True)
class Agreement:
    """A figure of agreement with its interval.

    Args:
        metric: its name.
        pair: numbers of the two raters, or None where it is of all.
        value: None where it has none, as a kappa has none where all grades are the same.
        low: lower end of the interval, or None.
        high: upper end, or None.
        n: scans that it is of.
        resamples: how many resamples have a value.
    """

    metric: str
    pair: tuple[int, int] | None
    value: float | None
    low: float | None
    high: float | None
    n: int
    resamples: int


class AgreementStatistics:
    """All figures of agreement, for any weights of the subjects.

    What is of all raters is of the scans that all of them graded; what is of two, of those that both graded.

    - `consensus`: the share of scans that all raters give the same grade.
    - `fleiss_kappa`: [Fleiss1971].
    - `rescan_any`, `rescan_all`, `rescan_consensus`: the share of scans that at least one rater, every rater, or the
      rounded mean of the raters would take again.
    - `rescan_disagreement`: the share that one rater would take again and another would not.
    - `rescan_disagreement_near`: the same, of the scans whose rounded mean is `rescan_from` or one less.
    - of each pair `agreement`, Cohen's `kappa`, `quadratic_kappa` [Cohen1968], `mean_absolute_difference`,
      `mean_difference` (the second rater's grade less the first's) and `rescan_disagreement`; `mean_kappa` and
      `mean_quadratic_kappa` are their means over the pairs.

    Args:
        ratings: the grades.
        rescan_from: the lowest grade that means to scan again.
    """

    def __init__(self, ratings: Ratings, rescan_from: int) -> None:
        self._pairs = ratings.pairs
        scale, count = ratings.scale, ratings.subject_count
        # The kappas are given for three classes and more; one that nobody gave changes none of them.
        self._classes = max(len(scale), 3)
        steps = np.where(ratings.given, ratings.grades - scale[0], 0)
        limit = rescan_from - scale[0]
        self._confusion, self._difference, self._split = {}, {}, {}
        for pair in self._pairs:
            both = ratings.given[:, pair].all(axis=1)
            subjects, (first, second) = ratings.subjects[both], steps[both][:, pair].T
            cell = (subjects * self._classes + first) * self._classes + second
            counts = np.bincount(cell, minlength=count * self._classes**2)
            self._confusion[pair] = counts.reshape(count, -1).astype(np.float64)
            self._difference[pair] = _sums(subjects, second - first, count)
            self._split[pair] = _sums(subjects, (first >= limit) != (second >= limit), count)
        complete = ratings.complete
        self._whole = _Whole(steps[complete], ratings.subjects[complete], count, self._classes, limit)

    def confusion(self, pair: tuple[int, int]) -> np.ndarray:
        """How many scans have which grade of the first and of the second rater, (K, K).

        Args:
            pair: numbers of the raters.
        """
        counts = self._confusion[pair].sum(axis=0).astype(int)
        return counts.reshape(self._classes, self._classes)

    def __call__(self, weights: np.ndarray) -> dict[Key, np.ndarray]:
        """Every figure for every weighting.

        Args:
            weights: (R, S), of each subject, not negative.

        Returns:
            (R,) for each figure; NaN where it has no value.
        """
        found: dict[Key, np.ndarray] = {(name, None): value for name, value in self._whole(weights).items()}
        for pair in self._pairs:
            counts = (weights @ self._confusion[pair]).reshape(len(weights), self._classes, self._classes)
            total = counts.sum(axis=(1, 2))
            own = from_confusion(counts)
            found |= {(name, pair): own[its, None] for name, its in PAIRED.items()}
            found["mean_difference", pair] = _ratio(weights @ self._difference[pair], total)
            found["rescan_disagreement", pair] = _ratio(weights @ self._split[pair], total)
        for name in AVERAGED:
            found[f"mean_{name}", None] = np.mean([found[name, pair] for pair in self._pairs], axis=0)
        return found


class _Whole:
    """What is of all raters together, on the scans that all of them graded.

    Args:
        steps: (N, R) grades counted from the lowest.
        subjects: (N,) numbers.
        count: of the subjects.
        classes: of the grades.
        limit: the lowest step that means to scan again.
    """

    def __init__(self, steps: np.ndarray, subjects: np.ndarray, count: int, classes: int, limit: int) -> None:
        raters = steps.shape[1]
        again = steps >= limit
        # The mean, a half rounded up, in whole numbers.
        mean = (2 * steps.sum(axis=1) + raters) // (2 * raters)
        split = again.any(axis=1) & ~again.all(axis=1)
        near = (mean == limit) | (mean == limit - 1)
        shares = {
            "consensus": (steps == steps[:, :1]).all(axis=1),
            "rescan_any": again.any(axis=1),
            "rescan_all": again.all(axis=1),
            "rescan_consensus": mean >= limit,
            "rescan_disagreement": split,
        }
        self._shares = {name: _sums(subjects, values, count) for name, values in shares.items()}
        self._near = _sums(subjects, near, count), _sums(subjects, near & split, count)
        self._scans = _sums(subjects, np.ones(len(steps)), count)
        votes = (steps[:, :, None] == np.arange(classes)).sum(axis=1)
        self._votes = np.stack([_sums(subjects, votes[:, k], count) for k in range(classes)], axis=1)
        # The share of pairs of raters that agree on a scan.
        same = (votes * (votes - 1)).sum(axis=1) / (raters * (raters - 1))
        self._same = _sums(subjects, same, count)

    def __call__(self, weights: np.ndarray) -> dict[str, np.ndarray]:
        """Every figure for every weighting (R, S), as (R,)."""
        scans = weights @ self._scans
        found = {name: _ratio(weights @ sums, scans) for name, sums in self._shares.items()}
        near, split = (weights @ sums for sums in self._near)
        found["rescan_disagreement_near"] = _ratio(split, near)
        votes = weights @ self._votes
        share = _ratio(votes, votes.sum(axis=1, keepdims=True))
        by_chance = (share**2).sum(axis=1)
        found["fleiss_kappa"] = _ratio(_ratio(weights @ self._same, scans) - by_chance, 1 - by_chance)
        return found


def measure_agreement(
    ratings: Ratings, rescan_from: int, resamples: int = RESAMPLES, seed: int = 0, level: float = LEVEL
) -> list[Agreement]:
    """Every figure with its percentile bootstrap interval; subjects are drawn, with all scans of theirs.

    Args:
        ratings: the grades.
        rescan_from: the lowest grade that means to scan again.
        resamples: how many to draw.
        seed: of the draws.
        level: share of intervals that hold the true value, in the long run.

    Returns:
        Figures of all raters first, then those of each pair. One subject alone has no intervals.
    """
    statistics = AgreementStatistics(ratings, rescan_from)
    subjects, scans = ratings.subject_count, len(ratings.grades)
    points = {key: float(value[0]) for key, value in statistics(np.ones((1, subjects))).items()}
    drawn: dict[Key, list[np.ndarray]] = {key: [] for key in points}
    if subjects > 1:
        for weights in draws(subjects, scans * len(ratings.raters), resamples, seed):
            for key, values in statistics(weights).items():
                drawn[key].append(values)
    found = []
    for (metric, pair), value in points.items():
        n = int((ratings.complete if pair is None else ratings.given[:, pair].all(axis=1)).sum())
        low = high = None
        count = 0
        if np.isfinite(value) and drawn[metric, pair]:
            low, high, count = percentile_interval(np.concatenate(drawn[metric, pair]), level)
        known = value if np.isfinite(value) else None
        found.append(Agreement(metric, pair, known, low, high, n, count))
    return sorted(found, key=lambda one: one.pair is not None)


def _sums(subjects: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """(count,) sums of the values of each subject."""
    return np.bincount(subjects, weights=values, minlength=count)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """NaN where there is nothing to divide by."""
    # Rounding leaves a little where all grades are the same.
    return np.divide(
        part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=np.abs(whole) > 1e-12
    )
