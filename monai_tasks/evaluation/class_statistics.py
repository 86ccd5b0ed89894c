"""The metrics of a classification for many weightings of its patients at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

BINS = 10  # of the probability, equally wide, for the calibration error and the reliability diagram

# Name of a metric, and the class it is of where it is one of several.
Key = tuple[str, int | None]


@dataclass(frozen=True)
class Scores:
    """What was predicted of cases whose class is known.

    Args:
        labels: (N,) numbers of the true classes.
        probabilities: (N, K), one a class.
        decisions: (N,) numbers of the classes decided for.
        subjects: (N,) who each case is of, numbered from 0 without gaps.
        calibrated: whether the probabilities are meant as such; votes are not.
    """

    labels: np.ndarray
    probabilities: np.ndarray
    decisions: np.ndarray
    subjects: np.ndarray
    calibrated: bool = True

    @classmethod
    def of(
        cls,
        labels: Sequence[int],
        probabilities: Sequence[Sequence[float]],
        decisions: Sequence[int],
        subjects: Sequence[str],
        calibrated: bool = True,
    ) -> Scores:
        """Take lists, with subjects by name.

        Raises:
            ValueError: when there is no case, the lengths differ or a class is not among the probabilities.
        """
        numbers = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)[1]
        scores = cls(
            np.asarray(labels, dtype=int),
            np.asarray(probabilities, dtype=np.float64),
            np.asarray(decisions, dtype=int),
            numbers.ravel(),
            calibrated,
        )
        lengths = {len(array) for array in (scores.labels, scores.probabilities, scores.decisions, numbers)}
        if len(lengths) > 1 or not len(scores.labels) or scores.probabilities.ndim != 2:
            raise ValueError(
                f"lists of {sorted(lengths)} cases; expected one of each a case, and at least one case"
            )
        for array in (scores.labels, scores.decisions):
            if array.min() < 0 or array.max() >= scores.classes:
                raise ValueError(f"classes {np.unique(array).tolist()}; expected 0 to {scores.classes - 1}")
        return scores

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return self.probabilities.shape[1]

    @cached_property
    def subject_count(self) -> int:
        """How many subjects there are."""
        return int(self.subjects.max()) + 1

    @property
    def ranked(self) -> list[int]:
        """The classes that have curves: the second of two, each of more."""
        return [1] if self.classes == 2 else list(range(self.classes))

    @property
    def confidence(self) -> tuple[np.ndarray, np.ndarray]:
        """A probability for each case and whether what it is of came true.

        Of two classes it is that of the second, of more that of the most probable class.
        """
        if self.classes == 2:
            return self.probabilities[:, 1], self.labels == 1
        return self.probabilities.max(axis=1), self.probabilities.argmax(axis=1) == self.labels


class WeightedMetrics:
    """All metrics of a table, for any weights of its subjects.

    Sums over the cases of each subject are taken once, and the cases are sorted once.

    Args:
        scores: the table.
    """

    def __init__(self, scores: Scores) -> None:
        self._scores = scores
        classes, subjects = scores.classes, scores.subjects
        cell = (subjects * classes + scores.labels) * classes + scores.decisions
        self._confusion = np.bincount(cell, minlength=scores.subject_count * classes**2)
        self._confusion = self._confusion.reshape(scores.subject_count, classes**2).astype(np.float64)
        self._curves = {number: _Ranking(scores, number) for number in scores.ranked}
        self._brier = np.bincount(subjects, weights=brier(scores))
        confidence, came_true = scores.confidence
        # The edges of scikit-learn's calibration_curve, which the diagram is drawn by.
        place = subjects * BINS + np.searchsorted(np.linspace(0, 1, BINS + 1)[1:-1], confidence)
        # Over- and underconfidence of the cases of a bin cancel out, so their differences are summed first.
        self._excess = np.bincount(
            place, weights=confidence - came_true, minlength=scores.subject_count * BINS
        )
        self._excess = self._excess.reshape(scores.subject_count, BINS)
        self._cases = np.bincount(subjects).astype(np.float64)

    def __call__(self, weights: np.ndarray) -> dict[Key, np.ndarray]:
        """Every metric for every weighting.

        Args:
            weights: (R, S), of each subject, not negative.

        Returns:
            (R,) for each metric; NaN where it has no value.
        """
        classes = self._scores.classes
        metrics = from_confusion((weights @ self._confusion).reshape(len(weights), classes, classes))
        ranks = {number: curve(weights[:, self._scores.subjects]) for number, curve in self._curves.items()}
        for place, name in enumerate(("auroc", "average_precision")):
            own = {number: pair[place] for number, pair in ranks.items()}
            if classes == 2:
                metrics[name, None] = own[1]
                continue
            metrics |= {(name, number): values for number, values in own.items()}
            metrics[f"macro_{name}", None] = _mean(np.stack(list(own.values()), axis=-1))
        if self._scores.calibrated:
            total = weights @ self._cases
            metrics["brier", None] = _ratio(weights @ self._brier, total)
            metrics["calibration_error", None] = _ratio(np.abs(weights @ self._excess).sum(axis=1), total)
        return metrics


def brier(scores: Scores) -> np.ndarray:
    """The squared error of each case's probabilities, (N,).

    Of two classes it is that of the second, from 0 to 1; of more the sum over the classes, from 0 to 2.

    Args:
        scores: the table.
    """
    if scores.classes == 2:
        return (scores.probabilities[:, 1] - scores.labels) ** 2
    return ((scores.probabilities - np.eye(scores.classes)[scores.labels]) ** 2).sum(axis=1)


def from_confusion(confusion: np.ndarray) -> dict[Key, np.ndarray]:
    """The metrics that counts of decisions give.

    A ratio with nothing to divide by has no value. Means over classes (`macro_...`) are over those that are in the
    references; a class among them that nothing was decided for has the precision 0 there, as in scikit-learn.

    Args:
        confusion: (..., K, K) counts, true class by decision.

    Returns:
        (...) for each metric; of two classes those of the second.
    """
    classes = confusion.shape[-1]
    true, decided = confusion.sum(axis=-1), confusion.sum(axis=-2)
    total = true.sum(axis=-1)
    right = np.diagonal(confusion, axis1=-2, axis2=-1)
    rest = total[..., None] - true
    own = {
        "sensitivity": _ratio(right, true),
        "specificity": _ratio(rest - (decided - right), rest),
        "precision": _ratio(right, decided),
        "f1": _ratio(2 * right, true + decided),
    }
    number = np.arange(classes)
    distance = np.abs(number[:, None] - number)
    expected = true[..., :, None] * decided[..., None, :]

    def kappa(weight: np.ndarray) -> np.ndarray:
        found = (weight * confusion).sum(axis=(-2, -1)) * total
        return 1 - _ratio(found, (weight * expected).sum(axis=(-2, -1)))

    metrics: dict[Key, np.ndarray] = {("accuracy", None): _ratio(right.sum(axis=-1), total)}
    metrics["kappa", None] = kappa(distance > 0)
    if classes == 2:  # whose quadratic kappa is the same
        return metrics | {(name, None): values[..., 1] for name, values in own.items()}
    metrics |= {(name, k): values[..., k] for name, values in own.items() for k in range(classes)}
    own["precision"] = np.nan_to_num(own["precision"])
    for name, values in own.items():
        metrics[f"macro_{name}", None] = _mean(np.where(true > 0, values, np.nan))
    metrics["quadratic_kappa", None] = kappa(distance**2)
    metrics["mean_absolute_error", None] = _ratio((distance * confusion).sum(axis=(-2, -1)), total)
    return metrics


class _Ranking:
    """The cases in falling order of the probability of one class.

    Args:
        scores: the table.
        number: of the class; all others are its rest.
    """

    def __init__(self, scores: Scores, number: int) -> None:
        values = scores.probabilities[:, number]
        self._order = np.argsort(-values, kind="stable")
        self._true = (scores.labels == number)[self._order].astype(np.float64)
        # Cases of one probability are one step of the curves: none of them is ahead of another.
        ordered = values[self._order]
        ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        self._ends = None if len(ends) == len(values) else ends

    def __call__(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Area under the ROC curve and average precision, (R,) each, for the weights (R, N) of the cases."""
        ordered = weights[:, self._order]
        above = np.cumsum(ordered, axis=1)
        found = np.cumsum(ordered * self._true, axis=1)
        if self._ends is not None:
            above, found = above[:, self._ends], found[:, self._ends]
        true, total = found[:, -1], above[:, -1]
        steps = np.diff(found, axis=1, prepend=0)
        average = np.divide(found, above, out=np.zeros_like(found), where=above > 0)
        average = _ratio(np.einsum("rn,rn->r", steps, average), true)
        # Each true case is ahead of the false ones after it, and level with those of its own step.
        false = above - found
        middle = false - np.diff(false, axis=1, prepend=0) / 2
        behind = np.einsum("rn,rn->r", steps, (total - true)[:, None] - middle)
        average[true == total] = np.nan  # without false cases there is nothing to find them among
        return _ratio(behind, true * (total - true)), average


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """NaN where there is nothing to divide by."""
    return np.divide(part, whole, out=np.full(np.broadcast(part, whole).shape, np.nan), where=whole > 0)


def _mean(values: np.ndarray) -> np.ndarray:
    """The mean of the known values of the last axis."""
    known = np.isfinite(values)
    return _ratio(np.where(known, values, 0.0).sum(axis=-1), known.sum(axis=-1))
