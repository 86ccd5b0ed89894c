"""How far apart two grids are."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.io.grid import farthest_corner, is_apart

SHAPE = (5, 6, 7)


def slow_farthest(shape, affine, other):
    corners = [(i, j, k, 1) for i in (0, shape[0] - 1) for j in (0, shape[1] - 1) for k in (0, shape[2] - 1)]
    return max(np.sqrt(np.sum((affine @ corner - other @ corner) ** 2)) for corner in corners)


def test_distance_is_the_corners(grids):
    rng = np.random.default_rng(0)
    for grid in grids.values():
        other = grid.affine + rng.normal(0, 0.1, (4, 4)) * [[1], [1], [1], [0]]
        expected = slow_farthest(grid.array.shape, grid.affine, other)
        assert farthest_corner(grid.array.shape, grid.affine, other) == pytest.approx(expected)


def test_a_hundredth_of_the_smallest_edge_is_the_limit():
    affine = np.diag([2.0, 1.0, 3.0, 1.0])
    assert not is_apart(0.0099, affine)
    assert is_apart(0.0101, affine)
    assert is_apart(float("nan"), affine)


def test_one_grid_is_no_distance_from_itself():
    assert farthest_corner(SHAPE, np.eye(4), np.eye(4)) == 0
