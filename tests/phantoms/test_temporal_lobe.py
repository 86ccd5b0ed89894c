"""The anatomy is one connected hippocampus of two parts among its neighbours, whatever is drawn."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import binary_dilation, label

from monai_tasks.phantoms.temporal_lobe import TemporalLobe, Tissue, ellipsoid

X, Y, Z = np.meshgrid(np.arange(-23.0, 24), np.arange(-33.0, 34), np.arange(-28.0, 29), indexing="ij")
PARTS = (Tissue.HIPPOCAMPUS_ANTERIOR, Tissue.HIPPOCAMPUS_POSTERIOR)


@pytest.fixture(scope="module", params=range(6))
def subject(request):
    lobe = TemporalLobe.draw(np.random.default_rng(request.param))
    return lobe, lobe.tissue(X, Y, Z)


def test_volumes_are_those_of_grown_ups(subject):
    # mm3; the real crops lie between about 1100 and 2400 for each part.
    _, tissue = subject
    for part in PARTS:
        assert 900 < (tissue == part).sum() < 3000


def test_the_hippocampus_is_in_one_piece_and_within_the_field(subject):
    _, tissue = subject
    whole = np.isin(tissue, PARTS)
    assert label(whole)[1] == 1
    for axis in range(3):
        assert not whole.take([0, -1], axis).any()


def test_parts_meet_at_a_coronal_plane(subject):
    lobe, tissue = subject
    anterior, posterior = (Y[tissue == part] for part in PARTS)
    assert anterior.min() > lobe.boundary >= posterior.max()
    assert anterior.min() - posterior.max() == 1


def test_it_is_curved_and_sinks_towards_the_head(subject):
    _, tissue = subject
    whole = np.isin(tissue, PARTS)
    places = [y for y in range(67) if whole[:, y].sum() > 20]
    heights = [Z[:, y][whole[:, y]].mean() for y in places]
    assert heights[0] - heights[-1] > 5
    # A straight body leaves no remainder after a straight line is fitted.
    assert np.abs(heights - np.polyval(np.polyfit(places, heights, 1), places)).max() > 0.5


def test_neighbours_touch_it(subject):
    _, tissue = subject
    whole = np.isin(tissue, PARTS)
    shell = set(tissue[binary_dilation(whole) & ~whole].tolist())
    assert {Tissue.AMYGDALA, Tissue.CORTEX, Tissue.CSF, Tissue.WHITE_MATTER} <= shell


def test_tissue_is_a_formula_over_points(subject):
    lobe, tissue = subject
    part = (slice(5, 30), slice(20, 40), slice(10, 35))
    np.testing.assert_array_equal(lobe.tissue(X[part], Y[part], Z[part]), tissue[part])


def test_ellipsoid_distance_is_exact_for_a_ball():
    distance = ellipsoid((X, Y, Z), (1.0, -2.0, 3.0), (6.0, 6.0, 6.0))
    expected = np.sqrt((X - 1) ** 2 + (Y + 2) ** 2 + (Z - 3) ** 2) - 6
    np.testing.assert_allclose(distance, expected, atol=1e-12)
