"""A network of studies starts as the image network that it is given, and says what it took."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.networks.nets import resnet18

from monai_tasks.inference.weights import WeightsError
from monai_tasks.networks.rx import RxNet, rx_classifier, rx_encoder
from monai_tasks.networks.standard_score import StandardScoreNet
from monai_tasks.networks.study import StudyNet
from monai_tasks.training.encoder_start import StartEncoder, start_encoder

RESNET = {"spatial_dims": 2, "n_input_channels": 1, "widen_factor": 0.0625}
NETWORKS = {
    "rx": (
        lambda: RxNet(blocks=3, channels=4, hidden=(8, 8)),
        lambda: StudyNet(rx_encoder(blocks=3, channels=4), rx_classifier(16, hidden=(8, 8))),
    ),
    "resnet": (
        lambda: resnet18(**RESNET, num_classes=2),
        lambda: StudyNet(resnet18(**RESNET, feed_forward=False), torch.nn.Linear(32, 2)),
    ),
}


def images(count: int = 3) -> torch.Tensor:
    return torch.rand(count, 1, 40, 30, generator=torch.Generator().manual_seed(5))


def trained(network: torch.nn.Module, path: Path, scored: bool = True) -> torch.nn.Module:
    """An image network whose values are none of those that networks begin with; also saved."""
    network = StandardScoreNet(network) if scored else network
    if scored:
        network.set_statistics(0.4, 0.2)
    for seed in range(2):
        torch.manual_seed(seed)
        network.train()(images(6))
    torch.save(network.state_dict(), path)
    return network.eval()


@pytest.fixture(params=NETWORKS)
def pair(request, tmp_path) -> tuple[torch.nn.Module, torch.nn.Module, Path]:
    """A trained image network, a new network of studies, and the file of the first."""
    torch.manual_seed(1)
    make, make_study = NETWORKS[request.param]
    path = tmp_path / "model.pt"
    return trained(make(), path), StandardScoreNet(make_study()), path


def test_a_study_of_one_view_begins_with_the_score_of_the_image_network(pair):
    image_network, network, path = pair
    x = images()
    assert not torch.allclose(network.eval()(x[:, None]), image_network(x))
    start = start_encoder(network, path)
    torch.testing.assert_close(network.eval()(x[:, None]), image_network(x))
    assert set(start.loaded) == set(image_network.state_dict())
    assert (start.skipped, start.kept) == ({}, {})
    assert network.mean.item() == pytest.approx(0.4)


@pytest.mark.parametrize("nested", [True, False])
def test_a_last_layer_that_does_not_fit_is_left_and_named(tmp_path, nested):
    torch.manual_seed(1)
    image_network = RxNet(blocks=3, channels=4, num_classes=5)
    path = tmp_path / "model.pt"
    trained(image_network, path, scored=nested)
    study = NETWORKS["rx"][1]()
    network = StandardScoreNet(study) if nested else study
    before = {name: value.clone() for name, value in study.classifier.state_dict().items()}
    start = start_encoder(network, path)
    outside = "network." if nested else ""
    assert list(start.skipped) == sorted(
        outside + f"classifier.{n}.{kind}" for n in (0, 2, 4) for kind in ("bias", "weight")
    )
    assert start.kept.keys() == start.skipped.keys()
    for name, value in study.classifier.state_dict().items():
        assert torch.equal(value, before[name])
    for name, value in study.encoder.state_dict().items():
        assert torch.equal(value, image_network.encoder.state_dict()[name])


def test_another_network_of_studies_will_do_too(tmp_path):
    first, second = (StandardScoreNet(NETWORKS["resnet"][1]()) for _ in range(2))
    torch.save(first.state_dict(), tmp_path / "model.pt")
    start = start_encoder(second, tmp_path / "model.pt")
    assert set(start.loaded) == set(first.state_dict())
    assert all(torch.equal(value, first.state_dict()[name]) for name, value in second.state_dict().items())


@pytest.mark.parametrize(
    "make",
    [lambda: resnet18(**RESNET), lambda: RxNet(blocks=3, channels=8), lambda: RxNet(blocks=2, channels=4)],
    ids=["other kind", "other channels", "fewer blocks"],
)
def test_a_file_whose_encoder_does_not_fit_is_refused_and_nothing_is_loaded(tmp_path, make):
    torch.save(make().state_dict(), tmp_path / "model.pt")
    network = StandardScoreNet(NETWORKS["rx"][1]())
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(WeightsError, match=r"model\.pt: no weights for \d+ of \d+ values of the encoder"):
        start_encoder(network, tmp_path / "model.pt")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_what_is_no_file_of_weights_or_no_network_of_studies_is_refused(tmp_path):
    with pytest.raises(WeightsError, match=r"absent\.pt: no such file"):
        start_encoder(NETWORKS["rx"][1](), tmp_path / "absent.pt")
    with pytest.raises(ValueError, match="got RxNet; expected a StudyNet"):
        start_encoder(StandardScoreNet(RxNet()), tmp_path / "absent.pt")


def test_the_handler_starts_a_run_and_says_with_what(pair, caplog):
    image_network, network, path = pair
    x, engine = images(), Engine(lambda engine, batch: None)
    StartEncoder(network, path).attach(engine)
    with caplog.at_level(logging.INFO, logger="monai_tasks"):
        engine.run([0])
    torch.testing.assert_close(network.eval()(x[:, None]), image_network(x))
    count = len(image_network.state_dict())
    assert f"from {path}: {count} values: deviation, mean, network." in caplog.text


def test_without_a_file_nothing_happens(pair):
    _, network, _ = pair
    before = {name: value.clone() for name, value in network.state_dict().items()}
    engine = Engine(lambda engine, batch: None)
    StartEncoder(network, None).attach(engine)
    engine.run([0])
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_a_frozen_encoder_without_a_file_is_said(caplog):
    network = StandardScoreNet(
        StudyNet(rx_encoder(blocks=2, channels=4), rx_classifier(8), freeze_encoder=True)
    )
    with caplog.at_level(logging.WARNING):
        StartEncoder(network, None).attach(Engine(lambda engine, batch: None))
    assert "frozen with random weights" in caplog.text
