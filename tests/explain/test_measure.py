"""How much more of an explanation lies in a region than would by chance."""

import numpy as np
import pytest
import torch

from monai_tasks.explain.measure import points_at, ranked_higher, times_chance, widened


@pytest.fixture
def region():
    mask = np.zeros((10, 20), bool)
    mask[2:6, 3:8] = True  # 20 of 200 pixels
    return mask


def test_even_relevance_is_chance(region):
    assert times_chance(np.ones(region.shape), region) == pytest.approx(1.0)


def test_all_in_the_region_is_the_whole_area_over_the_regions(region):
    assert times_chance(region.astype(float), region) == pytest.approx(10.0)


def test_only_what_is_positive_counts(region):
    explanation = np.where(region, 1.0, -50.0)
    explanation[9, 19] = 20.0
    assert times_chance(torch.tensor(explanation), region) == pytest.approx(10.0 / 2)


def test_chance_over_the_body_asks_more(region):
    body = np.zeros_like(region)
    body[:, :10] = True
    assert times_chance(body.astype(float), region) == pytest.approx(2.0)
    assert times_chance(body.astype(float), region, body) == pytest.approx(1.0)
    # What is explained on the background is missed, not left out.
    assert times_chance(np.ones(region.shape), region, body) == pytest.approx(0.5)


def test_nothing_positive_is_0(region):
    assert times_chance(-np.ones(region.shape), region) == 0.0


def test_ranked_is_the_share_of_pairs_in_which_the_region_is_higher(region):
    explanation = np.random.default_rng(0).integers(-3, 4, region.shape).astype(float)
    body = np.zeros_like(region)
    body[1:8, 2:15] = True
    inside, outside = explanation[region & body], explanation[~region & body]
    pairs = [1.0 if a > b else 0.5 if a == b else 0.0 for a in inside for b in outside]
    assert ranked_higher(explanation, region, body) == pytest.approx(np.mean(pairs))
    assert ranked_higher(region.astype(float), region) == 1.0
    assert ranked_higher(np.ones(region.shape), region) == 0.5


def test_a_region_that_is_all_of_the_body_cannot_be_ranked(region):
    with pytest.raises(ValueError, match="region: all"):
        ranked_higher(np.ones(region.shape), region, region)


def test_the_highest_value_decides_where_an_explanation_points(region):
    explanation = np.where(region, 1.0, 0.9)
    assert points_at(explanation, region)
    explanation[9, 19] = 1.1
    assert not points_at(explanation, region)
    assert not points_at(np.where(region, -1.0, -2.0), region)


def test_a_widened_region_has_what_is_near_in_its_own_image_only(region):
    views = np.stack([region, np.zeros_like(region)])
    near = widened(torch.tensor(views), 2)
    rows, columns = np.nonzero(region)
    for row, column in np.ndindex(region.shape):
        distance = np.hypot(rows - row, columns - column).min()
        assert near[0, row, column] == (distance <= 2)
    assert not near[1].any()


def test_an_empty_region_and_other_shapes_are_refused(region):
    ones = np.ones(region.shape)
    with pytest.raises(ValueError, match="region: empty"):
        times_chance(ones, np.zeros_like(region))
    with pytest.raises(ValueError, match="region: empty"):
        times_chance(ones, region, ~region)
    with pytest.raises(ValueError, match="expected one shape"):
        times_chance(ones[None], region)
