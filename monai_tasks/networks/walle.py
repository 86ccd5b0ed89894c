"""The small network of Walle et al. that grades the motion in a slice: the one to compare with."""

from __future__ import annotations

from collections import OrderedDict

from monai.networks.layers import Conv, Pool
from torch import nn

CONVOLUTIONS = 5
FEATURES = 16
HIDDEN = 32
SLOPE = 0.3
SMALLEST = 2**CONVOLUTIONS  # pixels an axis


def walle_net(num_classes: int = 5, in_channels: int = 1) -> nn.Sequential:
    """The network of [Walle2023], written anew from its description: 10,149 parameters for 5 classes and 1 channel.

    Five 3x3 convolutions of 16 features, each followed by LeakyReLU of slope 0.3 and max-pooling by 2, the average over
    the image, a linear layer of 32 features with ReLU and one of the classes. The description leaves open that the
    convolutions are padded here, and that weights begin as in [Glorot2010]. With torch's own the features of the last
    convolution hardly depend on the image any more, and the network does not begin to learn.

    Args:
        num_classes: scores.
        in_channels: of the image.

    Returns:
        Modules that turn (B, C, H, W), of 32 pixels an axis at least, into logits (B, num_classes).
    """
    parts: OrderedDict[str, nn.Module] = OrderedDict()
    for number in range(1, CONVOLUTIONS + 1):
        below = in_channels if number == 1 else FEATURES
        parts[f"convolution{number}"] = Conv[Conv.CONV, 2](below, FEATURES, 3, padding=1)
        parts[f"activation{number}"] = nn.LeakyReLU(SLOPE)
        parts[f"pool{number}"] = Pool[Pool.MAX, 2](2)
    parts["average"] = Pool[Pool.ADAPTIVEAVG, 2](1)
    parts["flatten"] = nn.Flatten()
    parts["hidden"] = nn.Linear(FEATURES, HIDDEN)
    parts["activation"] = nn.ReLU()
    parts["classifier"] = nn.Linear(HIDDEN, num_classes)
    network = nn.Sequential(parts)
    for module in network:
        if isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)
    return network
