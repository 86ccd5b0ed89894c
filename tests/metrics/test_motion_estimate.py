"""Motion estimates from projections, against slow restatements of their formulas."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from monai_tasks.metrics.motion_estimate import (
    find_views,
    mirror,
    motion_estimate,
    normalised_cross_correlation,
    sum_of_squared_differences,
)


@pytest.fixture
def views() -> list[np.ndarray]:
    """Three views of 4 rows and 9 columns: at 0, 0.24 and 180 degrees."""
    rng = np.random.default_rng(1)
    first = rng.uniform(1, 5, (4, 9))
    return [
        first,
        first + rng.normal(0, 0.1, first.shape),
        first[:, ::-1] + rng.normal(0, 0.3, first.shape),
    ]


def slow_ssd(f: list[float], g: list[float]) -> float:
    return sum((a - b) ** 2 for a, b in zip(f, g, strict=True))


def slow_ncc(f: list[float], g: list[float]) -> float:
    products = sum(a * b for a, b in zip(f, g, strict=True))
    return products / sqrt(sum(a * a for a in f) * sum(b * b for b in g))


def flat(image: np.ndarray, columns: list[int]) -> list[float]:
    return [float(row[column]) for row in image for column in columns]


def test_both_measures_agree_with_slow_sums(views):
    f, g = views[0], views[1]
    columns = list(range(9))
    assert sum_of_squared_differences(f, g) == pytest.approx(slow_ssd(flat(f, columns), flat(g, columns)))
    assert normalised_cross_correlation(f, g) == pytest.approx(slow_ncc(flat(f, columns), flat(g, columns)))


def test_counts_of_sixteen_bits_do_not_wrap_around():
    dark, bright = np.full((2, 2), 10, np.uint16), np.full((2, 2), 60_000, np.uint16)
    assert sum_of_squared_differences(dark, bright) == 4 * 59_990**2
    assert normalised_cross_correlation(dark, bright) == pytest.approx(1.0)


@pytest.mark.parametrize(
    ("centre", "kept"), [(None, range(9)), (4.0, range(9)), (5.0, range(2, 9)), (2.5, range(6))]
)
def test_estimates_agree_with_a_slow_restatement(views, centre, kept):
    first, following, opposite = views
    twice = 8 if centre is None else round(2 * centre)
    columns, partners = list(kept), [twice - column for column in kept]
    f, g, h = flat(first, columns), flat(following, columns), flat(opposite, partners)
    found = motion_estimate(first, following, opposite, centre)
    assert found.ssd == pytest.approx(slow_ssd(f, h) / slow_ssd(f, g))
    assert found.ncc == pytest.approx(100 * sqrt(slow_ncc(f, h) / slow_ncc(f, g)))


def test_a_centre_between_columns_is_interpolated():
    view = np.arange(10.0)[None]
    mirrored, kept = mirror(view, 4.25)
    # Columns 0 to 8 look at 8.5, 7.5, ..., 0.5.
    np.testing.assert_allclose(mirrored[0], 8.5 - np.arange(9))
    assert kept == slice(0, 9)


def test_a_mirrored_view_says_that_there_was_no_motion(views):
    first, following, _ = views
    found = motion_estimate(first, following, first[:, ::-1])
    assert found.ssd == 0
    assert found.ncc > 100
    # Not mirrored, it would be another limb.
    assert motion_estimate(first, following, first).ssd > 10


def test_more_shift_is_more_motion():
    columns = np.arange(60)
    limb = np.exp(-(((columns - 29.5) / 10) ** 2))[None] * np.ones((3, 1))
    following = np.roll(limb, 1, axis=1)
    found = [
        motion_estimate(limb, following, np.roll(limb, shift, axis=1)[:, ::-1]) for shift in (0, 1, 2, 4, 8)
    ]
    assert [one.ssd for one in found] == sorted(one.ssd for one in found)
    assert [one.ncc for one in found] == sorted((one.ncc for one in found), reverse=True)
    assert found[1].ssd == pytest.approx(1.0)
    assert found[1].ncc == pytest.approx(100.0)


def test_the_views_are_found_by_their_angles():
    assert find_views(np.arange(760) * 0.24) == (0, 1, 750)
    assert find_views(np.arange(1600) * 0.12 + 30) == (0, 2, 1500)
    # 0.225 degrees is as near to 0.24 as views are there.
    assert find_views(np.arange(801) * 0.225) == (0, 1, 800)


def test_scans_without_the_views_are_refused():
    with pytest.raises(ValueError, match=r"no view at 0\.24 degrees, the nearest is at 0\.48"):
        find_views(np.arange(400) * 0.48)
    with pytest.raises(ValueError, match="no view at 180 degrees"):
        find_views(np.arange(700) * 0.24)
    with pytest.raises(ValueError, match="ascending"):
        find_views(np.array([0.0, 0.0, 180.0]))


def test_views_that_cannot_be_compared_are_refused(views):
    first, following, opposite = views
    with pytest.raises(ValueError, match="are equal"):
        motion_estimate(first, first, opposite)
    with pytest.raises(ValueError, match="of one shape"):
        motion_estimate(first, following[:, 1:], opposite)
    with pytest.raises(ValueError, match="within the view"):
        motion_estimate(first, following, opposite, centre=40)
    with pytest.raises(ValueError, match="without a value"):
        normalised_cross_correlation(np.zeros((2, 2)), first[:2, :2])
