"""Keep some values of a label map as classes 1, 2, ... and turn all others into background."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_tensor


class SelectLabels(Transform):
    """Map groups of label values to classes.

    `monai.transforms.MapLabelValue` leaves values that are not listed as they are; here they become 0, so that two
    structures can be picked from a whole-brain map of a hundred.

    Args:
        groups: one group of values a class: `[[17], [53]]` makes 17 to 1 and 53 to 2, `[[17, 53]]` makes both to 1.

    Raises:
        ValueError: when no group is given, a group is empty, a value is 0 or stands in two groups.
    """

    def __init__(self, groups: Sequence[Sequence[int]]) -> None:
        values = [value for group in groups for value in group]
        if not groups or not all(groups) or 0 in values or len(set(values)) != len(values):
            raise ValueError(
                f"groups: got {list(groups)}; expected one non-empty list of values a class, no value twice, none 0"
            )
        self.groups = [list(group) for group in groups]

    def __call__(self, label: NdarrayOrTensor) -> NdarrayOrTensor:
        """Map one label map.

        Args:
            label: (1, H, W[, D]), integer values in any type.

        Returns:
            Same shape and container, uint8.
        """
        values = convert_to_tensor(label, track_meta=False)
        if not values.is_floating_point():
            values = values.long()  # a listed value need not fit the 8 or 16 bits of a file
        classes = torch.zeros_like(values, dtype=torch.uint8)
        for number, group in enumerate(self.groups, start=1):
            listed = torch.as_tensor(group, dtype=values.dtype, device=values.device)
            classes[torch.isin(values, listed)] = number
        return convert_to_dst_type(classes, label, dtype=torch.uint8)[0]


class SelectLabelsd(MapTransform):
    """Dictionary form of `SelectLabels`.

    Args:
        keys: keys of the label maps.
        groups: as for `SelectLabels`.
        allow_missing_keys: do not fail where a key is absent.
    """

    def __init__(
        self, keys: KeysCollection, groups: Sequence[Sequence[int]], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.select = SelectLabels(groups)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.select(result[key])
        return result


SelectLabelsD = SelectLabelsDict = SelectLabelsd
