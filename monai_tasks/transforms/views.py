"""The views of a study: the same transforms for each, and batches of studies that have different numbers of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor, list_data_collate
from monai.transforms import Compose, MapTransform, Randomizable, RandomizableTransform
from monai.utils import convert_to_tensor
from torch.nn.utils.rnn import pad_sequence


class ApplyToViewsd(MapTransform):
    """Run each view of a study through the same dictionary transforms and stack what comes out.

    Args:
        keys: keys of the studies. Under each is the file of a view, a list of files, or views (V, C, H, W).
        transforms: for an item that holds one view under the same key; they make images of one size.
        allow_missing_keys: do not fail where a key is absent.
    """

    def __init__(
        self, keys: KeysCollection, transforms: Sequence[Callable], allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.transform = Compose(list(transforms))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Transform one study.

        Args:
            data: the item.

        Returns:
            The item with (V, C, H, W) under each key. Views that were read from files carry the files' names, in
            order, in the metadata under `views`.

        Raises:
            ValueError: when a study has no view.
        """
        result = dict(data)
        for key in self.key_iterator(result):
            given = result[key]
            views = [given] if isinstance(given, (str, os.PathLike)) else list(given)
            if not views:
                raise ValueError(f"{key}: a study without a view; expected one or more")
            result[key] = _stacked([self.transform({key: view})[key] for view in views])
            if isinstance(views[0], (str, os.PathLike)) and isinstance(result[key], MetaTensor):
                result[key].meta["views"] = [str(view) for view in views]
        return result


class RandApplyToViewsd(ApplyToViewsd, Randomizable):
    """`ApplyToViewsd` for transforms that draw anew for each view.

    Args:
        keys: as for `ApplyToViewsd`.
        transforms: as for `ApplyToViewsd`.
        allow_missing_keys: do not fail where a key is absent.
    """

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> RandApplyToViewsd:
        self.transform.set_random_state(seed, state)
        return self

    def randomize(self, data: Any) -> None:
        """Nothing is drawn here: the transforms of a view draw for themselves."""


class RandTakeViewsd(RandomizableTransform, MapTransform):
    """Take some of the views, drawn anew on each call, where a study has more than `count`.

    Args:
        keys: keys of the views, (V, C, H, W) each; all get the same ones.
        count: how many at most; None takes all.
        allow_missing_keys: do not fail where a key is absent.

    Raises:
        ValueError: when the count is below 1.
    """

    def __init__(
        self, keys: KeysCollection, count: int | None = None, allow_missing_keys: bool = False
    ) -> None:
        RandomizableTransform.__init__(self, prob=1.0)
        MapTransform.__init__(self, keys, allow_missing_keys)
        if count is not None and count < 1:
            raise ValueError(f"count: got {count}; expected 1 or more")
        self.count = count

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        first = self.first_key(result)
        if first == () or self.count is None or len(result[first]) <= self.count:
            return result
        taken = np.sort(self.R.permutation(len(result[first]))[: self.count]).tolist()
        for key in self.key_iterator(result):
            result[key] = result[key][taken]
        return result


def collate_studies(batch: Sequence[Mapping[Hashable, Any]], key: str = "image") -> dict[Hashable, Any]:
    """Make a batch of studies with different numbers of views.

    Args:
        batch: items with views (V, C, H, W) under `key`.
        key: of the views.

    Returns:
        The items' other entries as MONAI collates them, and under `key` (B, V, C, H, W) with as many views as the
        study with the most; views that the others lack are NaN. The views' metadata are left out.
    """
    views = [convert_to_tensor(item[key], track_meta=False) for item in batch]
    others = list_data_collate([{name: item[name] for name in item if name != key} for item in batch])
    return {**others, key: pad_sequence(views, batch_first=True, padding_value=float("nan"))}


def _stacked(views: list[Any]) -> torch.Tensor:
    """Views (C, H, W) as one (V, C, H, W), with the metadata of the first."""
    stacked = torch.stack([convert_to_tensor(view, track_meta=False) for view in views])
    if not isinstance(views[0], MetaTensor):
        return stacked
    return MetaTensor(stacked, meta=dict(views[0].meta))


ApplyToViewsD = ApplyToViewsDict = ApplyToViewsd
RandApplyToViewsD = RandApplyToViewsDict = RandApplyToViewsd
RandTakeViewsD = RandTakeViewsDict = RandTakeViewsd
