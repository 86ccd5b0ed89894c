"""CBAM: attention to channels, then to places."""

from __future__ import annotations

import torch
from monai.networks.layers import Conv, Pool
from torch import nn


class CBAM(nn.Module):
    """The convolutional block attention module [Woo2018].

    Features are multiplied by a factor from 0 to 1 for each channel, which two linear layers make of the channel's mean
    and of its maximum, and then by a factor for each place, which a convolution makes of the mean and the maximum over
    the channels there. MONAI's `ChannelSELayer` knows the mean of channels only, and no places.

    Args:
        spatial_dims: 2 for images.
        channels: of the features.
        reduction: the hidden layer has channels / reduction features, 1 at least.
        kernel_size: of the convolution, odd.

    Raises:
        ValueError: when `channels` or `reduction` is below 1, or the kernel's size is even.
    """

    def __init__(
        self, spatial_dims: int = 2, channels: int = 16, reduction: int = 8, kernel_size: int = 7
    ) -> None:
        super().__init__()
        if channels < 1 or reduction < 1 or kernel_size % 2 == 0:
            raise ValueError(
                f"channels {channels}, reduction {reduction}, kernel_size {kernel_size}; expected channels and a "
                "reduction of at least 1 and an odd kernel"
            )
        hidden = max(channels // reduction, 1)
        self.mean = Pool[Pool.ADAPTIVEAVG, spatial_dims](1)
        self.maximum = Pool[Pool.ADAPTIVEMAX, spatial_dims](1)
        self.channels = nn.Sequential(nn.Linear(channels, hidden), nn.ReLU(), nn.Linear(hidden, channels))
        self.places = Conv[Conv.CONV, spatial_dims](2, 1, kernel_size, padding=kernel_size // 2, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Weigh channels, then places.

        Args:
            x: (B, C, H, W[, D]).

        Returns:
            The same shape.
        """
        scores = self.channels(self.mean(x).flatten(1)) + self.channels(self.maximum(x).flatten(1))
        x = x * scores.sigmoid().view([x.shape[0], x.shape[1]] + [1] * (x.dim() - 2))
        over_channels = torch.cat([x.mean(1, keepdim=True), x.amax(1, keepdim=True)], dim=1)
        return x * self.places(over_channels).sigmoid()
