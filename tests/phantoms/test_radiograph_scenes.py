"""Images of two arms hold two arms; other parts are no wrists."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.phantoms.radiograph_scenes import PARTS, other_part, two_arms
from monai_tasks.phantoms.wrist_anatomy import Person
from monai_tasks.phantoms.wrist_fractures import Fracture

SIZE = (200, 260)


def drawn(seed, **options):
    return two_arms(np.random.default_rng(seed), SIZE, **options)


@pytest.mark.parametrize("joined", [False, True])
def test_two_arms_fill_two_halves(joined):
    for seed in range(3):
        image = drawn(seed, joined=joined, collimated=False)
        assert (image.pixels.shape, image.pixels.dtype, image.joined) == (SIZE, np.uint16, joined)
        np.testing.assert_array_equal(np.concatenate([arm.pixels for arm in image.arms], 1), image.pixels)
        assert {arm.side for arm in image.arms} == {"L", "R"}
        row = image.pixels[150].astype(float)
        # Each forearm is bright in its half, with dark between them.
        assert row[40:90].max() > 3 * row[image.border - 4 : image.border + 4].mean()
        assert row[170:220].max() > 3 * row[image.border - 4 : image.border + 4].mean()


def test_a_fracture_is_that_of_the_named_arm():
    person = Person.draw(np.random.default_rng(2))
    fracture = Fracture.draw(np.random.default_rng(3), person, "radius", 0.9)
    whole, broken = (drawn(4, person=person, fractures=(None, f), collimated=False) for f in (None, fracture))
    assert not broken.arms[0].fracture.any()
    mask = broken.arms[1].fracture
    assert mask.shape == broken.arms[1].pixels.shape
    assert mask.any()
    change = np.abs(broken.arms[1].pixels.astype(float) - whole.arms[1].pixels)
    assert change[mask].mean() > 3 * np.median(change)


def test_inverted_and_seeded():
    plain, again, inverted = drawn(1), drawn(1), drawn(1, inverted=True)
    np.testing.assert_array_equal(plain.pixels, again.pixels)
    np.testing.assert_allclose(plain.pixels.astype(int) + inverted.pixels, 65535, atol=2)


@pytest.mark.parametrize("kind", PARTS)
def test_other_parts_are_images_that_differ(kind):
    first, second, again = (other_part(np.random.default_rng(seed), kind, (120, 100)) for seed in (0, 1, 0))
    assert (first.shape, first.dtype) == ((120, 100), np.uint16)
    assert np.ptp(first) > 20000
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, second)


def test_an_unknown_part_is_refused():
    with pytest.raises(ValueError, match="'tail'"):
        other_part(np.random.default_rng(0), "tail")
