"""Bootstrap intervals against a slow restatement, their coverage, and the samples that have none."""

from __future__ import annotations

import math
from statistics import NormalDist

import numpy as np
import pytest

from monai_tasks.evaluation import intervals
from monai_tasks.evaluation.intervals import METHODS, mean_interval


def restated(values: np.ndarray, level: float, resamples: int, seed: int) -> tuple[float, float]:
    """The bias-corrected and accelerated interval of the mean, with loops."""
    rng = np.random.default_rng(seed)
    means = sorted(float(np.mean(rng.choice(values, len(values)))) for _ in range(resamples))
    mean = float(np.mean(values))
    below = sum(m < mean for m in means) / resamples + sum(m == mean for m in means) / (2 * resamples)
    bias = NormalDist().inv_cdf(below)
    left_out = [float(np.mean(np.delete(values, index))) for index in range(len(values))]
    centre = sum(left_out) / len(left_out)
    cubes, squares = (sum((centre - m) ** power for m in left_out) for power in (3, 2))
    acceleration = cubes / (6 * squares**1.5)
    ends = []
    for tail in ((1 - level) / 2, (1 + level) / 2):
        z = bias + NormalDist().inv_cdf(tail)
        ends.append(float(np.quantile(means, NormalDist().cdf(bias + z / (1 - acceleration * z)))))
    return ends[0], ends[1]


def skewed(n: int, seed: int = 0) -> np.ndarray:
    """Values like Dice: near 0.9 with a tail to the left."""
    return 1 - np.random.default_rng(seed).gamma(2.0, 0.05, n)


@pytest.mark.parametrize("n", [6, 42])
def test_interval_agrees_with_a_slow_restatement(n):
    values = skewed(n)
    interval = mean_interval(list(values))
    low, high = restated(values, 0.95, 5000, seed=1)
    width = high - low
    assert interval.method == "BCa"
    assert interval.n == n
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(low, abs=0.05 * width)
    assert interval.high == pytest.approx(high, abs=0.05 * width)


def test_interval_holds_the_true_mean_about_as_often_as_it_says():
    true = 1 - 2.0 * 0.05
    held = 0
    for seed in range(150):
        interval = mean_interval(skewed(40, seed), resamples=400)
        held += interval.low <= true <= interval.high
    assert 0.87 <= held / 150 <= 1.0


def test_same_seed_same_interval_and_level_widens_it():
    values = list(skewed(20))
    assert mean_interval(values) == mean_interval(values)
    assert mean_interval(values, seed=1) != mean_interval(values)
    wide, narrow = mean_interval(values, level=0.99), mean_interval(values, level=0.8)
    assert wide.low < narrow.low < narrow.high < wide.high


def test_missing_values_are_left_out():
    values = [0.5, None, 0.7, math.nan, 0.9]
    assert mean_interval(values) == mean_interval([0.5, 0.7, 0.9])
    assert mean_interval(values).n == 3


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], (0, None, None, None, "none")),
        ([None, math.nan], (0, None, None, None, "none")),
        ([0.8], (1, 0.8, None, None, "single")),
        ([0.25, 0.25, 0.25], (3, 0.25, 0.25, 0.25, "constant")),
    ],
)
def test_samples_without_a_spread(values, expected):
    interval = mean_interval(values)
    assert (interval.n, interval.mean, interval.low, interval.high, interval.method) == expected
    assert interval.method in METHODS


def test_percentiles_stand_in_where_bca_has_no_value(monkeypatch):
    plain = intervals._bootstrap

    def without_bca(sample, method, *rest):
        return (math.nan, math.nan) if method == "BCa" else plain(sample, method, *rest)

    monkeypatch.setattr(intervals, "_bootstrap", without_bca)
    values = skewed(30)
    interval = mean_interval(values)
    rng = np.random.default_rng(5)
    means = [np.mean(rng.choice(values, 30)) for _ in range(5000)]
    width = interval.high - interval.low
    assert interval.method == "percentile"
    assert interval.low == pytest.approx(np.quantile(means, 0.025), abs=0.05 * width)
    assert interval.high == pytest.approx(np.quantile(means, 0.975), abs=0.05 * width)


def test_many_values_are_drawn_in_batches(monkeypatch):
    values = skewed(50)
    whole = mean_interval(values)
    monkeypatch.setattr(intervals, "BATCH_VALUES", 500)
    batched = mean_interval(values)
    assert batched.low == pytest.approx(whole.low)
    assert batched.high == pytest.approx(whole.high)
