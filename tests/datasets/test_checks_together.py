"""What no single measure shows is seen in all together."""

from __future__ import annotations

import numpy as np

from monai_tasks.datasets.checks_together import joint_distances


def test_a_case_against_the_common_trend_is_far_off():
    rng = np.random.default_rng(1)
    trend = rng.normal(size=200)
    distances = np.stack([trend, trend + rng.normal(0, 0.2, 200)], axis=1)
    distances[0] = 2.0, -2.0  # neither is unusual
    distances[1] = 3.0, 3.0  # unusual in both, along the trend
    joint = joint_distances(distances)
    assert joint[0] == joint.max()
    assert joint[0] > 2.5 * joint[1]


def test_one_on_average_and_nothing_for_what_is_not_there():
    distances = np.random.default_rng(2).normal(size=(500, 6))
    assert abs(np.mean(joint_distances(distances) ** 2) - 1) < 0.1
    distances[0] = np.nan
    assert joint_distances(distances)[0] == 0.0


def test_a_measure_without_variation_does_no_harm():
    distances = np.random.default_rng(3).normal(size=(50, 3))
    distances[:, 2] = 0.0
    assert np.isfinite(joint_distances(distances)).all()
