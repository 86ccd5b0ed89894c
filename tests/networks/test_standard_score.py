"""A population's mean and deviation inside the network: exact, checked, and stored with the weights."""

from __future__ import annotations

import copy
import math

import pytest
import torch

from monai_tasks.inference.weights import load_weights
from monai_tasks.networks.standard_score import StandardScoreNet


class Probe(torch.nn.Module):
    """Keeps what it is given and gives it back."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        self.seen = x
        return x


def raw(channels: int = 2) -> torch.Tensor:
    generator = torch.Generator().manual_seed(2)
    return torch.randint(0, 4000, (2, channels, 3, 4), generator=generator).float()


def scored(mean: object, deviation: object, channels: int = 1) -> StandardScoreNet:
    network = StandardScoreNet(torch.nn.Conv2d(channels, 3, 1), channels)
    network.set_statistics(mean, deviation)
    return network


def test_a_new_network_changes_nothing():
    x = raw()
    assert torch.equal(StandardScoreNet(Probe(), in_channels=2)(x), x)


@pytest.mark.parametrize(
    ("channels", "mean", "deviation"),
    [
        (1, 700.0, 250.0),
        (2, [700.0, 40.0], [250.0, 3.0]),
        (2, torch.tensor([1.0, 2]), torch.tensor([3.0, 4])),
    ],
)
def test_each_voxel_is_scored_by_its_channel(channels, mean, deviation):
    network, x = StandardScoreNet(Probe(), in_channels=channels), raw()
    network.set_statistics(mean, deviation)
    found = network(x)
    means, deviations = (torch.as_tensor(value).expand(2) for value in (mean, deviation))
    for b, c, i, j in torch.cartesian_prod(*map(torch.arange, x.shape)).tolist():
        expected = (x[b, c, i, j].item() - means[c].item()) / deviations[c].item()
        assert math.isclose(found[b, c, i, j].item(), expected, rel_tol=1e-6, abs_tol=1e-6)


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_any_number_of_axes_will_do(dims):
    network = StandardScoreNet(Probe())
    network.set_statistics(5.0, 2.0)
    assert torch.equal(network(torch.full((2, 1, *[3] * dims), 9.0)), torch.full((2, 1, *[3] * dims), 2.0))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_large_intensities_keep_their_digits_under_autocast(dtype):
    """A type of 16 bits cannot tell 99999 and 100000 apart, or does not reach them."""
    network = StandardScoreNet(torch.nn.Sequential(Probe(), torch.nn.Conv2d(1, 1, 1)))
    network.set_statistics(100_000.0, 0.5)
    with torch.autocast("cpu", dtype=dtype):
        result = network(torch.tensor([99_999.0, 100_000.0, 100_001.0]).view(1, 1, 1, 3))
    assert network.network[0].seen.flatten().tolist() == [-2.0, 0.0, 2.0]
    assert result.dtype == dtype  # autocast goes on behind it


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.float64])
def test_every_type_of_image_becomes_float32(dtype):
    assert StandardScoreNet(Probe())(torch.full((1, 1, 2, 2), 200, dtype=dtype)).dtype == torch.float32


@pytest.mark.parametrize(
    ("mean", "deviation", "named"),
    [
        (float("nan"), 1.0, "mean"),
        (0.0, float("inf"), "deviation"),
        (1e300, 1.0, "mean"),  # not finite in float32
        (0.0, 0.0, "deviation"),
        (0.0, -1.0, "deviation"),
        (0.0, 1e-300, "deviation"),  # 0 in float32
        ([1.0, 2.0], 1.0, "mean"),
        (1.0, [1.0, 2.0], "deviation"),
    ],
)
def test_figures_that_make_no_sense_are_refused_and_leave_the_old_ones(mean, deviation, named):
    network = scored(3.0, 4.0)
    with pytest.raises(ValueError, match=f"{named}: got .*expected"):
        network.set_statistics(mean, deviation)
    assert (network.mean.tolist(), network.deviation.tolist()) == ([3.0], [4.0])


def test_whether_the_figures_are_those_of_a_new_network():
    assert not StandardScoreNet(Probe(), 2).has_statistics()
    assert scored([0.0, 1.0], [1.0, 1.0], 2).has_statistics()
    assert scored([0.0, 0.0], [1.0, 2.0], 2).has_statistics()


def test_the_figures_travel_with_the_weights(tmp_path):
    network, x = scored([700.0, 40.0], [250.0, 3.0], 2), raw()
    torch.save(network.state_dict(), tmp_path / "model.pt")
    other = StandardScoreNet(torch.nn.Conv2d(2, 3, 1), 2)
    load_weights(other, tmp_path / "model.pt")
    assert torch.equal(other(x), network(x))
    assert other.mean.tolist() == [700.0, 40.0]
    assert not any(
        name in dict(network.named_parameters()) for name in ("mean", "deviation")
    )  # no optimizer's


def test_the_network_can_be_scripted_stored_and_copied(tmp_path):
    network, x = scored([700.0, 40.0], [250.0, 3.0], 2), raw()
    torch.jit.script(network).save(tmp_path / "network.ts")
    torch.testing.assert_close(torch.jit.load(tmp_path / "network.ts")(x), network(x))
    assert torch.equal(copy.deepcopy(network)(x), network(x))


def test_the_network_trains_in_several_processes():
    """Here in one process, with a group of its own."""
    torch.distributed.init_process_group("gloo", store=torch.distributed.HashStore(), rank=0, world_size=1)
    try:
        network = scored([700.0, 40.0], [250.0, 3.0], 2)
        wrapped, x = torch.nn.parallel.DistributedDataParallel(network), raw()
        network.set_statistics([600.0, 50.0], [100.0, 2.0])
        scores = (x - torch.tensor([600.0, 50]).view(1, 2, 1, 1)) / torch.tensor([100.0, 2]).view(1, 2, 1, 1)
        result = wrapped(x)
        torch.testing.assert_close(result, network.network(scores))
        result.sum().backward()
        torch.testing.assert_close(network.network.weight.grad[0].flatten(), scores.sum((0, 2, 3)))
    finally:
        torch.distributed.destroy_process_group()
