"""Intervals of means over cases, by the bootstrap."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.stats import DegenerateDataWarning, bootstrap

LEVEL = 0.95
RESAMPLES = 5000
# Values drawn at a time: the resamples of ten thousand cases at once would take hundreds of megabytes.
BATCH_VALUES = 2_000_000

METHODS = {
    "BCa": "bias-corrected and accelerated bootstrap",
    "percentile": "percentile bootstrap, where the bias-corrected one has no value",
    "constant": "all values are equal, so the interval is that value",
    "single": "one value, so there is no interval",
    "none": "no value",
}


@dataclass(frozen=True)
class Interval:
    """A mean and its interval.

    Args:
        n: how many values the mean is of.
        mean: None without values.
        low: lower end, or None.
        high: upper end, or None.
        method: a key of `METHODS`.
    """

    n: int
    mean: float | None
    low: float | None
    high: float | None
    method: str


def mean_interval(
    values: Sequence[float | None], level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """The mean of independent values and its bootstrap interval.

    The bias-corrected and accelerated bootstrap (BCa) is taken where it has a value. One value has a mean but
    no interval; equal values have an interval without width.

    Args:
        values: one value a case; None and NaN are left out.
        level: share of intervals that hold the true mean, in the long run.
        resamples: how many bootstrap samples are drawn.
        seed: of the draws; the same values and seed give the same interval.

    Returns:
        Mean, interval, count and the method used.
    """
    sample = np.array([value for value in values if value is not None], dtype=float)
    sample = sample[~np.isnan(sample)]
    if sample.size == 0:
        return Interval(0, None, None, None, "none")
    mean = float(sample.mean())
    if sample.size == 1:
        return Interval(1, mean, None, None, "single")
    if np.ptp(sample) == 0:
        return Interval(sample.size, mean, mean, mean, "constant")
    for method in ("BCa", "percentile"):
        low, high = _bootstrap(sample, method, level, resamples, seed)
        if np.isfinite([low, high]).all():
            break
    return Interval(sample.size, mean, low, high, method)


def _bootstrap(
    sample: np.ndarray, method: str, level: float, resamples: int, seed: int
) -> tuple[float, float]:
    with warnings.catch_warnings():
        # Without a value the interval is NaN, which the caller handles.
        warnings.simplefilter("ignore", DegenerateDataWarning)
        result = bootstrap(
            (sample,),
            np.mean,
            n_resamples=resamples,
            batch=max(1, BATCH_VALUES // sample.size),
            confidence_level=level,
            method=method,
            random_state=np.random.default_rng(seed),
        )
    interval = result.confidence_interval
    return float(interval.low), float(interval.high)
