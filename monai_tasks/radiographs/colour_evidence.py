"""What the grey values of a radiograph say about its colours, whatever surrounds the exposed field.

Where the body gets thicker the image gets brighter, and brightest in bone, unless it is inverted: the field is bright
in its middle and dark where it is even, since rays that miss the body leave an even background. A body that fills the
field has no background and its middle may be a lung; then the detail must say it: dense things are small and thin,
bright lines and spots on a darker ground. Each such statement is a number that changes its sign, and nothing else, when
the image is inverted. `WEIGHTS` sum them up.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from monai_tasks.radiographs.foreground import convex_hull, is_rectangle, largest_component

RIM = 4  # pixels of the reduced copy
EXTREME = 0.06  # of the range, from black or white, of what may be a frame or a shutter
FILLED = (
    0.65  # share of its hull that the field inside a frame fills, at least, where a limb may touch the frame
)
RECTANGLE = 0.95  # share of the rectangle around it that this hull fills, at least
SHADES = 0.03  # of the range, from black or white, within which an area at the rim has no shades
SPOT = 7  # pixels; wider than lines and spots
WINDOW = 12  # pixels; side of the windows in which brightness is compared
PATCH = 12  # pixels; deviation of what counts as the surroundings

# Logistic regression without a constant term on generated wrists, generated images of other parts of the body, and the
# development halves of the real chests and knees: `benchmarks/colour_inversion.py --fit --wrists 60`. Nothing that
# tests and benchmarks judge by is among them.
WEIGHTS = {
    "depth": 21.47,
    "bend": -6.39,
    "ridge": 5.77,
    "even": 3.86,
    "patches": 10.46,
    "blobs": -11.46,
    "spots": 8.65,
    "windows": 16.77,
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
        By name, of the image with bright bone: `depth`, correlation of brightness with distance from the field's rim;
        `bend`, downward bend of the brightness over the field, and `ridge`, the same without black and white areas at
        its rim; `even`, darkness of the evenest fifth; `patches`, correlation of brightness with unevenness within
        patches; `blobs`, skewness of detail a few pixels wide; `spots`, how much of the image is small and bright,
        less how much is small and dark; `windows`, skewness of the brightness within windows. All 0 where the image
        is even.
    """
    smooth = ndimage.gaussian_filter(small, 0.8)
    field = _unframed(small, field)
    low, high = np.percentile(smooth[field], (1, 99))
    if high <= low:
        return dict.fromkeys(WEIGHTS, 0.0)
    # -1 to 1; black is -1.
    level = (2 * (np.clip(smooth, low, high) - low) / (high - low) - 1).astype(np.float32)
    inner = _inner(field)
    found = _places(small, level, field)
    found |= {"even": _even(small, level, field), "patches": _patches(small, level, field, inner)}
    found |= {"blobs": _blobs(level, inner), "spots": _spots(level, inner)}
    found |= {"windows": _windows(level, field, inner)}
    return {name: float(value) for name, value in found.items()}


def _unframed(small: np.ndarray, field: np.ndarray) -> np.ndarray:
    """The field without a black or white frame that the body touches, so that it was not told from the body.

    More is taken for a frame here than where the field is found: a limb that runs from border to border becomes the
    field of its own, which does no harm to its colours.
    """
    even = ndimage.median_filter(small, 5)
    rim = field & ~ndimage.binary_erosion(field, iterations=RIM)
    for extreme in (even < EXTREME, even > 1 - EXTREME):
        left = ndimage.binary_opening(field & ~_touching(extreme & field, rim), iterations=2)
        left = largest_component(left)
        if not 0.1 * left.size < left.sum() < 0.98 * field.sum():
            continue
        inside = convex_hull(left) & field
        if (
            left.sum() > FILLED * inside.sum()
            and inside.sum() < 0.98 * field.sum()
            and is_rectangle(inside, RECTANGLE)
        ):
            return ndimage.binary_erosion(inside, iterations=2)
    return field


def _touching(areas: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """The areas, without what is thin, that reach the rim."""
    labels, _ = ndimage.label(ndimage.binary_opening(areas, iterations=2))
    numbers = np.unique(labels[rim])
    return np.isin(labels, numbers[numbers > 0])


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's correlation; 0 where one is constant."""
    one, other = one - one.mean(), other - other.mean()
    size = np.sqrt((one * one).sum() * (other * other).sum())
    return (one * other).sum() / size if size > 0 else 0.0


def _places(small: np.ndarray, level: np.ndarray, field: np.ndarray) -> dict[str, float]:
    """Where the field is bright: far from its rim, along a ridge."""
    away = ndimage.distance_transform_edt(np.pad(field, 1))[1:-1, 1:-1]
    return {
        "depth": _correlation(level[field], away[field]),
        "bend": _bend(level, field),
        "ridge": _bend(level, _shaded(small, field, field & (away <= RIM))),
    }


def _shaded(small: np.ndarray, field: np.ndarray, rim: np.ndarray) -> np.ndarray:
    """The field without black and white areas at its rim."""
    shaded = field.copy()
    for extreme in (small < SHADES, small > 1 - SHADES):
        shaded &= ~ndimage.binary_dilation(_touching(extreme & field, rim), iterations=3)
    return shaded if shaded.mean() > 0.1 else field


def _bend(level: np.ndarray, mask: np.ndarray) -> float:
    """By how much the paraboloid that fits the brightness best bends downwards."""
    places = np.argwhere(mask)
    down, right = ((places - places.mean(0)) / np.sqrt(len(places))).T
    terms = np.stack([np.ones_like(down), down, right, down * down, down * right, right * right], 1)
    fitted = np.linalg.solve(terms.T @ terms + 1e-6 * np.eye(6), terms.T @ level[mask])
    return -(fitted[3] + fitted[5]) / 4


def _even(small: np.ndarray, level: np.ndarray, field: np.ndarray) -> float:
    """Darkness of the fifth of the field that is the evenest, finer than a few pixels."""
    fine = ndimage.gaussian_filter(small, 1.0) - ndimage.gaussian_filter(small, 3.0)
    grain = ndimage.gaussian_filter(fine * fine, 3.0)[field]
    return -level[field][grain <= np.quantile(grain, 0.2)].mean()


def _patches(small: np.ndarray, level: np.ndarray, field: np.ndarray, inner: np.ndarray) -> float:
    """Whether what is brighter than its surroundings is more uneven than they are."""
    fine = ndimage.gaussian_filter(small, 1.0) - ndimage.gaussian_filter(small, 2.5)
    spread = np.log(np.sqrt(ndimage.gaussian_filter(fine * fine, 2.0)) + 1e-3)
    weight = ndimage.gaussian_filter(field.astype(np.float32), PATCH, truncate=2.0) + 1e-3
    return _correlation(
        *(
            (values - ndimage.gaussian_filter(values * field, PATCH, truncate=2.0) / weight)[inner]
            for values in (level, spread)
        )
    )


def _blobs(level: np.ndarray, inner: np.ndarray) -> float:
    """Whether detail a few pixels wide is bright on dark ground, rather than dark on bright."""
    detail = (ndimage.gaussian_filter(level, 2) - ndimage.gaussian_filter(level, 4))[inner]
    detail = np.clip(detail / (detail.std() + 1e-6), -3, 3)
    return (detail**3).mean() / 3


def _spots(level: np.ndarray, inner: np.ndarray) -> float:
    """How much is brighter than an opening leaves it, less how much is darker than a closing does."""
    bright = (level - ndimage.grey_opening(level, (SPOT, SPOT)))[inner].mean()
    dark = (ndimage.grey_closing(level, (SPOT, SPOT)) - level)[inner].mean()
    return (bright - dark) / (bright + dark + 1e-6)


def _windows(level: np.ndarray, field: np.ndarray, inner: np.ndarray) -> float:
    """Mean skewness of the brightness within windows."""

    def mean(values: np.ndarray) -> np.ndarray:
        return ndimage.uniform_filter(values * field, WINDOW) / weight

    weight = ndimage.uniform_filter(field.astype(np.float32), WINDOW) + 1e-3
    apart = (level - mean(level)) * field
    return (mean(apart**3) / (mean(apart**2) + 2e-3) ** 1.5)[inner].mean()


def _inner(field: np.ndarray) -> np.ndarray:
    """The field without its rim, where that leaves enough."""
    inner = ndimage.binary_erosion(field, iterations=RIM, border_value=1)
    return inner if inner.sum() > 200 else field
