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
TURNS = (-6.0, 0.0, 6.0)  # degrees in the coronal plane
SLABS = (-16.0, -8.0, 0.0, 8.0, 16.0)  # mm in front of the middle of the leg
THICKNESS = 8.0  # mm, of a slab of slices that are averaged
APART = 15.0  # mm; a place farther off than this is another place
AGREES = 8.0  # mm; a slice that finds its best place within this agrees
OVERLAP = 0.6  # share of the drawn knee that must lie inside the image

# The drawn knee, in mm. Half the width of the bones by the distance from the joint:
FEMUR = ((0, 34), (8, 40), (22, 40), (34, 32), (45, 23), (60, 18))
TIBIA = ((0, 38), (8, 38), (16, 35), (30, 24), (45, 15), (60, 13))
PLATEAU = 5.5  # from the joint to the tibia
CONDYLES = (
    6.5,
    5.0,
)  # from the joint to the femur 20 mm beside the middle, and what is added 20 mm from there
GAP = 3.0  # between the bones and what is drawn dark between them
EPIPHYSIS = (22.0, 14.0)  # from the joint to the growth plates of femur and tibia

BORDER = 16.0  # mm of both bones, at least, that the image must show
# Of 80 generated knees all reach it, of 160 parts of them that end 30 mm before the joint one does.
THRESHOLD = 0.28


@dataclass(frozen=True)
class Joint:
    """Where the bones meet.

    Args:
        index: (x, y), in voxels of the image that was searched, with fractions.
        confidence: 0 to 1; how much like a joint this place is, and how much more so than any other.
        found: whether the confidence is enough. Otherwise `index` is the centre of the leg, or of the image
            where there is no leg.
    """

    index: tuple[float, float]
    confidence: float
    found: bool


def find_joint(image: np.ndarray, spacing: Sequence[float], threshold: float = THRESHOLD) -> Joint:
    """Find the middle between femur and tibia in the plane.

    A drawn knee (two wide bright bones with dark rims, a dark gap between them, their shafts less bright) is
    laid over the image at several depths, sizes and angles, and compared by normalised correlation under a mask
    [Padfield2012]. Before that the image is divided by its local mean, which takes out the coil's bias.

    The confidence is the correlation at the best place less half of that at the best place more than 15 mm
    away, times the share of slices that find the same place on their own. Growth plates are dark lines as the
    gap is, but thinner, and lie farther away than that.

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
    place, confidence = _best_place(level, _slabs(leg_size, spacing[2]))
    found = confidence >= threshold
    if not found:
        place = np.array(ndimage.center_of_mass(leg.sum(2)))
    scale = PIXEL / np.asarray(spacing[:2], float)
    x, y = (place + 0.5) * scale - 0.5
    return Joint((float(x), float(y)), confidence, bool(found))


def _slabs(leg_size: np.ndarray, thickness: float) -> list[slice]:
    """Slices to average. The joint lies in the middle of the leg's depth, where the patella does not show."""
    middle = np.flatnonzero(leg_size > leg_size.max() / 2)[[0, -1]].mean()
    edges = [middle + (offset + np.array([-0.5, 0.5]) * THICKNESS) / thickness for offset in SLABS]
    slabs = [slice(max(round(first), 0), max(round(last) + 1, 0)) for first, last in edges]
    return [slab for slab in slabs if leg_size[slab].size]


def _small_copy(image: np.ndarray, spacing: Sequence[float]) -> np.ndarray:
    """The image at 2 mm in the plane, with its extreme values cut off."""
    steps = [max(1, round(PIXEL / 4 / edge)) for edge in spacing[:2]]
    low, high = np.percentile(image[:: steps[0], :: steps[1]], [0.5, 99.5])
    low, high = np.float32(low), np.float32(high)
    image = np.clip(image.astype(np.float32), low, high) - low
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


def _best_place(level: np.ndarray, slabs: list[slice]) -> tuple[np.ndarray, float]:
    """Index (x, y) in the small copy, and the confidence."""
    means = [level[..., slab].mean(2) for slab in slabs]
    # All shapes over the middle slab, the best one over the others, and all shapes where that is best.
    first = len(means) // 2
    maps = {(first, *shape): _likeness(means[first], *shape) for shape in product(SCALES, TURNS)}
    _, *shape = _best(maps)
    maps |= {(slab, *shape): _likeness(means[slab], *shape) for slab in range(len(means)) if slab != first}
    number, *_ = _best(maps)
    if number != first:
        maps |= {(number, *shape): _likeness(means[number], *shape) for shape in product(SCALES, TURNS)}
    number, *shape = _best(maps)
    place = _peak(maps[number, *shape])
    everywhere = np.maximum.reduce(list(maps.values()))
    grid = np.indices(everywhere.shape).reshape(2, -1).T
    away = np.linalg.norm(grid - place, axis=1).reshape(everywhere.shape) * PIXEL > APART
    clear = everywhere.max() - everywhere[away].max(initial=0) / 2

    planes = np.moveaxis(level[..., slabs[number]], 2, 0)
    peaks = np.array([_peak(_likeness(plane, *shape)) for plane in planes])
    near = np.linalg.norm(peaks - place, axis=1) * PIXEL < AGREES
    place = np.median(np.vstack([peaks[near], place]), axis=0)
    return place, float(np.clip(clear * near.mean(), 0, 1))


def _best(maps: dict[tuple, np.ndarray]) -> tuple:
    """The key of the map with the highest maximum."""
    return max(maps, key=lambda key: maps[key].max())


def _peak(likeness: np.ndarray) -> np.ndarray:
    """Place of the maximum, between the pixels."""
    x, y = np.unravel_index(likeness.argmax(), likeness.shape)
    around = np.s_[max(x - 2, 0) : x + 3, max(y - 2, 0) : y + 3]
    part = likeness[around]
    weights = np.maximum(part - 0.8 * part.max(), 0) if part.max() > 0 else np.ones_like(part)
    return np.add(ndimage.center_of_mass(weights), [max(x - 2, 0), max(y - 2, 0)])


def _likeness(plane: np.ndarray, scale: float, turn: float) -> np.ndarray:
    """Correlation of the drawn knee with each place of a plane (X, Y); same shape, -1 to 1."""
    drawn, mask = _drawn_knee(scale, turn)
    correlate = sitk.MaskedFFTNormalizedCorrelationImageFilter()
    correlate.SetNumberOfThreads(1)  # planes are small, and the workers that load cases share the cores
    correlate.SetRequiredFractionOfOverlappingPixels(OVERLAP)
    images = (sitk.GetImageFromArray(array) for array in (plane, drawn, np.ones_like(plane), mask))
    correlation = correlate.Execute(*images)
    # The result begins where only the corners of the two overlap.
    x, y = ((n - 1) // 2 for n in drawn.shape)
    result = sitk.GetArrayFromImage(correlation)[x : x + plane.shape[0], y : y + plane.shape[1]]
    border = min(round(BORDER / PIXEL), (plane.shape[1] - 1) // 2)
    result[:, :border], result[:, plane.shape[1] - border :] = 0, 0
    return result


@lru_cache(maxsize=len(SCALES) * len(TURNS))
def _drawn_knee(scale: float, turn: float) -> tuple[np.ndarray, np.ndarray]:
    """A knee of flat tones with the joint in the middle pixel, and the mask of where it says anything."""
    half = (round(48 * scale / PIXEL), round(45 * scale / PIXEL))
    x, y = np.indices([2 * n + 1 for n in half]) - np.reshape(half, (2, 1, 1))
    sin, cos = np.sin(np.radians(turn)), np.cos(np.radians(turn))
    across = np.abs(x * cos + y * sin) * PIXEL / scale
    along = (y * cos - x * sin) * PIXEL / scale
    away = np.abs(along)
    femur = along > 0
    edge = np.where(
        femur, np.interp(away, *zip(*FEMUR, strict=True)), np.interp(away, *zip(*TIBIA, strict=True))
    )

    start = np.where(femur, CONDYLES[0] + CONDYLES[1] * ((across - 20) / 20) ** 2, PLATEAU)
    bone = (across < edge - 3) & (away > start)
    epiphysis = bone & (away < np.where(femur, *EPIPHYSIS))
    gap = (across < 35) & (away < start - GAP)
    cortex = (across > edge) & (across < edge + 4) & (away > start)
    notch = femur & (across < 12) & (away < EPIPHYSIS[0])  # differs from slice to slice
    tones = np.select([epiphysis, bone, gap, cortex], [1.0, 0.4, -1.0, -0.5]).astype(np.float32)
    return tones, ((bone | gap | cortex) & ~notch).astype(np.float32)
