"""The plane of thick slices, in any order and direction of the axes."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest

from monai_tasks.transforms.plane import acquisition_plane

PLANE_OF = ("sagittal", "coronal", "axial")


def affine_of(axes, signs, spacing, degrees=(0, 0)):
    """Voxel axis i runs along the world axis axes[i], turned about two world axes."""
    matrix = np.eye(4)
    matrix[:3, :3] = np.eye(3)[:, axes] * np.multiply(signs, spacing)
    for (first, second), angle in zip(((0, 1), (1, 2)), np.deg2rad(degrees), strict=True):
        turn = np.eye(4)
        turn[[first, first, second, second], [first, second, first, second]] = [
            np.cos(angle),
            -np.sin(angle),
            np.sin(angle),
            np.cos(angle),
        ]
        matrix = turn @ matrix
    return matrix


@pytest.mark.parametrize("degrees", [(0, 0), (25, -20)])
@pytest.mark.parametrize("axes", permutations(range(3)))
def test_the_longest_edge_says_the_plane(axes, degrees):
    for signs in ((1, 1, 1), (-1, 1, -1), (1, -1, -1)):
        for thick in range(3):
            spacing = np.insert([0.5, 0.6], thick, 2.2)
            assert acquisition_plane(affine_of(axes, signs, spacing, degrees)) == PLANE_OF[axes[thick]]


@pytest.mark.parametrize(
    ("spacing", "plane"),
    [
        ((1.0, 0.5, 0.5), "sagittal"),
        ((0.99, 0.5, 0.5), None),
        ((2.2, 0.5, 1.2), None),
        ((2.2, 2.2, 0.5), None),
        ((1.0, 1.0, 1.0), None),
        ((np.nan, 1.0, 1.0), None),
    ],
)
def test_nearly_equal_edges_have_no_plane(spacing, plane):
    assert acquisition_plane(affine_of((0, 1, 2), (1, 1, 1), spacing)) == plane
