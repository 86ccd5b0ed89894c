"""A label map becomes binary channels, and merging them gives it back."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_tasks.transforms import split_bone_channels
from monai_tasks.transforms.merge_bone_channels import MergeBoneChannels
from monai_tasks.transforms.split_bone_channels import SplitBoneChannels, SplitBoneChannelsd

AFFINE = torch.diag(torch.tensor([-0.5, -0.5, 2.2, 1.0], dtype=torch.float64))
CONTAINERS = {
    "numpy": np.asarray,
    "torch": torch.as_tensor,
    "MetaTensor": lambda array: MetaTensor(torch.as_tensor(array), affine=AFFINE),
}


def label_map(dtype: str = "uint8") -> np.ndarray:
    return np.random.default_rng(2).integers(0, 4, (1, 6, 5, 4)).astype(dtype)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
@pytest.mark.parametrize("container", CONTAINERS)
def test_a_channel_for_each_value(container, dtype):
    label = CONTAINERS[container](label_map(dtype))
    result = SplitBoneChannels(3)(label)
    assert type(result) is type(label)
    assert str(result.dtype).removeprefix("torch.") == "uint8"
    assert result.shape == (3, 6, 5, 4)
    for index in np.ndindex(label_map().shape[1:]):
        value = label_map()[(0, *index)]
        assert [int(result[(k, *index)]) for k in range(3)] == [int(value == k + 1) for k in range(3)]
    if container == "MetaTensor":
        torch.testing.assert_close(result.affine, AFFINE)


def test_merging_gives_the_label_map_back():
    for container in CONTAINERS.values():
        label = container(label_map())
        back = MergeBoneChannels([[1], [2], [3]])(SplitBoneChannels(3)(label))
        assert type(back) is type(label)
        np.testing.assert_array_equal(np.asarray(back), label_map())


def test_splitting_gives_back_channels_that_do_not_overlap():
    channels = SplitBoneChannels(3)(label_map())
    np.testing.assert_array_equal(
        SplitBoneChannels(3)(MergeBoneChannels([[1], [2], [3]])(channels)), channels
    )


@pytest.mark.parametrize("value", [4, 255, -1, 0.5])
def test_other_values_are_refused(value):
    label = label_map("float32")
    label[0, 1, 2, 3] = value
    with pytest.raises(ValueError, match=f"value {value}; expected 0 to 3"):
        SplitBoneChannels(3)(label)


def test_several_channels_and_no_count_are_refused():
    with pytest.raises(ValueError, match="3 channels; expected a label map of one"):
        SplitBoneChannels(3)(np.zeros((3, 4, 4), np.uint8))
    with pytest.raises(ValueError, match="count: got 0"):
        SplitBoneChannels(0)


def test_the_dictionary_form_splits_its_keys_only():
    item = {"label": label_map(), "image": label_map()}
    result = SplitBoneChannelsd("label", 3)(item)
    assert result["label"].shape == (3, 6, 5, 4)
    assert result["image"] is item["image"]
    with pytest.raises(KeyError, match="label"):
        SplitBoneChannelsd("label", 3)({"image": label_map()})


def test_the_other_names_that_monai_gives_dictionary_transforms():
    names = split_bone_channels
    assert names.SplitBoneChannelsD is names.SplitBoneChannelsDict is SplitBoneChannelsd
