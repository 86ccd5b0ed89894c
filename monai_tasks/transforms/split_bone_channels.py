"""Split a label map into binary channels, one a bone: the counterpart of `MergeBoneChannels`."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor


class SplitBoneChannels(Transform):
    """Make channel k of where a label map has the value k.

    `monai.transforms.AsDiscrete(to_onehot=...)` has a channel for the background too, and says nothing of values
    beyond the last channel.

    Args:
        count: the number of channels, n.

    Raises:
        ValueError: when `count` is below 1; on a call, when the label has several channels or a value other than
            0 to n.
    """

    def __init__(self, count: int) -> None:
        if count < 1:
            raise ValueError(f"count: got {count}; expected at least 1")
        self.count = int(count)

    def __call__(self, label: NdarrayOrTensor) -> NdarrayOrTensor:
        """Split one label map.

        Args:
            label: (1, H, W[, D]), values 0 to n in any type.

        Returns:
            (n, H, W[, D]) in the same container, uint8 of 0 and 1.
        """
        if len(label) != 1:
            raise ValueError(f"a label of {len(label)} channels; expected a label map of one")
        values = convert_to_tensor(label, track_meta=False)[0]
        channels = torch.stack([values == number for number in range(1, self.count + 1)])
        unknown = values[~channels.any(dim=0) & (values != 0)]
        if len(unknown):
            raise ValueError(f"a label map with value {unknown[0].item():g}; expected 0 to {self.count}")
        return convert_to_dst_type(channels, label, dtype=torch.uint8)[0]


class SplitBoneChannelsd(MapTransform):
    """Dictionary form of `SplitBoneChannels`.

    Args:
        keys: keys of the label maps.
        count: as for `SplitBoneChannels`.
        allow_missing_keys: do not fail where a key is absent.
    """

    def __init__(self, keys: KeysCollection, count: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.split = SplitBoneChannels(count)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.split(result[key])
        return result


SplitBoneChannelsD = SplitBoneChannelsDict = SplitBoneChannelsd
