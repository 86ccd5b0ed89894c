"""Shoulder, upper arm and elbow: bones that belong together, in both views."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.phantoms.upper_arm import LENGTH, draw_upper_arm
from monai_tasks.phantoms.wrist import Grid, project
from monai_tasks.phantoms.wrist_anatomy import VIEWS


@pytest.fixture(scope="module")
def person():
    return draw_upper_arm(np.random.default_rng(3))


@pytest.mark.parametrize("view", VIEWS)
def test_the_humerus_reaches_from_elbow_to_shoulder(person, view):
    bone = person.bone(view, "humerus")
    length = bone.shape.box()[3]
    assert abs(length / person.size - LENGTH - 17) < 8
    top = np.array(bone.to_view(0.0, length))
    glenoid = np.array(person.bone(view, "glenoid").origin)
    assert np.linalg.norm(top - glenoid) < 60 * person.size
    low = np.array(bone.to_view(0.0, 0.0))
    for name in ("radius", "ulna"):
        tip = person.bone(view, name)
        end = np.array(tip.to_view(0.0, tip.shape.box()[3]))
        assert np.linalg.norm(end - low) < 35 * person.size


def test_the_elbow_is_bent_in_the_lateral_view_only(person):
    assert abs(person.bone("pa", "ulna").lean) < 25
    assert 55 < abs(person.bone("lateral", "ulna").lean) < 110


def test_bone_takes_more_than_flesh_and_flesh_more_than_air(person):
    grid = Grid((120, 80), 2.0, (0.0, -0.5 * LENGTH * person.size), 0.0, False)
    absorption, mask, metal = project(np.random.default_rng(0), person, "pa", grid)
    assert (mask.any(), metal) == (False, False)
    row = absorption[60]
    assert row[40] > row[51] > 0.2
    assert row[-1] < 0.05


def test_no_two_are_alike(person):
    other = draw_upper_arm(np.random.default_rng(4))
    again = draw_upper_arm(np.random.default_rng(3))
    assert again.size == person.size != other.size
