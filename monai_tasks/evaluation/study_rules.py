"""From the images of a study to an answer for the study: one is enough, or the most votes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

AT_LEAST_ONE, MAJORITY = "at_least_one", "majority"


@dataclass(frozen=True)
class StudyScore:
    """What a rule says of a study.

    Args:
        probabilities: (K,); votes are shares of the images.
        decision: number of the class decided for.
    """

    probabilities: tuple[float, ...]
    decision: int


def at_least_one(probabilities: np.ndarray, decisions: np.ndarray) -> StudyScore:
    """A study is positive if any of its images is; its probability is the highest of theirs.

    Args:
        probabilities: (N, 2), of the images of one study.
        decisions: (N,), 0 or 1.

    Raises:
        ValueError: when there are no images, or other than two classes: of several none is the positive one.
    """
    _check(probabilities, decisions)
    if probabilities.shape[1] != 2:
        raise ValueError(f"{probabilities.shape[1]} classes; expected 2 for a rule with a positive class")
    highest = float(probabilities[:, 1].max())
    return StudyScore((1 - highest, highest), int(decisions.max()))


def majority(probabilities: np.ndarray, decisions: np.ndarray) -> StudyScore:
    """A study is of the class that most of its images are decided for.

    Of two classes the second needs more than half of the votes. Of several classes with equal votes the one with the
    higher mean probability is taken.

    Args:
        probabilities: (N, K), of the images of one study.
        decisions: (N,), numbers of classes.

    Raises:
        ValueError: when there are no images.
    """
    _check(probabilities, decisions)
    votes = np.bincount(decisions, minlength=probabilities.shape[1]) / len(decisions)
    if len(votes) == 2:
        return StudyScore(tuple(votes.tolist()), int(votes[1] > 0.5))
    most = np.flatnonzero(votes == votes.max())
    winner = most[np.argmax(probabilities.mean(axis=0)[most])]
    return StudyScore(tuple(votes.tolist()), int(winner))


def rules(classes: int) -> dict[str, Callable[[np.ndarray, np.ndarray], StudyScore]]:
    """The rules that there are for a number of classes, by name.

    Args:
        classes: how many classes there are.
    """
    both = {AT_LEAST_ONE: at_least_one, MAJORITY: majority}
    return both if classes == 2 else {MAJORITY: majority}


def _check(probabilities: np.ndarray, decisions: np.ndarray) -> None:
    if probabilities.ndim != 2 or len(probabilities) != len(decisions) or not len(decisions):
        found = f"probabilities {probabilities.shape} and decisions {decisions.shape}"
        raise ValueError(f"{found}; expected (N, K) and (N,) of at least one image")
