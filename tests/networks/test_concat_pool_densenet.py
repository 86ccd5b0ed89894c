"""DenseNet with two poolings: what it computes, and the names of its layers."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import DenseNet121

from monai_tasks.networks.concat_pool_densenet import ConcatPoolDenseNet, layers_of, module_names
from monai_tasks.networks.standard_score import StandardScoreNet

SMALL = {"init_features": 4, "growth_rate": 2, "block_config": (1, 2), "hidden": 3}
NAMES = ["conv_0", "block_1", "block_2", "block_3", "block_4", "head"]


@pytest.fixture(scope="module")
def full() -> ConcatPoolDenseNet:
    return ConcatPoolDenseNet()


def test_the_features_are_those_of_densenet121(full):
    """Every value of MONAI's network but its last layer is there, under the same name and in the same shape."""
    theirs = {
        name: value.shape
        for name, value in DenseNet121(spatial_dims=2, in_channels=1, out_channels=2).state_dict().items()
        if not name.startswith("class_layers")
    }
    own = {name: value.shape for name, value in full.state_dict().items() if not name.startswith("head")}
    assert own == theirs
    assert full.head.linear1.weight.shape == (512, 2048)


def test_the_scores_are_of_averages_and_maxima():
    torch.manual_seed(0)
    network = ConcatPoolDenseNet(**SMALL).eval()
    for value in network.state_dict().values():
        if value.is_floating_point():
            value += 0.1 * torch.rand(value.shape)
    image = torch.rand(3, 1, 40, 33)
    features = network.features[:-1](image).clamp(min=0)
    pooled = torch.stack([torch.cat([one.mean((1, 2)), one.amax((1, 2))]) for one in features])
    head = network.head

    def normalised(x: torch.Tensor, norm: torch.nn.BatchNorm1d) -> torch.Tensor:
        return (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias

    hidden = normalised(pooled, head.norm1) @ head.linear1.weight.T + head.linear1.bias
    scores = normalised(hidden.clamp(min=0), head.norm2) @ head.linear2.weight.T + head.linear2.bias
    torch.testing.assert_close(network(image), scores)


def test_a_small_spot_counts_by_the_maximum():
    """What is anywhere reaches the scores however large the image around it is."""
    torch.manual_seed(1)
    network = ConcatPoolDenseNet(**SMALL).eval()
    for size in (64, 256):
        image = torch.zeros(1, 1, size, size)
        pools = []
        for value in (0.0, 5.0):
            image[..., 24:32, 24:32] = value
            pools.append(network.pool(network.features(image)).chunk(2, dim=1))
        by_average, by_maximum = (
            (after - before).abs().max().item() for before, after in zip(*pools, strict=True)
        )
        assert by_maximum > 10 * by_average


def test_every_weight_is_of_one_layer(full):
    layers = layers_of(full)
    assert list(layers) == NAMES
    names = [name for modules in layers.values() for name in modules]
    counted = sum(value.numel() for name in names for value in full.get_submodule(name).parameters())
    assert counted == sum(value.numel() for value in full.parameters()) == 8_002_818


def test_layers_are_found_within_the_standard_score(full):
    assert module_names(StandardScoreNet(full), ["block_1"]) == [
        "network.features.denseblock1",
        "network.features.transition1",
    ]
    assert module_names(full, 1) == ["features.conv0", "features.norm0"]
    assert module_names(full, None) is None
    with pytest.raises(ValueError, match="layers block_9; expected a list of conv_0, block_1"):
        module_names(full, ["block_9"])
    with pytest.raises(ValueError, match="got Linear; expected a ConcatPoolDenseNet"):
        layers_of(torch.nn.Linear(2, 2))
