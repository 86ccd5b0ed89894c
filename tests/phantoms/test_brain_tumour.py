"""A generated tumour lies in the brain, and each modality shows its parts in its own way."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.phantoms.brain_tumour import CONTRASTS, FIELD, PARTS, head

SIZE = (44, 52, 40)


def draw(number=0, **options):
    return head(np.random.default_rng([6, number]), SIZE, **options)


@pytest.fixture(scope="module")
def drawn():
    return draw()


def contrast(image, first, second):
    """By how much one region is brighter than another, in shares of the image's brightest per cent."""
    return (image[first].mean() - image[second].mean()) / np.quantile(image[image > 0], 0.99)


def test_images_are_as_published(drawn):
    images, parts, affine = drawn
    assert list(images) == ["t1", "t1ce", "t2", "flair"]
    assert set(np.unique(parts)) == {0, *PARTS.values()}
    assert parts.dtype == np.uint8
    spacing = np.array(FIELD) / SIZE
    np.testing.assert_allclose(affine[:3, :3], np.diag(spacing * (-1, -1, 1)))
    # The middle of the grid is the world's origin.
    np.testing.assert_allclose(affine @ [*(np.array(SIZE) - 1) / 2, 1], [0, 0, 0, 1], atol=1e-9)
    for image in images.values():
        assert (image.shape, image.dtype) == (SIZE, np.int16)
        assert 0 == image.min() < image.max()
        # The head is cut away, and nothing of the brain touches the edge.
        assert 0.15 < (image > 0).mean() < 0.6
        assert not image[[0, -1]].any()
        assert (image[parts > 0] > 0).mean() > 0.95


def test_each_modality_shows_its_own(drawn):
    images, parts, _ = drawn
    core, oedema, enhancing = (parts == PARTS[name] for name in ("core", "oedema", "enhancing"))
    healthy = (parts == 0) & (images["t1"] > 0.6 * np.quantile(images["t1"], 0.99))
    assert contrast(images["t1"], core, healthy) < -0.1
    assert contrast(images["t2"], core, healthy) > 0.1
    assert contrast(images["t1ce"], enhancing, healthy) > 0.1
    assert contrast(images["t1ce"], enhancing, oedema) > 0.2
    assert contrast(images["t1"], enhancing, oedema) < 0
    assert contrast(images["flair"], oedema, core) > 0.05
    assert contrast(images["flair"], oedema, healthy) > 0.15


def test_the_tumour_lies_in_one_half_and_oedema_around_it(drawn):
    _, parts, affine = drawn
    core = np.argwhere((parts == PARTS["core"]) | (parts == PARTS["enhancing"]))
    places = core @ affine[:3, :3].T + affine[:3, 3]
    middle = places.mean(0)
    assert abs(middle[0]) > 12
    assert np.linalg.norm(places - middle, axis=1).max() < 50
    oedema = np.argwhere(parts == PARTS["oedema"]) @ affine[:3, :3].T + affine[:3, 3]
    assert np.linalg.norm(oedema - middle, axis=1).mean() > np.linalg.norm(places - middle, axis=1).mean()


def test_without_enhancement_the_core_is_left():
    images, parts, _ = draw(1, enhancing=False)
    assert set(np.unique(parts)) == {0, PARTS["core"], PARTS["oedema"]}
    assert set(images) == set(CONTRASTS)


def test_low_grade_has_less_oedema():
    shares = [
        [np.divide(*((parts == PARTS[name]).sum() for name in ("oedema", "core"))) for parts in own]
        for own in (
            [draw(number, enhancing=False, low_grade=low)[1] for number in range(4)] for low in (0, 1)
        )
    ]
    assert np.mean(shares[1]) < np.mean(shares[0])


def test_a_head_depends_on_the_state(drawn):
    np.testing.assert_array_equal(draw()[1], drawn[1])
    assert not np.array_equal(draw(2)[1], drawn[1])
