"""A plane through the knee shows each tissue in its T1 brightness, and the growth plate as its age has it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_tasks.phantoms.knee_anatomy import CARTILAGE, FAT, MUSCLE, Knee, cord, paint

EDGE = 0.5  # mm
X, Z = np.meshgrid(
    np.arange(-70, 70.5, EDGE, np.float32), np.arange(-79, 79.5, EDGE, np.float32), indexing="ij"
)
QUIET = np.zeros_like(X)


def plane(anatomy, y, grain=QUIET):
    return anatomy.plane(X, np.full_like(X, y), Z, grain, EDGE)


def with_openness(anatomy, openness):
    plate = replace(anatomy.femur.plate, openness=openness)
    return replace(anatomy, femur=replace(anatomy.femur, plate=plate))


@pytest.fixture(scope="module", params=range(4))
def anatomy(request):
    return Knee.draw(np.random.default_rng(request.param))


def on_plate(anatomy, image, offset):
    """Brightness along the femur's growth plate, some mm above it, in the middle of the bone."""
    points = anatomy.femur.own(X, np.zeros_like(X), Z)
    away = np.abs(anatomy.femur.plate.above(*points, 38.0) - offset)
    return image[(away < 0.3) & (np.abs(X) < 22)]


def test_an_open_growth_plate_is_dark_and_a_closed_one_a_scar(anatomy):
    image, _ = plane(with_openness(anatomy, 1.0), 0.0)
    assert on_plate(anatomy, image, 0).max() < 0.35
    assert on_plate(anatomy, image, 5).min() > 0.5
    assert on_plate(anatomy, image, -5).min() > 0.8
    image, _ = plane(with_openness(anatomy, 0.0), 0.0)
    assert on_plate(anatomy, image, 0).min() > 0.5


def test_a_closing_growth_plate_fades_in_patches(anatomy):
    grain = np.random.default_rng(0).normal(0, 1, X.shape).astype(np.float32)
    image, _ = plane(with_openness(anatomy, 0.5), 0.0, grain)
    values = on_plate(anatomy, image, 0)
    assert np.quantile(values, 0.05) < 0.35
    assert np.quantile(values, 0.95) > 0.45


def test_ages_from_open_to_closed():
    openness = [Knee.draw(np.random.default_rng(seed)).femur.plate.openness for seed in range(60)]
    assert min(openness) == 0
    assert max(openness) == 1
    assert sum(0 < value < 1 for value in openness) > 10


def test_tissues(anatomy):
    image, (femur, tibia, fibula, patella) = plane(anatomy, 0.0)
    assert not (femur & tibia).any()
    assert not fibula.any()
    assert not patella.any()
    assert not image[np.abs(X) > 69][: X.shape[1]].any()  # air
    assert 0 <= image.min() < image.max() <= 1.02 * FAT
    # Each bone has a dark shell: just within its rim along a line through both condyles.
    row = image[:, np.argmin(np.abs(Z[0] - 20))]
    inside = np.flatnonzero(femur[:, np.argmin(np.abs(Z[0] - 20))])
    assert row[inside[[1, -2]]].max() < 0.35
    assert np.median(row[inside]) > 0.6
    for value in (FAT, MUSCLE, CARTILAGE):
        assert (np.abs(image - value) < 0.01).sum() > 100


def test_only_posterior_slices_hold_the_fibula_and_only_anterior_ones_the_patella(anatomy):
    held = {y: [bone.any() for bone in plane(anatomy, y)[1]] for y in (-50.0, -20.0, 0.0, 42.0)}
    assert held == {
        -50.0: [False, False, False, False],
        -20.0: [True, True, True, False],
        0.0: [True, True, False, False],
        42.0: [False, False, False, True],
    }


def test_paint_covers_half_at_the_edge():
    image = np.full(5, 2.0, np.float32)
    paint(image, np.float32([-1, -0.25, 0, 0.25, 1]), 6.0, 1.0)
    np.testing.assert_allclose(image, [6, 5, 4, 3, 2])


def test_cord_is_a_line_between_its_ends():
    points = tuple(np.float32([[5, 4, 13, -3], [3, 0, 4, 0], [4, 0, 0, 4]]))
    np.testing.assert_allclose(cord(points, (0, 0, 0), (10, 0, 0)), [5, 0, 5, 5], atol=1e-5)
