"""MONAI's U-Net with one dropout, at its bottom."""

from __future__ import annotations

from typing import Any

import torch
from monai.networks.nets import UNet
from monai.utils import ensure_tuple_rep


class BottomDropoutUNet(UNet):
    """MONAI's `UNet` whose only dropout follows the layer at the bottom.

    `UNet(dropout=...)` puts one behind every convolution. Here it is `torch.nn.Dropout` on the coarsest feature map
    alone: it drops single values, not whole channels. All other layers are MONAI's, with the same initial weights.

    A stride of 1 along an axis does not pool it: `[2, 2, 1]` keeps every slice down to the bottom.

    Args:
        bottom_dropout: the share of values dropped in training, from 0 to 1.
        **arguments: all arguments of `monai.networks.nets.UNet` but `dropout`, by name.

    Example:
        >>> network = BottomDropoutUNet(
        ...     spatial_dims=3, in_channels=1, out_channels=4, channels=[32] * 4, strides=[[2, 2, 1]] * 3, act="ELU"
        ... )
        >>> scores = network(images)  # (B, 1, 224, 224, 24) to (B, 4, 224, 224, 24)
    """

    def __init__(self, *, bottom_dropout: float = 0.5, **arguments: Any) -> None:
        self.bottom_dropout = bottom_dropout  # MONAI builds the layers inside its own __init__
        super().__init__(dropout=None, **arguments)
        size = [1] * self.dimensions
        for stride in self.strides[: len(self.channels) - 1]:
            size = [a * b for a, b in zip(size, ensure_tuple_rep(stride, self.dimensions), strict=True)]
        self.multiple = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of every class.

        Args:
            x: (B, C, H, W[, D]), each axis a multiple of the product of its strides. Instance normalisation needs two
                values at the bottom, so that not all axes may be that product itself.

        Returns:
            (B, K, H, W[, D]) on the same grid.

        Raises:
            ValueError: when an axis is no such multiple. MONAI would fail deep inside, or, where only the first
                stride leaves a remainder, give a grid that is one larger.
        """
        size = x.shape[2:]
        for axis, multiple in enumerate(self.multiple):
            if size[axis] % multiple != 0:
                raise ValueError(f"input: size {size}; expected multiples of {self.multiple}")
        return self.model(x)

    def _get_bottom_layer(self, in_channels: int, out_channels: int) -> torch.nn.Module:
        layer = super()._get_bottom_layer(in_channels, out_channels)
        return torch.nn.Sequential(layer, torch.nn.Dropout(self.bottom_dropout))
