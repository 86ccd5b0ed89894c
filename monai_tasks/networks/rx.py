"""Rx: a short row of convolutions and poolings for radiographs, then three linear layers."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from monai.networks.layers import Conv, Norm, Pool
from torch import nn

WIDEST = 256


class RxNet(nn.Module):
    """Blocks of a 3x3 convolution, max-pooling by 2 and ReLU; then an average over the image and three linear layers.

    `Lite` has 4 blocks and `Large` 8. The plain form is built of nothing else. With 8 blocks it does not learn: layers
    without normalisation that start from torch's default weights make the signal smaller at each step, forward and
    backward alike, until the scores no longer depend on the image and no gradient is left for the first layers. The
    form that is the default keeps both in scale: He's initial weights for the ReLU that follows [He2015] and batch
    normalisation behind each convolution. The convolutions are padded, and pooling rounds up, so that an axis
    of one pixel stays one: any number of blocks fits any size of image.

    `encoder` gives one vector an image and `classifier` the scores, so that weights are carried over by name.

    Args:
        spatial_dims: 2 for images.
        in_channels: of the image.
        num_classes: scores.
        blocks: 4 for Lite, 8 for Large.
        channels: of every block, or of the first one: each block after it has twice as many, 256 at most.
        hidden: features behind the first and the second linear layer.
        plain: convolutions without padding, no normalisation, torch's default initial weights. It needs images of
            `smallest(blocks)` pixels.

    Example:
        >>> network = RxNet(blocks=8)
        >>> scores = network(images)  # (B, 1, H, W) to (B, 2)
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        num_classes: int = 2,
        blocks: int = 4,
        channels: int | Sequence[int] = 32,
        hidden: Sequence[int] = (128, 64),
        plain: bool = False,
    ) -> None:
        super().__init__()
        self.encoder = rx_encoder(spatial_dims, in_channels, blocks, channels, plain)
        self.classifier = rx_classifier(widths(blocks, channels)[-1], num_classes, hidden, plain)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of every class.

        Args:
            x: (B, C, H, W).

        Returns:
            (B, K), logits.
        """
        return self.classifier(self.encoder(x))


def rx_encoder(
    spatial_dims: int = 2,
    in_channels: int = 1,
    blocks: int = 4,
    channels: int | Sequence[int] = 32,
    plain: bool = False,
) -> nn.Sequential:
    """The part of an `RxNet` that gives one vector an image.

    Args:
        spatial_dims: as for `RxNet`, and so are the others.
        in_channels: of the image.
        blocks: how many.
        channels: of every block, or of the first.
        plain: without padding and normalisation.

    Returns:
        Modules that turn (B, C, H, W) into (B, F), F being the channels of the last block.

    Raises:
        ValueError: when there is no block, or another number of channels than blocks.
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    below = in_channels
    for number, width in enumerate(widths(blocks, channels), start=1):
        parts[f"block{number}"] = _block(spatial_dims, below, width, plain)
        below = width
    parts["average"] = Pool[Pool.ADAPTIVEAVG, spatial_dims](1)
    parts["flatten"] = nn.Flatten()
    encoder = nn.Sequential(parts)
    if not plain:
        _he(encoder)
    return encoder


def rx_classifier(
    features: int, num_classes: int = 2, hidden: Sequence[int] = (128, 64), plain: bool = False
) -> nn.Sequential:
    """The linear layers of an `RxNet`, with a ReLU between two of them.

    Args:
        features: of the encoder.
        num_classes: scores.
        hidden: features behind each layer but the last.
        plain: torch's default initial weights instead of He's.

    Returns:
        Modules that turn (B, features) into (B, num_classes).
    """
    parts: list[nn.Module] = []
    for below, width in zip([features, *hidden], hidden, strict=False):
        parts += [nn.Linear(below, width), nn.ReLU()]
    classifier = nn.Sequential(*parts, nn.Linear([features, *hidden][-1], num_classes))
    if not plain:
        _he(classifier)
    return classifier


def widths(blocks: int, channels: int | Sequence[int]) -> list[int]:
    """The channels of every block.

    Args:
        blocks: how many.
        channels: of every block, or of the first, from which they double up to 256.

    Raises:
        ValueError: when there is no block, or another number of channels than blocks.
    """
    if isinstance(channels, int):
        channels = [min(channels * 2**number, max(channels, WIDEST)) for number in range(blocks)]
    if blocks < 1 or len(channels) != blocks:
        raise ValueError(f"blocks {blocks}, channels {list(channels)}; expected one number a block")
    return list(channels)


def smallest(blocks: int) -> int:
    """The fewest pixels an axis that the plain form takes: 46 for 4 blocks, 766 for 8."""
    size = 1
    for _ in range(blocks):
        size = 2 * size + 2
    return size


def _block(spatial_dims: int, below: int, width: int, plain: bool) -> nn.Sequential:
    convolution, pooling = Conv[Conv.CONV, spatial_dims], Pool[Pool.MAX, spatial_dims]
    if plain:
        return nn.Sequential(
            OrderedDict(conv=convolution(below, width, 3), pool=pooling(2), activation=nn.ReLU())
        )
    return nn.Sequential(
        OrderedDict(
            # The bias is that of the normalisation, which takes any other away again.
            conv=convolution(below, width, 3, padding=1, bias=False),
            norm=Norm[Norm.BATCH, spatial_dims](width),
            pool=pooling(2, ceil_mode=True),
            activation=nn.ReLU(),
        )
    )


def _he(modules: nn.Module) -> None:
    for module in modules.modules():
        if isinstance(module, (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
            if module.bias is not None:
                nn.init.zeros_(module.bias)
