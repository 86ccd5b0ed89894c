"""The thickness of a projected bone is that of the solid that it stands for."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.phantoms.wrist_shapes import Curve, Pebble, Placed, Plate, Tube, slab, smooth_min


def level(value, low=-100.0, high=100.0):
    return Curve.through([(low, value), (high, value)])


def cylinder(radius=6.0, shell=2.0, **changes):
    """A straight round bone from -100 to 100 mm, far from whose ends it is a cylinder."""
    parts = {
        "low": level(-radius),
        "high": level(radius),
        "half_depth": level(radius),
        "cortex": level(shell),
        "top": level(100.0),
        "bottom": -100.0,
    }
    return Tube(**(parts | changes))


def test_a_round_bone_is_as_thick_as_the_chord_of_a_circle():
    across = np.linspace(-8, 8, 65, dtype=np.float32)
    dense, spongy = cylinder().thickness(across, np.zeros_like(across))
    outer = 2 * np.sqrt(np.maximum(36 - across**2, 0))
    inner = 2 * np.sqrt(np.maximum(16 - across**2, 0))
    # The corner between side and end is rounded off, which is felt by some thousandths of a mm.
    np.testing.assert_allclose(dense + spongy, outer, atol=0.15)
    np.testing.assert_allclose(spongy, inner, atol=0.15)


def test_a_slab_is_level_far_from_its_edge_and_nothing_outside():
    np.testing.assert_allclose(slab(np.array([-1.0, 0.0, 5.0, 20.0]), 5.0), [0, 0, 10, 10])


def test_the_smaller_distance_counts_away_from_the_corner():
    assert smooth_min(np.float32(1), np.float32(50), 1.5) == pytest.approx(1, abs=0.05)
    assert smooth_min(np.float32(2), np.float32(2), 1.5) < 2


def test_a_curve_passes_its_knots_and_knows_its_slope():
    curve = Curve.through([(0, 1.0), (4, 5.0), (8, 9.0)])
    values, flat = curve.at(np.array([-3.0, 0.0, 2.1, 8.0, 20.0]))
    np.testing.assert_allclose(values, [1, 1, 3.1, 9, 9], atol=1e-5)
    assert flat[2] == pytest.approx(np.cos(np.pi / 4), abs=1e-5)
    np.testing.assert_allclose(curve.near(np.array([2.1])), [3.0])


def test_a_bone_ends_at_its_top_and_bottom():
    bone = cylinder(top=level(40.0), bottom=-30.0)
    dense, spongy = bone.thickness(np.zeros(4, np.float32), np.array([-31, -20, 30, 41], np.float32))
    assert ((dense + spongy) > 1).tolist() == [False, True, True, False]
    assert bone.box() == (-6, 6, -30, 40)


def test_an_open_growth_plate_lets_rays_pass_and_a_closed_one_does_not():
    along = np.linspace(-20, 20, 401, dtype=np.float32)
    wholes = {}
    for openness in (0.0, 1.0):
        plate = Plate(5.0, 2.0, 0.0, (3.0, 0.0), openness)
        dense, spongy = cylinder(plate=plate).thickness(np.zeros_like(along), along)
        wholes[openness] = dense + spongy
    thin = wholes[1.0] < 0.5 * wholes[0.0]
    assert np.abs(along[thin] - 5).max() < 1.5
    assert thin[np.abs(along - 5) < 0.5].all()


def test_a_scar_of_growth_is_a_dense_line():
    along = np.linspace(-20, 20, 401, dtype=np.float32)
    plain, _ = cylinder().thickness(np.zeros_like(along), along)
    scarred, _ = cylinder(lines=((3.0, 0.2),)).thickness(np.zeros_like(along), along)
    assert along[np.argmax(scarred - plain)] == pytest.approx(3, abs=0.11)
    assert (scarred - plain)[np.abs(along - 3) > 2].max() < 1e-3


def test_a_pebble_fills_its_outline():
    pebble = Pebble.draw(np.random.default_rng(0), (8.0, 12.0, 7.0), 0.8, 0.0)
    dense, spongy = pebble.thickness(
        np.array([0, 7, 9, 0, 0], np.float32), np.array([0, 0, 0, 11, 13], np.float32)
    )
    assert ((dense + spongy) > 0).tolist() == [True, True, False, True, False]
    assert (dense + spongy)[0] == pytest.approx(14, rel=1e-3)
    assert spongy[0] == pytest.approx(14 - 1.6, rel=1e-3)
    left, right, bottom, top = pebble.box()
    assert right >= 12
    assert (left, bottom) == (-right, -top)


def test_a_leaning_bone_points_to_the_side():
    bone = Placed("bone", cylinder(bottom=0.0), (3.0, 2.0), lean=90.0)
    assert bone.to_view(0.0, 10.0) == pytest.approx((13.0, 2.0))
    across, along = bone.own(np.float32(13.0), np.float32(2.0))
    assert (float(across), float(along)) == pytest.approx((0, 10), abs=1e-5)
    corners = bone.box()
    assert corners.min(0) == pytest.approx((3, -4))
    assert corners.max(0) == pytest.approx((103, 8))
    dense, _ = bone.thickness(np.array([53, -5], np.float32), np.array([2, 2], np.float32))
    assert dense[0] > 1
    assert dense[1] == 0


def test_a_canal_is_a_line_of_less_bone():
    side = np.linspace(-5, 5, 101, dtype=np.float32)
    plain = Placed("bone", cylinder(), (0.0, 0.0))
    pierced = Placed("bone", cylinder(), (0.0, 0.0), canals=((1.0, 0.0, 6.0, 0.0),))
    at = [sum(bone.thickness(side, np.zeros_like(side))) for bone in (plain, pierced)]
    assert side[np.argmin(at[1] / at[0])] == pytest.approx(1, abs=0.11)
    assert (at[1] / at[0]).min() == pytest.approx(0.7, abs=0.02)
    far = [sum(bone.thickness(side, np.full_like(side, 30))) for bone in (plain, pierced)]
    np.testing.assert_allclose(far[0], far[1])
