"""Binary channels become one map of classes, whatever the subset and the way the label is stored."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_tasks.transforms import merge_bone_channels
from monai_tasks.transforms.merge_bone_channels import MergeBoneChannels, MergeBoneChannelsd

AFFINE = torch.diag(torch.tensor([-0.5, -0.5, 2.2, 1.0], dtype=torch.float64))
CONTAINERS = {
    "numpy": np.asarray,
    "torch": torch.as_tensor,
    "MetaTensor": lambda array: MetaTensor(torch.as_tensor(array), affine=AFFINE),
}
GROUPS = [[[1, 2, 3]], [[1], [2], [3]], [[3]], [[2], [1, 3]], [[3], [1]]]


def bones(dtype: str = "uint8", inside: float = 1) -> np.ndarray:
    """(3, 6, 5, 4) binary channels that overlap here and there."""
    maps = np.random.default_rng(3).random((3, 6, 5, 4)) < 0.3
    return (maps * inside).astype(dtype)


def restated(maps: np.ndarray, groups: list[list[int]]) -> np.ndarray:
    """One voxel at a time: the last group with a bone there."""
    result = np.zeros((1, *maps.shape[1:]), np.uint8)
    for index in np.ndindex(maps.shape[1:]):
        there = [k for k, group in enumerate(groups, 1) if any(maps[n - 1][index] > 0 for n in group)]
        result[(0, *index)] = max(there, default=0)
    return result


@pytest.mark.parametrize("groups", GROUPS)
@pytest.mark.parametrize("container", CONTAINERS)
def test_each_class_is_the_union_of_its_channels(container, groups):
    label = CONTAINERS[container](bones())
    result = MergeBoneChannels(groups)(label)
    assert type(result) is type(label)
    assert str(result.dtype).removeprefix("torch.") == "uint8"
    np.testing.assert_array_equal(np.asarray(result), restated(bones(), groups))
    np.testing.assert_array_equal(np.asarray(label), bones())
    if container == "MetaTensor":
        torch.testing.assert_close(result.affine, AFFINE)


@pytest.mark.parametrize(("dtype", "inside"), [("float32", 0.25), ("uint8", 255), ("int16", 7), ("bool", 1)])
def test_whatever_is_above_zero_is_inside(dtype, inside):
    result = MergeBoneChannels([[1], [2, 3]])(bones(dtype, inside))
    np.testing.assert_array_equal(result, restated(bones(), [[1], [2, 3]]))


@pytest.mark.parametrize("groups", GROUPS)
def test_one_channel_is_a_label_map_of_the_same_numbers(groups):
    values = np.random.default_rng(4).integers(0, 4, (1, 6, 5, 4)).astype(np.uint8)
    maps = np.concatenate([values == number for number in (1, 2, 3)])
    np.testing.assert_array_equal(MergeBoneChannels(groups)(values), MergeBoneChannels(groups)(maps))


def test_images_of_two_axes():
    np.testing.assert_array_equal(
        MergeBoneChannels([[1, 3]])(bones()[..., 0]), restated(bones()[..., 0], [[1, 3]])
    )


def test_too_few_channels_are_refused_and_more_are_not():
    with pytest.raises(ValueError, match="2 channels; expected one label map or at least 3 channels"):
        MergeBoneChannels([[1], [3]])(bones()[:2])
    assert MergeBoneChannels([[1], [2]])(bones()).shape == (1, 6, 5, 4)


@pytest.mark.parametrize("groups", [[], [[]], [[1], []], [[0, 1]], [[-1]], [[1], [1, 2]], [[2, 2]]])
def test_groups_that_make_no_sense_are_refused(groups):
    with pytest.raises(ValueError, match="groups: got"):
        MergeBoneChannels(groups)


def test_the_dictionary_form_merges_its_keys_only():
    item = {"label": bones(), "other": bones(), "subject": "a"}
    result = MergeBoneChannelsd("label", [[1, 2, 3]])(item)
    np.testing.assert_array_equal(result["label"], restated(bones(), [[1, 2, 3]]))
    assert result["other"] is item["other"]
    np.testing.assert_array_equal(item["label"], bones())
    with pytest.raises(KeyError, match="label"):
        MergeBoneChannelsd("label", [[1]])({"image": bones()})
    assert MergeBoneChannelsd("label", [[1]], allow_missing_keys=True)({"image": 1}) == {"image": 1}


def test_the_other_names_that_monai_gives_dictionary_transforms():
    names = merge_bone_channels
    assert names.MergeBoneChannelsD is names.MergeBoneChannelsDict is MergeBoneChannelsd
