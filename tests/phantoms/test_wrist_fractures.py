"""A fracture lies in its bone, moves its fragment, and is one and the same in both views."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_tasks.phantoms.wrist_anatomy import VIEWS, Person
from monai_tasks.phantoms.wrist_fractures import BONES, Break, Fracture
from monai_tasks.phantoms.wrist_shapes import Curve


@pytest.fixture(scope="module")
def person():
    return Person.draw(np.random.default_rng(7), age=35.0)


def straight(**changes):
    parts = {
        "point": (0.0, -20.0),
        "lean": 0.0,
        "jag": Curve.through([(-50, 0.0), (50, 0.0)]),
        "gap": 1.0,
        "lucency": 0.8,
        "shift": (0.0, 0.0),
        "turn": 0.0,
        "impaction": 0.0,
    }
    return Break(**(parts | changes))


def test_the_shares_of_bones_are_one():
    assert sum(BONES.values()) == pytest.approx(1)


def test_an_unknown_bone_is_refused(person):
    with pytest.raises(ValueError, match="'femur'"):
        Fracture.draw(np.random.default_rng(0), person, bone="femur")


@pytest.mark.parametrize("bone", BONES)
def test_the_line_runs_through_the_bone(person, bone):
    for number in range(6):
        fracture = Fracture.draw(np.random.default_rng([2, number]), person, bone)
        for view in VIEWS:
            placed = person.bone(view, bone)
            side, up = (np.float32([value]) for value in fracture.seen(person, view).point)
            assert sum(placed.thickness(side, up)) > 1


def test_severity_moves_the_fragment_further(person):
    hairline, displaced = (
        Fracture.draw(np.random.default_rng(3), person, "radius", severity) for severity in (0.0, 1.0)
    )
    assert hairline.shift == (0, 0, 0)
    assert hairline.turn == {"pa": 0, "lateral": 0}
    assert np.linalg.norm(displaced.shift) > 1
    assert abs(displaced.turn["lateral"]) > 3
    assert displaced.gap > hairline.gap
    assert displaced.lucency > hairline.lucency


def test_both_views_show_one_height_and_one_shift(person):
    fracture = Fracture.draw(np.random.default_rng(5), person, "radius", 0.8)
    pa, lateral = (fracture.seen(person, view) for view in VIEWS)
    assert pa.point[1] == pytest.approx(lateral.point[1])
    assert pa.shift[1] == lateral.shift[1]
    assert (pa.shift[0], lateral.shift[0]) == fracture.shift[:2]


def test_forth_undoes_back():
    broken = straight(shift=(2.0, -3.0), turn=25.0)
    points = np.random.default_rng(0).uniform(-30, 30, (20, 2))
    there = broken.forth(points)
    side, up = broken.back(*there.astype(np.float32).T)
    np.testing.assert_allclose(np.stack([side, up], 1), points, atol=1e-4)
    # A positive turn leans the fragment towards the positive side.
    assert straight(turn=10.0).forth(np.array([0.0, 30.0]))[0] > 5


def test_a_leaning_line_parts_the_plane():
    broken = straight(lean=45.0)
    assert broken.beyond(np.float32([10]), np.float32([-20]))[0] == pytest.approx(10 / np.sqrt(2))
    assert broken.beyond(np.float32([-10]), np.float32([-20]))[0] < 0


def test_a_hairline_takes_bone_from_the_line_alone(person):
    placed = person.bone("pa", "radius")
    up = np.linspace(-40, -5, 351, dtype=np.float32)
    side = np.zeros_like(up)
    whole = sum(placed.thickness(side, up))
    dense, spongy, mask = straight().thickness(placed, side, up)
    share = (dense + spongy) / whole
    assert up[np.argmin(share)] == pytest.approx(-20, abs=0.15)
    assert share.min() == pytest.approx(0.2, abs=0.02)
    np.testing.assert_allclose(share[np.abs(up + 20) > 3], 1, atol=1e-3)
    assert (np.abs(up[mask] + 20) < 3.1).all()


def test_a_fragment_driven_into_the_shaft_is_denser(person):
    placed = person.bone("pa", "radius")
    up = np.linspace(-40, -5, 351, dtype=np.float32)
    side = np.zeros_like(up)
    whole = sum(placed.thickness(side, up))
    dense, spongy, mask = straight(shift=(0.0, -3.0), lucency=0.0).thickness(placed, side, up)
    overlap = (up > -22.4) & (up < -20.6)
    assert ((dense + spongy)[overlap] > 1.7 * whole[overlap]).all()
    assert mask[overlap].all()


def test_a_fragment_pushed_aside_leaves_a_step(person):
    placed = person.bone("pa", "radius")
    right = placed.shape.high.at(np.float32([-18, -22]))[0]
    side = (right + 2).astype(np.float32)
    up = np.float32([-18, -22])
    dense, spongy, _ = straight(shift=(4.0, 0.0), lucency=0.0).thickness(placed, side, up)
    assert (dense + spongy)[0] > 1
    assert (dense + spongy)[1] < 0.01


def test_no_lucency_and_no_motion_leave_the_bone_whole(person):
    placed = person.bone("lateral", "radius")
    rng = np.random.default_rng(1)
    side, up = (rng.uniform(*range_, 200).astype(np.float32) for range_ in ((-12, 12), (-60, 0)))
    still = replace(straight(), lucency=0.0)
    dense, spongy, _ = still.thickness(placed, side, up)
    np.testing.assert_allclose(dense + spongy, sum(placed.thickness(side, up)), rtol=1e-4, atol=1e-4)
