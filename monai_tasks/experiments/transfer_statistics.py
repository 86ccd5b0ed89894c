"""What the runs of a transfer experiment say together: means over seeds, and differences between arms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from monai_tasks.evaluation.intervals import RESAMPLES
from monai_tasks.evaluation.subject_bootstrap import draws, percentile_interval
from monai_tasks.experiments.transfer_answers import Answers

# Subset, arm and seed of a run.
Place = tuple[str, str, int]


@dataclass(frozen=True)
class Group:
    """The runs of one arm on one subset.

    Args:
        subset: its name.
        arm: its name.
        values: of the metric on the test part, by the seed.
        mean: over the seeds; None where no run has a value.
        deviation: over the seeds, with n - 1; None for fewer than two.
        low: lower end of the mean's interval, over test subjects; None without one.
        high: upper end.
    """

    subset: str
    arm: str
    values: Mapping[int, float]
    mean: float | None
    deviation: float | None
    low: float | None
    high: float | None


@dataclass(frozen=True)
class Difference:
    """An arm less another one on one subset: the same test subjects, the same seeds.

    Args:
        subset: its name.
        arm: whose value is taken first.
        other: whose value is subtracted.
        value: the mean over the seeds that both have.
        low: lower end of the interval over test subjects; None without one.
        high: upper end.
        by_seed: the difference of each seed.
    """

    subset: str
    arm: str
    other: str
    value: float
    low: float | None
    high: float | None
    by_seed: Mapping[int, float]

    @property
    def sign(self) -> int:
        """1 where the interval lies above zero and so does every seed, -1 below; else 0, which tells nothing.

        The interval does not hold the luck of the seeds: one of them alone could move it off zero.
        """
        if self.low is None or self.high is None:
            return 0
        seeds = self.by_seed.values()
        above = self.low > 0 and all(value > 0 for value in seeds)
        below = self.high < 0 and all(value < 0 for value in seeds)
        return int(above) - int(below)


@dataclass(frozen=True)
class Statistics:
    """All comparisons.

    Args:
        groups: of each subset and arm that has a run, in the order of the runs.
        differences: of each subset, between the arms of each pair that have a seed in common.
        subjects: of the test part that all runs answered for.
        cases: that they have.
        left_out: cases that some run has no answer for, so that none is measured by them.
    """

    groups: tuple[Group, ...]
    differences: tuple[Difference, ...]
    subjects: int
    cases: int
    left_out: int


def statistics_of(
    answers: Mapping[Place, Answers],
    pairs: Sequence[tuple[str, str]],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Statistics:
    """Compare the arms of each subset.

    In each resample the test subjects are drawn again, with all cases of theirs, and every run is measured on the same
    ones; then the seeds of an arm are averaged. An interval therefore tells how far other test subjects would move a
    value. It does not tell what other training subjects or other seeds would do.

    Args:
        answers: of the runs that are done, in order.
        pairs: of arms, the second of which is subtracted.
        seed: of the draws.
        resamples: how many.
    """
    runs = list(answers.values())
    common = set.intersection(*(set(run.subjects) for run in runs)) if runs else set()
    cases = sorted(common)
    every = set().union(*(run.subjects for run in runs))
    subjects = sorted({runs[0].subjects[case] for case in cases}) if cases else []
    if not cases:
        return Statistics((), (), 0, 0, len(every))
    weighted = {place: run.weighted(cases) for place, run in answers.items()}
    ones = np.ones((1, len(subjects)))
    points = {place: float(metric(ones)[0]) for place, metric in weighted.items()}
    drawn: dict[Place, list[np.ndarray]] = {place: [] for place in answers}
    for weights in draws(len(subjects), len(cases), resamples, seed) if len(subjects) > 1 else ():
        for place, metric in weighted.items():
            drawn[place].append(metric(weights))
    resampled = {place: np.concatenate(parts) if parts else np.empty(0) for place, parts in drawn.items()}
    groups = _groups(points, resampled)
    differences = _differences(points, resampled, pairs)
    return Statistics(groups, differences, len(subjects), len(cases), len(every) - len(cases))


def _groups(points: Mapping[Place, float], drawn: Mapping[Place, np.ndarray]) -> tuple[Group, ...]:
    groups = []
    for subset, arm in dict.fromkeys(place[:2] for place in points):
        seeds = [
            place[2] for place, value in points.items() if place[:2] == (subset, arm) and np.isfinite(value)
        ]
        values = {seed: points[subset, arm, seed] for seed in seeds}
        own = list(values.values())
        low, high = _interval([drawn[subset, arm, seed] for seed in seeds])
        mean = float(np.mean(own)) if own else None
        deviation = float(np.std(own, ddof=1)) if len(own) > 1 else None
        groups.append(Group(subset, arm, values, mean, deviation, low, high))
    return tuple(groups)


def _differences(
    points: Mapping[Place, float], drawn: Mapping[Place, np.ndarray], pairs: Sequence[tuple[str, str]]
) -> tuple[Difference, ...]:
    differences = []
    for arm, other in pairs:
        for subset in dict.fromkeys(place[0] for place in points):
            seeds = [place[2] for place in points if place[:2] == (subset, arm)]
            by_seed = {
                seed: points[subset, arm, seed] - points[subset, other, seed]
                for seed in seeds
                if (subset, other, seed) in points
            }
            by_seed = {seed: value for seed, value in by_seed.items() if np.isfinite(value)}
            if not by_seed:
                continue
            low, high = _interval([drawn[subset, arm, seed] - drawn[subset, other, seed] for seed in by_seed])
            value = float(np.mean(list(by_seed.values())))
            differences.append(Difference(subset, arm, other, value, low, high, by_seed))
    return tuple(differences)


def _interval(values: Sequence[np.ndarray]) -> tuple[float | None, float | None]:
    """Of the mean over the seeds, each of which has its value in each resample."""
    if not values:
        return None, None
    return percentile_interval(np.mean(values, axis=0))[:2]
