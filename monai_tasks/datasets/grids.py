"""Compare the voxel grids of image files by their headers, without reading pixel data."""

from __future__ import annotations

import math
import zlib
from pathlib import Path

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from monai_tasks.io.grid import farthest_corner, is_apart


def header_of(path: Path) -> tuple[tuple[int, ...], np.ndarray]:
    """Read the spatial shape and the affine of a NIfTI or FreeSurfer file.

    Args:
        path: file that nibabel reads, such as .nii, .nii.gz, .mgz.

    Returns:
        Spatial shape (X, Y, Z) and affine (4, 4), voxel to world in mm, RAS.

    Raises:
        ValueError: if the file cannot be read or is not one volume; the message starts with its folder and name.
    """
    try:
        image = nibabel.load(path)
    except FileNotFoundError as error:
        raise ValueError(f"{_short(path)}: no such file") from error
    except (ImageFileError, HeaderDataError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{_short(path)}: unreadable, damaged or no image") from error
    if len(image.shape) < 3:
        raise ValueError(f"{_short(path)}: {len(image.shape)} dimensions, not 3")
    if any(size > 1 for size in image.shape[3:]):
        raise ValueError(f"{_short(path)}: {math.prod(image.shape[3:])} volumes in one file, not 1")
    return image.shape[:3], image.affine


def difference(first: Path, second: Path) -> str | None:
    """Say how the grids of two files differ.

    Grids agree when their shapes are equal and every corner of the one lies where it lies in the other, to a
    hundredth of a voxel.

    Args:
        first: image file.
        second: image file.

    Returns:
        A reason for a person, or None if the grids agree.
    """
    try:
        (shape, affine), (other_shape, other_affine) = header_of(first), header_of(second)
    except ValueError as error:
        return str(error)
    if shape != other_shape:
        return f"grids differ: {_short(first)} has shape {_by(shape)}, {_short(second)} {_by(other_shape)}"
    distance = farthest_corner(shape, affine, other_affine)
    if is_apart(distance, affine):
        return f"grids differ: {_short(first)} and {_short(second)} lie up to {distance:.3g} mm apart"
    return None


def _short(path: Path) -> str:
    """Folder and name: image and label often have the same name."""
    return f"{path.parent.name}/{path.name}"


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
