"""Tells which end of an upright limb the fingers are, by what differs between its ends.

The hand is thinner than the forearm and so less bright; joints cross it, it shows more bones side by side, fingers
part, and the forearm is cut by the image's border more often. Each is a number that changes its sign when the image
is turned by 180 degrees. `WEIGHTS` sum them up.
"""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from monai_tasks.radiographs.foreground import largest_component

NAMES = ("joints", "crossing", "runs", "ridges", "width", "grey", "rough")

# Logistic regression without a constant term on 390 generated wrists with seeds that are not those of tests and
# benchmarks: `python benchmarks/alignment.py --fit --wrists 130`. Right for 95 % of those.
WEIGHTS = {
    "joints": -0.25,
    "crossing": 2.81,
    "runs": 1.47,
    "ridges": 0.43,
    "width": 1.64,
    "grey": -8.09,
    "rough": -1.54,
    "cut": 0.35,
}


def fingers_score(small: np.ndarray, field: np.ndarray, mask: np.ndarray) -> float:
    """The logarithm of the odds that the fingers are above.

    Args:
        small: (H, W), 0..1, of a limb that stands upright.
        field: where it shows an exposure.
        mask: where the body is; not empty.
    """
    return float(sum(WEIGHTS[name] * value for name, value in evidence(small, field, mask).items()))


def evidence(small: np.ndarray, field: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """What differs between the two ends of the limb, the upper end less the lower.

    Args:
        small: (H, W), 0..1, of a limb that stands upright.
        field: where it shows an exposure.
        mask: where the body is.

    Returns:
        By name, of a third of the limb: `joints`, edges across the limb by those along it; `crossing`, edges across
        it; `runs` and `ridges`, pieces of the body and bright lines that a row meets; `width`; `grey`, brightness;
        `rough`, fine grain. And `cut`, how much of the lower third, less the upper, the field's border cuts.
    """
    mask = mask & (field | (not (mask & field).any()))
    rows = np.flatnonzero(largest_component(mask).any(1))
    top, bottom = int(rows[0]), int(rows[-1]) + 1
    length = max((bottom - top) // 3, 1)
    ends = slice(top, top + length), slice(bottom - length, bottom)
    upper, lower = (_end(small[part], mask[part]) for part in ends)
    found = {name: upper[name] - lower[name] for name in upper}
    away = ndimage.distance_transform_edt(np.pad(field, 1))[1:-1, 1:-1]
    rim = mask & (away <= 2)
    wide = mask.sum() / (bottom - top)
    found["cut"] = -float(rim[ends[0]].sum() - rim[ends[1]].sum()) / wide / 2
    return found


def _end(small: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    """Features of one third of a limb."""
    if mask.sum() < 20:
        return dict.fromkeys(NAMES, 0.0)
    down, right = (abs(ndimage.gaussian_filter(small, 1.2, order=order)) for order in ((1, 0), (0, 1)))
    inner = ndimage.binary_erosion(mask, iterations=2, border_value=1)
    inner = inner if inner.any() else mask
    steps = np.diff(np.pad(mask, ((0, 0), (1, 1))).astype(np.int8), axis=1)
    rows = mask.any(1)
    level = ndimage.gaussian_filter(small, (1.5, 1.5)) - ndimage.gaussian_filter(small, (1.5, 5))
    peaks = (
        (level[:, 1:-1] > level[:, :-2])
        & (level[:, 1:-1] >= level[:, 2:])
        & (level[:, 1:-1] > 0.02)
        & inner[:, 1:-1]
    )
    fine = ndimage.gaussian_filter(small, 1) - ndimage.gaussian_filter(small, 3)
    return {
        "joints": float(np.log((down[inner].mean() + 1e-4) / (right[inner].mean() + 1e-4))),
        "crossing": float(np.log(down[inner].mean() + 1e-4)),
        "runs": float((steps[rows] > 0).sum(1).mean()),
        "ridges": float(peaks[rows].sum(1).mean()),
        "width": float(np.log(mask[rows].sum(1).mean())),
        "grey": float(small[mask].mean()),
        "rough": float(np.log(fine[inner].std() + 1e-4)),
    }
