"""The layers of HighResNet have the names of the authors' implementation."""

from __future__ import annotations

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import HighResNet

from monai_tasks.networks.highresnet_layers import layers_of, module_names

NAMES = ["conv_0", "res_1", "res_2", "res_3", "conv_1", "conv_2"]


@pytest.fixture(scope="module")
def network() -> HighResNet:
    return HighResNet(in_channels=2, out_channels=2)


def test_the_layers_are_those_of_the_paper(network):
    """16, 32 and 64 features with dilations of 1, 2 and 4, three blocks of two convolutions each, then 80 features."""
    layers = layers_of(network)
    assert list(layers) == NAMES
    shapes = {
        layer: [
            (module.out_channels, module.kernel_size[0], module.dilation[0])
            for name in modules
            for module in network.get_submodule(name).modules()
            if isinstance(module, torch.nn.Conv3d)
        ]
        for layer, modules in layers.items()
    }
    assert shapes == {
        "conv_0": [(16, 3, 1)],
        "res_1": [(16, 3, 1)] * 6,
        "res_2": [(32, 3, 2)] * 6,
        "res_3": [(64, 3, 4)] * 6,
        "conv_1": [(80, 1, 1)],
        "conv_2": [(2, 1, 1)],
    }


def test_every_weight_is_of_one_layer(network):
    names = [name for modules in layers_of(network).values() for name in modules]
    counted = sum(value.numel() for name in names for value in network.get_submodule(name).parameters())
    assert counted == sum(value.numel() for value in network.parameters()) == 809_380


def test_a_network_of_other_blocks_has_its_own_layers(tiny_highresnet):
    small = ConfigParser(tiny_highresnet | {"in_channels": 1, "out_channels": 2}).get_parsed_content()
    assert list(layers_of(small)) == ["conv_0", "res_1", "conv_1", "conv_2"]


def test_names_and_counts_of_layers_give_the_same_modules(network):
    for count in range(6):
        assert module_names(network, count) == module_names(network, NAMES[:count])
    assert module_names(network, ["res_2", "conv_0"]) == ["blocks.0", "blocks.4", "blocks.5", "blocks.6"]
    assert module_names(network, None) is None


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (
            ["conv_0", "res_9"],
            r"layers res_9; expected a list of conv_0, res_1, res_2, res_3, conv_1, conv_2",
        ),
        ("conv_0", "layers conv_0; expected a list of conv_0"),
        (6, "the first 6 layers; expected 0 to 5"),
        (-1, "the first -1 layers; expected 0 to 5"),
    ],
)
def test_what_is_no_layer_is_refused_with_those_that_there_are(network, layers, message):
    with pytest.raises(ValueError, match=message):
        module_names(network, layers)


def test_another_network_is_refused():
    with pytest.raises(ValueError, match="got Linear; expected a HighResNet"):
        layers_of(torch.nn.Linear(2, 2))
