"""Kinds of motion: what their courses look like, and how far the bone moves at a severity."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from monai_tasks.transforms.motion import half_turn, move, project, reconstruct
from monai_tasks.transforms.motion_kinds import GRADES, KINDS, as_grade, draw_motion, spread_mm

VIEWS = 400
SEEDS = range(8)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("severity", [0.7, 2.0, 4.6])
def test_the_bone_moves_as_far_as_its_severity_says(kind, severity):
    for seed in SEEDS:
        motion = draw_motion(np.random.default_rng(seed), kind, severity, VIEWS, radius_mm=14.0)
        assert len(motion) == VIEWS
        assert motion.spread_mm(14.0) == pytest.approx(spread_mm(severity))


def test_a_higher_severity_is_a_wider_motion():
    severities = np.linspace(0.5, 5.5, 40)
    found = [spread_mm(severity) for severity in severities]
    assert found[0] == 0
    assert (np.diff(found) > 0).all()
    # The first grade stays below half of the smallest pixel of 0.082 mm, up to near its end.
    assert spread_mm(1.2) < 0.041


def test_grades_are_rounded_severities():
    severities = (0.5, 1.49, 1.5, 2.5, 4.4, 5.5, -3.0, 9.0)
    assert [as_grade(severity) for severity in severities] == [1, 1, 2, 3, 4, 5, 1, 5]


def courses(kind: str) -> list[np.ndarray]:
    """How far the bone is from its first place at each view, as a share of the farthest."""
    found = []
    for seed in SEEDS:
        motion = draw_motion(np.random.default_rng(seed), kind, 3.0, VIEWS, radius_mm=14.0)
        arc = 14.0 * np.radians(motion.rotation_degrees)
        places = np.column_stack([motion.shift_mm, arc])
        found.append(np.linalg.norm(places - places[0], axis=1))
    return [course / course.max() for course in found]


def fastest(course: np.ndarray) -> float:
    return float(np.abs(np.diff(course)).max())


def test_a_drift_is_slow_and_ends_elsewhere():
    assert max(fastest(course) for course in courses("drift")) < 0.03
    assert min(course[-1] for course in courses("drift")) > 0.5


def test_a_twitch_is_quick_and_comes_back_for_the_most_part():
    assert min(fastest(course) for course in courses("twitch")) > 0.15
    assert max(course[-1] for course in courses("twitch")) < 0.6


def test_a_spasm_swings():
    turns = [np.count_nonzero(np.diff(np.sign(np.diff(course)))) for course in courses("spasm")]
    calm = [np.count_nonzero(np.diff(np.sign(np.diff(course)))) for course in courses("drift")]
    assert min(turns) > max(calm)


@pytest.mark.parametrize("kind", KINDS)
def test_every_grade_harms_the_image_more_than_the_one_before(kind):
    views, size = 120, 64
    along, across = np.meshgrid(*[np.arange(size) - (size - 1) / 2] * 2, indexing="ij")
    far = np.hypot(along, across)
    bone = torch.from_numpy(((far < 20) & (far > 17)).astype(np.float32) + 0.3 * (far < 17))[None]
    angles = half_turn(views)
    at_rest = project(bone, angles)
    unmoved = reconstruct(at_rest, angles)
    errors = []
    for grade in GRADES:
        motion = draw_motion(np.random.default_rng(5), kind, grade, views, radius_mm=10.0)
        moved = reconstruct(move(at_rest, motion, 0.5), angles)
        errors.append(float((moved - unmoved).pow(2).mean().sqrt()))
    assert errors == sorted(errors)
    # The first is nearly nothing beside the contrast of the bone, the last is plain to see.
    assert errors[0] < 0.03 * float(bone.std())
    assert errors[-1] > 0.2 * float(bone.std())


def test_both_kinds_of_numpy_generators_serve():
    old = draw_motion(np.random.RandomState(3), "spasm", 2.0, 50, 14.0)
    assert old.spread_mm(14.0) == pytest.approx(spread_mm(2.0))


def test_what_is_unknown_is_refused():
    rng = np.random.default_rng(0)
    with pytest.raises(ValueError, match="drift, twitch, spasm"):
        draw_motion(rng, "sneeze", 2.0, VIEWS, 14.0)
    with pytest.raises(ValueError, match=r"severity: got 6\.0"):
        draw_motion(rng, "drift", 6.0, VIEWS, 14.0)
