"""Networks compute the same in the form that relevance needs, and are as before without it."""

import pytest
import torch

from monai_tasks.explain.canonizers import LAST_ACT, SUM, MergeBatchNorm
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
