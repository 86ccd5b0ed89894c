"""Copies of an image in other subjects are found, mirrored ones too, and a subject's own images are not copies."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.datasets import checks_duplicates
from monai_tasks.datasets.checks_duplicates import near_duplicates, nearest


@pytest.fixture
def thumbnails():
    """Twelve pictures without anything in common."""
    return list(np.random.default_rng(3).integers(0, 256, (12, 8, 8), dtype=np.uint8))


def restated(thumbnails, groups, alike):
    """All pairs in plain loops, by NumPy's own correlation."""
    found = {}
    for first in range(len(thumbnails)):
        for second in range(first + 1, len(thumbnails)):
            for axes in [(), *((axis,) for axis in range(thumbnails[first].ndim))]:
                if groups[first] == groups[second] or thumbnails[first].shape != thumbnails[second].shape:
                    continue
                turned = np.flip(thumbnails[second], axes) if axes else thumbnails[second]
                value = np.corrcoef(thumbnails[first].ravel(), turned.ravel())[0, 1]
                if value >= alike and value > found.get((first, second), (0.0,))[0]:
                    found[first, second] = value, axes
    return found


@pytest.mark.parametrize("block", [3, 2048])
def test_plain_and_mirrored_copies(thumbnails, block, monkeypatch):
    monkeypatch.setattr(checks_duplicates, "_BLOCK", block)
    thumbnails[7] = (0.5 * thumbnails[2] + 20).astype(np.uint8)  # darker, and with less contrast
    thumbnails[9] = thumbnails[4][:, ::-1]
    thumbnails[11] = thumbnails[4][::-1]
    groups = [f"subject {number}" for number in range(12)]
    pairs = near_duplicates(thumbnails, groups)
    assert [(pair.first, pair.second, pair.mirrored) for pair in pairs] == [
        (2, 7, ()),
        (4, 9, (1,)),
        (4, 11, (0,)),
    ]
    for pair in pairs:
        assert pair.correlation == pytest.approx(
            restated(thumbnails, groups, 0.99)[pair.first, pair.second][0], abs=1e-5
        )


def test_images_of_one_subject_are_no_copies(thumbnails):
    thumbnails[7] = thumbnails[2]
    groups = ["one" if number in (2, 7) else str(number) for number in range(12)]
    assert near_duplicates(thumbnails, groups) == []


def test_the_threshold_and_volumes_beside_pictures():
    rng = np.random.default_rng(8)
    thumbnails = [*rng.integers(0, 256, (5, 6, 6)), *rng.integers(0, 256, (5, 4, 4, 4))]
    groups = list("abcdefghij")
    found = {
        (pair.first, pair.second): (pytest.approx(pair.correlation, abs=1e-5), pair.mirrored)
        for pair in near_duplicates(thumbnails, groups, alike=0.1)
    }
    assert len(found) > 5
    assert found == restated(thumbnails, groups, 0.1)


def test_an_image_without_contrast_is_like_no_other(thumbnails):
    thumbnails[0] = thumbnails[1] = np.full((8, 8), 7, np.uint8)
    assert near_duplicates(thumbnails, [str(number) for number in range(12)]) == []


def test_how_like_the_nearest_an_image_is(thumbnails):
    base = thumbnails[0].astype(float)
    rng = np.random.default_rng(5)
    for number in range(11):
        thumbnails[number] = np.clip(base + rng.normal(0, 20, base.shape), 0, 255).astype(np.uint8)
    # The last two are of one subject, which shows nothing of what the others show.
    thumbnails.append(thumbnails[11].copy())
    groups = [*map(str, range(12)), "11"]
    alike = nearest(thumbnails, groups)
    assert alike[:11].min() > 0.9
    assert alike[11:].max() < 0.5
    correlations = sorted(np.corrcoef(thumbnails[0].ravel(), other.ravel())[0, 1] for other in thumbnails[1:])
    assert alike[0] == pytest.approx(np.mean(correlations[-3:]), abs=1e-5)


def test_too_few_others_say_nothing(thumbnails):
    assert np.isnan(nearest(thumbnails[:3], ["a", "b", "c"])).all()
