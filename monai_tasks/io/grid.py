"""Voxel grids: whether one spans space, and whether two are the same place."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from monai_tasks.io.errors import InputError

# Of the smallest voxel edge. Headers keep 32-bit floats, and a grid that differs in earnest is further off.
TOLERANCE = 0.01


def farthest_corner(shape: Sequence[int], affine: np.ndarray, other: np.ndarray) -> float:
    """How far a corner voxel of one grid lies at most from the same voxel of another.

    Args:
        shape: (X, Y, Z) of both grids.
        affine: (4, 4), voxels to mm.
        other: (4, 4), voxels to mm.

    Returns:
        Distance in mm.
    """
    corners = np.array([(*corner, 1) for corner in np.ndindex(2, 2, 2)]) * (*np.subtract(shape, 1), 1)
    return float(np.linalg.norm(corners @ (affine - other).T, axis=1).max())


def is_apart(distance: float, affine: np.ndarray) -> bool:
    """Whether a distance in mm is more than a hundredth of a grid's smallest voxel edge; NaN is."""
    return not distance <= TOLERANCE * np.linalg.norm(affine[:3, :3], axis=0).min()


def check_affine(path: Path, affine: np.ndarray) -> None:
    """Refuse a matrix that does not span space.

    Args:
        path: the image, for the error.
        affine: (4, 4), voxels to mm.

    Raises:
        InputError: if it is not finite, or if its axes lie in a plane.
    """
    if not np.isfinite(affine).all():
        raise InputError(path, "a position in space that is not finite", "a finite affine")
    spacing = np.linalg.norm(affine[:3, :3], axis=0)
    # The volume of a voxel over that of a box with its edges: 1 for right angles, 0 for a flat voxel.
    if not spacing.all() or abs(np.linalg.det(affine[:3, :3])) < 1e-3 * spacing.prod():
        text = " x ".join(f"{edge:.3g}" for edge in spacing)
        raise InputError(path, f"a singular affine (voxel edges {text} mm)", "axes that span space")
