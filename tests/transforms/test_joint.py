"""The joint is found on generated knees whatever the scanner does to them, and a miss is known as one."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest
from nibabel import orientations
from scipy import ndimage

from monai_tasks.phantoms.knee import GRIDS, knee
from monai_tasks.transforms.joint import find_joint

PIXEL = 2.0  # mm


def drawn(number, source, pixel=PIXEL):
    """A generated knee towards right, superior and anterior: image, spacing, index of the joint."""
    image, _, affine, joint = knee(np.random.default_rng([7, number]), GRIDS[source].reduced(pixel))
    to_rsa = orientations.ornt_transform(
        orientations.io_orientation(affine), orientations.axcodes2ornt("RSA")
    )
    affine = affine @ orientations.inv_ornt_aff(to_rsa, image.shape)
    index = nibabel.affines.apply_affine(np.linalg.inv(affine), joint)
    return orientations.apply_orientation(image, to_rsa), nibabel.affines.voxel_sizes(affine), index[:2]


@pytest.fixture(scope="module")
def cases():
    """Six knees of both sources in turn."""
    return [drawn(number, source) for number, source in enumerate(3 * list(GRIDS))]


def distance(image, spacing, index):
    """How far the joint is found from where it is, in mm."""
    joint = find_joint(image, spacing)
    assert joint.found
    assert joint.confidence <= 1
    return np.linalg.norm((np.array(joint.index) - index) * spacing[:2])


def test_the_error_on_both_sources(cases):
    errors = [distance(*case) for case in cases]
    assert np.mean(errors) < 3
    assert max(errors) < 8
    # The image's centre is no answer: it is farther away, and must be for the figures above to mean something.
    centres = [np.linalg.norm(((np.array(i.shape[:2]) - 1) / 2 - j) * s[:2]) for i, s, j in cases]
    assert np.mean(centres) > 2 * np.mean(errors)


def spoilt_by_outliers(image, rng):
    return np.where(rng.random(image.shape) < 2e-4, 100 * image.max(), image)


def spoilt_by_noise(image, rng):
    noise = 0.15 * np.percentile(image, 95) * rng.standard_normal((2, *image.shape))
    return np.hypot(image + noise[0], noise[1])


def spoilt_by_the_coil(image, rng):
    """A field that falls to 1 / 2.5 across the image, on top of its own."""
    ramp = np.linspace(0, 1, image.shape[0])[:, None, None] + np.linspace(0, 1, image.shape[1])[:, None]
    return image * 2.5 ** (-ramp / 2)


def spoilt_by_a_ghost(image, rng):
    return image + 0.25 * np.roll(image, image.shape[0] // 2, 0)


def in_another_unit(image, rng):
    return 1e-3 * image - 7.0


@pytest.mark.parametrize(
    ("number", "change"),
    enumerate([spoilt_by_outliers, spoilt_by_noise, spoilt_by_the_coil, spoilt_by_a_ghost, in_another_unit]),
)
def test_faults_of_the_image(cases, number, change):
    image, spacing, index = cases[number]
    changed = change(image.astype(float), np.random.default_rng(1))
    assert distance(changed, spacing, index) < 8


@pytest.mark.parametrize("shift", [(15, 10), (-15, -10)])
def test_a_joint_30_mm_off_the_centre(cases, shift):
    image, spacing, index = cases[2]
    centre = (np.array(image.shape[:2]) - 1) / 2
    moved = ndimage.shift(image, [*(centre + shift - index), 0], order=1)
    assert distance(moved, spacing, centre + shift) < 8


@pytest.mark.parametrize("degrees", [-8, 8])
def test_a_leg_that_stands_askew(cases, degrees):
    image, spacing, index = cases[3]
    spot = np.zeros(image.shape[:2])
    spot[tuple(np.round(index).astype(int))] = 1
    image, spot = (
        ndimage.rotate(array, degrees, axes=(0, 1), reshape=False, order=1) for array in (image, spot)
    )
    assert distance(image, spacing, np.unravel_index(spot.argmax(), spot.shape)) < 8


def test_a_mirrored_knee_is_found_at_the_mirrored_place(cases):
    image, spacing, _ = cases[0]
    one, other = find_joint(image, spacing), find_joint(image[::-1], spacing)
    assert other.index[0] == pytest.approx(image.shape[0] - 1 - one.index[0], abs=1.5)
    assert other.index[1] == pytest.approx(one.index[1], abs=1.5)


@pytest.mark.parametrize("times", [3, 10])
def test_finer_pixels_give_the_same_place(cases, times):
    image, spacing, _ = cases[1]
    fine, fine_spacing = image.repeat(times, 0).repeat(times, 1)[..., ::3], spacing / (times, times, 1 / 3)
    places = [
        (np.array(find_joint(*one).index) + 0.5) * one[1][:2]
        for one in ((image[..., ::3], spacing * (1, 1, 3)), (fine, fine_spacing))
    ]
    np.testing.assert_allclose(*places, atol=1.5)


def centre_of_the_leg(image, spacing):
    bright = ndimage.gaussian_filter(image.astype(float), (1, 1, 0)) > 0.2 * np.percentile(image, 95)
    return np.argwhere(bright)[:, :2].mean(0)


@pytest.mark.parametrize("number", range(2))
@pytest.mark.parametrize("part", ["shin", "thigh"])
def test_an_image_without_the_joint_is_centred_on_the_leg(cases, number, part):
    image, spacing, index = cases[number]
    away = 30 / PIXEL
    image = image[:, : int(index[1] - away)] if part == "shin" else image[:, int(index[1] + away) :]
    joint = find_joint(image, spacing)
    assert not joint.found
    assert np.linalg.norm(joint.index - centre_of_the_leg(image, spacing)) * PIXEL < 8


def test_noise_is_no_knee():
    image = np.random.default_rng(2).normal(0, 1, (2, 80, 80, 24))
    assert not find_joint(np.hypot(*image), (2.0, 2.0, 4.4)).found


@pytest.mark.parametrize("shape", [(80, 60, 24), (5, 4, 1), (1, 1, 1)])
def test_an_even_image_is_centred_on_itself(shape):
    joint = find_joint(np.full(shape, 3.0), (2.0, 2.0, 4.4))
    assert joint.index == ((shape[0] - 1) / 2, (shape[1] - 1) / 2)
    assert (joint.confidence, joint.found) == (0.0, False)


def test_a_threshold_of_ones_own(cases):
    image, spacing, _ = cases[0]
    confidence = find_joint(image, spacing).confidence
    assert find_joint(image, spacing, confidence).found
    assert not find_joint(image, spacing, confidence + 0.01).found


@pytest.mark.parametrize("image", [np.zeros((8, 8)), np.full((8, 8, 3), np.nan)])
def test_images_that_cannot_be_searched(image):
    with pytest.raises(ValueError, match="expected \\(X, Y, Z\\), finite"):
        find_joint(image, (1.0, 1.0, 1.0))
