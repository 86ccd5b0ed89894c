"""Earlier layers learn more slowly, and no weight is forgotten."""

from __future__ import annotations

import pytest
import torch

from monai_tasks.networks.concat_pool_densenet import ConcatPoolDenseNet
from monai_tasks.networks.standard_score import StandardScoreNet
from monai_tasks.training.depth_rates import rate_groups


@pytest.fixture
def network() -> torch.nn.Module:
    return StandardScoreNet(
        ConcatPoolDenseNet(init_features=4, growth_rate=2, block_config=(1, 1, 1), hidden=3)
    )


def test_each_layer_has_the_rate_of_the_next_times_the_decay(network):
    optimizer = torch.optim.Adam(rate_groups(network, 0.1, 0.5), lr=7.0)
    names = {id(value): name for name, value in network.named_parameters()}
    rates = {names[id(value)]: group["lr"] for group in optimizer.param_groups for value in group["params"]}
    assert rates.keys() == set(names.values())
    assert sum(len(group["params"]) for group in optimizer.param_groups) == len(names)
    assert optimizer.param_groups[0]["lr"] == 0.1  # what the record of a run shows
    for part, rate in {
        "head.linear2.weight": 0.1,
        "head.norm1.bias": 0.1,
        "features.norm5.weight": 0.05,
        "features.denseblock3.denselayer1.layers.conv1.weight": 0.05,
        "features.transition2.conv.weight": 0.025,
        "features.denseblock1.denselayer1.layers.conv2.weight": 0.0125,
        "features.conv0.weight": 0.00625,
        "features.norm0.bias": 0.00625,
    }.items():
        assert rates[f"network.{part}"] == pytest.approx(rate)


def test_without_a_decay_all_have_one_rate(network):
    assert {group["lr"] for group in rate_groups(network, 0.1, 1.0)} == {0.1}


@pytest.mark.parametrize("decay", [0, -0.5, 1.5, float("nan")])
def test_a_decay_out_of_range_is_refused(network, decay):
    with pytest.raises(ValueError, match="expected above 0 and at most 1"):
        rate_groups(network, 0.1, decay)
