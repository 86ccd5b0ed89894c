"""An exposure is bright where rays are stopped, and has the faults that its look names."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_tasks.phantoms.radiography import Collimation, Look, enlarge, expose

SHAPE = (200, 160)
SPACING = 0.6


@pytest.fixture(scope="module")
def look():
    return Look(
        photons=500.0,
        scatter=0.1,
        blur=0.2,
        floor=0.0,
        ceiling=1.2,
        gamma=1.0,
        heel=(0.0, 0.0),
        grid=(0.0, 4.0),
        collimation=None,
        marker=None,
        marker_place=(0.2, 0.2),
        marker_turn=0.0,
        initials=None,
        background=0.0,
    )


@pytest.fixture(scope="module")
def steps():
    """Air, flesh and bone from left to right."""
    absorption = np.zeros(SHAPE, np.float32)
    absorption[:, 50:] = 0.6
    absorption[:, 110:] = 1.2
    return absorption


def taken(absorption, look, seed=0, **changes):
    return expose(np.random.default_rng(seed), absorption, SPACING, replace(look, **changes))


def levels(image):
    return [
        float(image[50:150, columns].mean()) for columns in (slice(10, 40), slice(65, 95), slice(125, 150))
    ]


def test_white_is_dense_unless_inverted(steps, look):
    plain = taken(steps, look)
    assert (plain.shape, plain.dtype) == (SHAPE, np.uint16)
    assert levels(plain) == sorted(levels(plain))
    inverted = levels(taken(steps, look.turned_dark()))
    assert inverted == sorted(inverted, reverse=True)


def test_noise_falls_with_the_square_root_of_the_exposure(steps, look):
    deviations = [
        float(
            (
                taken(steps, look, 1, photons=photons) - taken(steps, look, 2, photons=photons).astype(float)
            ).std()
        )
        for photons in (100.0, 1600.0)
    ]
    assert deviations[0] / deviations[1] == pytest.approx(4, rel=0.1)


def test_scatter_takes_contrast(steps, look):
    spans = []
    for scatter in (0.0, 0.5):
        air, _, bone = levels(taken(steps, look, scatter=scatter, ceiling=3.0))
        spans.append(bone - air)
    assert spans[1] < 0.95 * spans[0]


def test_blur_widens_an_edge(steps, look):
    slopes = [np.abs(np.diff(taken(steps, look, blur=blur).mean(0)))[105:115].max() for blur in (0.1, 1.5)]
    assert slopes[1] < 0.6 * slopes[0]


@pytest.mark.parametrize("frame", ["black", "white", None])
def test_collimation_leaves_a_rim_and_a_frame(steps, look, frame):
    shutters = Collimation((12.0, 12.0, 12.0, 12.0), 0.0, 0.5, frame, 3.0)
    image = taken(steps, look, collimation=shutters)
    # The unexposed rim is white; the frame hides what lies more than 3 mm outside.
    assert image[100, round(10.5 / SPACING)] == 65535
    assert image[100, 5] == {"black": 0, "white": 65535, None: 65535}[frame]
    inside = image[60:140, 60:100]
    assert inside.min() > 0
    assert inside.max() < 65535


def test_tilted_shutters_cut_the_corners(look):
    inside = Collimation((10.0, 10.0, 10.0, 10.0), 8.0, 1.0, None, 0.0).inside((201, 201), 1.0)
    assert inside[100, 100] == pytest.approx(90, abs=1)
    edge = [int(np.argmax(inside[row] > 0)) for row in (60, 140)]
    assert abs(edge[0] - edge[1]) == pytest.approx(80 * np.tan(np.radians(8)), abs=1.5)


def test_the_marker_is_where_it_is_put(steps, look):
    plain, marked = (
        taken(np.zeros(SHAPE, np.float32) + 0.3, look, ceiling=3.0, marker=text) for text in (None, "R")
    )
    rows, columns = np.nonzero(marked > plain.astype(float) + 20000)
    assert rows.mean() == pytest.approx(0.2 * SHAPE[0], abs=4)
    assert columns.mean() == pytest.approx(0.2 * SHAPE[1], abs=4)
    assert np.ptp(rows) * SPACING == pytest.approx(11, abs=3)
    both = taken(np.zeros(SHAPE, np.float32) + 0.3, look, ceiling=3.0, marker="R", initials="AB")
    assert (both == 65535).sum() > (marked == 65535).sum()


def test_the_grid_draws_lines_and_the_background_patches(steps, look):
    flat = np.full(SHAPE, 0.3, np.float32)
    lined = taken(flat, look, grid=(0.1, 8.0)).mean(0)
    spectrum = np.abs(np.fft.rfft(lined - lined.mean()))
    assert np.argmax(spectrum) == SHAPE[1] // 8
    plain, patchy = (taken(flat, look, background=value).astype(float) for value in (0.0, 0.3))
    assert patchy[::20, ::20].std() > 3 * plain[::20, ::20].std()


def test_looks_differ_and_a_seed_gives_the_same_one():
    looks = [Look.draw(np.random.default_rng(seed), "L") for seed in range(40)]
    assert looks[0] == Look.draw(np.random.default_rng(0), "L")
    assert {look.marker for look in looks} == {"L", None}
    assert {look.collimation is None for look in looks} == {True, False}
    assert {look.collimation.frame for look in looks if look.collimation} >= {"black", None}
    assert not any(look.inverted for look in looks)


def test_enlarged_is_smooth():
    large = enlarge(np.array([[0, 1], [0, 1]], np.float32), (4, 8))
    assert large.shape == (4, 8)
    assert (np.diff(large[0]) >= 0).all()
    assert len(np.unique(large[0])) > 3
