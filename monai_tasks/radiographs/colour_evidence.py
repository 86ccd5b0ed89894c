"""What the grey values of a radiograph say about its colours, whatever surrounds the exposed field.

Rays that miss the body leave an even background. Where the body gets thicker the image gets brighter, and brightest
in bone, unless it is inverted. So, inside the field: what is even is darker than what is not, what lies at the
field's rim is darker than its middle, and fine detail is bright lines on darker ground. Each such statement is a
number that changes its sign, and nothing else, when the image is inverted, so that the inverted image always gets the
opposite answer. `WEIGHTS` sum them up.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

RIM = 4  # pixels of the reduced copy
TENTH = 0.1

# Logistic regression without a constant term on generated wrists, and half as much weight on generated images of other
# parts of the body, with seeds that are not those of tests and benchmarks: `benchmarks/colour_inversion.py --fit`.
WEIGHTS = {
    "rim": -3.49,
    "depth": 13.34,
    "ridge": -1.08,
    "mean": 2.91,
    "even": 2.67,
    "texture": 6.10,
    "lines": 17.16,
    "blobs": -10.28,
    "between": 19.05,
    "extremes": 2.69,
    "patches": 1.55,
    "touch": 0.54,
}


def score(small: np.ndarray, field: np.ndarray) -> float:
    """The logarithm of the odds that bone is bright.

    Args:
        small: (H, W), 0..1, a reduced copy.
        field: where it shows an exposure, bool.

    Returns:
        Above 0 where bone is bright, below 0 where it is dark, 0 where the image is even.
    """
    found = evidence(small, field)
    return float(sum(WEIGHTS[name] * value for name, value in found.items()))


def evidence(small: np.ndarray, field: np.ndarray) -> dict[str, float]:
    """The statements as numbers, all about -1 to 1.

    Args:
        small: (H, W), 0..1.
        field: bool.

    Returns:
        By name, of the image with bright bone: `rim`, darkness of the field's rim; `depth`, correlation of brightness
        with distance from it; `extremes`, how much farther from it the brightest tenth lies than the darkest; `touch`,
        how much more of the darkest tenth lies at it; `ridge`, downward bend of the brightness over the field;
        `mean`, darkness; `even` and `texture`, darkness of the evenest fifth, and correlation of brightness with
        unevenness; `patches`, the same correlation within patches; `lines` and `blobs`, skewness of fine and less fine
        detail, and `between`, darkness of its median. All 0 where the image is even.
    """
    smooth = ndimage.gaussian_filter(small, 0.8)
    low, high = np.percentile(smooth[field], (1, 99))
    if high <= low:
        return dict.fromkeys(WEIGHTS, 0.0)
    # -1 to 1; black is -1.
    level = 2 * (np.clip(smooth, low, high) - low) / (high - low) - 1
    return {
        name: float(value)
        for part in (_places, _textures, _details)
        for name, value in part(small, level, field).items()
    }


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation; 0 where one is constant."""
    one, other = one - one.mean(), other - other.mean()
    size = np.sqrt((one * one).sum() * (other * other).sum())
    return (one * other).sum() / size if size > 0 else 0.0


def _places(small: np.ndarray, level: np.ndarray, field: np.ndarray) -> dict[str, float]:
    """Where the field is bright: at its rim, far from it, along a ridge."""
    away = ndimage.distance_transform_edt(np.pad(field, 1))[1:-1, 1:-1][field]
    values = level[field]
    # Ties are shared: the tenths of the inverted image are the same, the other way round.
    dark, bright = values <= np.quantile(values, TENTH), values >= np.quantile(values, 1 - TENTH)
    down, right = (places := np.argwhere(field) - np.argwhere(field).mean(0)).T / np.sqrt(len(places))
    terms = np.stack([np.ones_like(down), down, right, down * down, down * right, right * right], 1)
    bend = np.linalg.solve(terms.T @ terms + 1e-6 * np.eye(6), terms.T @ values)
    near = away <= RIM + 1
    return {
        "rim": -values[away <= RIM].mean(),
        "depth": _correlation(values, away),
        "ridge": -(bend[3] + bend[5]) / 4,
        "mean": -values.mean(),
        "extremes": (away[bright].mean() - away[dark].mean()) / away.max(),
        "touch": near[dark].mean() - near[bright].mean(),
    }


def _textures(small: np.ndarray, level: np.ndarray, field: np.ndarray) -> dict[str, float]:
    """Whether what is uneven, finer than a few pixels, is bright."""
    fine = ndimage.gaussian_filter(small, 1.0) - ndimage.gaussian_filter(small, 3.0)
    grain = np.sqrt(ndimage.gaussian_filter(fine * fine, 3.0))[field]
    rank = np.empty(len(grain))
    rank[np.argsort(grain, kind="stable")] = np.linspace(-1, 1, len(grain))
    finer = ndimage.gaussian_filter(small, 1.0) - ndimage.gaussian_filter(small, 2.5)
    spread = np.log(np.sqrt(ndimage.gaussian_filter(finer * finer, 2.0)) + 1e-3)
    weight = ndimage.gaussian_filter(field.astype(float), 12) + 1e-3
    local = [
        (values - ndimage.gaussian_filter(values * field, 12) / weight)[_inner(field)]
        for values in (level, spread)
    ]
    return {
        "even": -level[field][grain <= np.quantile(grain, 0.2)].mean(),
        "texture": _correlation(level[field], rank),
        "patches": _correlation(*local),
    }


def _details(small: np.ndarray, level: np.ndarray, field: np.ndarray) -> dict[str, float]:
    """Whether fine detail is bright lines on dark ground, rather than dark lines on bright."""
    one, two, four = (ndimage.gaussian_filter(level, sigma) for sigma in (1, 2, 4))
    details = [band[_inner(field)] for band in (one - two, two - four)]
    details = [np.clip(band / (band.std() + 1e-6), -3, 3) for band in details]
    lines, blobs = ((band**3).mean() / 3 for band in details)
    return {"lines": lines, "blobs": blobs, "between": -np.median(details[0])}


def _inner(field: np.ndarray) -> np.ndarray:
    """The field without its rim, where that leaves enough."""
    inner = ndimage.binary_erosion(field, iterations=RIM, border_value=1)
    return inner if inner.sum() > 200 else field
