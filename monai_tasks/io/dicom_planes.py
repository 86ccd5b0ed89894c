"""The geometry of DICOM slices: where each lies in space, and whether they make one volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydicom.dataset import Dataset

from monai_tasks.io.errors import InputError

# With two slices there is one gap, and nothing to tell whether it is the right one.
FEWEST_SLICES = 3
_ANGLE_TOLERANCE = 0.2  # degrees; some scanners round direction cosines to three digits
_GAP_TOLERANCE = 0.2  # share of the gap; some scanners round positions to a tenth of a millimetre
_SHIFT_TOLERANCE = 0.1  # share of the gap, sideways
_TILT_TOLERANCE = 1.0  # degrees
_SAME_PLACE = 1e-4  # mm


@dataclass(frozen=True)
class Plane:
    """One slice in DICOM's own coordinates (LPS+, mm).

    Args:
        path: the file it is in.
        frame: which frame of that file.
        size: columns, rows.
        position: (3,), the centre of the first pixel.
        orientation: (2, 3), the unit vectors along a row and along a column.
        spacing: (2,), mm between rows, then between columns.
        slope: stored values are multiplied by it.
        intercept: and this is added.
    """

    path: Path
    frame: int
    size: tuple[int, int]
    position: np.ndarray
    orientation: np.ndarray
    spacing: np.ndarray
    slope: float
    intercept: float


def planes_of(path: Path, dataset: Dataset) -> list[Plane]:
    """The planes of one file: one, or one for each frame of an enhanced multi-frame file.

    Args:
        path: the file.
        dataset: its content.

    Returns:
        The planes in the order of the frames.

    Raises:
        InputError: if a frame does not tell its place, orientation and pixel spacing.
    """
    try:
        frames = int(dataset.get("NumberOfFrames") or 1)
        return [_plane(path, dataset, frame) for frame in range(frames)]
    except InputError:
        raise
    except (AttributeError, IndexError, KeyError, TypeError, ValueError) as cause:
        raise InputError(path, "a slice geometry that cannot be read", "a place for each slice") from cause


def _plane(path: Path, dataset: Dataset, frame: int) -> Plane:
    def vector(sequence: str, keyword: str, count: int) -> np.ndarray:
        value = frame_value(dataset, frame, sequence, keyword)
        if value is None or np.size(value) != count:
            raise InputError(path, f"no {keyword}", "a slice of a volume, with its place in space")
        return np.array(value, dtype=np.float64)

    def number(keyword: str, default: float) -> float:
        value = frame_value(dataset, frame, "PixelValueTransformationSequence", keyword)
        return default if value is None else float(value)

    return Plane(
        path,
        frame,
        size=(int(dataset.Columns), int(dataset.Rows)),
        position=vector("PlanePositionSequence", "ImagePositionPatient", 3),
        orientation=vector("PlaneOrientationSequence", "ImageOrientationPatient", 6).reshape(2, 3),
        spacing=vector("PixelMeasuresSequence", "PixelSpacing", 2),
        slope=number("RescaleSlope", 1.0),
        intercept=number("RescaleIntercept", 0.0),
    )


def frame_value(dataset: Dataset, frame: int, sequence: str, keyword: str) -> Any:
    """A field of one frame: from its own functional group, else the shared one, else the file's top level.

    Args:
        dataset: the file's content.
        frame: which frame, from 0.
        sequence: keyword of the functional group's sequence.
        keyword: keyword of the field.

    Returns:
        The value, or None where there is none.
    """
    groups = []
    if "PerFrameFunctionalGroupsSequence" in dataset:
        groups.append(dataset.PerFrameFunctionalGroupsSequence[frame])
    if "SharedFunctionalGroupsSequence" in dataset:
        groups.append(dataset.SharedFunctionalGroupsSequence[0])
    for group in groups:
        items = group.get(sequence)
        if items and keyword in items[0]:
            return items[0].get(keyword)
    return dataset.get(keyword)


def stack_planes(source: Path, planes: Sequence[Plane]) -> tuple[list[Plane], np.ndarray]:
    """Put the planes of a volume in order.

    Args:
        source: the file or folder to name in errors.
        planes: the planes in any order.

    Returns:
        The planes, ascending along the cross product of row and column direction as ITK orders them, and the
        (4, 4) matrix from voxel indices (column, row, slice) to LPS+ millimetres.

    Raises:
        InputError: if the planes do not make one complete volume: too few, of mixed sizes, orientations or
            spacings, several at one place, uneven gaps, or shifted sideways as by a tilted gantry.
    """
    if len(planes) < FEWEST_SLICES:
        found = "a single slice" if len(planes) == 1 else f"only {len(planes)} slices"
        raise InputError(source, found, f"{FEWEST_SLICES} at least: others are missing, or it is no volume")
    _check_alike(source, planes)
    row, column = planes[0].orientation
    normal = np.cross(row, column)
    ordered = sorted(planes, key=lambda plane: float(plane.position @ normal))
    positions = np.array([plane.position for plane in ordered])
    _check_gaps(source, positions @ normal)
    step = (positions[-1] - positions[0]) / (len(ordered) - 1)
    _check_straight(source, positions, step, normal)
    between_rows, between_columns = ordered[0].spacing
    affine = np.eye(4)
    affine[:3, :3] = np.stack([row * between_columns, column * between_rows, step], axis=1)
    affine[:3, 3] = positions[0]
    return ordered, affine


def _check_alike(source: Path, planes: Sequence[Plane]) -> None:
    """Refuse planes of several kinds in one series."""
    sizes = sorted({plane.size for plane in planes})
    if len(sizes) > 1:
        text = ", ".join(f"{columns} x {rows}" for columns, rows in sizes)
        raise InputError(source, f"slices of mixed size ({text} pixels)", "slices of one size")
    axes = np.array([plane.orientation for plane in planes])
    lengths = np.linalg.norm(axes, axis=2)
    if not np.allclose(lengths, 1.0, atol=1e-2) or np.abs((axes[:, 0] * axes[:, 1]).sum(axis=1)).max() > 1e-2:
        raise InputError(
            source, "an orientation whose axes are not unit vectors at right angles", "such axes"
        )
    apart = np.degrees(2.0 * np.arcsin(np.linalg.norm(axes - axes[0], axis=2).clip(max=2.0) / 2.0)).max()
    if apart > _ANGLE_TOLERANCE:
        found = f"slices of mixed orientation (up to {apart:.1f} degrees apart)"
        raise InputError(source, found, "parallel slices")
    spacings = np.array([plane.spacing for plane in planes])
    low, high = spacings.min(), spacings.max()
    if low <= 0 or np.ptp(spacings, axis=0).max() > 1e-3 * low:
        raise InputError(
            source, f"pixel spacings from {low:.4g} to {high:.4g} mm", "one positive pixel spacing"
        )


def _check_gaps(source: Path, heights: np.ndarray) -> None:
    """Refuse stacks with missing or doubled slices; `heights` are mm along the normal, ascending."""
    gaps = np.diff(heights)
    doubled = int((gaps < _SAME_PLACE).sum())
    if doubled:
        found = f"{len(heights)} slices at {len(heights) - doubled} places"
        raise InputError(source, found, "one slice at each place (one echo, one point in time)")
    # The lower median: one missing slice in three leaves one gap right and one doubled.
    usual = float(np.quantile(gaps, 0.5, method="lower"))
    worst = int(np.abs(gaps - usual).argmax())
    even = np.linspace(heights[0], heights[-1], len(heights))
    if abs(gaps[worst] - usual) > 0.5 * usual:
        found = (
            f"missing slices (a gap of {gaps[worst]:.4g} mm between slices {worst + 1} and {worst + 2} of "
            f"{len(heights)}, {usual:.4g} mm elsewhere)"
        )
        raise InputError(source, found, "evenly spaced slices")
    if max(abs(gaps[worst] - usual), np.abs(heights - even).max()) > _GAP_TOLERANCE * usual:
        found = f"uneven gaps, from {gaps.min():.4g} to {gaps.max():.4g} mm"
        raise InputError(source, found, "evenly spaced slices")


def _check_straight(source: Path, positions: np.ndarray, step: np.ndarray, normal: np.ndarray) -> None:
    """Refuse stacks whose slices are not above each other: a voxel would not be a box."""
    gap = step @ normal
    away = positions - positions[0] - np.arange(len(positions))[:, None] * step
    sideways = away - np.outer(away @ normal, normal)
    if np.linalg.norm(sideways, axis=1).max() > _SHIFT_TOLERANCE * gap:
        raise InputError(source, "slices shifted sideways against each other", "slices above each other")
    tilt = float(np.degrees(np.arctan2(np.linalg.norm(step - gap * normal), gap)))
    if tilt > _TILT_TOLERANCE:
        raise InputError(source, f"a gantry tilted by {tilt:.1f} degrees", "slices above each other")
