"""Images of a tissue map have the contrast, blur, noise and scale that the scanner model states."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.phantoms.scanner import T1, T2, acquire, smooth_noise
from monai_tasks.phantoms.temporal_lobe import Tissue

ONE_MM = np.ones(3)


def halves(first, second):
    tissue = np.full((24, 24, 24), first, np.uint8)
    tissue[12:] = second
    return tissue


def ratio(contrast, first, second, seed):
    image = acquire(halves(first, second), ONE_MM, contrast, np.random.default_rng(seed))
    return image[:9].mean() / image[15:].mean()


@pytest.mark.parametrize("contrast", [T1, T2])
def test_every_tissue_has_a_brightness(contrast):
    assert set(contrast) == set(Tissue)


@pytest.mark.parametrize("seed", range(3))
def test_contrast(seed):
    assert ratio(T1, Tissue.WHITE_MATTER, Tissue.CSF, seed) > 3
    assert ratio(T2, Tissue.CSF, Tissue.WHITE_MATTER, seed) > 1.7
    assert 0.8 < ratio(T1, Tissue.AMYGDALA, Tissue.HIPPOCAMPUS_ANTERIOR, seed) < 1.25


def test_images_are_seeded_and_each_has_its_own_scale():
    tissue = halves(Tissue.WHITE_MATTER, Tissue.CSF)
    images = [acquire(tissue, ONE_MM, T1, np.random.default_rng(seed)) for seed in (0, 0, 1, 2, 3)]
    np.testing.assert_array_equal(images[0], images[1])
    levels = [np.median(image[:9]) for image in images[1:]]
    assert max(levels) > 5 * min(levels)
    for image in images:
        assert image.dtype == np.float32
        assert image.min() >= 0
        assert np.isfinite(image).all()


def test_noise_is_rician():
    # Where there is no signal the magnitude is Rayleigh distributed: mean / deviation = sqrt(pi / (4 - pi)).
    contrast = dict.fromkeys(Tissue, 0.0)
    image = acquire(halves(Tissue.AIR, Tissue.AIR), ONE_MM, contrast, np.random.default_rng(0))
    assert image.mean() / image.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.02)


def test_smooth_noise_is_normalised_and_smooth_in_mm():
    spacing = np.array([0.5, 1.0, 2.0])
    field = smooth_noise(np.random.default_rng(0), (96, 48, 24), spacing, 2.0)
    assert field.mean() == pytest.approx(0, abs=1e-9)
    assert field.std() == pytest.approx(1)
    # White noise smoothed by a Gaussian of deviation s is correlated by exp(-d^2 / 4 s^2) over a distance d.
    for axis, step in ((0, 4), (1, 2), (2, 1)):
        moved = np.roll(field, -step, axis)
        inner = tuple(slice(None, -step) if k == axis else slice(None) for k in range(3))
        assert np.mean((field * moved)[inner]) == pytest.approx(np.exp(-(2.0**2) / 16), abs=0.12)
