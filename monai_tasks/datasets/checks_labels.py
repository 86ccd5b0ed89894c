"""Numbers that describe the labels of one case, alone and against the image below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import nibabel as nib
import numpy as np
from scipy import ndimage

from monai_tasks.datasets.checks_images import AXES
from monai_tasks.datasets.checks_read import Image, LabelMap
from monai_tasks.io.grid import farthest_corner, is_apart

SIDES = (
    ("left", "right"),
    ("back", "front"),
    ("bottom", "top"),
)  # towards lower and higher indices of an axis
_MARGIN = 3  # voxels around a label in which its surroundings are looked at


@dataclass(frozen=True, eq=False)
class LabelFindings:
    """What the labels of a case are like.

    Args:
        grid: how the grid of the labels differs from that of the image; empty where it does not.
        measures: label value to its measures, by their names in `checks_compare.MEASURES`. A label without voxels
            is not there.
        centres: label value to its centre in RAS+ millimetres from the middle of the image.
        whole: measures of all labels together, as of one.
    """

    grid: str
    measures: dict[int, dict[str, float]]
    centres: dict[int, tuple[float, float, float]]
    whole: dict[str, float]


def look_at_label(label: LabelMap, images: Sequence[Image]) -> LabelFindings:
    """Measure the labels of a case.

    Args:
        label: the masks.
        images: the channels of the case; none where they could not be read. Labels on another grid are measured
            without them.

    Returns:
        The findings.
    """
    shape = label.shape
    grid = _difference(label, images)
    channels = [] if grid else [np.asarray(image.array, dtype=np.float32) for image in images]
    middle = nib.affines.apply_affine(label.affine, (np.asarray(shape) - 1) / 2)
    measures, centres = {}, {}
    for value, mask in label.masks.items():
        if not mask.any():
            continue
        measures[value] = _measure(mask, label.affine, channels)
        centre = nib.affines.apply_affine(label.affine, _centre(mask)) - middle
        centres[value] = tuple(float(part) for part in centre)
    union = np.zeros(shape, bool)
    for mask in label.masks.values():
        union |= mask
    whole = _measure(union, label.affine, channels) if union.any() else {}
    return LabelFindings(grid, measures, centres, whole)


def _difference(label: LabelMap, images: Sequence[Image]) -> str:
    """Why a voxel of the label is not a voxel of the image."""
    if not images:
        return ""
    own, other = ("x".join(map(str, sizes)) for sizes in (label.shape, images[0].shape))
    if label.shape != images[0].shape:
        return f"the label has {own} voxels, the image {other}"
    apart = farthest_corner(label.shape, label.affine, images[0].affine)
    return f"the label lies {apart:.3g} mm away from the image" if is_apart(apart, label.affine) else ""


def _centre(mask: np.ndarray) -> np.ndarray:
    """The mean index along each axis."""
    sums = [mask.sum(axis=tuple(np.delete(np.arange(3), axis))) for axis in range(3)]
    return np.array([counts @ np.arange(counts.size) / counts.sum() for counts in sums])


def _measure(mask: np.ndarray, affine: np.ndarray, channels: Sequence[np.ndarray]) -> dict[str, float]:
    """The measures of one label that has voxels."""
    box = ndimage.find_objects(mask.astype(np.uint8))[0]
    around = tuple(slice(max(0, part.start - _MARGIN), part.stop + _MARGIN) for part in box)
    near = mask[around]
    count = int(near.sum())
    pieces, number = ndimage.label(near)
    sizes = np.bincount(pieces.ravel())[1:]
    place = _centre(mask) / np.maximum(np.subtract(mask.shape, 1), 1)
    measures = {
        "volume": count * float(abs(np.linalg.det(affine[:3, :3]))) / 1000,
        "pieces": float(number),
        "largest": float(sizes.max()) / count,
        "touching": _touching(mask) / count,
    }
    measures |= {f"place_{axis}": float(part) for axis, part in zip(AXES, place, strict=True)}
    for number, channel in enumerate(channels, start=1):
        own = _against(channel, around, near)
        measures |= {f"{name}_{number}": value for name, value in own.items()}
    return measures


def _touching(mask: np.ndarray) -> int:
    """How many voxels lie at the border of the volume."""
    inside = mask[1:-1, 1:-1, 1:-1]
    return int(mask.sum() - inside.sum())


def _against(channel: np.ndarray, around: tuple[slice, ...], near: np.ndarray) -> dict[str, float]:
    """How a label stands out from its surroundings.

    Args:
        channel: (X, Y, Z).
        around: the box with the label and its margin.
        near: the mask in that box; it has voxels.

    Returns:
        `inside`, the mean in the label, on a scale from the channel's 1st percentile, 0, to its 99th, 1; `varied`, the
        standard deviation in the label over that in the box; `rough`, the mean difference of neighbours within the
        label over that in the box; and for each side of the label the mean step from a voxel of its surface outwards,
        over the standard deviation in the box. NaN where there is nothing to take a mean of.
    """
    low, high = (float(value) for value in np.percentile(channel, (1, 99)))
    values = channel[around]
    unit = max(float(values.std()), np.finfo(np.float32).tiny)
    inside = values[near]
    measures = {
        "inside": (float(inside.mean()) - low) / max(high - low, np.finfo(np.float32).tiny),
        "varied": float(inside.std()) / unit,
    }
    within, everywhere = [], []
    for axis, sides in enumerate(SIDES):
        before, after = _neighbours(near, axis)
        difference = np.subtract(*_neighbours(values, axis)[::-1])
        within.append(np.abs(difference[before & after]))
        everywhere.append(np.abs(difference).ravel())
        # From the label's voxel to the one outside: towards lower indices, then towards higher ones.
        steps = -difference[~before & after], difference[before & ~after]
        measures |= {
            f"step_{side}": float(step.mean()) / unit if step.size else np.nan
            for side, step in zip(sides, steps, strict=True)
        }
    inner, box = np.concatenate(within), float(np.concatenate(everywhere).mean())
    return {**measures, "rough": float(inner.mean()) / box if inner.size and box else np.nan}


def _neighbours(array: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """The voxels that have a next one along an axis, and those next ones."""
    moved = np.moveaxis(array, axis, 0)
    return moved[:-1], moved[1:]
