"""Images are padded to a ratio of their sides: nothing is stretched, cut or moved in space."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from monai.transforms import Compose, Invertd, Resized

from monai_tasks.transforms.pad_to_aspect import PadToAspect, PadToAspectd

SHAPES = [(30, 20), (10, 20), (31, 20), (90, 20), (7, 5), (1, 1), (64, 43)]


def image(shape: tuple[int, int]) -> np.ndarray:
    """(1, H, W): a rim of 5 with one odd corner, and numbers within."""
    pixels = np.arange(1, shape[0] * shape[1] + 1, dtype=np.float32).reshape(1, *shape) + 100
    pixels[:, [0, -1]] = pixels[:, :, [0, -1]] = 5
    pixels[0, 0, 0] = 900
    return pixels


@pytest.mark.parametrize("aspect", [1.5, 512 / 341, 1.0, 0.5])
@pytest.mark.parametrize("shape", SHAPES)
def test_one_side_grows_until_the_ratio_holds(shape, aspect):
    height, width = PadToAspect(aspect)(image(shape)).shape[1:]
    assert height == shape[0] or width == shape[1]
    assert height >= shape[0]
    assert width >= shape[1]
    # Half a pixel of rounding on the side that grew.
    assert abs(height - width * aspect) <= 0.5 * max(aspect, 1) + 1e-9


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor, MetaTensor])
@pytest.mark.parametrize("shape", [(10, 20), (90, 20), (31, 20)])
def test_the_image_lies_in_the_middle_on_its_background(kind, shape):
    given = image(shape)
    padded = PadToAspect(1.5)(kind(given))
    assert isinstance(padded, torch.Tensor)
    before = [(after - own) // 2 for after, own in zip(padded.shape[1:], shape, strict=True)]
    rows, columns = (slice(b, b + own) for b, own in zip(before, shape, strict=True))
    np.testing.assert_array_equal(padded[:, rows, columns], given)
    outside = np.ones(padded.shape, bool)
    outside[:, rows, columns] = False
    assert outside.any()
    assert set(np.asarray(padded)[outside].tolist()) == {5.0}


def test_the_value_can_be_given():
    padded = PadToAspect(1.5, value=0.25)(image((10, 20)))
    assert (padded[0, 0] == 0.25).all()


def test_an_image_of_the_right_ratio_stays_as_it_is():
    given = image((30, 20))
    np.testing.assert_array_equal(PadToAspect(1.5)(given), given)


def test_every_pixel_keeps_its_place_in_space():
    affine = torch.tensor([[0.2, 0, 0, 7], [0, 0.3, 0, -4], [0, 0, 1, 0], [0, 0, 0, 1]], dtype=torch.float64)
    given = MetaTensor(torch.as_tensor(image((10, 21))), affine=affine)
    padded = PadToAspect(1.5)(given)
    place = (padded[0] == given[0, 4, 6]).nonzero()[0].double()
    before, after = (torch.tensor([*index, 0, 1], dtype=torch.float64) for index in ((4, 6), place.tolist()))
    torch.testing.assert_close(padded.affine @ after, affine @ before)


def test_it_is_taken_back():
    given = image((10, 20))
    chain = Compose([PadToAspectd("image", 1.5), Resized("image", [60, 40], mode="nearest")])
    item = chain({"image": MetaTensor(torch.as_tensor(given))})
    assert item["image"].shape == (1, 60, 40)
    back = Invertd("image", chain, orig_keys="image", nearest_interp=True)(item)["image"]
    np.testing.assert_array_equal(back, given)


def test_what_does_not_fit_is_refused():
    with pytest.raises(ValueError, match="aspect: got 0; expected a number above 0"):
        PadToAspect(0)
    with pytest.raises(ValueError, match=r"shape \(1, 4, 4, 4\); expected \(C, H, W\)"):
        PadToAspect()(np.zeros((1, 4, 4, 4)))
    with pytest.raises(KeyError):
        PadToAspectd("image")({})
    assert PadToAspectd("image", allow_missing_keys=True)({}) == {}
