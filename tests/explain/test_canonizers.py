"""Networks compute the same in the form that relevance needs, and are as before without it."""

import pytest
import torch

from monai_tasks.explain.canonizers import LAST_ACT, SUM, MergeBatchNorm, MergeBatchNormAhead
from monai_tasks.explain.relevance import composite
from monai_tasks.explain.score import own_copy


def layers(network):
    return {name: type(module) for name, module in network.named_modules()}


def hooks(network):
    return sum(
        len(module._forward_hooks) + len(module._forward_pre_hooks) + len(module._backward_hooks)
        for module in network.modules()
    )


def test_what_a_network_computes_stays_and_so_does_the_network(case):
    network, image = case
    state = {name: value.clone() for name, value in network.state_dict().items()}
    before, kinds, expected = hooks(network), layers(network), network(image[None])
    with composite(network).context(network):
        torch.testing.assert_close(network(image[None]), expected, rtol=1e-3, atol=1e-4)
        assert hooks(network) > before
    assert (hooks(network), layers(network)) == (before, kinds)
    assert all("forward" not in vars(module) for module in network.modules())
    after = network.state_dict()
    assert after.keys() == state.keys()
    assert all(torch.equal(after[name], value) for name, value in state.items())
    assert torch.equal(network(image[None]), expected)


@pytest.mark.parametrize(("name", "sums"), [("resnet", 8), ("resnet of bottlenecks", 8), ("rx", 0)])
def test_each_residual_block_gets_a_sum_and_an_activation_of_its_own(network, name, sums):
    one = network(name)
    with composite(one).context(one):
        names = [part for name, _ in one.named_modules() for part in [name.rpartition(".")[2]]]
        assert names.count(SUM) == names.count(LAST_ACT) == sums


def test_a_batch_norm_is_merged_only_into_the_layer_right_before_it(network):
    one = own_copy(network("densenet"))
    merged = MergeBatchNorm().apply(one)
    # The first convolution, and the first of the two in each of the five dense layers.
    assert len(merged) == 1 + 5


def test_a_batch_norm_is_merged_into_the_linear_layer_right_behind_it(network):
    one = own_copy(network("densenet of two poolings"))
    # Both norms of the head; those of the dense layers come before an activation.
    merged = MergeBatchNormAhead().apply(one)
    head = one.network.head
    assert [(own.batch_norm, *own.linears) for own in merged] == [
        (head.norm1, head.linear1),
        (head.norm2, head.linear2),
    ]


@pytest.mark.parametrize("bias", [True, False])
def test_merged_ahead_a_layer_computes_the_same_and_is_given_back(bias):
    torch.manual_seed(2)
    norm, linear = torch.nn.BatchNorm1d(5), torch.nn.Linear(5, 3, bias=bias)
    for value, low in (
        (norm.weight, -1.0),
        (norm.bias, -1.0),
        (norm.running_mean, -1.0),
        (norm.running_var, 0.1),
    ):
        torch.nn.init.uniform_(value, low, 2.0)
    pair, given = torch.nn.Sequential(norm, linear).eval(), torch.randn(4, 5)
    expected, kept = pair(given), [(name, id(value)) for name, value in pair.named_parameters()]
    (merged,) = MergeBatchNormAhead().apply(pair)
    torch.testing.assert_close(norm(given), given)
    torch.testing.assert_close(pair(given), expected)
    merged.remove()
    assert torch.equal(pair(given), expected)
    assert [(name, id(value)) for name, value in pair.named_parameters()] == kept
