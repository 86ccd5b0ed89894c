"""Take a few equally spaced slices of a scan, and read no others."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

import numpy as np
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor, get_track_meta
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_tensor


class LazyScan(Protocol):
    """A scan whose slices are read when they are asked for, such as `monai_tasks.io.scan.Scan`."""

    shape: tuple[int, int, int]
    affine: np.ndarray
    path: Any

    def read(self, indices: Sequence[int]) -> np.ndarray:
        """The slices as (X, Y, n)."""


class SampleSlices(Transform):
    """Take `count` slices, equally spaced along the last axis.

    The scan is cut into as many pieces of equal length as slices are taken, and each gives the slice in its middle, the
    upper one of two: of 168 slices and 8 these are 10, 31, 52 and so on to 157. The first and last slices of a scan,
    which often show the edge of the field, are not among them.

    The affine follows: its origin is the first slice taken, its third column the mean step to the next one. Where the
    steps differ, a slice lies up to one slice from where the affine puts it; `slice_indices` in the metadata has the
    indices, counted from 0.

    Args:
        count: slices to take.

    Raises:
        ValueError: when `count` is below 1; on a call, when the scan has other axes, or fewer slices.

    Example:
        >>> slices = SampleSlices(8)(open_scan("scan.ISQ"))  # (1, X, Y, 8)
        >>> slices.meta["slice_indices"]
        [10, 31, 52, 73, 94, 115, 136, 157]
    """

    def __init__(self, count: int = 8) -> None:
        if count < 1:
            raise ValueError(f"count: got {count}; expected at least 1")
        self.count = int(count)

    def indices(self, depth: int) -> list[int]:
        """Which slices are taken of so many.

        Args:
            depth: slices of the scan, at least `count`.
        """
        # The middle of piece i is at (i + 1/2) depth / count - 1/2; in whole numbers, so that no half is rounded to
        # even and no slice comes twice.
        return [(2 * number + 1) * depth // (2 * self.count) for number in range(self.count)]

    def __call__(self, img: NdarrayOrTensor | LazyScan) -> torch.Tensor:
        """Take the slices of one scan.

        Args:
            img: (C, X, Y, Z), or a scan of shape (X, Y, Z) with `affine`, `path` and `read(indices)`; of that one only
                the slices taken are read.

        Returns:
            (C, X, Y, count), with C = 1 for a scan that is read here.
        """
        lazy = not isinstance(img, (np.ndarray, torch.Tensor))
        if len(img.shape) != (3 if lazy else 4) or img.shape[-1] < self.count:
            name = str(img.path) if lazy else getattr(img, "meta", {}).get("filename_or_obj", "an image")
            axes = "(X, Y, Z)" if lazy else "(C, X, Y, Z)"
            raise ValueError(
                f"{name}: shape {tuple(img.shape)}; expected {axes} with at least {self.count} slices"
            )
        indices = self.indices(img.shape[-1])
        meta: dict[str, Any] = {}
        if lazy:
            affine = torch.as_tensor(np.asarray(img.affine), dtype=torch.float64)
            taken = torch.as_tensor(np.ascontiguousarray(img.read(indices)))[None]
            meta = {"filename_or_obj": str(img.path), "original_affine": affine.clone()}
        else:
            img = convert_to_tensor(img, track_meta=get_track_meta())
            tracked = isinstance(img, MetaTensor)
            meta = {key: value for key, value in img.meta.items() if key != "affine"} if tracked else {}
            affine = img.affine if tracked else torch.eye(4, dtype=torch.float64)
            taken = (img.as_tensor() if tracked else img)[..., indices]
        if not get_track_meta():
            return taken
        result = MetaTensor(taken, affine=_sampled(affine, indices), meta=meta)
        result.meta["slice_indices"] = indices
        result.meta["spatial_shape"] = np.asarray(taken.shape[1:])
        return result


class SampleSlicesd(MapTransform):
    """Dictionary form of `SampleSlices`.

    Args:
        keys: keys of the scans.
        count: as for `SampleSlices`.
        allow_missing_keys: do not fail where a key is absent.
    """

    def __init__(self, keys: KeysCollection, count: int = 8, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.sample = SampleSlices(count)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.sample(result[key])
        return result


def _sampled(affine: torch.Tensor, indices: Sequence[int]) -> torch.Tensor:
    """The affine of the slices taken; of a single one the spacing stays."""
    result = affine.clone()
    result[:3, 3] += indices[0] * affine[:3, 2]
    if len(indices) > 1:
        result[:3, 2] *= (indices[-1] - indices[0]) / (len(indices) - 1)
    return result


SampleSlicesD = SampleSlicesDict = SampleSlicesd
