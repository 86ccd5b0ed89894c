"""The network to compare with has the parameters that its authors count."""

from __future__ import annotations

import torch

from monai_tasks.networks.slice_grader import SliceGrader
from monai_tasks.networks.walle import SMALLEST, walle_net


def test_the_number_of_parameters_is_the_published_one():
    assert sum(parameter.numel() for parameter in walle_net().parameters()) == 10_149


def test_the_layers_are_those_of_the_description():
    layers = list(walle_net())
    convolutions = [layer for layer in layers if isinstance(layer, torch.nn.Conv2d)]
    assert [(layer.out_channels, layer.kernel_size) for layer in convolutions] == [(16, (3, 3))] * 5
    slopes = [layer.negative_slope for layer in layers if isinstance(layer, torch.nn.LeakyReLU)]
    assert slopes == [0.3] * 5
    assert sum(isinstance(layer, torch.nn.MaxPool2d) for layer in layers) == 5
    linear = [layer.out_features for layer in layers if isinstance(layer, torch.nn.Linear)]
    assert linear == [32, 5]


def test_every_parameter_gets_a_gradient_down_to_the_smallest_image():
    torch.manual_seed(0)
    network = SliceGrader(walle_net())
    scores = network(torch.randn(2, 1, SMALLEST, SMALLEST, 3))
    assert scores.shape == (2, 5, 3)
    scores.square().sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.parameters())
