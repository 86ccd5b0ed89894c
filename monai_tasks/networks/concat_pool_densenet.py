"""DenseNet with average and maximum of its features side by side, and two linear layers behind them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

import torch
from monai.networks.layers import Norm
from monai.networks.nets import DenseNet
from torch import nn

from monai_tasks.networks.layer_names import chosen

BLOCKS_OF_121 = (6, 12, 24, 16)


class ConcatPool(nn.Module):
    """Averages over the image, and behind them maxima: (B, C, H, W[, D]) to (B, 2 C)."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Pool.

        Args:
            x: (B, C, H, W[, D]).

        Returns:
            (B, 2 C).
        """
        places = x.flatten(2)
        return torch.cat([places.mean(dim=2), places.amax(dim=2)], dim=1)


class ConcatPoolDenseNet(nn.Module):
    """The features of MONAI's DenseNet [Huang2017], pooled in two ways, then batch normalisation and linear layers.

    The average over the image says how much of something there is, the maximum whether it is anywhere: a fracture is a
    small part of an arm. Between the two linear layers is a ReLU, without which they would be one.

    The scores are before the softmax, for `torch.nn.CrossEntropyLoss`, which is the log-softmax and the negative
    log-likelihood in one.

    Args:
        spatial_dims: 2 for images.
        in_channels: of the image.
        num_classes: scores.
        init_features: channels of the first convolution.
        growth_rate: channels that each layer of a block adds.
        block_config: layers of each block; by default those of DenseNet121.
        hidden: features between the linear layers.

    Example:
        >>> network = ConcatPoolDenseNet()
        >>> scores = network(images)  # (B, 1, H, W) to (B, 2)
    """

    def __init__(
        self,
        spatial_dims: int = 2,
        in_channels: int = 1,
        num_classes: int = 2,
        init_features: int = 64,
        growth_rate: int = 32,
        block_config: Sequence[int] = BLOCKS_OF_121,
        hidden: int = 512,
    ) -> None:
        super().__init__()
        densenet = DenseNet(
            spatial_dims,
            in_channels,
            num_classes,
            init_features=init_features,
            growth_rate=growth_rate,
            block_config=block_config,
        )
        self.features = densenet.features
        self.features.add_module(
            "relu5", nn.ReLU(inplace=True)
        )  # MONAI has it among the layers that are left out
        self.pool = ConcatPool()
        pooled = 2 * densenet.class_layers.out.in_features
        self.head = nn.Sequential(
            OrderedDict(
                norm1=Norm[Norm.BATCH, 1](pooled),
                linear1=nn.Linear(pooled, hidden),
                relu=nn.ReLU(inplace=True),
                norm2=Norm[Norm.BATCH, 1](hidden),
                linear2=nn.Linear(hidden, num_classes),
            )
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of every class.

        Args:
            x: (B, C, H, W[, D]); in training at least two images, for the batch normalisation of the head.

        Returns:
            (B, classes).
        """
        return self.head(self.pool(self.features(x)))


def layers_of(network: nn.Module) -> dict[str, list[str]]:
    """The modules of each layer, from the input to the output: conv_0, block_1 and so on, and head.

    What makes the image smaller behind a block belongs to the block.

    Args:
        network: a `ConcatPoolDenseNet`, or one within another network under the name `network`.

    Returns:
        Names of modules, as in `network.named_modules()`, by the layer's name. All weights are of some layer.

    Raises:
        ValueError: when the network is of another kind.
    """
    inner, prefix = network, ""
    if not isinstance(network, ConcatPoolDenseNet):
        inner, prefix = getattr(network, "network", None), "network."
    if not isinstance(inner, ConcatPoolDenseNet):
        raise ValueError(f"network: got {type(network).__name__}; expected a ConcatPoolDenseNet")
    layers: dict[str, list[str]] = {"conv_0": []}
    layer = "conv_0"
    for name, module in inner.features.named_children():
        if name.startswith("denseblock"):
            layer = f"block_{name.removeprefix('denseblock')}"
        if any(True for _ in module.parameters()):
            layers.setdefault(layer, []).append(f"{prefix}features.{name}")
    return layers | {"head": [f"{prefix}head"]}


def module_names(network: nn.Module, layers: Sequence[str] | int | None) -> list[str] | None:
    """The modules of some layers.

    Args:
        network: as for `layers_of`.
        layers: names of layers, or how many from the input on; None stays None.

    Returns:
        Names of modules, from the input to the output.

    Raises:
        ValueError: when a layer is not there, or there are not so many before the last one.

    Example:
        >>> module_names(ConcatPoolDenseNet(), 2)
        ['features.conv0', 'features.norm0', 'features.denseblock1', 'features.transition1']
    """
    return chosen(layers_of(network), layers)
