"""The layers of HighResNet by the names that its authors' implementation gives them [Li2017]."""

from __future__ import annotations

from collections.abc import Sequence

from monai.networks.nets import HighResNet
from monai.networks.nets.highresnet import HighResBlock

from monai_tasks.networks.layer_names import chosen


def layers_of(network: HighResNet) -> dict[str, list[str]]:
    """The modules of each layer, from the input to the output.

    A network as the authors describe it has the layers conv_0, res_1, res_2, res_3, conv_1 and conv_2, of which conv_2
    gives the classes' scores. The residual blocks of one layer have one dilation.

    Args:
        network: MONAI's HighResNet, of any number of layers.

    Returns:
        Names of modules, as in `network.named_modules()`, by the layer's name.

    Raises:
        ValueError: when the network is of another kind.
    """
    if not isinstance(network, HighResNet):
        raise ValueError(f"network: got {type(network).__name__}; expected a HighResNet")
    layers: dict[str, list[str]] = {}
    dilations: list[tuple[int, ...]] = []
    convolutions = 0
    for place, block in enumerate(network.blocks):
        if isinstance(block, HighResBlock):
            dilation = block.layers[1].conv.dilation
            if dilation not in dilations:
                dilations.append(dilation)
            name = f"res_{dilations.index(dilation) + 1}"
        else:
            name = f"conv_{convolutions}"
            convolutions += 1
        layers.setdefault(name, []).append(f"blocks.{place}")
    return layers


def module_names(network: HighResNet, layers: Sequence[str] | int | None) -> list[str] | None:
    """The modules of some layers.

    Args:
        network: MONAI's HighResNet.
        layers: names of layers, or how many from the input on; None stays None.

    Returns:
        Names of modules, from the input to the output.

    Raises:
        ValueError: when a layer is not there, or there are not so many before the last one.

    Example:
        >>> module_names(HighResNet(), ["conv_0", "res_1"])
        ['blocks.0', 'blocks.1', 'blocks.2', 'blocks.3']
    """
    return chosen(layers_of(network), layers)
