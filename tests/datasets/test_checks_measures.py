"""What is usual is said by most cases, and chance makes few remarks."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.datasets.checks_measures import CHANCE, MEASURES, Measure, limit, measure_of, strength, usual

PLAIN = Measure("label", "size")


def test_distances_of_normal_values_are_in_standard_deviations():
    values = np.random.default_rng(1).normal(50, 4, 4000)
    own = usual(values, PLAIN)
    assert own.median == pytest.approx(np.median(values))
    assert (own.low, own.high) == pytest.approx(tuple(np.percentile(values, (5, 95))))
    np.testing.assert_allclose(own.distances, (values - 50) / 4, atol=0.2)


def test_outliers_do_not_say_what_is_usual():
    values = np.random.default_rng(2).normal(50, 4, 100)
    values[:4] = 90
    own = usual(values, PLAIN)
    assert (own.distances[:4] > 8).all()
    assert np.abs(own.distances[4:]).max() < own.limit


def test_a_second_group_is_usual():
    rng = np.random.default_rng(3)
    values = np.concatenate([rng.normal(10, 0.1, 80), rng.normal(30, 0.1, 20)])
    own = usual(values, PLAIN)
    assert np.abs(own.distances).max() < own.limit


def test_ratios_and_the_least_variation():
    values = np.full(20, 1.0)
    values[0] = 1.01
    values[1] = 4.0
    own = usual(values, Measure("grid", "edge", "mm", log=True, floor=0.02))
    assert own.distances[0] == pytest.approx(np.log(1.01) / np.log(1.02))
    assert own.distances[0] < own.limit < own.distances[1]


def test_one_case_among_equal_ones():
    values = np.ones(20)
    values[4] = 0.8
    own = usual(values, Measure("label", "share of the largest piece", floor=0.005))
    assert own.distances[4] == pytest.approx(-40)
    assert abs(own.distances[4]) > own.limit


def test_what_is_not_there_has_no_distance():
    values = np.arange(20.0)
    values[3] = np.nan
    own = usual(values, PLAIN)
    assert np.isnan(own.distances[3])
    assert np.isfinite(np.delete(own.distances, 3)).all()


@pytest.mark.parametrize("count", [12, 200])
def test_chance_makes_few_remarks(count):
    rng = np.random.default_rng(4)
    remarks = 0
    for _ in range(400):
        own = usual(rng.normal(size=count), PLAIN)
        remarks += int((np.abs(own.distances) > own.limit).sum())
    assert remarks <= max(3, 400 * 3 * CHANCE)


def test_few_cases_have_a_wider_limit_and_strength_grows_with_distance():
    assert limit(10) > limit(50) > limit(1000) > 3.5
    assert strength(4.0, 4.0) == 0.0
    assert strength(8.0, 4.0) == 0.5
    assert strength(40.0, 4.0) == 0.9


def test_names_with_a_channel():
    assert measure_of("inside_12") is MEASURES["inside"]
    assert measure_of("step_left_1") is MEASURES["step_left"]
    assert measure_of("place_x") is MEASURES["place_x"]


def test_values_are_shown_with_their_unit():
    assert MEASURES["volume"].shown(1.23456) == "1.235 ml"
    assert MEASURES["blank"].shown(0.256) == "25.6 %"
    assert MEASURES["aspect"].shown(1.5) == "1.5"
