"""The network for motion: each of its forms learns, and its parts are those that the config asks for."""

from __future__ import annotations

import pytest
import torch
from monai.bundle import ConfigParser

from monai_tasks.networks.cbam import CBAM
from monai_tasks.networks.motion_net import MotionNet

FORMS = {
    "ours": {"norm": "batch", "activation": "relu"},
    "without normalisation": {"norm": None, "activation": "elu"},
    "without attention": {"attention": False},
}


def streaks(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise under 0, 1 or 2 horizontal streaks at any place."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, 16, 16, generator=generator)
    labels = torch.arange(count) % 3
    for image, label in zip(images, labels.tolist(), strict=True):
        for place in torch.randperm(16, generator=generator)[:label].tolist():
            image[0, place] += 3
    return images, labels


@pytest.mark.parametrize("name", FORMS)
def test_every_form_learns(name):
    torch.manual_seed(0)
    network = MotionNet(num_classes=3, channels=(8, 16), **FORMS[name])
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    images, labels = streaks(150, seed=1)
    for _ in range(8):
        for part in torch.randperm(len(images)).split(30):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images[part]), labels[part]).backward()
            optimizer.step()
    unseen, truth = streaks(60, seed=2)
    with torch.inference_mode():
        found = network.eval()(unseen).argmax(1)
    assert (found == truth).float().mean() > 0.7


def test_the_parts_are_those_that_are_asked_for():
    def kinds(network: torch.nn.Module) -> set[type]:
        return {type(module) for module in network.modules()}

    plain = kinds(MotionNet(norm=None, activation="elu", attention=False))
    assert torch.nn.ELU in plain
    assert not plain & {torch.nn.BatchNorm2d, torch.nn.ReLU, CBAM}
    ours = kinds(MotionNet())
    assert {torch.nn.BatchNorm2d, torch.nn.ReLU, CBAM} <= ours
    assert torch.nn.ELU not in ours


def test_without_normalisation_the_signal_keeps_its_scale():
    torch.manual_seed(0)
    network = MotionNet(norm=None, activation="elu", attention=False)
    images = torch.randn(2, 1, 64, 64)
    features = network.encoder[:-2](images)
    assert 0.3 < features.std() < 10
    network(images).square().sum().backward()
    assert network.encoder.start[0].weight.grad.norm() > 0.01 * network.classifier.weight.grad.norm()


@pytest.mark.parametrize("size", [(1, 1), (17, 33)])
def test_any_size_fits(size):
    assert MotionNet().eval()(torch.randn(2, 1, *size)).shape == (2, 5)


def test_features_are_left_out_in_training_only():
    network = MotionNet(channels=(4,), norm=None, dropout=0.5)
    image = torch.randn(1, 1, 16, 16)
    assert not torch.equal(network(image), network(image))
    network.eval()
    assert torch.equal(network(image), network(image))


@pytest.mark.parametrize("options", [{"channels": ()}, {"norm": "none"}, {"activation": "gelu"}])
def test_what_is_unknown_is_refused(options):
    with pytest.raises(ValueError, match="expected at least one block"):
        MotionNet(**options)


def test_a_config_names_it_with_its_parts():
    config = {
        "network_def": {
            "_target_": "monai_tasks.networks.standard_score.StandardScoreNet",
            "network": {
                "_target_": "monai_tasks.networks.slice_grader.SliceGrader",
                "network": {"_target_": "monai_tasks.networks.motion_net.MotionNet", "channels": [4, 8]},
            },
        }
    }
    network = ConfigParser(config).get_parsed_content("network_def").eval()
    slices = torch.randn(2, 1, 16, 16, 3)
    assert network(slices).shape == (2, 5, 3)
    torch.testing.assert_close(torch.jit.script(network)(slices), network(slices))
