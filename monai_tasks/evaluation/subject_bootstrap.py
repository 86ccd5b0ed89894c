"""Intervals by drawing patients again, each with all rows of theirs."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from monai_tasks.evaluation.intervals import BATCH_VALUES, LEVEL, RESAMPLES

# An interval of fewer resamples than this share would be one of the lucky ones.
LEAST_SHARE = 0.5


def draws(subjects: int, rows: int, resamples: int = RESAMPLES, seed: int = 0) -> Iterator[np.ndarray]:
    """How often each subject is drawn in each resample.

    The counts stand for the rows, which are never copied: a row weighs as often as its subject was drawn.

    Args:
        subjects: how many there are.
        rows: how many rows they have, which bounds how many resamples are given at a time.
        resamples: how many to draw.
        seed: of the draws.

    Yields:
        (B, subjects) float64; each row of it sums to the number of subjects.
    """
    rng = np.random.default_rng(seed)
    most = max(1, BATCH_VALUES // max(rows, subjects, 1))
    for start in range(0, resamples, most):
        batch = min(most, resamples - start)
        drawn = rng.integers(subjects, size=(batch, subjects))
        # All resamples are counted in one go: those of each have numbers of their own.
        drawn += subjects * np.arange(batch)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=batch * subjects)
        yield counts.reshape(batch, subjects).astype(np.float64)


def percentile_interval(values: np.ndarray, level: float = LEVEL) -> tuple[float | None, float | None, int]:
    """The interval that holds the middle share of resampled values.

    Args:
        values: (R,), NaN where a resample has no value, as an AUROC has none without both classes.
        level: the share.

    Returns:
        Lower and upper end, None where fewer than half of the resamples have a value, and how many have one.
    """
    known = values[np.isfinite(values)]
    if not len(known) or len(known) < LEAST_SHARE * len(values):
        return None, None, len(known)
    low, high = np.percentile(known, [50 * (1 - level), 50 * (1 + level)])
    return float(low), float(high), len(known)
