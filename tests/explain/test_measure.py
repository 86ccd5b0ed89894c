"""How much more of an explanation lies in a region than would by chance."""

import numpy as np
import pytest
import torch

from monai_tasks.explain.measure import times_chance


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


def test_an_empty_region_and_other_shapes_are_refused(region):
    ones = np.ones(region.shape)
    with pytest.raises(ValueError, match="region: empty"):
        times_chance(ones, np.zeros_like(region))
    with pytest.raises(ValueError, match="region: empty"):
        times_chance(ones, region, ~region)
    with pytest.raises(ValueError, match="expected one shape"):
        times_chance(ones[None], region)
