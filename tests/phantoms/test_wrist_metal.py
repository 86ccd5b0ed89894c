"""Metal lies at the bone and is one thing in both views."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.phantoms.wrist import Grid
from monai_tasks.phantoms.wrist_anatomy import VIEWS, Person
from monai_tasks.phantoms.wrist_metal import ABSORPTION, KINDS, Metal, Rod


@pytest.fixture(scope="module")
def person():
    return Person.draw(np.random.default_rng(7), age=35.0)


def test_a_rod_is_a_round_stick_with_holes():
    rod = Rod((0.0, 0.0), (0.0, 10.0), 1.0, 1.0, holes=(0.5,))
    side, up = np.float32([0, 0.5, 1.2, 0, 0]), np.float32([2, 2, 2, 5, 12])
    thickness = rod.thickness(side, up)
    np.testing.assert_allclose(thickness, [2, 2 * np.sqrt(0.75), 0, 0, 0], atol=1e-5)


@pytest.mark.parametrize("kind", KINDS)
def test_metal_is_seen_in_both_views_at_one_height(person, kind):
    metal = Metal.draw(np.random.default_rng(1), person, kind)
    heights = []
    for view in VIEWS:
        side, up = Grid((500, 240), 0.5, (0.0, 30.0), 0.0, False).points()
        absorption = np.zeros_like(side)
        assert metal.add(absorption, view, side, up, None)
        assert absorption.max() > ABSORPTION
        heights.append(up[absorption > 0.3].mean())
    assert heights[0] == pytest.approx(heights[1], abs=8)


def test_a_plate_is_screwed_to_the_radius(person):
    metal = Metal.draw(np.random.default_rng(1), person, "plate")
    side, up = Grid((300, 160), 0.5, (0.0, -30.0), 0.0, False).points()
    for view in VIEWS:
        absorption = np.zeros_like(side)
        metal.add(absorption, view, side, up, None)
        dense, spongy = person.bone(view, "radius").thickness(side, up)
        assert ((dense + spongy) > 0)[absorption > 0].mean() > 0.55


def test_metal_outside_the_image_is_not_told(person):
    metal = Metal.draw(np.random.default_rng(1), person, "plate")
    side, up = Grid((50, 50), 0.5, (0.0, 150.0), 0.0, False).points()
    absorption = np.zeros_like(side)
    assert not metal.add(absorption, "pa", side, up, None)
    assert absorption.max() == 0


def test_an_unknown_kind_is_refused(person):
    with pytest.raises(ValueError, match="'watch'"):
        Metal.draw(np.random.default_rng(0), person, "watch")
