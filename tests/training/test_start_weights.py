"""A network starts with what fits of a file, and a record says what did and what did not."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch
from ignite.engine import Engine
from monai.bundle import ConfigParser

from monai_tasks.catalog import open_bundle
from monai_tasks.inference.weights import WeightsError
from monai_tasks.io.files import sha256
from monai_tasks.networks.standard_score import StandardScoreNet
from monai_tasks.training.freeze import Freeze
from monai_tasks.training.start_weights import StartFrom, start_from

LAST = {f"blocks.3.{name}" for name in ("conv.weight", "adn.N.weight", "adn.N.bias")} | {
    f"blocks.3.adn.N.running_{name}" for name in ("mean", "var")
}


@pytest.fixture
def make(tiny_highresnet):
    """Makes a small network whose values are none of those that networks begin with."""

    def made(seed: int, channels: int = 2, classes: int = 2) -> torch.nn.Module:
        torch.manual_seed(seed)
        config = ConfigParser(tiny_highresnet | {"in_channels": channels, "out_channels": classes})
        network = config.get_parsed_content()
        for value in network.state_dict().values():
            value += torch.rand(value.shape).to(value.dtype) if value.is_floating_point() else seed
        return network

    return made


def saved(network: torch.nn.Module, path: Path, prefix: str = "") -> Path:
    torch.save({prefix + name: value for name, value in network.state_dict().items()}, path)
    return path


def changes(network: torch.nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


def copied(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("prefix", ["", "module.", "network.", "module.network."])
def test_the_same_network_is_taken_whole_whatever_was_around_it(make, tmp_path, prefix):
    source, network = make(1), make(2)
    start = start_from(network, saved(source, tmp_path / "model.pt", prefix))
    assert all(torch.equal(value, source.state_dict()[name]) for name, value in network.state_dict().items())
    assert set(start.loaded) == {prefix + name for name in source.state_dict()}
    assert (start.skipped, start.kept) == ({}, {})


def test_a_network_with_statistics_of_its_images_takes_and_gives_them(make, tmp_path):
    source, network = StandardScoreNet(make(1)), StandardScoreNet(make(2))
    source.set_statistics(0.4, 0.2)
    assert start_from(network, saved(source, tmp_path / "a.pt")).kept == {}
    assert (network.mean.item(), network.deviation.item()) == (pytest.approx(0.4), pytest.approx(0.2))
    start = start_from(make(3), tmp_path / "a.pt")
    assert start.skipped == dict.fromkeys(["deviation", "mean"], "the network has no such value")


def test_other_channels_and_classes_are_left_and_said(make, tmp_path):
    source, network = make(1, channels=1, classes=3), make(2, channels=2, classes=2)
    before = copied(network)
    start = start_from(network, saved(source, tmp_path / "model.pt"))
    assert start.skipped == start.kept
    assert start.kept.keys() == LAST | {"blocks.0.conv.weight"}
    assert start.kept["blocks.0.conv.weight"] == "made for 1 input channels, not 2"
    assert start.kept["blocks.3.conv.weight"] == "made for 3 output channels, not 2"
    assert start.kept["blocks.3.adn.N.bias"] == "shape (3,), not (2,)"
    assert changes(network, before) == before.keys() - start.kept.keys()


def test_layers_that_were_not_asked_for_stay(make, tmp_path):
    source, network = make(1), make(2)
    before = copied(network)
    start = start_from(network, saved(source, tmp_path / "model.pt"), ["blocks.0", "blocks.1"])
    asked = {name for name in before if name.startswith(("blocks.0.", "blocks.1."))}
    assert set(start.loaded) == changes(network, before) == asked
    assert start.kept == dict.fromkeys(sorted(before.keys() - asked), "not of the layers that were asked for")
    assert start.skipped == start.kept


def test_what_only_one_of_both_has_is_said(make, tmp_path):
    source = copied(make(1))
    source["decoder.weight"] = source.pop("blocks.0.conv.weight")
    torch.save(source, tmp_path / "model.pt")
    start = start_from(make(2), tmp_path / "model.pt")
    assert start.skipped == {"decoder.weight": "the network has no such value"}
    assert start.kept == {"blocks.0.conv.weight": "the file has no such value"}


def test_where_nothing_fits_or_a_layer_is_unknown_nothing_is_changed(make, tmp_path):
    network = make(2)
    before = copied(network)
    saved(torch.nn.Linear(2, 2), tmp_path / "other.pt")
    with pytest.raises(
        WeightsError, match=r"other\.pt: nothing fits HighResNet \(weight: the network has no such"
    ):
        start_from(network, tmp_path / "other.pt")
    saved(make(1), tmp_path / "model.pt")
    with pytest.raises(
        ValueError, match=r"called blocks\.9 in HighResNet; expected some of blocks, blocks\.0, "
    ):
        start_from(network, tmp_path / "model.pt", ["blocks.0", "blocks.9"])
    with pytest.raises(WeightsError, match=r"absent\.pt: no such file"):
        start_from(network, tmp_path / "absent.pt")
    assert changes(network, before) == set()


def test_the_shipped_hippocampus_weights_fit_all_but_the_first_and_the_last_layer():
    bundle = open_bundle("hippocampus_mri_segmentation")
    config = ConfigParser(ConfigParser.load_config_file(bundle.config("train")))
    config.update({"in_channels": 2, "out_channels": 2})
    network = config.get_parsed_content("network_def")
    start = start_from(network, bundle.weights)
    assert {name for name in start.kept if not name.startswith("blocks.11.")} == {"blocks.0.conv.weight"}
    assert len(start.loaded) + len(start.kept) == len(network.state_dict())


def run(handler: StartFrom) -> None:
    engine = Engine(lambda engine, batch: None)
    handler.attach(engine)
    engine.run([0])


def test_the_handler_starts_a_run_and_writes_what_was_taken(make, tmp_path, caplog):
    source, network = make(1, channels=1), make(2)
    path = saved(source, tmp_path / "model.pt")
    with caplog.at_level(logging.INFO, logger="monai_tasks"):
        run(StartFrom(network, path, ["blocks.0"], tmp_path / "run"))
    written = json.loads((tmp_path / "run" / "start.json").read_text(encoding="utf-8"))
    assert (written["weights"], written["weights_sha256"]) == ("model.pt", sha256(path))
    assert written["layers"] == ["blocks.0"]
    assert "blocks.0.adn.N.running_var" in written["loaded"]
    assert written["kept"]["blocks.0.conv.weight"] == "made for 1 input channels, not 2"
    assert written["skipped"]["blocks.1.layers.1.conv.weight"] == "not of the layers that were asked for"
    assert written["frozen_at_random"] == []
    assert "blocks.0.conv.weight (made for 1 input channels, not 2)" in caplog.text
    assert torch.equal(network.blocks[0].adn.N.running_var, source.blocks[0].adn.N.running_var)


@pytest.mark.parametrize("given", [True, False])
def test_weights_that_are_frozen_and_that_no_file_gave_are_said(make, tmp_path, caplog, given):
    network = make(2)
    Freeze(network, ["blocks.0"])
    path = saved(make(1, channels=1), tmp_path / "model.pt") if given else None
    before = copied(network)
    run(StartFrom(network, path, None, tmp_path))
    assert "frozen with values that no file gave: blocks.0." in caplog.text
    assert ("blocks.0.adn.N.weight" in caplog.text) != given
    assert given or changes(network, before) == set()
    assert (tmp_path / "start.json").is_file() == given
    if given:
        written = json.loads((tmp_path / "start.json").read_text(encoding="utf-8"))
        assert written["frozen_at_random"] == ["blocks.0.conv.weight"]
