"""What the grey values of a radiograph say about its colours, whatever surrounds the exposed field.

Rays that miss the body leave an even background. Where the body gets thicker the image gets brighter, and brightest
in bone, unless it is inverted. So, inside the field: what is even is darker than what is not, what lies at the
field's rim is darker than its middle, most pixels are nearer to black, and the even side of a strong edge is its
dark side. Each such statement is a number that changes its sign, and nothing else, when the image is inverted, so
that the inverted image always gets the opposite answer. `WEIGHTS` sum them up.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

RIM = 4  # pixels of the reduced copy
BESIDE = 7  # likewise; distance from an edge at which its sides are compared
EDGES = 1500  # pixels on edges that are looked at, about

# Logistic regression without a constant term on generated wrists with the seeds that are not those of tests and
# benchmarks: `python benchmarks/colour_inversion.py --fit`.
WEIGHTS = {
    "rim": -2.48,
    "depth": 0.86,
    "ridge": 2.31,
    "mean": 1.41,
    "mode": -0.22,
    "peak": -2.04,
    "even": 5.62,
    "texture": 3.89,
    "sides": -1.01,
    "slopes": -0.08,
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
    """The statements as numbers, all about -1 to 1; above 0 speaks for bright bone.

    Args:
        small: (H, W), 0..1.
        field: bool.

    Returns:
        By name: `rim`, darkness of the field's rim; `depth`, correlation of brightness with distance from it; `ridge`,
        downward bend of the brightness over the field; `mean`, `mode` and `peak`, how dark the mean, the most frequent
        grey and the crowded greys are; `even` and `texture`, darkness of the evenest fifth, and correlation of
        brightness with unevenness; `sides` and `slopes`, whether the dark sides of strong edges are the even ones, by
        fine grain and by gradient. All 0 where the image is even.
    """
    names = ("rim", "depth", "ridge", "mean", "mode", "peak", "even", "texture", "sides", "slopes")
    smooth = ndimage.gaussian_filter(small, 0.8)
    low, high = np.percentile(smooth[field], (1, 99))
    if high <= low:
        return dict.fromkeys(names, 0.0)
    # -1 to 1; black is -1.
    level = 2 * (np.clip(smooth, low, high) - low) / (high - low) - 1
    grain = _grain(small)
    found = (
        *_places(level, field),
        *_greys(level[field]),
        *_unevenness(level[field], grain[field]),
        *_edges(small, field, np.log(grain + 1e-3)),
    )
    return dict(zip(names, map(float, found), strict=True))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation; 0 where one is constant."""
    one, other = one - one.mean(), other - other.mean()
    size = np.sqrt((one * one).sum() * (other * other).sum())
    return (one * other).sum() / size if size > 0 else 0.0


def _grain(small: np.ndarray) -> np.ndarray:
    """How uneven the image is around each pixel, finer than a few pixels."""
    fine = ndimage.gaussian_filter(small, 1.0) - ndimage.gaussian_filter(small, 3.0)
    return np.sqrt(ndimage.gaussian_filter(fine * fine, 3.0))


def _places(level: np.ndarray, field: np.ndarray) -> tuple[float, float, float]:
    """Where the field is bright: at its rim, far from it, along a ridge."""
    away = ndimage.distance_transform_edt(np.pad(field, 1))[1:-1, 1:-1]
    places = np.argwhere(field) - np.argwhere(field).mean(0)
    down, right = (places / np.sqrt(len(places))).T
    terms = np.stack([np.ones_like(down), down, right, down * down, down * right, right * right], 1)
    bend = np.linalg.solve(terms.T @ terms + 1e-6 * np.eye(6), terms.T @ level[field])
    return (
        -level[field & (away <= RIM)].mean(),
        _correlation(level[field], away[field]),
        -(bend[3] + bend[5]) / 4,
    )


def _greys(level: np.ndarray) -> tuple[float, float, float]:
    """Which greys are frequent, of a list of pixels."""
    counts, _ = np.histogram(level, 64, (-1, 1))
    counts = ndimage.gaussian_filter1d(counts.astype(float), 1.5)
    centres = np.linspace(-1, 1, 64)
    # Of equally frequent greys the mean, which the inverted image has on the other side.
    most = counts >= (1 - 1e-6) * counts.max()
    return -level.mean(), -centres[most].mean(), -(counts**2 @ centres) / (counts**2).sum()


def _unevenness(level: np.ndarray, grain: np.ndarray) -> tuple[float, float]:
    """How dark the evenest fifth is, and how brightness goes with unevenness, of a list of pixels."""
    rank = np.empty(len(grain))
    rank[np.argsort(grain, kind="stable")] = np.linspace(-1, 1, len(grain))
    even = grain <= np.quantile(grain, 0.2)
    return -level[even].mean(), _correlation(level, rank)


def _edges(small: np.ndarray, field: np.ndarray, grain: np.ndarray) -> tuple[float, float]:
    """Whether the bright sides of the strongest edges are the uneven ones, by fine grain and by gradient."""
    down, right = (ndimage.gaussian_filter(small, 2.0, order=order) for order in ((1, 0), (0, 1)))
    steep = np.hypot(down, right)
    inner = ndimage.binary_erosion(field, iterations=4, border_value=1)
    inner = inner if inner.any() else field
    places = np.argwhere(inner & (steep >= np.quantile(steep[inner], 0.9)) & (steep > 0))
    places = places[:: max(1, len(places) // EDGES)]
    if not len(places):
        return 0.0, 0.0
    here = tuple(places.T)
    step = np.round(BESIDE * np.stack([down[here], right[here]], 1) / steep[here][:, None]).astype(int)
    last = np.array(small.shape) - 1
    bright, dark = (tuple(np.clip(places + way, 0, last).T) for way in (step, -step))
    both = field[bright] & field[dark]
    if not both.any():
        return 0.0, 0.0
    slope = np.log(steep + 1e-3)
    return tuple(np.tanh(values[bright] - values[dark])[both].mean() for values in (grain, slope))
