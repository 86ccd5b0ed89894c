"""Whether two voxel grids are the same place."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
