"""Join binary channels, one a bone, into one map of classes."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor

from monai_tasks.transforms.select_labels import SelectLabels


class MergeBoneChannels(Transform):
    """Make class k the union of the channels of group k.

    Channels are numbered from 1, and those in no group are left out. A label of one channel is taken for a label map
    whose values are these numbers, as `SelectLabels` reads it, so that both ways to store a label give the same.

    Args:
        groups: one group of channel numbers a class: `[[1, 2, 3]]` merges three bones, `[[1], [2], [3]]` keeps them
            apart, `[[3]]` picks the third.

    Raises:
        ValueError: when no group is given, a group is empty, a number is below 1 or stands twice; on a call, when a
            label of several channels has fewer than the highest number.
    """

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        self.select = SelectLabels(groups)
        self.highest = max(max(group) for group in groups)
        if min(min(group) for group in groups) < 1:
            raise ValueError(f"groups: got {list(groups)}; expected channel numbers from 1")

    def __call__(self, label: NdarrayOrTensor) -> NdarrayOrTensor:
        """Merge one label.

        Args:
            label: (C, H, W[, D]) in any type; of several channels, a voxel is inside where the value is above 0. Where
                bones of two groups overlap, the later group wins. Of one channel, values 1 to n.

        Returns:
            (1, H, W[, D]) in the same container, uint8.
        """
        channels = len(label)
        if channels == 1:
            return self.select(label)
        if channels < self.highest:
            raise ValueError(
                f"a label of {channels} channels; expected one label map or at least {self.highest} channels, "
                f"the highest number in groups {self.select.groups}"
            )
        values = convert_to_tensor(label, track_meta=False)
        classes = torch.zeros((1, *values.shape[1:]), dtype=torch.uint8, device=values.device)
        for number, group in enumerate(self.select.groups, start=1):
            for channel in group:
                classes[0][values[channel - 1] > 0] = number
        return convert_to_dst_type(classes, label, dtype=torch.uint8)[0]


class MergeBoneChannelsd(MapTransform):
    """Dictionary form of `MergeBoneChannels`.

    Args:
        keys: keys of the labels.
        groups: as for `MergeBoneChannels`.
        allow_missing_keys: do not fail where a key is absent.
    """

    def __init__(
        self, keys: KeysCollection, groups: Sequence[Sequence[int]], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.merge = MergeBoneChannels(groups)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.merge(result[key])
        return result


MergeBoneChannelsD = MergeBoneChannelsDict = MergeBoneChannelsd
