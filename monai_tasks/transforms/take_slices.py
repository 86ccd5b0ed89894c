"""Bring images of any number of slices to one number without interpolating between slices."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor, get_track_meta
from monai.transforms import InvertibleTransform, MapTransform, RandomizableTransform
from monai.transforms.inverse import TraceableTransform
from monai.utils import TraceKeys, convert_to_tensor
from torch.nn.functional import pad


@dataclass(frozen=True)
class SlicePlan:
    """How slices are padded and dealt out, so that every `step`-th one makes `count`.

    There are as many ways to take every `step`-th slice as steps, one for each first slice; together they hold every
    slice once.

    Args:
        depth: slices of the image, at least 1.
        count: slices to take, at least 1.
    """

    depth: int
    count: int

    @property
    def step(self) -> int:
        """The distance of the taken slices: 1 up to `count` slices, 2 up to twice as many, and so on."""
        return -(-self.depth // self.count)

    @property
    def before(self) -> int:
        """Slices of zeros before the first; after the last come as many, or one more."""
        return (self.step * self.count - self.depth) // 2

    def pad(self, slices: torch.Tensor) -> torch.Tensor:
        """Put slices of zeros around (..., depth): (..., step * count)."""
        after = self.step * self.count - self.depth - self.before
        return pad(slices, (self.before, after))

    def cut(self, padded: torch.Tensor) -> torch.Tensor:
        """Take the padding of (..., step * count) off: (..., depth)."""
        return padded[..., self.before : self.before + self.depth]


class TakeSlices(InvertibleTransform):
    """Pad the last axis with zeros to a multiple of `count` and take every k-th slice, so that `count` remain.

    With 24 slices to take, 41 become 48 by padding on both sides, and every second is taken; 24 stay as they are; 12
    are padded to 24. No value is interpolated, so that maps stay maps. The affine follows: the spacing times k, the
    origin in the first slice taken, be it padding or not.

    The inverse puts the taken slices back to their places. Those that were not taken come back as zeros:
    `monai_tasks.inference.interleaved.InterleavedInferer` is for a prediction of every slice.

    Args:
        count: slices to take.
        start: the first slice taken, counted from 0 in the padded image, modulo k.

    Raises:
        ValueError: when `count` is below 1; on a call, when the image is not (C, X, Y, Z) with at least one slice.
    """

    def __init__(self, count: int = 24, start: int = 0) -> None:
        if count < 1:
            raise ValueError(f"count: got {count}; expected at least 1")
        self.count = int(count)
        self.start = int(start)

    def plan(self, img: NdarrayOrTensor) -> SlicePlan:
        """How the slices of an image are dealt out."""
        if img.ndim != 4 or img.shape[-1] == 0:
            raise ValueError(f"an image of shape {tuple(img.shape)}; expected (C, X, Y, Z) with slices")
        return SlicePlan(img.shape[-1], self.count)

    def __call__(self, img: NdarrayOrTensor, start: int | None = None) -> torch.Tensor:
        """Take the slices of one image.

        Args:
            img: (C, X, Y, Z).
            start: instead of the one given at first.

        Returns:
            (C, X, Y, count), of the same type.
        """
        plan = self.plan(img)
        start = (self.start if start is None else start) % plan.step
        img = convert_to_tensor(img, track_meta=get_track_meta())
        taken = plan.pad(img.as_tensor() if isinstance(img, MetaTensor) else img)[..., start :: plan.step]
        taken = convert_to_tensor(taken.contiguous(), track_meta=get_track_meta())
        if not isinstance(taken, MetaTensor):
            return taken
        matrix = torch.eye(4, dtype=torch.float64)
        matrix[2, 2], matrix[2, 3] = plan.step, start - plan.before
        traced = TraceableTransform.track_transform_meta(
            img,
            sp_size=taken.shape[1:],
            affine=matrix,
            # The affine itself, since going back by the matrix's inverse would round it.
            extra_info={"start": start, "src_affine": img.affine.clone()},
            orig_size=tuple(img.shape[1:]),
            transform_info=self.get_transform_info(),
        )
        return taken.copy_meta_from(traced)

    def inverse(self, data: MetaTensor) -> MetaTensor:
        """Put the slices of (C, X, Y, count) back to their places: (C, X, Y, Z)."""
        done = self.pop_transform(data)
        plan = SlicePlan(int(done[TraceKeys.ORIG_SIZE][-1]), self.count)
        padded = data.new_zeros((*data.shape[:-1], plan.step * plan.count))
        padded[..., int(done[TraceKeys.EXTRA_INFO]["start"]) :: plan.step] = data
        result = plan.cut(padded).contiguous()
        result.copy_meta_from(data)
        result.affine = done[TraceKeys.EXTRA_INFO]["src_affine"]
        return result


class TakeSlicesd(MapTransform, InvertibleTransform):
    """Dictionary form of `TakeSlices`.

    Args:
        keys: keys of the images and maps.
        count: as for `TakeSlices`.
        start: as for `TakeSlices`.
        allow_missing_keys: do not fail where a key is absent.
    """

    def __init__(
        self, keys: KeysCollection, count: int = 24, start: int = 0, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.take = TakeSlices(count, start)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.take(result[key])
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.take.inverse(result[key])
        return result


class RandTakeSlicesd(RandomizableTransform, TakeSlicesd):
    """`TakeSlicesd` from a first slice drawn anew on each call, so that training sees all slices in time.

    Args:
        keys: keys of the images and maps; all are on one grid and get the same slices.
        count: as for `TakeSlices`.
        allow_missing_keys: do not fail where a key is absent.
    """

    def __init__(self, keys: KeysCollection, count: int = 24, allow_missing_keys: bool = False) -> None:
        RandomizableTransform.__init__(self, prob=1.0)
        TakeSlicesd.__init__(self, keys, count, allow_missing_keys=allow_missing_keys)
        self._start = 0

    def randomize(self, data: NdarrayOrTensor) -> None:
        """Draw the first slice for images with as many slices as this one."""
        super().randomize(None)
        self._start = int(self.R.randint(self.take.plan(data).step))

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        first = self.first_key(result)
        if first == ():
            return result
        self.randomize(result[first])
        for key in self.key_iterator(result):
            result[key] = self.take(result[key], start=self._start)
        return result


TakeSlicesD = TakeSlicesDict = TakeSlicesd
RandTakeSlicesD = RandTakeSlicesDict = RandTakeSlicesd
