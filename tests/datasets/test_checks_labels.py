"""The numbers of labels against plain restatements."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.datasets.checks_labels import look_at_label
from monai_tasks.datasets.checks_read import Image, LabelMap

AFFINE = np.diag([2.0, 1.0, 3.0, 1.0])
AFFINE[:3, 3] = -7, 5, 100
SHAPE = (20, 24, 16)


@pytest.fixture
def image():
    return np.random.default_rng(5).normal(100, 10, SHAPE).astype(np.float32)


def box(first, last):
    mask = np.zeros(SHAPE, bool)
    mask[tuple(slice(*ends) for ends in zip(first, last, strict=True))] = True
    return mask


def look(masks, *channels, affine=AFFINE):
    return look_at_label(
        LabelMap(masks, SHAPE, AFFINE), [Image(channel, channel.shape, affine, "RAS") for channel in channels]
    )


def test_size_pieces_and_place():
    mask = box((2, 4, 6), (6, 10, 12)) | box((12, 20, 1), (13, 21, 2))
    found = look({5: mask}).measures[5]
    count = 4 * 6 * 6 + 1
    assert found["volume"] == pytest.approx(count * 6 / 1000)
    assert found["pieces"] == 2
    assert found["largest"] == pytest.approx((count - 1) / count)
    assert found["touching"] == 0
    index = np.argwhere(mask).mean(axis=0)
    assert [found[f"place_{axis}"] for axis in "xyz"] == pytest.approx(
        (index / (np.array(SHAPE) - 1)).tolist()
    )


def test_centres_are_millimetres_from_the_middle():
    found = look({1: box((0, 0, 0), (1, 1, 1)), 2: box((19, 23, 15), (20, 24, 16))})
    assert found.centres[1] == pytest.approx((-19, -11.5, -22.5))
    assert found.centres[2] == pytest.approx((19, 11.5, 22.5))
    assert found.whole["pieces"] == 2


def test_voxels_at_the_border():
    assert look({1: box((0, 5, 5), (4, 9, 9))}).measures[1]["touching"] == pytest.approx(0.25)


def test_a_label_without_voxels_has_no_measures():
    found = look({1: box((2, 2, 2), (5, 5, 5)), 2: np.zeros(SHAPE, bool)})
    assert list(found.measures) == [1]
    empty = look({})
    assert (empty.measures, empty.whole) == ({}, {})


def test_the_image_below_a_label(image):
    mask = box((5, 6, 4), (12, 14, 11))
    image[mask] += 40
    found = look({1: mask}, image).measures[1]
    low, high = np.percentile(image, (1, 99))
    around = image[2:15, 3:17, 1:14]
    assert found["inside_1"] == pytest.approx((image[mask].mean() - low) / (high - low), rel=1e-4)
    assert found["varied_1"] == pytest.approx(image[mask].std() / around.std(), rel=1e-4)
    right = image[12, 6:14, 4:11] - image[11, 6:14, 4:11]  # outwards
    assert found["step_right_1"] == pytest.approx(right.mean() / around.std(), rel=1e-4)
    left = image[4, 6:14, 4:11] - image[5, 6:14, 4:11]
    assert found["step_left_1"] == pytest.approx(left.mean() / around.std(), rel=1e-4)
    within = [np.abs(np.diff(image[5:12, 6:14, 4:11], axis=axis)).ravel() for axis in range(3)]
    everywhere = [np.abs(np.diff(around, axis=axis)).ravel() for axis in range(3)]
    expected = np.concatenate(within).mean() / np.concatenate(everywhere).mean()
    assert found["rough_1"] == pytest.approx(expected, rel=1e-4)


def test_a_surface_at_the_border_of_the_image_has_no_step(image):
    found = look({1: box((0, 6, 4), (6, 12, 10))}, image).measures[1]
    assert np.isnan(found["step_left_1"])
    assert np.isfinite(found["step_right_1"])


def test_each_channel_is_looked_at(image):
    mask = box((5, 6, 4), (12, 14, 11))
    found = look({1: mask}, image, np.where(mask, 50, 0) + image).measures[1]
    assert found["inside_2"] > found["inside_1"] + 0.2


@pytest.mark.parametrize("apart", [0, 2])
def test_a_label_on_another_grid_is_measured_without_the_image(image, apart):
    affine = AFFINE.copy()
    affine[0, 3] += apart
    found = look({1: box((5, 6, 4), (12, 14, 11))}, image, affine=affine)
    assert found.grid == ("the label lies 2 mm away from the image" if apart else "")
    assert ("inside_1" in found.measures[1]) == (apart == 0)
    other = look({1: box((5, 6, 4), (12, 14, 11))}, image[:, :-1])
    assert other.grid == "the label has 20x24x16 voxels, the image 20x23x16"
