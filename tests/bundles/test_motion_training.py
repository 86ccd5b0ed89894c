"""What the HR-pQCT bundle trains: from which slices, with which loss and draws, and what it leaves."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser
from monai.transforms import RandRotated
from sklearn.metrics import cohen_kappa_score

from monai_tasks.catalog import open_bundle
from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.inference.configs import parse
from monai_tasks.inference.runner import infer
from monai_tasks.io.files import sha256
from monai_tasks.io.scan import open_scan
from monai_tasks.io.tables import read_table
from monai_tasks.losses.ordinal import ScanGradeLoss
from monai_tasks.training.train import TrainingSummary, train

BUNDLE = open_bundle("hrpqct_motion_classification")
CPU = torch.device("cpu")
SIZE, SLICES = 40, 3


@pytest.fixture(scope="module")
def trial(trial_of):
    """Generated scans and small settings."""
    return trial_of(BUNDLE)


@pytest.fixture(scope="module")
def swapped(trial, tmp_path_factory) -> Path:
    """A datalist whose validation part has scans of all grades: those of the training part, and the other way round."""
    content = json.loads(trial.datalist.read_text(encoding="utf-8"))
    content["validation"], content["training"] = content["training"], content["test"] + content["validation"]
    path = tmp_path_factory.mktemp("swapped") / "datalist.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def config(trial, output: Path, configs: Sequence[str] = (), **settings: Any) -> ConfigParser:
    """The merged config of a training with small settings."""
    places = {"datalist": str(trial.datalist), "output_dir": str(output), "model_dir": str(output)}
    return parse(BUNDLE, ["train", *configs], CPU, trial.settings | places | settings)


def short_training(trial, output: Path, datalist: Path, configs=(), **settings) -> TrainingSummary:
    settings = trial.settings | {"max_epochs": 1} | settings
    return train(BUNDLE, datalist, output, device="cpu", configs=configs, settings=settings)


@pytest.fixture(scope="module")
def trained(trial, swapped, tmp_path_factory) -> Path:
    """A short training."""
    output = tmp_path_factory.mktemp("trained")
    short_training(trial, output, swapped)
    return output


def labels(trial, part: str = "training") -> list[int]:
    return [item["label"] for item in read_part(trial.datalist, part)]


def test_training_and_inference_see_the_same_slices_of_densities(trial, tmp_path):
    parser = config(trial, tmp_path)
    batch = next(iter(parser.get_parsed_content("train#dataloader")))
    assert batch["image"].shape == (4, 1, SIZE, SIZE, SLICES)
    item = read_part(trial.datalist, "validation")[0]
    validated = parser.get_parsed_content("validate#preprocessing")(item)["image"]
    prepare = parse(BUNDLE, ["inference"], CPU, trial.inference).get_parsed_content("preprocessing")
    inferred = prepare({"image": item["image"]})["image"]
    torch.testing.assert_close(torch.as_tensor(validated), torch.as_tensor(inferred))
    assert inferred.meta["slice_indices"] == [1, 4, 7]
    # Of a scan as large as a slice of the network's each pixel is the density, -500 to 2000 as 0 to 1.
    scan = open_scan(item["image"])
    whole = prepare_at(scan.shape[0])({"image": item["image"]})["image"]
    expected = (np.clip(scan.read([1, 4, 7]), -500, 2000) + 500) / 2500
    np.testing.assert_allclose(np.asarray(whole)[0], expected, atol=1e-5)


def prepare_at(size: int):
    settings = {"size": [size, size], "slices": SLICES}
    return parse(BUNDLE, ["inference"], CPU, settings).get_parsed_content("preprocessing")


def test_slices_are_turned_mirrored_and_made_noisy_as_the_config_says(trial, tmp_path):
    item = read_part(trial.datalist, "training")[0]
    names = ("quarter_turn", "rotation", "flip", "noise")
    still = {f"{name}_probability": 0.0 for name in names}

    def prepared(**settings: Any) -> torch.Tensor:
        parser = config(trial, tmp_path, **(still | settings))
        return parser.get_parsed_content("train#preprocessing").set_random_state(0)(item)["image"]

    plain = config(trial, tmp_path).get_parsed_content("validate#preprocessing")(item)["image"]
    unchanged = prepared()
    torch.testing.assert_close(unchanged, torch.as_tensor(plain))
    torch.testing.assert_close(prepared(flip_probability=1.0), unchanged.flip(1, 2))
    quarter = prepared(quarter_turn_probability=1.0)
    assert any(torch.equal(quarter, unchanged.rot90(k, (1, 2))) for k in (1, 2, 3))
    noisy = prepared(noise_probability=1.0, noise=0.05) - unchanged
    assert 0.001 < noisy.std() < 0.06
    turned = prepared(rotation_probability=1.0)
    assert not torch.allclose(turned, unchanged, atol=0.05)
    # Slices are turned in their plane: none takes anything from its neighbours.
    one = unchanged.clone()
    one[..., 1:] = 0
    assert turned.shape == unchanged.shape
    steps = config(trial, tmp_path, rotation_probability=1.0).get_parsed_content("train#random_transforms")
    (rotate,) = (step for step in steps if isinstance(step, RandRotated))
    assert rotate.set_random_state(1)({"image": one})["image"][..., 1:].abs().max() == 0


def test_rare_grades_count_more_in_the_loss(trial, tmp_path):
    counts = Counter(labels(trial))
    for balance in (0.0, 0.5, 1.0):
        loss = config(trial, tmp_path, balance=balance).get_parsed_content("loss")
        weights = loss.class_weights.tolist()
        pairs = [
            (weights[a] / weights[b], (counts[b] / counts[a]) ** balance) for a in counts for b in counts
        ]
        for found, expected in pairs:
            assert found == pytest.approx(expected, rel=1e-4)


def test_balanced_draws_have_all_grades_alike(trial, tmp_path):
    parser = config(trial, tmp_path, ["balanced"], batch_size=1)
    drawn = Counter(labels(trial)[place] for place in parser.get_parsed_content("train#dataloader").sampler)
    assert len(set(drawn.values())) == 1
    assert drawn.keys() == set(labels(trial))
    assert set(parser.get_parsed_content("loss").class_weights.tolist()) == {1.0}


@pytest.mark.parametrize(
    ("configs", "key"), [((), "label"), (("soft",), "soft"), (("ordinal",), "label")], ids=str
)
def test_the_loss_gets_the_target_of_its_kind(trial, tmp_path, configs, key, monkeypatch):
    given = []
    taken = ScanGradeLoss.forward

    def forward(self, logits, target):
        given.append((self.kind, tuple(logits.shape), target.clone()))
        return taken(self, logits, target)

    monkeypatch.setattr(ScanGradeLoss, "forward", forward)
    parser = config(trial, tmp_path, configs, rotation_probability=0.0, max_epochs=1)
    parser.get_parsed_content("train#trainer").run()
    kind, shape, target = given[0]
    assert kind == (configs[0] if configs else "consensus")
    assert shape == (4, 5, SLICES)
    assert target.shape == ((4, 5) if key == "soft" else (4,))
    if key == "soft":
        assert target.sum(1).tolist() == pytest.approx([1.0] * 4)
        listed = {tuple(np.round(item["soft"], 5)) for item in read_part(trial.datalist, "training")}
        assert {tuple(np.round(row, 5)) for row in target.tolist()} <= listed


def test_the_best_epoch_is_that_of_the_kappa_of_the_scans(trial, swapped, trained, tmp_path):
    """What validation measures is what `infer` answers for the same scans."""
    content = json.loads(swapped.read_text())
    (row,) = read_table(trained / "record.csv")
    (tmp_path / "new.json").write_text(json.dumps({"test": content["validation"]}))
    batch = infer(
        BUNDLE,
        tmp_path / "new.json",
        tmp_path / "out",
        weights=trained / "model.pt",
        device="cpu",
        preview=False,
        progress=False,
        settings=trial.inference,
    )
    found = {one["input"]: int(one["prediction"][-1]) - 1 for one in read_table(batch.results)}
    true = [item["label"] for item in content["validation"]]
    grades = [found[item["image"]] for item in content["validation"]]
    kappa = cohen_kappa_score(true, grades, weights="quadratic")
    assert float(row["val_quadratic_kappa"]) == pytest.approx(kappa, abs=1e-5)
    errors = np.abs(np.subtract(true, grades)).mean()
    assert float(row["val_mean_absolute_error"]) == pytest.approx(errors, abs=1e-5)


def test_the_operating_point_is_that_of_scanning_again(swapped, trained):
    content = json.loads((trained / "operating_point.json").read_text())
    assert content["weights_sha256"] == sha256(trained / "model.pt")
    true = [item["label"] >= 3 for item in json.loads(swapped.read_text())["validation"]]
    assert (content["n"], content["positives"]) == (len(true), sum(true))


def test_validation_without_such_scans_leaves_no_operating_point(trial, swapped, tmp_path):
    content = json.loads(swapped.read_text())
    content["validation"] = [item for item in content["validation"] if item["label"] < 3]
    path = tmp_path / "datalist.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    summary = short_training(trial, tmp_path / "run", path)
    assert summary.weights.is_file()
    assert not (tmp_path / "run" / "operating_point.json").exists()


def test_gradient_noise_changes_what_is_learned(trial, swapped, trained, tmp_path):
    noisy = short_training(trial, tmp_path / "noisy", swapped, ("gradient_noise",))
    first, second = (torch.load(path, weights_only=True) for path in (trained / "model.pt", noisy.weights))
    name = "network.network.classifier.weight"
    assert not torch.equal(first[name], second[name])
