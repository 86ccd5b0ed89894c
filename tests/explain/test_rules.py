"""The rules against loops over single inputs and outputs."""

import numpy as np
import pytest
import torch

from monai_tasks.explain._zennit import zennit
from monai_tasks.explain.rules import EpsilonSharedBias, PlusSharedBias


def passed_back(layer, rule, given, relevance):
    """The relevance of a layer's inputs by a rule."""
    composite = zennit.core.Composite(lambda context, name, module: rule if module is layer else None)
    given = given.clone().requires_grad_()
    with composite.context(layer):
        return torch.autograd.grad(layer(given), given, relevance)[0]


def epsilon_loops(x, weight, bias, relevance):
    """One sample: x (I,), weight (O, I), bias (O,), relevance (O,)."""
    shares = np.zeros(len(x))
    for output in range(len(weight)):
        parts = [x[i] * weight[output, i] for i in range(len(x))]
        z = sum(parts) + bias[output]
        size = sum(abs(part) for part in parts)
        for i, part in enumerate(parts):
            shares[i] += (part + bias[output] * abs(part) / size) / z * relevance[output]
    return shares


def plus_loops(x, weight, relevance, stride, padding):
    """One channel in, some out: x (H, W), weight (O, k, k), relevance (O, h, w)."""
    shares, size = np.zeros(x.shape), weight.shape[-1]
    for output in range(len(weight)):
        for row, column in np.ndindex(relevance.shape[1:]):
            parts = {}
            for a, b in np.ndindex(size, size):
                place = row * stride - padding + a, column * stride - padding + b
                if 0 <= place[0] < x.shape[0] and 0 <= place[1] < x.shape[1]:
                    parts[place] = max(x[place] * weight[output, a, b], 0.0)
            total = sum(parts.values())
            for place, part in parts.items():
                share = part / total if total > 0 else 1 / len(parts)
                shares[place] += share * relevance[output, row, column]
    return shares


@pytest.mark.parametrize("with_bias", [False, True])
def test_epsilon_is_what_the_loops_give(with_bias):
    torch.manual_seed(1)
    layer = torch.nn.Linear(6, 4)
    if not with_bias:
        torch.nn.init.zeros_(layer.bias)
    given, relevance = torch.randn(1, 6), torch.randn(1, 4)
    weight, bias = (value.detach().double().numpy() for value in (layer.weight, layer.bias))
    expected = epsilon_loops(given[0].double().numpy(), weight, bias, relevance[0].double().numpy())
    found = passed_back(layer, EpsilonSharedBias(), given, relevance)
    np.testing.assert_allclose(found[0], expected, rtol=1e-4)
    if not with_bias:
        plain = passed_back(layer, zennit.rules.Epsilon(epsilon=1e-12), given, relevance)
        np.testing.assert_allclose(found, plain, rtol=1e-4)


def test_epsilon_gives_nothing_to_inputs_of_0_and_all_to_the_others():
    layer = torch.nn.Linear(3, 2)
    given = torch.tensor([[0.0, 1.0, 2.0]])
    found = passed_back(layer, EpsilonSharedBias(), given, torch.tensor([[0.7, -0.2]]))
    assert found[0, 0] == 0
    assert float(found.sum()) == pytest.approx(0.5, rel=1e-5)


@pytest.mark.parametrize(("stride", "padding"), [(1, 1), (2, 0)])
@pytest.mark.parametrize("signed", [False, True])
def test_plus_is_what_the_loops_give(stride, padding, signed):
    torch.manual_seed(2)
    layer = torch.nn.Conv2d(1, 3, 3, stride=stride, padding=padding)
    given = torch.randn(1, 1, 7, 6)
    given = given if signed else given.clamp(min=0)
    relevance = torch.randn(layer(given).shape)
    expected = plus_loops(
        given[0, 0].numpy(), layer.weight.detach()[:, 0].numpy(), relevance[0].numpy(), stride, padding
    )
    found = passed_back(layer, PlusSharedBias(), given, relevance)
    np.testing.assert_allclose(found[0, 0], expected, rtol=1e-4, atol=1e-6)


def test_an_output_that_is_active_by_its_bias_alone_shares_evenly():
    layer = torch.nn.Conv2d(1, 1, 3)
    relevance = torch.tensor([[[[0.9]]]])
    found = passed_back(layer, PlusSharedBias(), torch.zeros(1, 1, 3, 3), relevance)
    np.testing.assert_allclose(found, np.full((1, 1, 3, 3), 0.1), rtol=1e-6)
