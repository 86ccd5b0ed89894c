"""Frames and shutters are taken off, and what is left of the image is divided into body and background."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from monai_tasks.radiographs.foreground import background, body, exposed_field, is_rectangle, otsu, reduced


@pytest.fixture
def limb():
    """A bright limb with two fingers on a dark ground, (150, 100), and where it is."""
    mask = np.zeros((150, 100), bool)
    mask[60:, 30:70] = True
    mask[15:60, 32:44] = mask[20:60, 54:66] = True
    rng = np.random.default_rng(5)
    image = ndimage.gaussian_filter(0.2 + 0.5 * mask, 1.0) + rng.normal(0, 0.01, mask.shape)
    return image.astype(np.float32), mask


def test_the_reduced_copy_holds_means_of_blocks():
    pixels = np.random.default_rng(0).integers(0, 65536, (605, 403), dtype=np.uint16)
    small, edge = reduced(pixels, longest=200)
    assert edge == 4
    assert small.shape == (151, 100)
    means = np.array(
        [[pixels[4 * r : 4 * r + 4, 4 * c : 4 * c + 4].mean() for c in range(100)] for r in range(151)]
    )
    low, high = np.percentile(means, (0.5, 99.5))
    np.testing.assert_allclose(small, np.clip((means - low) / (high - low), 0, 1), atol=1e-6)


@pytest.mark.parametrize("shape", [(1, 1), (1, 40), (300, 2), (50, 50)])
def test_an_even_image_of_any_size_has_no_body(shape):
    small, _ = reduced(np.full(shape, 700, np.uint16))
    assert not small.any()
    assert exposed_field(small).any()
    assert not body(small).any()


@pytest.mark.parametrize("grey", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("turn", [0, 7])
def test_a_frame_is_taken_off_whatever_its_colour(limb, grey, turn):
    image, _ = limb
    inside = np.pad(np.ones(image.shape), 20)
    framed = np.pad(image, 20, constant_values=grey)
    if turn:
        framed = ndimage.rotate(framed, turn, order=1, cval=grey)
        inside = ndimage.rotate(inside, turn, order=1)
    field = exposed_field(np.clip(framed, 0, 1))
    assert not field[inside < 0.1].any()
    assert field[inside > 0.9].mean() > 0.85


def test_a_frame_in_a_frame_is_taken_off(limb):
    image, _ = limb
    framed = np.pad(np.pad(image, 12, constant_values=1.0), 12, constant_values=0.0)
    inside = np.pad(np.ones(image.shape, bool), 24)
    field = exposed_field(np.clip(framed, 0, 1))
    assert not field[~inside].any()
    assert field[inside].mean() > 0.85


def test_the_background_around_a_hand_is_no_frame(limb):
    assert exposed_field(limb[0]).all()


@pytest.mark.parametrize("grey", [None, 0.0, 1.0])
def test_the_body_is_found_with_its_fingers(limb, grey):
    image, mask = limb
    if grey is not None:
        image, mask = np.pad(image, 15, constant_values=grey), np.pad(mask, 15)
    found = body(np.clip(image, 0, 1))
    assert 2 * (found & mask).sum() / (found.sum() + mask.sum()) > 0.93


def test_soft_tissue_is_body_where_bone_is_far_brighter(limb):
    _, mask = limb
    bones = np.zeros_like(mask)
    bones[60:, 36:48] = bones[60:, 54:66] = True
    found = body(np.clip(ndimage.gaussian_filter(0.05 + 0.15 * mask + 0.75 * bones, 1.0), 0, 1))
    assert found[mask].mean() > 0.93


@pytest.mark.parametrize("turn", [0, 3, 27, 45, 88])
@pytest.mark.parametrize("missing", [0.0, 0.06, 0.14])
def test_a_rectangle_is_one_however_it_is_turned_and_cut(turn, missing):
    down, right = np.mgrid[:200, :160] - np.array([100, 80])[:, None, None]
    angle = np.radians(turn)
    along, across = (
        np.cos(angle) * down - np.sin(angle) * right,
        np.sin(angle) * down + np.cos(angle) * right,
    )
    mask = (abs(along) <= 40) & (abs(across) <= 55)
    whole = mask.sum()
    # A corner is missing, as a triangle.
    mask &= (40 - along) + (55 - across) > np.sqrt(2 * missing * whole)
    assert is_rectangle(mask) == (missing < 0.09)


def test_otsu_is_the_threshold_that_explains_most():
    rng = np.random.default_rng(2)
    values = np.concatenate([rng.normal(0.2, 0.05, 900), rng.normal(0.7, 0.1, 300)])
    threshold, explained = otsu(values)

    def between(cut):
        dark, bright = values[values <= cut], values[values > cut]
        return dark.size * bright.size / values.size**2 * (bright.mean() - dark.mean()) ** 2 / values.var()

    best = max(between(cut) for cut in np.linspace(0.1, 0.8, 300))
    assert explained == pytest.approx(best, rel=0.01)
    assert explained == pytest.approx(between(threshold), rel=1e-3)


def test_the_background_is_the_grey_around_the_body(limb):
    image, mask = limb
    pixels = np.kron(np.round(image * 10000), np.ones((3, 3))).astype(np.uint16)
    assert background(pixels, 3, np.ones_like(mask), mask) == pytest.approx(2000, abs=20)
