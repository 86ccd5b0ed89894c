"""MONAI's U-Net with one dropout at its bottom, in the sizes that the knee networks use."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from monai.networks.nets import UNet

from monai_tasks.networks.bottom_dropout_unet import BottomDropoutUNet

COMMON = {"in_channels": 1, "out_channels": 4, "act": "ELU", "norm": "INSTANCE"}
NETWORKS = {
    "2D": {"spatial_dims": 2, "channels": [32] * 5, "strides": [2] * 4, "num_res_units": 2} | COMMON,
    "2D of 48": {"spatial_dims": 2, "channels": [48] * 5, "strides": [2] * 4, "num_res_units": 0} | COMMON,
    "3D": {
        "spatial_dims": 3,
        "channels": [32] * 4,
        "strides": [[2, 2, 1]] * 3,
        "kernel_size": [3, 3, 3],
        "num_res_units": 0,
    }
    | COMMON,
}
every = pytest.mark.parametrize("arguments", NETWORKS.values(), ids=NETWORKS)


def build(arguments: dict[str, Any], kind: type[UNet] = BottomDropoutUNet, **more: Any) -> UNet:
    torch.manual_seed(0)
    return kind(**arguments, **more)


def images(arguments: dict[str, Any], size: int = 32, slices: int = 5) -> torch.Tensor:
    shape = [size, size, slices][: arguments["spatial_dims"]]
    return torch.randn(2, 1, *shape, generator=torch.Generator().manual_seed(1))


def dropouts(network: torch.nn.Module) -> list[torch.nn.Module]:
    return [module for module in network.modules() if isinstance(module, torch.nn.modules.dropout._DropoutNd)]


def seen_at_the_bottom(network: BottomDropoutUNet) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """A list that gets what goes into the dropout and what comes out, at each call of the network."""
    seen: list[tuple[torch.Tensor, torch.Tensor]] = []
    dropouts(network)[0].register_forward_hook(lambda _, given, result: seen.append((given[0], result)))
    return seen


@every
def test_all_have_about_200_000_parameters(arguments):
    count = sum(parameter.numel() for parameter in build(arguments).parameters())
    print(f"{count} parameters")
    assert 150_000 <= count <= 260_000


@every
@pytest.mark.parametrize("share", [0.5, 0.2])
def test_there_is_one_dropout(arguments, share):
    assert [module.p for module in dropouts(build(arguments, bottom_dropout=share))] == [share]


def test_half_is_dropped_where_nothing_is_said():
    assert [type(module) for module in dropouts(build(NETWORKS["2D"]))] == [torch.nn.Dropout]
    assert dropouts(build(NETWORKS["2D"]))[0].p == 0.5


@every
def test_all_else_is_monais(arguments):
    x = images(arguments)
    ours, theirs = build(arguments, bottom_dropout=0.0), build(arguments, kind=UNet)
    assert torch.equal(ours(x), theirs(x))
    assert torch.equal(build(arguments).eval()(x), theirs.eval()(x))


@every
def test_single_values_are_dropped_in_training_and_only_there(arguments):
    network, x = build(arguments), images(arguments)
    seen = seen_at_the_bottom(network)
    network(x)
    given, result = seen.pop()
    dropped = result == 0
    assert torch.equal(result[~dropped], 2 * given[~dropped])
    assert 0.4 < dropped.float().mean() < 0.6
    by_channel = dropped.flatten(2).float().mean(2)
    assert (
        (by_channel > 0) & (by_channel < 1)
    ).float().mean() > 0.8  # few channels are dropped or kept as a whole
    assert not torch.equal(network(x), network(x))
    network.eval()
    seen.clear()
    assert torch.equal(network(x), network(x))
    assert torch.equal(*seen[0])


def test_slices_are_never_pooled():
    network = build(NETWORKS["3D"]).eval()
    seen = seen_at_the_bottom(network)
    with torch.inference_mode():
        scores = network(torch.zeros(1, 1, 224, 224, 24))
    assert seen[0][0].shape == (1, 32, 28, 28, 24)
    assert scores.shape == (1, 4, 224, 224, 24)


@pytest.mark.parametrize("slices", [1, 2, 7, 41])
def test_any_number_of_slices_keeps_its_grid(slices):
    network = build(NETWORKS["3D"]).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, 16, 24, slices)).shape == (1, 4, 16, 24, slices)


@pytest.mark.parametrize("shape", [(16, 32), (48, 80), (224, 224)])
def test_every_size_that_divides_keeps_its_grid(shape):
    network = build(NETWORKS["2D"]).eval()
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, *shape)).shape == (1, 4, *shape)


# MONAI's network turns the first of each into a grid that is one larger, and fails at the second.
@pytest.mark.parametrize("axis", [0, 1])
@pytest.mark.parametrize(("name", "size"), [("2D", 31), ("2D", 40), ("3D", 31), ("3D", 20)])
def test_a_size_that_does_not_divide_is_refused(name, size, axis):
    shape = [32, 32, 5][: NETWORKS[name]["spatial_dims"]]
    shape[axis] = size
    network = build(NETWORKS[name]).eval()
    with pytest.raises(ValueError, match=rf"size.*{size}.*expected multiples"):
        network(torch.zeros(1, 1, *shape))
    with pytest.raises(torch.jit.Error, match="expected multiples"):
        torch.jit.script(network)(torch.zeros(1, 1, *shape))


@every
def test_the_network_can_be_scripted_stored_and_copied(arguments, tmp_path):
    network, x = build(arguments).eval(), images(arguments)
    torch.jit.script(network).save(tmp_path / "network.ts")
    expected = network(x)
    torch.testing.assert_close(torch.jit.load(tmp_path / "network.ts")(x), expected)
    other = copy.deepcopy(network)
    torch.nn.init.zeros_(next(network.parameters()))
    assert torch.equal(other(x), expected)


def test_monais_own_dropout_is_no_argument():
    with pytest.raises(TypeError, match="dropout"):
        build(NETWORKS["2D"], dropout=0.1)


def test_a_config_names_it():
    name = f"{BottomDropoutUNet.__module__}.{BottomDropoutUNet.__name__}"
    config = {"network": {"_target_": name, "bottom_dropout": 0.3} | NETWORKS["3D"]}
    network = ConfigParser(config).get_parsed_content("network")
    assert dropouts(network)[0].p == 0.3
