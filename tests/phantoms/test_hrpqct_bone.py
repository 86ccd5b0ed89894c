"""Outlines of bones and flesh."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.phantoms.hrpqct_bone import SITES, Bone, Limb, Outline, Person


def test_depth_is_the_distance_from_the_line():
    circle = Outline((3.0, -1.0), (10.0, 10.0), taper=0.1)
    u, v = np.array([3.0, 3.0, 15.0]), np.array([-1.0, 6.0, -1.0])
    # In the second plane, 10 mm on, the radius is 9.
    np.testing.assert_allclose(
        circle.depth(u, v, np.array([0.0, 10.0])), [[10, 3, -2], [9, 2, -3]], atol=0.01
    )
    assert circle.reach() == pytest.approx(10.0)


def test_the_line_of_an_ellipse_with_a_bump_goes_through_its_points():
    line = Outline((0.0, 0.0), (12.0, 8.0), bumps=((np.pi / 2, 0.2, 1.5),))
    u, v = np.array([12.0, -12.0, 0.0, 0.0]), np.array([0.0, 0.0, 9.5, -8.0])
    np.testing.assert_allclose(line.depth(u, v, np.zeros(1)), np.zeros((1, 4)), atol=0.02)


def test_near_a_slanted_line_depth_is_right_too():
    line = Outline((0.0, 0.0), (20.0, 10.0))
    angle = np.linspace(0, 2 * np.pi, 4001)
    points = np.stack([20 * np.cos(angle), 10 * np.sin(angle)])
    for u, v in ((13.0, 6.0), (16.0, 7.5), (-9.0, -8.0)):
        inside = 1 if (u / 20) ** 2 + (v / 10) ** 2 < 1 else -1
        slow = inside * np.hypot(points[0] - u, points[1] - v).min()
        found = line.depth(np.array([u]), np.array([v]), np.zeros(1))[0, 0]
        assert found == pytest.approx(slow, rel=0.15)


def test_the_shell_thickens_along_the_bone():
    bone = Bone(Outline((0.0, 0.0), (10.0, 10.0)), shell=1.0, thickening=0.5, uneven=0.2, phase=0.0)
    u, v = 9 * np.cos(np.linspace(0, 6, 50)), 9 * np.sin(np.linspace(0, 6, 50))
    first, last = bone.thickness(u, v, np.array([0.0, 10.0]))
    np.testing.assert_allclose(last, 1.5 * first, rtol=1e-5)
    assert first.max() - first.min() > 0.2


@pytest.mark.parametrize("site", SITES)
def test_bones_lie_in_the_flesh_and_apart_from_each_other_and_from_tendons(site):
    for number in range(20):
        rng = np.random.default_rng(number)
        limb = Limb.draw(rng, site, Person.draw(rng))
        grid = np.arange(-limb.reach * 1.5, limb.reach * 1.5, 0.5)
        u, v = (axis.ravel() for axis in np.meshgrid(grid, grid, indexing="ij"))
        z = np.array([0.0, 9.0])
        larger, smaller = (bone.outline.depth(u, v, z) > 0 for bone in limb.bones)
        flesh = limb.flesh.depth(u, v, z) > -limb.skin
        assert larger.sum() > 2 * smaller.sum() > 0
        assert np.mean(larger & smaller) < 0.002 * np.mean(larger)
        assert not (larger & ~flesh).any()
        assert not (smaller & ~flesh).any()
        far = np.hypot(u - limb.flesh.centre[0], v - limb.flesh.centre[1])
        assert far[flesh.any(0)].max() <= limb.reach + 0.5
        for tendon in limb.tendons:
            inside = tendon.depth(u, v, z) > 0
            assert not (inside & (larger | smaller)).any()


def test_another_site_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="radius and tibia"):
        Limb.draw(rng, "femur", Person.draw(rng))
