"""Slices of generated limbs, and what motion does to a scan of them."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.phantoms.hrpqct_bone import SITES, Limb, Person
from monai_tasks.phantoms.hrpqct_slices import INTERCEPT, SLOPE, acquire, draw_slices
from monai_tasks.transforms.motion_kinds import GRADES, draw_motion

VIEWS = 120


def limb(site: str, number: int = 0) -> Limb:
    rng = np.random.default_rng([number, 8])
    return Limb.draw(rng, site, Person.draw(rng, number))


@pytest.fixture(scope="module")
def slices():
    return draw_slices(np.random.default_rng(1), limb("radius"), size=64, slices=2)


@pytest.mark.parametrize("site", SITES)
def test_a_limb_has_its_tissues_and_fits_the_circle(site):
    for number in range(6):
        drawn = draw_slices(np.random.default_rng(number), limb(site, number), size=96, slices=2)
        density = drawn.attenuation * SLOPE + INTERCEPT
        assert drawn.attenuation.min() > -1e-4
        along = (np.arange(96) - 47.5) ** 2
        beyond = along[:, None] + along > 48**2
        assert np.abs(drawn.attenuation[:, beyond]).max() < 1e-3
        assert 750 < density.max() < 1150
        # The larger bone spans about half of the field; flesh is all around it.
        assert 0.35 < 2 * drawn.bone_radius / (96 * drawn.spacing[0]) < 0.65
        assert 0.02 < (density > 450).mean() < 0.4
        assert (np.abs(density) < 130).mean() > 0.2


def test_persons_and_sites_differ():
    first, second, tibia = (
        draw_slices(np.random.default_rng(0), own, size=64, slices=1)
        for own in (limb("radius", 0), limb("radius", 1), limb("tibia", 0))
    )
    assert first.spacing != second.spacing
    assert np.abs(first.attenuation - second.attenuation).max() > 0.3
    assert tibia.bone_radius > 1.2 * first.bone_radius


def test_slices_follow_each_other_along_the_limb():
    drawn = draw_slices(np.random.default_rng(0), limb("tibia"), size=64, slices=40)
    assert drawn.spacing[2] == pytest.approx(9.02 / 40)
    near = np.abs(drawn.attenuation[0] - drawn.attenuation[1]).mean()
    far = np.abs(drawn.attenuation[0] - drawn.attenuation[-1]).mean()
    assert far > 1.3 * near


def test_the_bone_of_an_unmoved_scan_is_where_it_was(slices):
    image, projections = acquire(np.random.default_rng(0), slices, photons=1e9, views=VIEWS)
    assert image.shape == (64, 64, 2)
    assert projections.shape == (VIEWS + 1, 2, 64)
    error = image.transpose(2, 0, 1) - slices.attenuation
    assert np.sqrt(np.mean(error**2)) < 0.15 * slices.attenuation.std()
    # The last view is the first one from the other side.
    np.testing.assert_allclose(projections[-1], projections[0, :, ::-1], atol=1e-3)


def test_noise_is_that_of_counted_photons(slices):
    quiet = acquire(np.random.default_rng(0), slices, photons=1e12, views=VIEWS)[1]
    noisy = acquire(np.random.default_rng(0), slices, photons=1e4, views=VIEWS)[1]
    off = (noisy - quiet) * np.sqrt(1e4) / np.exp(quiet / 2)
    assert off.std() == pytest.approx(1.0, abs=0.02)
    assert off.mean() == pytest.approx(0.0, abs=0.02)


@pytest.mark.parametrize("kind", ["drift", "twitch", "spasm"])
def test_each_grade_does_more_harm(slices, kind):
    settings = {"slices": slices, "photons": 1e9, "views": VIEWS}
    unmoved, _ = acquire(np.random.default_rng(0), **settings)
    errors = []
    for grade in GRADES:
        motion = draw_motion(np.random.default_rng(2), kind, grade, VIEWS + 1, slices.bone_radius)
        moved, _ = acquire(np.random.default_rng(0), motion=motion, **settings)
        errors.append(np.sqrt(np.mean((moved - unmoved) ** 2)))
    assert errors == sorted(errors)
    assert errors[0] < 0.03 * unmoved.std() < 0.1 * unmoved.std() < errors[3]


def test_a_motion_of_other_views_is_refused(slices):
    motion = draw_motion(np.random.default_rng(2), "drift", 2.0, VIEWS, slices.bone_radius)
    with pytest.raises(ValueError, match=f"a motion of {VIEWS} views; expected {VIEWS + 1}"):
        acquire(np.random.default_rng(0), slices, motion, views=VIEWS)
