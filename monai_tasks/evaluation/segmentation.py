"""Compare one label map with its reference: overlap, surface distances and volume for each label."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from os import PathLike
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from monai.data.utils import affine_to_spacing
from monai.metrics import (
    compute_average_surface_distance,
    compute_confusion_matrix_metric,
    compute_dice,
    compute_hausdorff_distance,
    compute_iou,
    get_confusion_matrix,
)
from monai.transforms.utils import generate_spatial_bounding_box

from monai_tasks.io.errors import InputError
from monai_tasks.io.grid import farthest_corner, is_apart
from monai_tasks.io.volume_reader import VolumeReader
from monai_tasks.transforms.merge_bone_channels import MergeBoneChannels

MM3_PER_ML = 1000.0

EMPTY_MASK_RULE = (
    "Where neither the prediction nor the reference holds a label, Dice and Jaccard are 1. Where only one "
    "of the two holds it, Dice and Jaccard are 0. In both cases the surface distances have no value and are "
    "left blank; such cases are counted and left out of the means of the distances. A ratio with nothing to "
    "divide by (precision without predicted voxels, sensitivity and volume error in percent without "
    "reference voxels) is left blank too."
)


@dataclass(frozen=True)
class Metric:
    """How a metric is shown.

    Args:
        heading: its name with its unit.
        spec: format specification of its numbers.
        averaged: whether a mean over the labels of a case says something.
    """

    heading: str
    spec: str = ".3f"
    averaged: bool = True


METRICS = {
    "dice": Metric("Dice"),
    "jaccard": Metric("Jaccard"),
    "precision": Metric("Precision"),
    "sensitivity": Metric("Sensitivity"),
    "specificity": Metric("Specificity", ".5f"),
    "accuracy": Metric("Accuracy", ".5f"),
    "hd95_mm": Metric("HD95, mm", ".2f"),
    "mean_surface_distance_mm": Metric("Mean surface distance, mm", ".2f"),
    "volume_error_ml": Metric("Volume error, ml", "+.3f", averaged=False),
    "volume_error_percent": Metric("Volume error, %", "+.1f", averaged=False),
}
VOLUMES = {
    "volume_ml": Metric("Volume, ml", ".3f", averaged=False),
    "reference_volume_ml": Metric("Reference volume, ml", ".3f", averaged=False),
}

Result = dict[str, float | None]
# One file, or several, one a channel.
Files = str | PathLike[str] | Sequence[str | PathLike[str]]


class LabelMap(NamedTuple):
    """A label map and where it lies.

    Args:
        path: its file, or the first of its channels.
        values: integers, (X, Y, Z).
        affine: (4, 4), from voxels to RAS+ mm.
    """

    path: Path
    values: np.ndarray
    affine: np.ndarray


def evaluate_case(
    prediction: str | PathLike[str],
    reference: Files,
    labels: Mapping[int, str],
    mapping: Mapping[int, int] | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    background: Sequence[int] = (),
) -> dict[int, Result]:
    """Compare two label maps on one grid.

    HD95 is the larger of the two directed 95th percentiles of the surface distances; the mean surface
    distance is the mean over the surface voxels of both masks. Volume errors are prediction minus reference,
    in percent of the reference. See `EMPTY_MASK_RULE` for labels that one or both of the maps lack.

    Args:
        prediction: label map, (X, Y, Z).
        reference: label map on the same grid, or its channels; see `read_label_map`.
        labels: value to name of the labels to compare.
        mapping: reference value to label value; reference values that it lacks count as background. Without
            it the reference must hold the values of `labels`, or those of `groups` and `background`, and 0 only.
        groups: which channels, or values, make each label; see `read_label_map`.
        background: values of the reference that are of no label.

    Returns:
        Label value to the metrics of `METRICS` and `VOLUMES`; None where a metric has no value.

    Raises:
        InputError: when a file cannot be used, holds other values, or the grids differ.
    """
    predicted = read_label_map(prediction, labels)
    true = read_label_map(reference, labels, mapping, groups, background)
    _check_grids(predicted, true)
    return {
        value: compare_masks(predicted.values == value, true.values == value, predicted.affine)
        for value in labels
    }


def read_label_map(
    path: Files,
    labels: Mapping[int, str],
    mapping: Mapping[int, int] | None = None,
    groups: Sequence[Sequence[int]] | None = None,
    background: Sequence[int] = (),
) -> LabelMap:
    """Read a label map, or merge channels into one.

    Args:
        path: any volume that `VolumeReader` reads; with `groups` also a file of several channels, or several files,
            one a channel. A channel is inside where it is above 0.
        labels: the values it may hold beside 0.
        mapping: the values of a file of one channel to those of `labels`; others become 0. Without it the file must
            hold the values of `labels`, or those of `groups` and `background`, and 0 only.
        groups: the numbers, from 1, of the channels that make each label. Without it channels are refused. A file of
            one channel whose values are not all in `labels`, but all in the groups or `background`, is merged by these,
            too.
        background: values of a file of one channel that are of no label.

    Returns:
        The map, with integer values.

    Raises:
        InputError: when a file cannot be read, holds other values, or has too few channels.
    """
    paths = (path,) if isinstance(path, (str, PathLike)) else tuple(path)
    if len(paths) > 1 and groups is None:
        raise InputError(paths[0], f"one of {len(paths)} channels", "one label map")
    reader = VolumeReader(allow_constant=True, allow_channels=groups is not None)
    array, meta = reader.get_data(reader.read(paths))
    first, affine = Path(paths[0]), np.asarray(meta["affine"], dtype=float)
    if array.ndim == 4:
        return LabelMap(first, _merged(first, array, groups), affine)
    return LabelMap(first, _labelled(first, array, labels, mapping, groups, background), affine)


def compare_masks(predicted: np.ndarray, true: np.ndarray, affine: np.ndarray) -> Result:
    """Compare two binary masks.

    Args:
        predicted: boolean, (X, Y, Z).
        true: boolean, (X, Y, Z).
        affine: (4, 4), from voxels to mm.

    Returns:
        The metrics of `METRICS` and `VOLUMES`; None where a metric has no value.
    """
    # Only the box around both masks is compared: what lies outside adds true negatives and nothing else.
    starts, ends = generate_spatial_bounding_box((predicted | true)[None])
    box = tuple(slice(start, max(end, start + 1)) for start, end in zip(starts, ends, strict=True))
    # Two channels, background first: of a single channel MONAI's Dice takes the values for class numbers.
    one_hot = [torch.from_numpy(np.stack([~mask[box], mask[box]])[None]) for mask in (predicted, true)]
    floats = [mask.float() for mask in one_hot]
    counts = get_confusion_matrix(*floats, include_background=False).double()
    counts[..., 2] += true.size - true[box].size
    ratio = partial(compute_confusion_matrix_metric, confusion_matrix=counts)
    values = {
        "dice": compute_dice(*floats, include_background=False, ignore_empty=False),
        "jaccard": compute_iou(*floats, include_background=False, ignore_empty=False),
        "precision": ratio("precision"),
        "sensitivity": ratio("sensitivity"),
        "specificity": ratio("specificity"),
        "accuracy": ratio("accuracy"),
    }
    result: Result = {name: _value(tensor) for name, tensor in values.items()}
    return result | _distances(floats, affine) | _volumes(predicted, true, affine)


def _distances(masks: list[torch.Tensor], affine: np.ndarray) -> Result:
    if not all(mask[:, 1].any() for mask in masks):
        return {"hd95_mm": None, "mean_surface_distance_mm": None}
    spacing = affine_to_spacing(affine).tolist()
    hausdorff = compute_hausdorff_distance(*masks, percentile=95, spacing=spacing)
    surface = compute_average_surface_distance(*masks, symmetric=True, spacing=spacing)
    return {"hd95_mm": _value(hausdorff), "mean_surface_distance_mm": _value(surface)}


def _volumes(predicted: np.ndarray, true: np.ndarray, affine: np.ndarray) -> Result:
    voxel = abs(float(np.linalg.det(affine[:3, :3]))) / MM3_PER_ML
    volume, reference = int(predicted.sum()) * voxel, int(true.sum()) * voxel
    error = volume - reference
    return {
        "volume_ml": volume,
        "reference_volume_ml": reference,
        "volume_error_ml": error,
        "volume_error_percent": 100 * error / reference if reference else None,
    }


def _value(tensor: torch.Tensor) -> float | None:
    value = float(tensor)
    return value if math.isfinite(value) else None


def _labelled(
    path: Path,
    array: np.ndarray,
    labels: Mapping[int, str],
    mapping: Mapping[int, int] | None,
    groups: Sequence[Sequence[int]] | None,
    background: Sequence[int],
) -> np.ndarray:
    """The label values of a file of one channel, (X, Y, Z)."""
    if not np.issubdtype(array.dtype, np.integer):
        whole = np.rint(array).astype(np.int32)
        if not np.array_equal(whole, array):
            raise InputError(path, "values that are not whole numbers", "a label map")
        array = whole
    if mapping is not None:
        return _mapped(array, mapping)
    expected = [0, *labels]
    foreign = np.unique(array[~np.isin(array, expected)])
    grouped = dict.fromkeys(background, 0)
    grouped |= {value: label for label, group in enumerate(groups or [], start=1) for value in group}
    if foreign.size and np.isin(array, [0, *grouped]).all():
        return _mapped(array, grouped)
    if foreign.size:
        found = ", ".join(map(str, foreign[:5])) + (", ..." if foreign.size > 5 else "")
        raise InputError(path, f"label values {found}", f"only {', '.join(map(str, expected))}")
    return array


def _merged(path: Path, channels: np.ndarray, groups: Sequence[Sequence[int]]) -> np.ndarray:
    """The label values of channels (C, X, Y, Z) as training sees them, (X, Y, Z)."""
    try:
        merge = MergeBoneChannels(groups)
    except ValueError as cause:
        found = f"{len(channels)} channels, for the groups {groups}"
        raise InputError(path, found, "groups of channel numbers from 1, each number once") from cause
    if merge.highest > len(channels):
        raise InputError(
            path, f"{len(channels)} channels", f"at least {merge.highest}, for the groups {groups}"
        )
    return merge(channels)[0]


def _mapped(array: np.ndarray, mapping: Mapping[int, int]) -> np.ndarray:
    labels = np.zeros(array.shape, dtype=np.int32)
    for value, label in mapping.items():
        labels[array == value] = label
    return labels


def _check_grids(predicted: LabelMap, true: LabelMap) -> None:
    """Grids agree when the shapes are equal and every corner voxel lies in one place, within a tolerance."""
    shape, expected = predicted.values.shape, true.values.shape
    if shape != expected:
        raise InputError(
            predicted.path, f"shape {_by(shape)}", f"{_by(expected)}, the shape of {true.path.name}"
        )
    apart = farthest_corner(shape, predicted.affine, true.affine)
    if is_apart(apart, true.affine):
        raise InputError(predicted.path, f"a grid up to {apart:.3g} mm off", f"the grid of {true.path.name}")


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
