"""The probability from which on a case counts as positive, chosen on cases with known labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.metrics import roc_curve

FILE = "operating_point.json"  # beside the weights it takes the place of the config's `operating_point`
YOUDEN, SENSITIVITY = "youden", "sensitivity"
RULES = f"{YOUDEN}, or {SENSITIVITY}:X with X above 0 and at most 1"


@dataclass(frozen=True)
class OperatingPoint:
    """A threshold and how it does on the cases that it was chosen on.

    Args:
        threshold: a case is positive where its probability is at least this.
        rule: how it was chosen.
        n: cases that it was chosen on.
        positives: how many of them are positive.
        sensitivity: share of these at or above the threshold.
        specificity: share of the others below it.
    """

    threshold: float
    rule: str
    n: int
    positives: int
    sensitivity: float
    specificity: float

    def content(self, part: str) -> dict[str, Any]:
        """What `operating_point.json` holds.

        Args:
            part: of the datalist that the cases are from.
        """
        own = asdict(self)
        return {"threshold": own.pop("threshold"), "rule": own.pop("rule"), "part": part, **own}


def choose_threshold(
    labels: Sequence[int] | np.ndarray, probabilities: Sequence[float] | np.ndarray, rule: str = YOUDEN
) -> OperatingPoint:
    """Choose the operating point of a binary classifier [Youden1950].

    `youden` takes the largest sum of sensitivity and specificity, and of equal ones that of the highest sensitivity;
    `sensitivity:X` takes the highest specificity at which the sensitivity is at least X. The threshold lies half way
    between the lowest probability that is positive by it and the next below, so that rounding turns no decision.

    Args:
        labels: (N,), 0 or 1.
        probabilities: (N,), of class 1.
        rule: `youden` or `sensitivity:X`.

    Returns:
        The threshold, and what it reaches on these cases.

    Raises:
        ValueError: when there is no such rule, the two differ in length, a value is out of range, or one class is not
            among the labels.
    """
    wanted = parse_rule(rule)
    true, scores = np.asarray(labels), np.asarray(probabilities, dtype=np.float64)
    if true.ndim != 1 or true.shape != scores.shape:
        raise ValueError(f"labels {true.shape}, probabilities {scores.shape}; expected one of each a case")
    if not np.isin(true, (0, 1)).all():
        raise ValueError(f"labels {np.unique(true).tolist()}; expected 0 and 1")
    if not ((scores >= 0) & (scores <= 1)).all():  # NaN is refused too
        raise ValueError("a probability that is no number from 0 to 1; expected such only")
    positives = int(true.sum())
    if not 0 < positives < len(true):
        raise ValueError(f"{positives} of {len(true)} cases are positive; expected cases of both classes")
    false_share, true_share, thresholds = roc_curve(true, scores, drop_intermediate=False)
    # In whole cases, so that equal sums are equal. The first point is above all scores, and no threshold for use.
    negatives = len(true) - positives
    false_positives = np.rint(false_share * negatives).astype(int)[1:]
    true_positives = np.rint(true_share * positives).astype(int)[1:]
    if wanted is None:
        gain = true_positives * negatives - false_positives * positives
        place = int(np.flatnonzero(gain == gain.max())[-1])
    else:
        # 0.95 of 20 cases are 19, whatever the product's last digit.
        place = int(np.argmax(true_positives >= wanted * positives - 1e-9))
    lowest = thresholds[1:]
    below = lowest[place + 1] if place + 1 < len(lowest) else 0.0
    middle = (lowest[place] + below) / 2
    return OperatingPoint(
        # Neighbouring numbers have none between them.
        threshold=float(middle if middle > below else lowest[place]),
        rule=rule,
        n=len(true),
        positives=positives,
        sensitivity=float(true_positives[place] / positives),
        specificity=float(1 - false_positives[place] / negatives),
    )


def parse_rule(rule: str) -> float | None:
    """The sensitivity that a rule asks for, or None for `youden`.

    Args:
        rule: as for `choose_threshold`.

    Raises:
        ValueError: when there is no such rule.
    """
    if rule == YOUDEN:
        return None
    name, _, text = rule.partition(":")
    try:
        wanted = float(text)
    except ValueError:
        wanted = -1.0
    if name != SENSITIVITY or not 0 < wanted <= 1:
        raise ValueError(f"rule {rule!r}; expected {RULES}")
    return wanted
