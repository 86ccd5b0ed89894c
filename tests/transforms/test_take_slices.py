"""Slices are padded, taken and put back where they were, never mixed."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate, set_track_meta
from monai.transforms import Compose, Flipd, Invertd, Orientationd

from monai_tasks.transforms import take_slices
from monai_tasks.transforms.take_slices import RandTakeSlicesd, SlicePlan, TakeSlices, TakeSlicesd

DEPTHS = [1, 5, 12, 23, 24, 25, 41, 47, 48, 49, 60]


def slices(depth: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """(2, 3, 4, depth): every voxel tells its slice, counted from 1, and its channel."""
    numbers = torch.arange(1, depth + 1) + 100 * torch.arange(2)[:, None]
    return numbers[:, None, None, :].expand(2, 3, 4, depth).to(dtype)


def restated(depth: int, count: int, start: int) -> list[int]:
    """The slices taken, counted from 1, 0 for padding."""
    step = ceil(depth / count)
    missing = step * count - depth
    row = [0] * (missing // 2) + list(range(1, depth + 1)) + [0] * (missing - missing // 2)
    return [row[start + step * number] for number in range(count)]


@pytest.mark.parametrize("depth", DEPTHS)
def test_every_way_to_take_24_slices(depth):
    seen = []
    for start in range(ceil(depth / 24)):
        taken = TakeSlices(24, start)(slices(depth))
        assert taken.shape == (2, 3, 4, 24)
        assert taken[0, 1, 2].tolist() == restated(depth, 24, start)
        seen += taken[0, 0, 0].tolist()
    assert sorted(number for number in seen if number) == list(range(1, depth + 1))


def test_the_numbers_of_the_two_sources():
    first = [0, 0, 0, *range(1, 42), 0, 0, 0, 0]  # 41 slices in 48
    assert TakeSlices(24)(slices(41))[0, 0, 0].tolist() == first[0::2]
    assert TakeSlices(24, 1)(slices(41))[0, 0, 0].tolist() == first[1::2]
    assert torch.equal(TakeSlices(24)(slices(24)), slices(24))
    assert TakeSlices(24)(slices(12))[0, 0, 0].tolist() == [0] * 6 + list(range(1, 13)) + [0] * 6


def test_a_start_beyond_the_last_is_counted_round():
    for start in (2, 5, -1):
        assert torch.equal(TakeSlices(24, start)(slices(41)), TakeSlices(24, start % 2)(slices(41)))


@pytest.mark.parametrize("dtype", [torch.uint8, torch.bool, torch.int16, torch.float64])
def test_types_are_kept_and_nothing_is_interpolated(dtype):
    taken = TakeSlices(3)(slices(7).gt(4).to(dtype))
    assert taken.dtype == dtype
    assert set(taken.unique().tolist()) == {0, 1}


@pytest.mark.parametrize("name", ["RAS", "LAS", "LPS", "oblique"])
@pytest.mark.parametrize(("count", "start"), [(4, 0), (4, 2), (6, 1), (11, 0), (20, 0)])
def test_slices_stay_where_they_are_in_space(grids, name, count, start):
    array, affine = grids[name]
    image = MetaTensor(torch.as_tensor(array)[None], affine=torch.as_tensor(affine))
    taken = TakeSlices(count, start)(image)
    plan = SlicePlan(array.shape[2], count)
    for number in range(count):
        # The slice of the image at the same point in space, the padding going on beyond its ends.
        place = np.linalg.solve(affine, taken.affine.numpy() @ (3, 5, number, 1))
        np.testing.assert_allclose(place[[0, 1, 3]], (3, 5, 1), atol=1e-9)
        index = round(float(place[2]))
        assert abs(place[2] - index) < 1e-9
        inside = 0 <= index < array.shape[2]
        np.testing.assert_array_equal(taken[0, ..., number], array[..., index] if inside else 0)
    spacing = np.linalg.norm(taken.affine.numpy()[:3, 2])
    assert spacing == pytest.approx(1.5 * plan.step)
    np.testing.assert_array_equal(image.affine, affine)
    assert image.applied_operations == []


@pytest.mark.parametrize("name", ["RAS", "LPS", "oblique"])
@pytest.mark.parametrize(("count", "start"), [(4, 0), (4, 2), (6, 1), (11, 0), (20, 0)])
def test_the_inverse_puts_slices_and_affine_back(grids, name, count, start):
    array, affine = grids[name]
    take = TakeSlices(count, start)
    back = take.inverse(take(MetaTensor(torch.as_tensor(array)[None], affine=torch.as_tensor(affine))))
    kept = [number - 1 for number in restated(11, count, start % ceil(11 / count)) if number]
    expected = np.zeros_like(array)
    expected[..., kept] = array[..., kept]
    np.testing.assert_array_equal(back[0], expected)
    np.testing.assert_array_equal(back.affine, affine)
    assert back.applied_operations == []


@pytest.mark.parametrize("transform", [TakeSlicesd(["image", "label"], 6, 1), RandTakeSlicesd(["image"], 6)])
@pytest.mark.parametrize("name", ["LAS", "oblique"])
def test_a_chain_and_its_inverse(grids, name, transform):
    array, affine = grids[name]
    chain = Compose([Orientationd("image", axcodes="RSA", labels=None), transform, Flipd("image", 0)])
    item = {"image": MetaTensor(torch.as_tensor(array)[None], affine=torch.as_tensor(affine))}
    if "label" in transform.keys:
        transform.allow_missing_keys = True
    done = chain(dict(item))
    assert done["image"].shape[-1] == 6
    back = chain.inverse(done)["image"]
    assert back.shape == (1, *array.shape)
    np.testing.assert_allclose(back.affine, affine, atol=1e-12)
    kept = back[0].numpy() != 0
    np.testing.assert_array_equal(back[0].numpy()[kept], array[kept])
    # The slices lie along the second axis of the file.
    assert 6 <= kept.any(axis=(0, 2)).sum() < array.shape[1]


def test_a_prediction_through_invertd_after_batching(grids):
    array, affine = grids["LPS"]
    chain = Compose([TakeSlicesd("image", 4, 1)])
    items = [
        chain({"image": MetaTensor(torch.as_tensor(array)[None] + add, affine=torch.as_tensor(affine))})
        for add in (0, 1000)
    ]
    batch = list_data_collate(items)
    batch["pred"] = torch.cat([batch["image"], batch["image"] + 1], dim=1)
    invert = Invertd("pred", chain, orig_keys="image", nearest_interp=True)
    for add, item in zip((0, 1000), decollate_batch(batch), strict=True):
        pred = invert(item)["pred"]
        assert pred.shape == (2, *array.shape)
        np.testing.assert_array_equal(pred.affine, affine)
        for index in range(11):
            if index + 1 in restated(11, 4, 1):
                np.testing.assert_array_equal(pred[0, ..., index], array[..., index] + np.float32(add))
            else:
                assert not pred[..., index].any()


def test_the_random_start_is_the_same_for_all_keys_and_reaches_every_slice():
    transform = RandTakeSlicesd(["image", "label"], 4).set_random_state(seed=1)
    starts = set()
    for _ in range(40):
        done = transform({"image": slices(11), "label": slices(11, torch.uint8), "subject": "a"})
        image, label = (done[key][0, 0, 0].tolist() for key in ("image", "label"))
        assert image == label
        starts.add(tuple(image))
    assert starts == {tuple(restated(11, 4, start)) for start in range(3)}


def test_the_random_start_follows_the_seed():
    def drawn(seed: int) -> list[float]:
        chain = Compose([RandTakeSlicesd("image", 2)]).set_random_state(seed=seed)
        return [chain({"image": slices(30)})["image"][0, 0, 0, 0].item() for _ in range(6)]

    assert drawn(3) == drawn(3)
    assert drawn(3) != drawn(4)


def test_keys_that_are_missing():
    for transform in (TakeSlicesd, RandTakeSlicesd):
        with pytest.raises(KeyError, match="label"):
            transform(["image", "label"], 4)({"image": slices(11)})
        done = transform(["label", "image"], 4, allow_missing_keys=True)({"image": slices(11)})
        assert done["image"].shape[-1] == 4
        assert transform("label", 4, allow_missing_keys=True)({"subject": 1}) == {"subject": 1}


def test_arrays_and_tensors_without_metadata():
    assert isinstance(TakeSlices(24)(np.ones((1, 2, 2, 41), np.float32)), MetaTensor)
    set_track_meta(False)
    try:
        taken = TakeSlices(24)(slices(41))
    finally:
        set_track_meta(True)
    assert type(taken) is torch.Tensor
    assert taken[0, 0, 0].tolist() == restated(41, 24, 0)


def test_what_cannot_be_done_is_refused():
    with pytest.raises(ValueError, match="count: got 0"):
        TakeSlices(0)
    for shape in ((1, 4, 4), (4, 4, 24, 2, 1), (1, 4, 4, 0)):
        with pytest.raises(ValueError, match="expected \\(C, X, Y, Z\\)"):
            TakeSlices(24)(torch.zeros(shape))


def test_the_other_names_that_monai_gives_dictionary_transforms():
    assert take_slices.TakeSlicesD is take_slices.TakeSlicesDict is TakeSlicesd
    assert take_slices.RandTakeSlicesD is take_slices.RandTakeSlicesDict is RandTakeSlicesd
