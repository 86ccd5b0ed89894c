"""The numbers of one image against plain restatements, and thumbnails that mirror with their image."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.datasets.checks_images import block_means, look_at_image, thumbnail
from monai_tasks.datasets.checks_read import Image

AFFINE = np.diag([2.0, 1.0, 3.0, 1.0])


def noise(*shape, seed=0):
    return np.random.default_rng(seed).normal(100, 10, shape).astype(np.float32)


def measures(array, affine=None):
    return look_at_image(Image(array, array.shape, affine, "" if affine is None else "RAS")).measures


def test_block_means_that_share_pixels():
    row = np.array([[1.0, 2.0, 4.0]])
    # Each block takes one pixel and half of the middle one.
    np.testing.assert_allclose(block_means(row, (1, 2)), [[(1 + 0.5 * 2) / 1.5, (4 + 0.5 * 2) / 1.5]])
    np.testing.assert_allclose(block_means(row, (1, 1)), [[7 / 3]], rtol=1e-6)
    np.testing.assert_allclose(block_means(row, (2, 6)), [[1, 1, 2, 2, 4, 4]] * 2)


@pytest.mark.parametrize(("shape", "small"), [((45, 70), (32, 32)), ((35, 51, 11), (16, 16, 16))])
def test_a_mirrored_image_has_a_mirrored_thumbnail(shape, small):
    array = noise(*shape)
    assert thumbnail(array).shape == small
    for axis in range(len(shape)):
        difference = thumbnail(np.flip(array, axis)).astype(int) - np.flip(thumbnail(array), axis)
        assert np.abs(difference).max() <= 1  # of 255, where a mean lies between two


def test_brightness_and_contrast_do_not_change_a_thumbnail():
    array = noise(45, 70)
    np.testing.assert_allclose(thumbnail(array), thumbnail(3 * array + 1000), atol=1)


def test_grid_of_a_volume_and_of_a_picture():
    volume = measures(noise(10, 20, 5), AFFINE)
    assert [volume[f"edge_{axis}"] for axis in "xyz"] == [2, 1, 3]
    assert [volume[f"field_{axis}"] for axis in "xyz"] == [20, 20, 15]
    assert volume["tilt"] == 0
    turn = np.radians(10)
    tilted = AFFINE.copy()
    tilted[:2, :2] = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]]) * (2, 1)
    assert measures(noise(10, 20, 5), tilted)["tilt"] == pytest.approx(10)
    picture = measures(noise(40, 60))
    assert (picture["height"], picture["width"], picture["aspect"]) == (40, 60, 1.5)


def test_intensities():
    array = noise(60, 80)
    low, middle, high = np.percentile(array, (1, 50, 99))
    found = measures(array)
    assert found["spread"] == pytest.approx(high - low, rel=1e-5)
    assert found["middle"] == pytest.approx((middle - low) / (high - low), rel=1e-4)
    assert found["contrast"] == pytest.approx(np.clip(array, low, high).std() / (high - low), rel=1e-4)
    assert (found["lowest"], found["highest"]) == (pytest.approx(1 / 4800), pytest.approx(1 / 4800))
    array[:6] = array.max() + 1  # saturated
    assert measures(array)["highest"] == pytest.approx(0.1)


def test_noise_is_seen_and_a_ramp_is_none():
    ramp = np.add.outer(np.arange(40.0), 2 * np.arange(50.0)).astype(np.float32)
    assert measures(ramp)["noise"] == pytest.approx(0, abs=1e-6)
    rough = measures(ramp + noise(40, 50))["noise"]
    assert rough > 3 * measures(ramp + noise(40, 50) / 5)["noise"] > 0


def test_blank_borders_and_a_body_that_is_cut():
    array = np.zeros((50, 40), np.float32)
    array[10:45, :36] = noise(35, 36)
    assert measures(array)["blank"] == pytest.approx(1 - 35 * 36 / 2000)
    body = np.zeros((50, 40), np.float32)
    body[15:30, 10:30] = 100
    body += noise(50, 40) / 100
    assert measures(body)["edge_body"] == 0
    body[15:30] = 100
    assert measures(body)["edge_body"] == pytest.approx(2 * 15 / 180)


def test_an_image_that_is_nearly_one_value():
    array = np.zeros((200, 200), np.float32)
    array[3, 4] = 5
    found = measures(array)
    assert found["spread"] == 5
    assert np.isfinite(list(found.values())).all()
