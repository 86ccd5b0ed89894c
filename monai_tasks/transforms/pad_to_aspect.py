"""Pad an image to a given ratio of its sides, so that resizing does not stretch it."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any

import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.transforms import InvertibleTransform, MapTransform, Pad
from monai.utils import convert_to_tensor


class PadToAspect(InvertibleTransform):
    """Pad rows or columns until there are `aspect` times as many rows as columns.

    The two sides grow alike, the second by one pixel more where it cannot be even. Nothing is cut off. MONAI's
    `SpatialPad` pads to a size in pixels, and here each image has a size of its own.

    Args:
        aspect: rows divided by columns, above 0.
        value: of the new pixels; None takes the median of the image's outermost pixels, which is its background.

    Raises:
        ValueError: when the aspect is not above 0.
    """

    def __init__(self, aspect: float = 1.5, value: float | None = None) -> None:
        if not aspect > 0:
            raise ValueError(f"aspect: got {aspect}; expected a number above 0")
        self.aspect = aspect
        self.value = value
        self.pad = Pad(mode="constant")

    def __call__(self, img: NdarrayOrTensor) -> torch.Tensor:
        """Pad one image.

        Args:
            img: (C, H, W).

        Returns:
            (C, H', W'), one of H and W as before.

        Raises:
            ValueError: when the image has other axes.
        """
        if len(img.shape) != 3:
            raise ValueError(f"image: shape {tuple(img.shape)}; expected (C, H, W)")
        height, width = img.shape[1:]
        size = max(height, round(width * self.aspect)), max(width, round(height / self.aspect))
        missing = size[0] - height, size[1] - width
        value = _background(img) if self.value is None else self.value
        return self.pad(img, to_pad=[(0, 0), *((n // 2, n - n // 2) for n in missing)], value=value)

    def inverse(self, data: torch.Tensor) -> torch.Tensor:
        """Take the padding off again."""
        return self.pad.inverse(data)


class PadToAspectd(MapTransform, InvertibleTransform):
    """Dictionary form of `PadToAspect`.

    Args:
        keys: keys of the images.
        aspect: as for `PadToAspect`.
        value: as for `PadToAspect`.
        allow_missing_keys: do not fail where a key is absent.
    """

    def __init__(
        self,
        keys: KeysCollection,
        aspect: float = 1.5,
        value: float | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.pad = PadToAspect(aspect, value)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.pad(result[key])
        return result

    def inverse(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.pad.inverse(result[key])
        return result


def _background(img: NdarrayOrTensor) -> float:
    """The median of the outermost rows and columns."""
    pixels = convert_to_tensor(img, track_meta=False)
    rim = [pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1]]
    return torch.cat([part.flatten() for part in rim]).median().item()


PadToAspectD = PadToAspectDict = PadToAspectd
