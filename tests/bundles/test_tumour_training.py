"""What the tumour bundle trains: from which channels and weights, with which layers frozen, and what it leaves."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed
import nibabel
import numpy as np
import pytest
import torch

from monai_tasks.catalog import open_bundle
from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.inference.configs import ConfigError, parse
from monai_tasks.training.start_weights import start_from
from monai_tasks.training.train import TrainingSummary, train

BUNDLE = open_bundle("tumor_core_mri_segmentation")
HIPPOCAMPUS = open_bundle("hippocampus_mri_segmentation")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def trial(trial_of):
    """Generated tumours and small settings."""
    return trial_of(BUNDLE)


def config(trial, output: Path, configs: Sequence[str] = (), **settings: Any):
    """The merged config of a training with small settings."""
    places = {"datalist": str(trial.datalist), "output_dir": str(output), "model_dir": str(output)}
    return parse(BUNDLE, ["train", *configs], CPU, trial.settings | places | settings)


def short_training(trial, output: Path, configs: Sequence[str] = (), **settings: Any) -> TrainingSummary:
    settings = trial.settings | settings
    return train(BUNDLE, trial.datalist, output, device="cpu", configs=configs, settings=settings)


@pytest.fixture(scope="module")
def source(trial_of, tmp_path_factory) -> Path:
    """Weights of a small hippocampus network with two channels and three classes."""
    trial = trial_of(HIPPOCAMPUS, "t1t2")
    output = tmp_path_factory.mktemp("source")
    settings = trial.settings | {"max_epochs": 1}
    return train(
        HIPPOCAMPUS, trial.datalist, output, device="cpu", configs=["t1t2"], settings=settings
    ).weights


@pytest.fixture(params=["one", "distributed"])
def processes(request, monkeypatch) -> Iterator[tuple[list[str], dict[str, Any]]]:
    """Configs and settings of a training alone, and of one in a group of one process, as torchrun makes it."""
    if request.param == "one":
        yield [], {}
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1}
    for name, value in group.items():
        monkeypatch.setenv(name, str(value))
    yield ["multi_gpu_train"], {"finalize": []}
    assert torch.distributed.is_initialized()
    ignite.distributed.sync()
    ignite.distributed.finalize()  # ends the group, and ignite knows of it in the tests that follow


def state(path: Path) -> dict[str, torch.Tensor]:
    return torch.load(path, weights_only=True)


def layers(values: dict[str, torch.Tensor], names: set[str]) -> dict[str, list[str]]:
    """The names of a network's values, by the layer that they are of; the small network's blocks are a layer each."""
    order = ("conv_0", "res_1", "conv_1", "conv_2")
    found = {
        layer: [name for name in values if name.startswith(f"blocks.{k}.")] for k, layer in enumerate(order)
    }
    return {layer: found[layer] for layer in order if layer in names}


@pytest.mark.parametrize("frozen", [["conv_0", "res_1"], 3], ids=str)
def test_frozen_layers_end_as_they_were_in_the_file_and_all_others_change(
    trial, source, tmp_path, frozen, processes
):
    """Weights, running means and variances, and the count of batches that these have seen."""
    configs, settings = processes
    summary = short_training(trial, tmp_path, configs, start_weights=str(source), frozen=frozen, **settings)
    before, after = state(source), state(tmp_path / "last.pt")["network"]
    still = {"conv_0", "res_1"} if frozen != 3 else {"conv_0", "res_1", "conv_1"}
    for layer, names in layers(after, {"conv_0", "res_1", "conv_1", "conv_2"}).items():
        assert any(name.endswith("running_var") for name in names)
        for name in names:
            same = before[name].shape == after[name].shape and torch.equal(before[name], after[name])
            assert same == (layer in still), name
    assert summary.epochs == trial.settings["max_epochs"]
    assert state(summary.weights).keys() == after.keys()


def test_a_run_says_what_it_took_of_the_hippocampus_network(trial, source, tmp_path):
    short_training(
        trial, tmp_path, max_epochs=1, start_weights=str(source), start_layers=["conv_0", "conv_2"]
    )
    written = json.loads((tmp_path / "start.json").read_text(encoding="utf-8"))
    assert written["layers"] == ["blocks.0", "blocks.3"]
    assert {name.split(".")[1] for name in written["loaded"]} == {"0", "3"}
    assert written["kept"]["blocks.3.conv.weight"] == "made for 3 output channels, not 2"
    assert written["kept"]["blocks.1.layers.1.conv.weight"] == "not of the layers that were asked for"


def test_frozen_at_random_stays_random(trial, tmp_path):
    torch.manual_seed(0)
    network = config(trial, tmp_path).get_parsed_content("network_def")
    kept = tmp_path / "random.pt"
    torch.save(network.state_dict(), kept)
    short_training(trial, tmp_path / "run", max_epochs=1, start_weights=str(kept), frozen=1)
    before, after = state(kept), state(tmp_path / "run" / "last.pt")["network"]
    assert torch.equal(before["blocks.0.conv.weight"], after["blocks.0.conv.weight"])
    assert float(after["blocks.0.adn.N.running_var"].sum()) == 4


def test_a_layer_that_is_not_there_is_refused(trial, tmp_path):
    expected = "core_mri_segmentation: layers res_7; expected a list of conv_0, res_1, conv_1, conv_2"
    with pytest.raises(ConfigError, match=expected):
        short_training(trial, tmp_path, frozen=["res_7"])


def test_the_shipped_hippocampus_weights_are_taken_whole_but_for_the_classes(tmp_path):
    parser = parse(BUNDLE, ["train", "one_modality"], CPU, {"start_weights": str(HIPPOCAMPUS.weights)})
    network = parser.get_parsed_content("network_def")
    start = start_from(network, HIPPOCAMPUS.weights)
    assert {name.partition(".conv")[0].partition(".adn")[0] for name in start.kept} == {"blocks.11"}
    given = state(HIPPOCAMPUS.weights)
    assert all(torch.equal(network.state_dict()[name], given[name]) for name in start.loaded)


@pytest.mark.parametrize(
    ("override", "names"),
    [("", ["t1", "t2"]), ("four_modalities", ["t1", "t1ce", "t2", "flair"]), ("one_modality", ["t1"])],
)
def test_a_folder_gives_the_channels_of_the_config(trial_of, tmp_path, override, names):
    """Without a datalist too: the tree of BraTS is listed with the config's modalities."""
    trial = trial_of(BUNDLE, override)
    settings = {"datalist": None, "dataset_dir": str(trial.data)}
    parser = config(trial, tmp_path, [override] if override else [], **settings)
    for item in parser.get_parsed_content("validate#dataset#data"):
        found = [Path(path).name.removesuffix(".nii.gz").rpartition("_")[2] for path in item["image"]]
        assert found == names
    batch = next(iter(parser.get_parsed_content("train#dataloader")))
    assert batch["image"].shape == (2, len(names), 16, 16, 16)


def test_the_core_is_necrosis_and_enhancing_tumour_and_the_air_is_cut_off(trial, tmp_path):
    prepare = config(trial, tmp_path).get_parsed_content("validate#preprocessing")
    cored = []
    for item in read_part(trial.datalist, "training"):
        parts = np.asarray(nibabel.load(item["label"]).dataobj)
        prepared = prepare(item)
        assert int((prepared["label"] == 1).sum()) == np.isin(parts, (1, 4)).sum()
        assert set(np.unique(prepared["label"])) == {0, 1}
        cored.append(bool((parts == 4).any()))
        image = np.asarray(prepared["image"])
        assert image.shape[1:] < parts.shape
        inside = (image != 0).any(0)
        for axis in range(3):  # brain reaches every side of what is left
            sides = inside.any(axis=tuple(other for other in range(3) if other != axis))
            assert sides[[0, -1]].all()
        for channel in image:
            brain = channel[channel != 0]
            assert brain.mean() == pytest.approx(0, abs=1e-3)
            assert brain.std() == pytest.approx(1, abs=1e-3)
    assert set(cored) == {True, False}  # some cases enhance nowhere


def test_training_and_inference_see_the_same(trial, tmp_path):
    item = read_part(trial.datalist, "validation")[0]
    validated = config(trial, tmp_path).get_parsed_content("validate#preprocessing")(item)["image"]
    prepare = parse(BUNDLE, ["inference"], CPU, trial.inference).get_parsed_content("preprocessing")
    torch.testing.assert_close(
        torch.as_tensor(validated), torch.as_tensor(prepare({"image": item["image"]})["image"])
    )
