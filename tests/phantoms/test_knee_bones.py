"""Bones are single pieces of a man's size that never touch, and distances are right near their surfaces."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import label

from monai_tasks.phantoms.knee_anatomy import Knee
from monai_tasks.phantoms.knee_bones import column, ellipsoid, soft_intersection, soft_union, turn, turned

STEP = 2.0  # mm
AXES = (np.arange(-52, 53, STEP), np.arange(-50, 41, STEP), np.arange(-80, 81, STEP))
POINTS = tuple(np.stack(np.meshgrid(*AXES, indexing="ij")).astype(np.float32))


@pytest.fixture(scope="module", params=range(5))
def distances(request):
    """Distance from femur, tibia and fibula at all points."""
    anatomy = Knee.draw(np.random.default_rng(request.param))
    femur = anatomy.femur.distance(*anatomy.femur.own(*POINTS))
    shin = anatomy.tibia.own(*POINTS)
    tibia = anatomy.tibia.distance(*shin, femur)
    return femur, tibia, anatomy.fibula.distance(*shin, tibia)


def test_each_bone_is_one_piece_and_none_touch(distances):
    for distance in distances:
        assert distance.dtype == np.float32
        assert label(distance < 0)[1] == 1
    near = sum((distance < 0.5).astype(int) for distance in distances)
    assert near.max() == 1


def test_sizes(distances):
    x, _, z = POINTS
    femur, tibia, fibula = (distance < 0 for distance in distances)

    def width(bone, height):
        across = x[bone & (np.abs(z - height) < STEP)]
        return np.ptp(across) + STEP

    assert 68 < width(femur, 22) < 88
    assert 24 < width(femur, 78) < 40
    assert 66 < width(tibia, -8) < 88
    assert 22 < width(tibia, -78) < 36
    assert 12 < width(fibula, -24) < 24
    assert 6 < width(fibula, -78) < 16


def test_growth_plates_cross_the_bones():
    for seed in range(5):
        anatomy = Knee.draw(np.random.default_rng(seed))
        x, y = (axis.ravel() for axis in np.meshgrid(np.arange(-30, 31, 5.0), np.arange(-10, 11, 5.0)))
        for bone, low, high in ((anatomy.femur, 22, 46), (anatomy.tibia, -26, -8)):
            # The plate's height is where the distance above it, from z = 0, says it is.
            heights = -bone.plate.above(x, y, np.zeros_like(x), 38.0)
            assert low < heights.min() < heights.max() < high
            assert np.ptp(heights) > 1
            assert 1.5 <= bone.plate.thickness <= 2.5


def test_distances_are_exact_for_round_shapes():
    x, y, z = POINTS
    ball = ellipsoid(POINTS, (1.0, -2.0, 3.0), (6.0, 6.0, 6.0))
    np.testing.assert_allclose(ball, np.sqrt((x - 1) ** 2 + (y + 2) ** 2 + (z - 3) ** 2) - 6, atol=0.01)
    np.testing.assert_allclose(column(x, y, 7.0, 7.0), np.hypot(x, y) - 7, atol=0.01)


def test_an_ellipse_has_its_half_axes():
    x, y = np.float32([9.0, 0.0, 10.0]), np.float32([0.0, 4.0, 0.0])
    np.testing.assert_allclose(column(x, y, 9.0, 4.0), [0, 0, 1], atol=0.01)


def test_soft_joins_follow_the_sharp_ones_away_from_the_edge():
    first, second = np.float32([-3.0, 9.0, 0.0]), np.float32([8.0, -2.0, 0.0])
    np.testing.assert_allclose(soft_union(first, second, 4.0), [-3, -2, -1])
    np.testing.assert_allclose(soft_intersection(first, second, 4.0), [8, 9, 1])


def test_a_turn_stands_a_leaning_bone_upright():
    for pitch, roll, direction in ((0, 20, (1, 0)), (20, 0, (0, 1))):
        along = np.array([*np.multiply(direction, np.sin(np.radians(20))), np.cos(np.radians(20))])
        upright = turned(turn(pitch, roll, 0), *along)
        np.testing.assert_allclose(upright, (0, 0, 1), atol=1e-6)
