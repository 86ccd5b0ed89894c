"""Quantitative motion estimates of a scan, from three of its projections [Sode2011].

With parallel rays the view at 180 degrees is the mirrored view at 0 degrees, unless the limb has moved in between. How
far apart the two are is set against how far apart two neighbouring views are, so that size and density of the bone
count less.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

STEP, HALF_TURN = 0.24, 180.0  # degrees
OFF = 0.5  # of a step between two views, by which a view may be off the angle that is looked for


class MotionEstimate(NamedTuple):
    """What the projections tell of motion.

    Attributes:
        ssd: QME_SSD, 0 for no motion and no noise, the larger the more motion.
        ncc: QME_NCC in percent, about 100 for no motion, the smaller the more motion.
    """

    ssd: float
    ncc: float


def sum_of_squared_differences(first: np.ndarray, second: np.ndarray) -> float:
    """Sum over all pixels of the squared differences of two images of one shape."""
    difference = np.asarray(first, np.float64) - np.asarray(second, np.float64)
    return float(np.vdot(difference, difference))


def normalised_cross_correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Sum of the products of two images' values over the root of the product of their sums of squares.

    The means are not taken off. 1 for images that are multiples of each other.

    Raises:
        ValueError: when an image is 0 everywhere.
    """
    first, second = (np.asarray(image, np.float64) for image in (first, second))
    energy = np.vdot(first, first) * np.vdot(second, second)
    if not energy > 0:
        raise ValueError("an image without a value above or below 0; expected one to correlate")
    return float(np.vdot(first, second) / np.sqrt(energy))


def mirror(view: np.ndarray, centre: float) -> tuple[np.ndarray, slice]:
    """A view with its columns mirrored at the centre of rotation.

    Args:
        view: (rows, columns).
        centre: column of the centre, from 0; may lie between two columns.

    Returns:
        The mirrored columns, linear between two, and the slice of columns of the other view that they match: those
        whose partner lies in the view.

    Raises:
        ValueError: when no column has a partner.
    """
    columns = view.shape[1]
    places = 2 * centre - np.arange(columns)
    inside = np.flatnonzero((places >= 0) & (places <= columns - 1))
    if not len(inside):
        raise ValueError(f"centre: got column {centre:g} of {columns}; expected one within the view")
    low = np.floor(places[inside]).astype(int)
    share = places[inside] - low
    high = np.minimum(low + 1, columns - 1)
    mirrored = (1 - share) * view[:, low] + share * view[:, high]
    return mirrored, slice(inside[0], inside[-1] + 1)


def motion_estimate(
    first: np.ndarray, next_view: np.ndarray, opposite: np.ndarray, centre: float | None = None
) -> MotionEstimate:
    """QME_SSD and QME_NCC.

    Args:
        first: (rows, columns), the view at 0 degrees.
        next_view: likewise, at 0.24 degrees.
        opposite: likewise, at 180 degrees, as it was taken.
        centre: column of the centre of rotation, from 0; the middle of the view if not given. Columns without a mirror
            image are left out of both comparisons.

    Returns:
        SSD(0, 180) / SSD(0, 0.24), and 100 times the root of NCC(0, 180) / NCC(0, 0.24).

    Raises:
        ValueError: when the views are not of one shape, the first two are equal, or the correlations differ in sign.
    """
    first, next_view, opposite = (np.asarray(view, np.float64) for view in (first, next_view, opposite))
    if first.ndim != 2 or not first.shape == next_view.shape == opposite.shape:
        shapes = ", ".join(str(view.shape) for view in (first, next_view, opposite))
        raise ValueError(f"views of shapes {shapes}; expected three of one shape (rows, columns)")
    mirrored, kept = mirror(opposite, (first.shape[1] - 1) / 2 if centre is None else centre)
    first, next_view = first[:, kept], next_view[:, kept]
    apart = sum_of_squared_differences(first, next_view)
    if apart == 0:
        raise ValueError("the views at 0 and 0.24 degrees are equal; expected two views of a turning limb")
    share = normalised_cross_correlation(first, mirrored) / normalised_cross_correlation(first, next_view)
    if share < 0:
        raise ValueError("correlations of both signs; expected views whose values are 0 or above")
    return MotionEstimate(sum_of_squared_differences(first, mirrored) / apart, 100 * float(np.sqrt(share)))


def find_views(angles_degrees: np.ndarray) -> tuple[int, int, int]:
    """Which views are those at 0, 0.24 and 180 degrees from the first.

    Args:
        angles_degrees: (views,), ascending.

    Returns:
        Their indices.

    Raises:
        ValueError: when there is no view near enough to one of the angles.
    """
    angles = np.asarray(angles_degrees, np.float64)
    if len(angles) < 3 or not (np.diff(angles) > 0).all():
        raise ValueError(f"{len(angles)} angles; expected three or more, ascending")
    off = OFF * min(float(np.median(np.diff(angles))), STEP) + 1e-6
    found = []
    for wanted in (STEP, HALF_TURN):
        away = np.abs(angles - angles[0] - wanted)
        away[0] = np.inf
        if away.min() > off:
            nearest = angles[away.argmin()] - angles[0]
            raise ValueError(
                f"no view at {wanted:g} degrees, the nearest is at {nearest:g}; expected one within {off:.3g} degrees"
            )
        found.append(int(away.argmin()))
    return 0, *found
