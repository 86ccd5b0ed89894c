"""A DenseNet starts from torchvision's checkpoint, whose names and colours are others."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path

import pytest
import torch
from monai.networks.nets import DenseNet

from monai_tasks.inference.weights import WeightsError
from monai_tasks.io.files import sha256
from monai_tasks.networks.concat_pool_densenet import ConcatPoolDenseNet
from monai_tasks.networks.standard_score import StandardScoreNet
from monai_tasks.training import imagenet_start
from monai_tasks.training.imagenet_start import StartFromImageNet

SMALL = {"init_features": 4, "growth_rate": 2, "block_config": (1, 2, 1, 1)}


def made(channels: int = 1) -> StandardScoreNet:
    torch.manual_seed(5)
    return StandardScoreNet(ConcatPoolDenseNet(in_channels=channels, hidden=3, **SMALL)).eval()


@pytest.fixture
def colour() -> DenseNet:
    """MONAI's network of three colours and seven classes, none of whose values is one that networks begin with."""
    torch.manual_seed(6)
    network = DenseNet(spatial_dims=2, in_channels=3, out_channels=7, **SMALL).eval()
    for value in network.state_dict().values():
        value += torch.rand(value.shape).to(value.dtype) if value.is_floating_point() else 3
    return network


def theirs(network: DenseNet, dot: str) -> dict[str, torch.Tensor]:
    """The values under torchvision's names: those of its files have a dot before the number."""
    names = {
        name: re.sub(r"\.layers\.(norm|conv)([12])", rf".\g<1>{dot}\g<2>", name).replace(
            "class_layers.out", "classifier"
        )
        for name in network.state_dict()
    }
    return {names[name]: value for name, value in network.state_dict().items()}


@pytest.fixture(params=[".", ""], ids=["file", "network"])
def checkpoint(request, colour, tmp_path) -> Path:
    path = tmp_path / "densenet.pth"
    torch.save(theirs(colour, request.param), path)
    return path


def test_the_made_file_has_torchvisions_names(colour):
    names = theirs(colour, ".")
    for name in (
        "features.conv0.weight",
        "features.denseblock2.denselayer2.norm.1.running_var",
        "features.denseblock1.denselayer1.conv.2.weight",
        "features.transition1.conv.weight",
        "features.norm5.bias",
        "classifier.weight",
    ):
        assert name in names


def test_a_grey_image_gives_the_features_of_three_equal_colours(checkpoint, colour, tmp_path, caplog):
    network = made()
    head = {name: value.clone() for name, value in network.network.head.state_dict().items()}
    with caplog.at_level(logging.INFO):
        start = StartFromImageNet(network, folder=tmp_path / "run", imagenet_weights=checkpoint).start()
    image = torch.rand(2, 1, 48, 48)
    expected = colour.features(image.expand(-1, 3, -1, -1)).clamp(min=0)
    torch.testing.assert_close(network.network.features(image), expected, rtol=1e-4, atol=1e-4)
    assert all(torch.equal(value, head[name]) for name, value in network.network.head.state_dict().items())
    assert start.skipped == dict.fromkeys(
        ["classifier.bias", "classifier.weight"], "the network has no such value"
    )
    kept = {name for name in start.kept if not name.startswith("network.head.")}
    assert kept == {"mean", "deviation"}  # which are then those of the training part
    assert "three input channels summed into one" in caplog.text
    record = json.loads((tmp_path / "run" / "start.json").read_text())
    assert (record["weights"], record["weights_sha256"]) == ("densenet.pth", sha256(checkpoint))
    assert len(record["loaded"]) == len(start.loaded) == len(network.network.features.state_dict())


def test_three_channels_stay_three(checkpoint, colour, caplog):
    network = made(channels=3)
    with caplog.at_level(logging.INFO):
        StartFromImageNet(network, imagenet_weights=checkpoint).start()
    assert torch.equal(network.network.features.conv0.weight, colour.features.conv0.weight)
    assert "summed" not in caplog.text


def test_some_layers_only(checkpoint, colour):
    network = made()
    before = network.network.features.norm5.weight.clone()
    StartFromImageNet(network, layers=["network.features.denseblock1"], imagenet_weights=checkpoint).start()
    own, given = network.network.features, colour.features
    assert torch.equal(
        own.denseblock1.denselayer1.layers.conv1.weight, given.denseblock1.denselayer1.layers.conv1.weight
    )
    assert torch.equal(own.norm5.weight, before)


def test_weights_of_such_a_network_are_taken_as_they_are(tmp_path):
    source, network = made(), made()
    source.set_statistics(0.3, 0.2)
    for value in source.state_dict().values():
        value += 1
    torch.save(source.state_dict(), tmp_path / "model.pt")
    start = StartFromImageNet(network, tmp_path / "model.pt").start()
    assert (start.skipped, start.kept) == ({}, {})
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in network.state_dict().items())
    assert StartFromImageNet(network).start() is None


def test_two_starts_are_refused(tmp_path):
    with pytest.raises(ValueError, match="start_weights a and imagenet_weights b; expected one"):
        StartFromImageNet(made(), "a", imagenet_weights="b")
    with pytest.raises(WeightsError, match="no such file"):
        StartFromImageNet(made(), imagenet_weights=tmp_path / "none.pth").start()


def test_nothing_is_fetched_unless_it_is_asked_for(checkpoint, colour, tmp_path, monkeypatch):
    """What is fetched lies in torch's cache, by the name of its address, and is checked by its checksum."""
    asked = []

    def fetch(address: str, **options: object) -> None:
        asked.append((address, options["check_hash"]))
        folder = tmp_path / "hub" / "checkpoints"
        folder.mkdir(parents=True)
        checkpoint.rename(folder / "small.pth")

    monkeypatch.setattr(torch.hub, "load_state_dict_from_url", fetch)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    monkeypatch.setattr(imagenet_start, "CHECKPOINTS", {(1, 2, 1, 1): "https://example.org/small.pth"})
    StartFromImageNet(made()).start()
    StartFromImageNet(made(), imagenet_weights=checkpoint).start()
    assert asked == []
    network = made()
    StartFromImageNet(network, imagenet_weights="download").start()
    assert asked == [("https://example.org/small.pth", True)]
    assert torch.equal(network.network.features.norm5.bias, colour.features.norm5.bias)
    other = ConcatPoolDenseNet(init_features=4, growth_rate=2, block_config=(1, 1), hidden=3)
    with pytest.raises(ValueError, match=r"blocks of \(1, 1\) layers; expected one of \(1, 2, 1, 1\)"):
        StartFromImageNet(other, imagenet_weights="download").start()


def test_the_addresses_are_those_of_monais_network():
    """MONAI fetches the same files for its own networks of three colours."""
    from inspect import getsource

    from monai.networks.nets import densenet

    source = getsource(densenet._load_state_dict)
    assert all(f'"{address}"' in source for address in imagenet_start.CHECKPOINTS.values())
