"""Turns a radiograph so that the limb is upright and the fingers point up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

from monai_tasks.radiographs.fingers import fingers_score
from monai_tasks.radiographs.foreground import Overview, largest_component
from monai_tasks.radiographs.study import Image, Study

TOLERANCE = 3.0  # degrees
ROUNDS = 3  # of measuring and turning, at most
LINES = 20.0  # degrees; how far the bones' edges may lie from the body's axis, as a deviation
LONG = 1.15  # length by width of a body, from which its axis counts
SURE = 1.5  # score of the fingers' end, either way, from which it counts as known
BLUR = 4.0  # degrees
UNSURE = "direction unknown"
MARGIN = 0.06  # of the body's length that is kept around it


@dataclass(frozen=True)
class Rotation:
    """By how much to turn an image.

    Args:
        degrees: anticlockwise, -180 to 180; 0 where the image stays as it is.
        sure: whether it is known which end the fingers are. Otherwise the limb is only made upright, by the smaller
            turn.
    """

    degrees: float
    sure: bool


def rotation(pixels: np.ndarray, tolerance: float = TOLERANCE) -> Rotation:
    """Find the turn after which the fingers point up.

    The body's principal axis says roughly how the limb lies; the edges of the long bones, which run along it, say it
    exactly. Which end the fingers are is told by what is seen along the limb, see `fingers_score`.

    Args:
        pixels: (H, W), white where the body is dense.
        tolerance: degrees; a smaller turn, or a smaller rest beside quarter turns, is none.
    """
    overview = Overview(pixels)
    return _rotation(overview.small, overview.field, overview.body, tolerance)


def _rotation(small: np.ndarray, field: np.ndarray, mask: np.ndarray, tolerance: float) -> Rotation:
    if not mask.any():
        return Rotation(0.0, False)
    total = 0.0
    for _ in range(ROUNDS):
        rest = _lean(*_turned(small, field, mask, total))
        total += rest
        # Half, so that what is left in the turned image stays below the tolerance when it is measured again.
        if abs(rest) < tolerance / 2:
            break
    total = (total + 90) % 180 - 90
    score = fingers_score(*_turned(small, field, mask, total))
    if score < -SURE:
        total += 180
    quarters = 90.0 * round(total / 90)
    if abs(total - quarters) < tolerance:
        total = quarters
    return Rotation(round((total + 180) % 360 - 180, 1), abs(score) >= SURE)


def _turned(
    small: np.ndarray, field: np.ndarray, mask: np.ndarray, degrees: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The reduced copy, its field and its body, turned anticlockwise on a canvas that holds all of it."""
    if degrees == 0:
        return small, field, mask
    around = field & ~mask
    dark = float(np.median(small[around])) if around.any() else float(small.min())
    return (
        ndimage.rotate(small, degrees, order=1, cval=dark),
        ndimage.rotate(field.astype(np.uint8), degrees, order=0) > 0,
        ndimage.rotate(mask.astype(np.uint8), degrees, order=0) > 0,
    )


def _lean(small: np.ndarray, field: np.ndarray, mask: np.ndarray) -> float:
    """By how many degrees the limb leans from upright towards the right, -90 to 90."""
    places = np.argwhere(largest_component(mask))
    spread, axes = np.linalg.eigh(np.cov(places.T))
    down, right = axes[:, 1]
    coarse = np.degrees(np.arctan2(right, -down))
    inside = mask & ndimage.binary_erosion(field, iterations=3, border_value=1)
    steep_down, steep_right = (
        ndimage.gaussian_filter(small, 1.5, order=order)[inside] for order in ((1, 0), (0, 1))
    )
    # An edge runs at right angles to where the image is steepest.
    angles = np.degrees(np.arctan2(steep_down, steep_right)) % 180
    lines, _ = np.histogram(angles, bins=180, range=(0, 180), weights=np.hypot(steep_down, steep_right))
    lines = ndimage.gaussian_filter1d(lines, BLUR, mode="wrap")
    degrees = np.arange(180) + 0.5
    if spread[1] > LONG**2 * spread[0]:
        away = (degrees - coarse + 90) % 180 - 90
        lines = lines * np.exp(-0.5 * (away / LINES) ** 2)
    peak = int(lines.argmax())
    # The top of the parabola through the peak and its neighbours.
    before, top, after = lines[[peak - 1, peak, (peak + 1) % 180]]
    bend = before - 2 * top + after
    fine = degrees[peak] + (0.5 * (before - after) / bend if bend else 0.0)
    return float((fine + 90) % 180 - 90)


def align(
    pixels: np.ndarray, tolerance: float = TOLERANCE, overview: Overview | None = None
) -> tuple[np.ndarray, Rotation]:
    """Turn an image so that the fingers point up.

    Quarter turns move pixels and change none. Other turns resample once, by straight lines between pixels, onto a
    canvas that holds the body with a margin; where that lies outside the image it is as dark as the background.

    Args:
        pixels: (H, W), white where the body is dense.
        tolerance: see `rotation`.
        overview: of these pixels; made where not given.

    Returns:
        pixels: (H', W'), of the same kind; those given where they stay as they are.
        rotation: what was done.
    """
    overview = overview or Overview(pixels)
    found = _rotation(overview.small, overview.field, overview.body, tolerance)
    if found.degrees % 90 == 0:
        return np.rot90(pixels, int(found.degrees // 90)), found
    corners = _corners(overview.body) * overview.edge
    return _resampled(pixels, found.degrees, overview.background(), corners), found


def _corners(mask: np.ndarray) -> np.ndarray:
    """Points (N, 2) of rows and columns whose box is the mask's, however it is turned: the ends of its rows."""
    rows = np.flatnonzero(mask.any(1))
    first, last = mask[rows].argmax(1), mask.shape[1] - mask[rows, ::-1].argmax(1)
    return np.concatenate([np.stack([rows + down, side], 1) for down in (0, 1) for side in (first, last)])


def _resampled(pixels: np.ndarray, degrees: float, level: int, corners: np.ndarray) -> np.ndarray:
    """The image turned anticlockwise about its middle, cut to points of it with a margin.

    Args:
        pixels: (H, W).
        degrees: of the turn.
        level: of pixels that lie outside the image.
        corners: (N, 2), rows and columns of points that the result holds.
    """
    image = sitk.GetImageFromArray(pixels)
    angle = np.radians(degrees)
    middle = (np.array(pixels.shape[::-1]) - 1) / 2
    # With y downwards, SimpleITK's positive angles turn clockwise; its transform leads from the result to the image.
    transform = sitk.Euler2DTransform(middle.tolist(), float(angle))
    there = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    held, whole = (
        (points - middle) @ there.T + middle
        for points in (
            corners[:, ::-1],
            np.array([(x, y) for y in (0, pixels.shape[0]) for x in (0, pixels.shape[1])]),
        )
    )
    margin = MARGIN * np.ptp(held, axis=0).max()
    low = np.floor(np.maximum(held.min(0) - margin, whole.min(0)))
    high = np.ceil(np.minimum(held.max(0) + margin, whole.max(0)))
    result = sitk.Resample(
        image,
        [int(size) for size in high - low],
        transform,
        sitk.sitkLinear,
        low.tolist(),
        (1.0, 1.0),
        (1.0, 0.0, 0.0, 1.0),
        float(level),
    )
    return sitk.GetArrayFromImage(result)


@dataclass(frozen=True)
class RotationAlignment:
    """Turn images so that the fingers point up, and write by how much into the column `rotation_degrees`.

    Degrees are anticlockwise. Where it is not known which end the fingers are, the limb is made upright and the
    column `alignment_note` says `direction unknown`. An image whose degrees are filled in has been turned before and
    is left as it is.

    Args:
        tolerance: degrees; a smaller turn, or a smaller rest beside quarter turns, is none.

    Raises:
        ValueError: if the tolerance is not above 0 and below 45.
    """

    tolerance: float = TOLERANCE

    name = "alignment"

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 45:
            raise ValueError(f"tolerance {self.tolerance}; expected degrees above 0 and below 45")

    def __call__(self, study: Study) -> Study:
        return study.with_images([self._aligned(image) for image in study.images])

    def _aligned(self, image: Image) -> Image:
        if image.row["rotation_degrees"]:
            return image
        pixels, found = align(image.pixels, self.tolerance, image.overview)
        columns = {"rotation_degrees": f"{found.degrees:g}", "alignment_note": "" if found.sure else UNSURE}
        if found.degrees == 0:
            return image.with_columns(**columns)
        columns["pixel_spacing_mm"] = turned_spacing(image.row.get("pixel_spacing_mm", ""), found.degrees)
        return image.with_pixels(pixels, **columns)


def turned_spacing(spacing: str, degrees: float) -> str:
    """The distance of the pixels after a turn.

    Args:
        spacing: one number for square pixels, or `ROW x COLUMN`, in mm; or empty.
        degrees: of the turn.

    Returns:
        In the same form: the two are swapped by a quarter turn, and nothing is known of them after other turns.
    """
    row, by, column = spacing.partition(" x ")
    if not by or degrees % 180 == 0:
        return spacing
    return f"{column} x {row}" if degrees % 90 == 0 else ""
