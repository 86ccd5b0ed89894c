"""How suspicious a case is: one number from its out-of-fold loss and what the checks of its files remark."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monai_tasks.datasets.checks_compare import Remark
from monai_tasks.experiments.outliers_cases import Case


@dataclass(frozen=True)
class Scored:
    """A case with its place in the ranking.

    Args:
        case: the case.
        rank: from 1, the most suspicious.
        score: from 0 to 1.
        share: of the cases whose loss is as high or higher; None without a loss.
        remarks: on the case, the strongest first, one a check.
    """

    case: Case
    rank: int
    score: float
    share: float | None
    remarks: tuple[Remark, ...]


def ranked(cases: Sequence[Case], remarks: Sequence[Remark]) -> list[Scored]:
    """Rank cases from the most suspicious on.

    Every sign leaves some doubt that the case is an outlier: a remark of strength s leaves 1 - s; and the rarer a sign
    is, the less doubt it leaves: the square root of the share of cases whose loss is as high, and that of the cases
    whose remarks are as strong. The score is 1 minus the product of all doubts, where of each check the strongest
    remark counts. A case that could not be predicted has the score 1. Of equal scores the higher loss is first.

    Args:
        cases: all of a run.
        remarks: whose `case` is a place in `cases`.

    Returns:
        All cases, by rank.
    """
    shares = shares_as_high([case.loss for case in cases])
    strongest: list[dict[str, Remark]] = [{} for _ in cases]
    for remark in remarks:
        own = strongest[remark.case]
        if remark.check not in own or remark.strength > own[remark.check].strength:
            own[remark.check] = remark
    left = [math.prod(1 - one.strength for one in own.values()) for own in strongest]
    rare = shares_as_high([1 - doubt for doubt in left])
    scores = [
        1 - math.sqrt((0.0 if share is None else share) * other) * doubt
        for share, other, doubt in zip(shares, rare, left, strict=True)
    ]
    order = sorted(
        range(len(cases)), key=lambda number: (-scores[number], _place(shares[number]), cases[number].name)
    )
    return [
        Scored(cases[number], rank, scores[number], shares[number], _sorted(strongest[number]))
        for rank, number in enumerate(order, start=1)
    ]


def shares_as_high(values: Sequence[float | None]) -> list[float | None]:
    """The share of the cases whose value is as high as a case's or higher.

    Args:
        values: one a case; None, which counts as no case, stays None.
    """
    known = np.sort([value for value in values if value is not None])
    return [None if one is None else float(1 - np.searchsorted(known, one) / known.size) for one in values]


def _place(share: float | None) -> float:
    return 0.0 if share is None else share


def _sorted(own: Mapping[str, Remark]) -> tuple[Remark, ...]:
    return tuple(sorted(own.values(), key=lambda remark: (-remark.strength, remark.check)))
