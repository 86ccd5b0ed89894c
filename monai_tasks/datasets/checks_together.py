"""How far cases lie from what is usual in several measures at once, where no single one is far off."""

from __future__ import annotations

import numpy as np
from sklearn.covariance import LedoitWolf

_CLIPPED = 3.0  # standard deviations beyond which a value does not say how measures go together


def joint_distances(distances: np.ndarray) -> np.ndarray:
    """One number a case for all of its measures, which counts measures that go together once.

    It is the Mahalanobis distance from the medians. How the measures go together is estimated by Ledoit and Wolf's
    shrunk covariance [Ledoit2004] from values that are cut off, so that outliers do not say it.

    Args:
        distances: (N, M), of N cases in M measures, each in its own standard deviations from its median; NaN where
            there is none, which counts as usual. At least two cases.

    Returns:
        (N,), in units in which normally distributed values make 1 on average.
    """
    known = np.nan_to_num(distances, nan=0.0)
    estimate = LedoitWolf(assume_centered=True).fit(np.clip(known, -_CLIPPED, _CLIPPED))
    return np.sqrt(estimate.mahalanobis(known) / max(1, known.shape[1]))
