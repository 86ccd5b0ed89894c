"""What MONAI Label serves of a bundle: merged configs, weights of one's own, and none at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser

from monai_tasks.catalog import Bundle
from monai_tasks.experiments import label_copy
from monai_tasks.experiments.label_copy import LabelError, Offer
from monai_tasks.inference.configs import ConfigError
from monai_tasks.inference.weights import WeightsError

GROUPS = {
    "label_names": ["anterior", "posterior"],
    "network_def": {
        "_target_": "torch.nn.Conv3d",
        "in_channels": 1,
        "out_channels": "$len(@label_names) + 1",
        "kernel_size": 1,
    },
}
TRAIN = {"resume": True, "max_epochs": 3, "train": {"dataset": {"data": []}}, **GROUPS}
INFERENCE = {
    "bundle_root": ".",
    "preprocessing": {"_target_": "Compose", "transforms": [{"_target_": "Identityd", "keys": "image"}]},
    **GROUPS,
}
THREE = {"label_names": ["head", "body", "tail"], "max_epochs": 5}


def convolution(classes: int, value: float) -> dict[str, torch.Tensor]:
    """A state dictionary of the network for so many classes."""
    return {"weight": torch.full((classes, 1, 1, 1, 1), value), "bias": torch.zeros(classes)}


def write(path: Path, content: dict[str, Any]) -> None:
    path.write_text(json.dumps(content), encoding="utf-8")


def read(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text(encoding="utf-8"))


@pytest.fixture
def bundle(bundle: Bundle) -> Bundle:
    """A bundle with a network of two labels, and a config for three."""
    configs = bundle.root / "configs"
    for name, content in (("train", TRAIN), ("inference", INFERENCE), ("three", THREE)):
        write(configs / f"{name}.json", content)
    torch.save(convolution(3, 1.0), bundle.weights)
    return bundle


@pytest.fixture
def bare(bundle: Bundle) -> Bundle:
    bundle.weights.unlink()
    return bundle


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Weights for three labels, as a checkpoint of a training run holds them."""
    torch.save({"network": convolution(4, 2.0), "optimizer": {}}, tmp_path / "own.pt")
    return tmp_path / "own.pt"


def place(offer: Offer, copy: Path) -> Bundle:
    """The copy, made if none is kept."""
    if not label_copy.is_kept(offer, copy):
        label_copy.write(offer, label_copy.prepare(offer), copy)
    return Bundle(copy)


def weight(copy: Bundle) -> float:
    return torch.load(copy.weights, weights_only=True)["weight"].mean().item()


def test_configs_and_weights_are_put_into_the_files_that_monai_label_reads(
    bundle: Bundle, own: Path, tmp_path: Path
) -> None:
    copy = place(Offer(bundle, own, ("three",)), tmp_path / "copy")
    train = read(copy.root / "configs" / "train.json")
    assert train["train"] == TRAIN["train"]
    assert (train["max_epochs"], train["resume"]) == (5, False)
    inference = read(copy.root / "configs" / "inference.json")
    assert inference["preprocessing"] == INFERENCE["preprocessing"]
    for content in (train, inference):
        network = ConfigParser(content).get_parsed_content("network_def")
        network.load_state_dict(torch.load(copy.weights, weights_only=True))
        assert network.out_channels == 4
    assert copy.labels == {1: "head", 2: "body", 3: "tail"}
    assert copy.metadata["network_data_format"]["outputs"]["pred"]["num_channels"] == 4
    assert weight(copy) == 2.0
    assert bundle.labels == {1: "anterior", 2: "posterior"}
    assert label_copy.notes(Offer(bundle), copy.root) == []


def test_a_plain_copy_has_the_shipped_files(bundle: Bundle, tmp_path: Path) -> None:
    copy = place(Offer(bundle), tmp_path / "copy")
    assert copy.weights.read_bytes() == bundle.weights.read_bytes()
    # MONAI Label's own default is the image's format, which for MHD is two files.
    assert read(copy.config("inference")) == {
        **INFERENCE,
        "displayable_configs": {"result_extension": ".nii.gz"},
    }
    assert copy.metadata == bundle.metadata


@pytest.mark.parametrize("configs", [(), ("three",)])
def test_weights_of_another_network_are_refused(bundle: Bundle, tmp_path: Path, configs: tuple) -> None:
    torch.save(convolution(7, 1.0), tmp_path / "seven.pt")
    with pytest.raises(WeightsError, match=r"seven\.pt: weights do not fit Conv3d"):
        label_copy.prepare(Offer(bundle, tmp_path / "seven.pt", configs))


def test_shipped_weights_must_fit_the_configs_too(bundle: Bundle) -> None:
    with pytest.raises(WeightsError, match=r"model\.pt: weights do not fit"):
        label_copy.prepare(Offer(bundle, configs=("three",)))


def test_a_config_that_makes_no_network_is_refused(bundle: Bundle, tmp_path: Path) -> None:
    write(tmp_path / "wrong.json", {"network_def#kernel_size": "wide"})
    with pytest.raises(ConfigError, match="network_def cannot be built"):
        label_copy.prepare(Offer(bundle, configs=(str(tmp_path / "wrong.json"),)))


def test_without_weights_images_are_refused_until_a_training(bare: Bundle, tmp_path: Path) -> None:
    offer = Offer(bare, configs=("three",))
    copy = place(offer, tmp_path / "copy")
    network = ConfigParser(read(copy.root / "configs" / "train.json")).get_parsed_content("network_def")
    network.load_state_dict(torch.load(copy.weights, weights_only=True))
    parser = ConfigParser(read(copy.root / "configs" / "inference.json") | {"bundle_root": str(copy.root)})
    preprocessing = parser.get_parsed_content("preprocessing").transforms
    assert [type(step).__name__ for step in preprocessing] == ["RefuseUntrained", "Identityd"]
    with pytest.raises(Exception, match="organ_mri_segmentation has no weights yet: label images and train"):
        preprocessing[0]({"image": 1})
    (note,) = label_copy.notes(offer, copy.root)
    assert "until it is trained" in note
    torch.save(convolution(4, 3.0), copy.weights)
    assert preprocessing[0]({"image": 1}) == {"image": 1}
    assert label_copy.notes(offer, copy.root) == []
    assert weight(place(offer, copy.root)) == 3.0


def test_without_weights_every_copy_begins_alike(bare: Bundle, tmp_path: Path) -> None:
    drawn = torch.get_rng_state()
    first, second = (weight(place(Offer(bare), tmp_path / name)) for name in ("one", "two"))
    assert first == second
    assert torch.equal(torch.get_rng_state(), drawn)


def test_without_weights_and_a_list_to_put_the_refusal_in_some_are_asked_for(bare: Bundle) -> None:
    write(bare.config("inference"), {**INFERENCE, "preprocessing": "$lambda data: data"})
    with pytest.raises(LabelError, match="give some by --weights"):
        label_copy.prepare(Offer(bare))


def test_a_trained_copy_is_kept_for_the_same_request_alone(bundle: Bundle, own: Path, tmp_path: Path) -> None:
    copy = place(Offer(bundle, own, ("three",)), tmp_path / "copy")
    torch.save(convolution(4, 9.0), copy.weights)
    for same in (Offer(bundle, own, ("three",)), Offer(bundle, None, ("three.json",))):
        assert weight(place(same, copy.root)) == 9.0
    with pytest.raises(LabelError, match="trained with further configs three, not none") as caught:
        label_copy.is_kept(Offer(bundle), copy.root)
    assert "--fresh" in str(caught.value)
    torch.save(convolution(4, 5.0), own)
    with pytest.raises(LabelError, match=r"other weights to begin with than .*own\.pt"):
        label_copy.is_kept(Offer(bundle, own, ("three",)), copy.root)
    assert weight(copy) == 9.0


def test_a_config_of_ones_own_that_was_changed_is_another_one(bundle: Bundle, tmp_path: Path) -> None:
    write(tmp_path / "own.json", {"max_epochs": 7})
    offer = Offer(bundle, configs=(str(tmp_path / "own.json"),))
    copy = place(offer, tmp_path / "copy")
    torch.save(convolution(3, 9.0), copy.weights)
    assert label_copy.is_kept(offer, copy.root)
    write(tmp_path / "own.json", {"max_epochs": 8})
    with pytest.raises(LabelError, match=r"further configs own\.json \(\w+\), not own\.json"):
        label_copy.is_kept(offer, copy.root)


def test_a_copy_in_which_nothing_was_trained_makes_way(bare: Bundle, own: Path, tmp_path: Path) -> None:
    copy = place(Offer(bare), tmp_path / "copy")
    assert weight(place(Offer(bare, own, ("three",)), copy.root)) == 2.0
    assert Bundle(copy.root).labels == {1: "head", 2: "body", 3: "tail"}
    assert read(copy.root / "configs" / "inference.json")["preprocessing"] == INFERENCE["preprocessing"]


def test_a_copy_from_before_there_were_records_is_kept(bundle: Bundle, tmp_path: Path) -> None:
    copy = place(Offer(bundle), tmp_path / "copy")
    (copy.root / label_copy.RECORD).unlink()
    assert label_copy.is_kept(Offer(bundle), copy.root)
    assert label_copy.notes(Offer(bundle), copy.root) == []
    with pytest.raises(LabelError, match="not three"):
        label_copy.is_kept(Offer(bundle, configs=("three",)), copy.root)


@pytest.mark.parametrize(
    ("groups", "served"),
    [
        ([[1, 2, 3]], [[1, 2, 3]]),
        ([[1], [2], [3]], [[1], [2], [3]]),
        ([[3]], [[1]]),
        ([[17], [53]], [[1], [2]]),
        ([[2], [1]], [[1], [2]]),
    ],
)
def test_label_maps_of_clients_hold_the_values_that_the_network_gives(
    bundle: Bundle, tmp_path: Path, groups: list[list[int]], served: list[list[int]]
) -> None:
    for name in ("train", "inference"):
        write(bundle.config(name), read(bundle.config(name)) | {"label_groups": groups})
    copy = place(Offer(bundle), tmp_path / "copy")
    assert [read(copy.config(name))["label_groups"] for name in ("train", "inference")] == [served] * 2
