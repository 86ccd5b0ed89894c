"""The measures that cases are compared by, and how far one lies from what is usual."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

# Expected number of remarks that one measure makes on a set of any size, if its values are normally distributed.
CHANCE = 0.001
# The median deviation is as sure as the standard deviation of 37 % as many values.
_EFFICIENCY = 0.37
_NORMAL = 1.4826  # standard deviation of normally distributed values over their median deviation


@dataclass(frozen=True)
class Measure:
    """A number of each case.

    Args:
        check: which of `checks_compare.CHECKS` it belongs to.
        words: what it is; `{label}` and `{image}` are filled in.
        unit: of the number; `%` where it is a share, which is shown as per cent.
        log: compare ratios, not differences.
        floor: the least standard deviation that is taken as usual, so that sets without any variation do not make a
            remark of every trifle; a ratio less 1 where `log` is set.
        side: 1 if only high values are unusual, -1 if only low ones, 0 for both.
        alone: whether it makes remarks by itself, and not only together with others.
    """

    check: str
    words: str
    unit: str = ""
    log: bool = False
    floor: float = 0.0
    side: int = 0
    alone: bool = True

    def scaled(self, values: np.ndarray) -> np.ndarray:
        """The values on the scale on which they are compared; NaN stays."""
        return np.log(np.maximum(values, np.finfo(np.float64).tiny)) if self.log else values

    def shown(self, value: float) -> str:
        """A value with its unit."""
        if self.unit == "%":
            return f"{100 * value:.3g} %"
        return f"{value:.4g} {self.unit}".rstrip()


_IMAGE = {
    "edge_x": Measure("grid", "voxel edge left to right", "mm", True, 0.02),
    "edge_y": Measure("grid", "voxel edge back to front", "mm", True, 0.02),
    "edge_z": Measure("grid", "voxel edge bottom to top", "mm", True, 0.02),
    "tilt": Measure("grid", "tilt of the axes", "degrees", False, 2.0, 1),
    "height": Measure("grid", "height", "pixels", True, 0.05),
    "width": Measure("grid", "width", "pixels", True, 0.05),
    "aspect": Measure("field of view", "width over height", "", True, 0.02),
    "field_x": Measure("field of view", "field of view left to right", "mm", True, 0.02),
    "field_y": Measure("field of view", "field of view back to front", "mm", True, 0.02),
    "field_z": Measure("field of view", "field of view bottom to top", "mm", True, 0.02),
    "blank": Measure("field of view", "blank border", "%", False, 0.01, 1),
    "edge_body": Measure("cropping", "bright share of the outermost pixels", "%", False, 0.05, 1),
    "spread": Measure("intensity", "range of intensities", "", True, 0.05),
    "middle": Measure("intensity", "place of the median in the range", "%", False, 0.02),
    "contrast": Measure("intensity", "standard deviation over the range", "%", False, 0.01),
    "lowest": Measure("intensity", "pixels at the lowest value", "%", False, 0.01, 1),
    "highest": Measure("intensity", "pixels at the highest value", "%", False, 0.005, 1),
    "noise": Measure("intensity", "difference of neighbours over the range", "%", True, 0.05),
}
_LABEL = {
    "volume": Measure("label", "volume", "ml", True, 0.05),
    "pieces": Measure("label", "number of pieces", "", True, 0.3, 1),
    "largest": Measure("label", "share of the largest piece", "%", False, 0.005, -1),
    "touching": Measure("cropping", "share of voxels at the border of the image", "%", False, 0.003, 1),
    "place_x": Measure("place", "place from the left to the right edge", "%", False, 0.02),
    "place_y": Measure("place", "place from the back to the front edge", "%", False, 0.02),
    "place_z": Measure("place", "place from the bottom to the top edge", "%", False, 0.02),
    "inside": Measure("label on image", "brightness inside", "%", False, 0.01),
    "varied": Measure("label on image", "variation inside over that around", "", False, 0.02),
    "rough": Measure("label on image", "difference of neighbours inside over that around", "", False, 0.02),
}
_STEP = {
    f"step_{side}": Measure(
        "label on image", f"step of brightness at its {side}", "", False, 0.05, alone=False
    )
    for side in ("left", "right", "back", "front", "bottom", "top")
}
# Of the findings of an image, and of a label; those taken on the channels of an image end in the channel's number.
MEASURES = _IMAGE | _LABEL | _STEP


def measure_of(name: str) -> Measure:
    """The measure that a name in the findings stands for.

    Args:
        name: a key of MEASURES, or one with a channel's number after it, as `inside_2`.
    """
    return MEASURES[name] if name in MEASURES else MEASURES[name.rsplit("_", 1)[0]]


@dataclass(frozen=True)
class Usual:
    """What is usual in a set, and how far each case is from it.

    Args:
        median: of the values.
        low: their 5th percentile.
        high: their 95th percentile.
        distances: (N,) in standard deviations from the median, with sign; NaN where there is no value. The deviation
            is what the median of all absolute deviations speaks for, or their median or eighth tenth on the value's own
            side, whichever is largest: a long tail, and a second group with a tenth of the cases, are usual.
        limit: a distance that chance does not explain.
    """

    median: float
    low: float
    high: float
    distances: np.ndarray
    limit: float


def usual(values: Sequence[float] | np.ndarray, measure: Measure) -> Usual:
    """Compare the values of one measure.

    Args:
        values: (N,); NaN where a case has none. At least one is a number.
        measure: says on which scale, and how much variation is always usual.

    Returns:
        What is usual.
    """
    values = np.asarray(values, dtype=np.float64)
    there = values[np.isfinite(values)]
    median, low, high = (float(value) for value in np.percentile(there, (50, 5, 95)))
    from_median = measure.scaled(values) - measure.scaled(np.float64(median))
    known = from_median[np.isfinite(from_median)]
    least = np.log1p(measure.floor) if measure.log else measure.floor
    everywhere = max(_NORMAL * _quantile(known, 0.5), least, np.finfo(np.float64).tiny)
    # Those that are equal to the median belong to both sides: one case among many equal ones is no side by itself.
    spreads = [max(everywhere, _side_spread(side)) for side in (known[known <= 0], known[known >= 0])]
    distances = from_median / np.where(from_median < 0, *spreads)
    return Usual(median, low, high, distances, limit(len(there)))


def limit(count: int) -> float:
    """How many standard deviations from the median chance does not explain in a set of this size.

    Args:
        count: number of values, 2 or more. Of few the deviation itself is known badly, and the limit is wider.
    """
    return float(stats.t.isf(CHANCE / (2 * count), max(1.0, _EFFICIENCY * count)))


def strength(distance: float, limit: float) -> float:
    """From 0 at the limit to 1 far beyond: 1 - limit / distance.

    Args:
        distance: above the limit.
        limit: as `limit` gives it.
    """
    return 1.0 - limit / distance


def _side_spread(deviations: np.ndarray) -> float:
    """The standard deviation that the values on one side of the median speak for."""
    return max(_NORMAL * _quantile(deviations, 0.5), _quantile(deviations, 0.8) / stats.norm.isf(0.1))


def _quantile(deviations: np.ndarray, share: float) -> float:
    """Of their sizes; of a few values not the farthest."""
    return float(np.quantile(np.abs(deviations), share, method="lower")) if deviations.size else 0.0
