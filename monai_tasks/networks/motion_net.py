"""A residual network with attention that grades the motion in a slice."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from monai.networks.layers import Conv, Pool, get_act_layer, get_norm_layer
from monai.networks.nets.resnet import ResNetBlock
from torch import nn

from monai_tasks.networks.cbam import CBAM

ACTIVATIONS = ("relu", "elu")
NORMS = ("batch", None)


class MotionNet(nn.Module):
    """A convolution, residual blocks of MONAI's ResNet [He2016], each followed by CBAM [Woo2018], and a linear layer.

    The convolution at the start and every block but the first halve the image. [Mishkin2017] found ReLU best with batch
    normalisation and ELU without; both are there by config. The initial weights are those of [He2015], so that the form
    without normalisation keeps its signal in scale.

    Motion shows as streaks anywhere in the image, so the features are averaged over all places; any size of image fits.

    Args:
        spatial_dims: 2 for slices.
        in_channels: of the image.
        num_classes: scores.
        channels: of each block.
        norm: `batch`, or None for none.
        activation: `relu` or `elu`.
        attention: put CBAM behind each block.
        dropout: share of the features that are left out before the linear layer in training.

    Raises:
        ValueError: when there is no block, or no such norm or activation.

    Example:
        >>> network = SliceGrader(MotionNet())
        >>> scores = network(slices)  # (B, 1, X, Y, S) to (B, 5, S)
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        num_classes: int = 5,
        channels: Sequence[int] = (16, 32, 64, 128),
        norm: str | None = "batch",
        activation: str = "relu",
        attention: bool = True,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if not channels or norm not in NORMS or activation not in ACTIVATIONS:
            raise ValueError(
                f"channels {list(channels)}, norm {norm!r}, activation {activation!r}; expected at least one "
                f"block, a norm of {NORMS} and an activation of {ACTIVATIONS}"
            )
        own_norm = norm or ""  # an identity in MONAI's layers
        parts: OrderedDict[str, nn.Module] = OrderedDict()
        parts["start"] = nn.Sequential(
            *_convolution(spatial_dims, in_channels, channels[0], 3, 2, own_norm), get_act_layer(activation)
        )
        below = channels[0]
        for number, width in enumerate(channels, start=1):
            stride = 1 if number == 1 else 2
            changed = stride > 1 or below != width
            parts[f"block{number}"] = ResNetBlock(
                below,
                width,
                spatial_dims,
                stride,
                nn.Sequential(*_convolution(spatial_dims, below, width, 1, stride, own_norm))
                if changed
                else None,
                act=activation,
                norm=own_norm,
            )
            if attention:
                parts[f"attention{number}"] = CBAM(spatial_dims, width)
            below = width
        parts["average"] = Pool[Pool.ADAPTIVEAVG, spatial_dims](1)
        parts["flatten"] = nn.Flatten()
        self.encoder = nn.Sequential(parts)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(below, num_classes)
        for module in self.encoder.modules():
            if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d)):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of every class.

        Args:
            x: (B, C, H, W).

        Returns:
            (B, K), logits.
        """
        return self.classifier(self.dropout(self.encoder(x)))


def _convolution(
    spatial_dims: int, below: int, width: int, kernel_size: int, stride: int, norm: str
) -> tuple[nn.Module, nn.Module]:
    # The bias is that of the normalisation, which takes any other away again; blocks without one have none either.
    convolution = Conv[Conv.CONV, spatial_dims](
        below, width, kernel_size, stride=stride, padding=kernel_size // 2, bias=False
    )
    return convolution, get_norm_layer(norm, spatial_dims, width)
