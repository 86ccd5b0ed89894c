"""Find where femur and tibia meet in a coronal knee image, from the image alone."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

import numpy as np
import SimpleITK as sitk
from scipy import ndimage

PIXEL = 2.0  # mm, of the copy that is searched
SCALES = (0.8, 0.9, 1.0, 1.12)  # of the drawn knee, whose condyles are 80 mm wide
TURNS = (-8.0, -4.0, 0.0, 4.0, 8.0)  # degrees in the coronal plane
APART = 15.0  # mm; a place farther off than this is another place
AGREES = 8.0  # mm; a slice that finds its best place within this agrees
SLICES = 12  # at most, that are searched one by one
OVERLAP = 0.6  # share of the drawn knee that must lie inside the image

# Half the width of the bones in mm, by the distance from the joint in mm.
FEMUR = ((0, 34), (8, 40), (20, 40), (32, 32), (45, 21), (60, 17))
TIBIA = ((0, 38), (8, 38), (16, 34), (30, 22), (45, 15), (60, 13))


@dataclass(frozen=True)
class Joint:
    """Where the bones meet.

    Args:
        index: (x, y), in voxels of the image that was searched, with fractions.
        confidence: 0 to 1; how much more like a joint this place is than any other.
        found: whether the confidence is enough. Otherwise `index` is the centre of the leg, or of the image
            where there is no leg.
    """

    index: tuple[float, float]
    confidence: float
    found: bool


def find_joint(image: np.ndarray, spacing: Sequence[float], threshold: float = 0.08) -> Joint:
    """Find the middle between femur and tibia in the plane.

    A drawn knee (two wide bright bones with a dark gap between them that narrow to shafts between muscles) is
    laid over the image at several sizes and angles, and compared by normalised correlation under a mask
    [Padfield2012]. Before that the image is divided by its local mean, which takes out the coil's bias.

    The confidence is the correlation at the best place minus that at the best place more than 15 mm away,
    times the share of slices that find the same place on their own. Growth plates, which are dark lines as
    the gap is, lie more than 15 mm away.

    Args:
        image: (X, Y, Z), towards right, superior and anterior; non-negative intensities in any unit.
        spacing: voxel edges in mm.
        threshold: least confidence of a joint that counts as found.

    Raises:
        ValueError: when the image has not three axes, or values that are not finite.
    """
    image = np.asarray(image)
    if image.ndim != 3 or not np.isfinite(image).all():
        raise ValueError(f"image: got an array of shape {image.shape}; expected (X, Y, Z), finite")
    level, leg = _flattened(_small_copy(image, spacing))
    leg_size = leg.sum((0, 1))
    if not leg_size.any():
        return Joint(tuple((n - 1) / 2 for n in image.shape[:2]), 0.0, False)
    # Slices in front show the patella, those behind only muscle.
    first, last = np.flatnonzero(leg_size > leg_size.max() / 2)[[0, -1]]
    quarter = (last - first) // 4
    middle = level[..., first + quarter : last - quarter + 1]
    place, confidence = _best_place(middle)
    found = confidence >= threshold
    if not found:
        place = np.array([axis.mean() for axis in np.nonzero(leg.any(2))])
    scale = PIXEL / np.asarray(spacing[:2], float)
    x, y = (place + 0.5) * scale - 0.5
    return Joint((float(x), float(y)), confidence, bool(found))


def _small_copy(image: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """The image at 2 mm in the plane, with its extreme values cut off."""
    steps = [max(1, round(PIXEL / 4 / edge)) for edge in spacing[:2]]
    low, high = np.percentile(image[:: steps[0], :: steps[1]], [0.5, 99.5])
    image = np.clip(image, low, high).astype(np.float32) - np.float32(low)
    scale = PIXEL / np.asarray(spacing[:2], float)
    image = ndimage.gaussian_filter(image, (*(0.4 * scale), 0), truncate=2.5)
    shape = np.maximum(np.round(image.shape[:2] / scale).astype(int), 1)
    return ndimage.affine_transform(
        image,
        np.array([*scale, 1.0]),
        offset=[*(scale / 2 - 0.5), 0],
        output_shape=(*shape.tolist(), image.shape[2]),
        order=1,
        mode="nearest",
    )


def _flattened(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The image divided by its local mean within the leg, 0 outside, and the mask of the leg."""
    if image.min() == image.max():
        return np.zeros_like(image), np.zeros(image.shape, bool)
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.Execute(sitk.GetImageFromArray(image))
    # Otsu's threshold parts bright tissue from dark; muscle far from the coil is darker still.
    slices = np.moveaxis(image > 0.6 * otsu.GetThreshold(), 2, 0)
    masks = [ndimage.binary_fill_holes(ndimage.binary_opening(mask, iterations=2)) for mask in slices]
    leg = np.stack(masks, 2)
    width = (24 / PIXEL, 24 / PIXEL, 1)
    share = ndimage.gaussian_filter(leg.astype(np.float32), width)
    mean = ndimage.gaussian_filter(image * leg, width)
    level = np.divide(image * share, mean, out=np.zeros_like(image), where=leg & (mean > 0))
    return np.minimum(level, 1.6), leg  # fat is brighter than bone, and must not count for more


def _best_place(level: np.ndarray) -> tuple[np.ndarray, float]:
    """Index (x, y) in the small copy, and the confidence."""
    mean = level.mean(2)
    maps = {shape: _likeness(mean, *shape) for shape in product(SCALES, TURNS)}
    shape = max(maps, key=lambda one: maps[one].max())
    everywhere = np.maximum.reduce(list(maps.values()))
    place = _peak(maps[shape])
    grid = np.indices(everywhere.shape).reshape(2, -1).T
    away = np.linalg.norm(grid - place, axis=1).reshape(everywhere.shape) * PIXEL > APART
    margin = everywhere.max() - everywhere[away].max(initial=0)

    step = -(-level.shape[2] // SLICES)
    peaks = np.array([_peak(_likeness(level[..., z], *shape)) for z in range(0, level.shape[2], step)])
    near = np.linalg.norm(peaks - place, axis=1) * PIXEL < AGREES
    if near.any():
        place = np.median(np.vstack([peaks[near], place]), axis=0)
    return place, float(np.clip(margin * near.mean(), 0, 1))


def _peak(likeness: np.ndarray) -> np.ndarray:
    """Place of the maximum, between the pixels."""
    x, y = np.unravel_index(likeness.argmax(), likeness.shape)
    around = np.s_[max(x - 2, 0) : x + 3, max(y - 2, 0) : y + 3]
    part = likeness[around]
    weights = np.maximum(part - 0.8 * part.max(), 0) if part.max() > 0 else np.ones_like(part)
    return np.array(ndimage.center_of_mass(weights)) + [max(x - 2, 0), max(y - 2, 0)]


def _likeness(plane: np.ndarray, scale: float, turn: float) -> np.ndarray:
    """Correlation of the drawn knee with each place of a plane (X, Y); same shape, -1 to 1."""
    drawn, mask = _drawn_knee(scale, turn)
    image, inside = sitk.GetImageFromArray(plane), sitk.GetImageFromArray(np.ones_like(plane))
    correlation = sitk.MaskedFFTNormalizedCorrelation(
        image,
        sitk.GetImageFromArray(drawn),
        inside,
        sitk.GetImageFromArray(mask),
        requiredFractionOfOverlappingPixels=OVERLAP,
    )
    # The result begins where only the corners of the two overlap.
    x, y = ((n - 1) // 2 for n in drawn.shape)
    return sitk.GetArrayFromImage(correlation)[x : x + plane.shape[0], y : y + plane.shape[1]]


@lru_cache(maxsize=len(SCALES) * len(TURNS))
def _drawn_knee(scale: float, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """A knee of flat tones with the joint in the middle pixel, and the mask of where it says anything."""
    half = (round(52 * scale / PIXEL), round(56 * scale / PIXEL))
    x, y = np.indices([2 * n + 1 for n in half]) - np.reshape(half, (2, 1, 1))
    sin, cos = np.sin(np.radians(turn)), np.cos(np.radians(turn))
    across = np.abs(x * cos + y * sin) * PIXEL / scale
    along = (y * cos - x * sin) * PIXEL / scale
    away = np.abs(along)
    edge = np.where(along > 0, np.interp(away, *zip(*FEMUR, strict=True)), 0)
    edge = np.where(along > 0, edge, np.interp(away, *zip(*TIBIA, strict=True)))

    bone = (across < edge - 2) & (away > 4)
    muscle = (away > 24) & (across > edge + 4) & (across < edge + 16)
    gap = (across < 34) & (away < 2.6)
    notch = (across < 9) & (along > 0) & (along < 18)  # dark or bright, with the knee's bending
    drawn = np.select([notch, bone, gap, muscle], [0.0, 1.0, -1.0, -0.6]).astype(np.float32)
    return drawn, ((bone | gap | muscle) & ~notch).astype(np.float32)
