"""What the wrist bundles train: from which draws, in which shape, from which start, and what they leave."""

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

from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.datasets.radiographs import by_study
from monai_tasks.inference.configs import parse
from monai_tasks.io.files import sha256
from monai_tasks.io.tables import read_table
from monai_tasks.training.train import TrainingSummary, train

IMAGE = open_bundle("wrist_xray_fracture_classification")
STUDY = open_bundle("wrist_xray_fracture_study_classification")
BOTH = pytest.mark.parametrize("bundle", [IMAGE, STUDY], ids=["image", "study"])
CPU = torch.device("cpu")
SIZE = (48, 32)


@pytest.fixture(scope="module")
def trial(trial_of):
    """Generated wrists, which both bundles share, and small settings."""
    return trial_of(IMAGE)


def config(bundle: Bundle, trial, output: Path, configs: Sequence[str] = (), **settings: Any) -> ConfigParser:
    """The merged config of a training with small settings."""
    places = {"datalist": str(trial.datalist), "output_dir": str(output), "model_dir": str(output)}
    return parse(bundle, ["train", *configs], CPU, trial.settings | places | settings)


def items(bundle: Bundle, trial, part: str = "training") -> list[dict[str, Any]]:
    found = read_part(trial.datalist, part)
    return by_study(found) if bundle is STUDY else found


def short_training(
    bundle: Bundle, trial, output: Path, datalist: Path | None = None, configs=(), **settings
) -> TrainingSummary:
    settings = trial.settings | {"max_epochs": 1} | settings
    return train(bundle, datalist or trial.datalist, output, device="cpu", configs=configs, settings=settings)


@pytest.fixture(scope="module")
def trained(trial, tmp_path_factory) -> Path:
    """A short training of the image network."""
    output = tmp_path_factory.mktemp("trained")
    short_training(IMAGE, trial, output, max_epochs=2)
    return output


@BOTH
def test_an_epoch_is_twice_the_rarer_class(bundle, trial, tmp_path):
    loader = config(bundle, trial, tmp_path, batch_size=5).get_parsed_content("train#dataloader")
    labels = [item["label"] for item in items(bundle, trial)]
    rarer = min(Counter(labels).values())
    assert rarer >= 5
    drawn = Counter(labels[place] for place in loader.sampler)
    assert drawn == {0: rarer, 1: rarer}
    seen = torch.cat([batch["label"] for batch in loader])
    assert len(seen) == 2 * rarer // 5 * 5  # whole batches
    assert seen.dtype == torch.int64


@BOTH
def test_training_and_inference_see_images_of_one_size(bundle, trial, tmp_path):
    parser = config(bundle, trial, tmp_path)
    batch = next(iter(parser.get_parsed_content("train#dataloader")))["image"]
    views = batch.shape[1:-3] if bundle is STUDY else ()
    assert batch.shape[-3:] == (1, *SIZE)
    assert len(views) == (bundle is STUDY)
    item = items(bundle, trial, "validation")[0]
    validated = parser.get_parsed_content("validate#preprocessing")(item)["image"]
    prepare = parse(bundle, ["inference"], CPU, trial.inference).get_parsed_content("preprocessing")
    inferred = prepare({"image": item["image"]})["image"]
    torch.testing.assert_close(torch.as_tensor(validated), torch.as_tensor(inferred))
    assert 0 <= inferred.min() < inferred.max() <= 1


@BOTH
def test_the_standard_score_is_that_of_the_training_part(bundle, trial, tmp_path, trained):
    output = trained
    if bundle is STUDY:
        output = tmp_path
        short_training(bundle, trial, output)
    prepare = config(bundle, trial, tmp_path).get_parsed_content("validate#preprocessing")
    pixels = [np.asarray(prepare(item)["image"], np.float64).ravel() for item in items(bundle, trial)]
    pixels = np.concatenate(pixels)
    state = torch.load(output / "model.pt", weights_only=True)
    assert state["mean"].item() == pytest.approx(pixels.mean(), rel=1e-5)
    assert state["deviation"].item() == pytest.approx(pixels.std(), rel=1e-5)


def test_padding_keeps_the_shape_of_what_is_shown_and_stretching_does_not(tmp_path):
    """A square of 40 pixels in an image that is as wide as it is high."""
    from PIL import Image

    pixels = np.zeros((120, 120), np.uint16)
    pixels[40:80, 40:80] = 60000
    Image.fromarray(pixels).save(tmp_path / "square.png")
    ratios = {}
    for name in ("", "stretch"):
        settings = {"size": [180, 120]}
        parser = parse(IMAGE, ["inference", *([name] if name else [])], CPU, settings)
        shown = parser.get_parsed_content("preprocessing")({"image": str(tmp_path / "square.png")})["image"][
            0
        ]
        assert shown.shape == (180, 120)
        bright = shown > 0.5
        ratios[name] = (bright.any(1).sum() / bright.any(0).sum()).item()
    assert ratios == {"": 1.0, "stretch": 1.5}


@pytest.mark.parametrize(("name", "size"), [("size_768x512", (768, 512)), ("size_1152x768", (1152, 768))])
@BOTH
def test_sizes_come_by_override(bundle, name, size, trial):
    prepare = parse(bundle, ["inference", name], CPU, {}).get_parsed_content("preprocessing")
    image = prepare({"image": items(IMAGE, trial)[0]["image"]})["image"]
    assert image.shape == ((1, 1, *size) if bundle is STUDY else (1, *size))


@BOTH
def test_images_are_changed_at_random_as_the_config_says(bundle, trial, tmp_path):
    item = items(bundle, trial)[0]
    still = {"flip_probability": 0.0, "smallest_crop": 1.0}

    def prepared(**settings: Any) -> torch.Tensor:
        parser = config(bundle, trial, tmp_path, **settings)
        return parser.get_parsed_content("train#preprocessing").set_random_state(0)(item)["image"]

    unchanged = prepared(**still)
    plain = config(bundle, trial, tmp_path).get_parsed_content("validate#preprocessing")(item)["image"]
    torch.testing.assert_close(unchanged, torch.as_tensor(plain))
    flipped = prepared(**still | {"flip_probability": 1.0})
    torch.testing.assert_close(flipped, unchanged.flip(-1))
    inverted = prepared(**still | {"inversion_probability": 1.0})
    torch.testing.assert_close(inverted, 1 - unchanged)
    cropped = prepared(flip_probability=0.0)
    assert cropped.shape == unchanged.shape
    assert not torch.allclose(cropped, unchanged, atol=0.01)


def test_a_study_has_at_most_so_many_views_in_training_and_all_in_validation(trial, tmp_path):
    parser = config(STUDY, trial, tmp_path, max_views=1)
    assert max(len(item["image"]) for item in items(STUDY, trial)) > 1
    assert all(batch["image"].shape[1] == 1 for batch in parser.get_parsed_content("train#dataloader"))
    counts = [len(item["image"]) for item in items(STUDY, trial, "validation")]
    (batch,) = config(STUDY, trial, tmp_path, batch_size=100).get_parsed_content("validate#dataloader")
    present = batch["image"].isnan().flatten(2).all(2).logical_not().sum(1).tolist()
    assert present == counts


def test_the_operating_point_is_of_the_weights_beside_it(trained):
    content = json.loads((trained / "operating_point.json").read_text())
    assert content["weights_sha256"] == sha256(trained / "model.pt")
    assert content["part"] == "validation"
    assert 0 < content["threshold"] < 1
    best = json.loads((trained / "run.json").read_text())["metrics"]["best"]
    assert content["epoch"] == best["epoch"]


def one_class(trial, folder: Path, *parts: str) -> Path:
    """A datalist whose parts have broken wrists only."""
    content = json.loads(trial.datalist.read_text(encoding="utf-8"))
    for part in parts:
        content[part] = [item for item in content[part] if item["label"] == 1]
        assert content[part]
    path = folder / "datalist.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@BOTH
def test_one_class_in_validation_does_not_end_a_run(bundle, trial, tmp_path):
    summary = short_training(bundle, trial, tmp_path / "run", one_class(trial, tmp_path, "validation"))
    assert summary.weights.is_file()
    assert not (tmp_path / "run" / "operating_point.json").exists()
    (row,) = read_table(tmp_path / "run" / "record.csv")
    assert row["val_auroc"] == "nan"
    assert 0 <= float(row["val_accuracy"]) <= 1


@pytest.mark.parametrize("configs", [(), ("frozen",)], ids=["free", "frozen"])
def test_a_study_network_starts_from_the_image_network(trial, trained, tmp_path, configs):
    weights = str(trained / "model.pt")
    summary = short_training(STUDY, trial, tmp_path, configs=configs, encoder_weights=weights)
    first, after = (torch.load(path, weights_only=True) for path in (weights, summary.weights))
    assert torch.equal(first["mean"], after["mean"])
    assert torch.equal(first["deviation"], after["deviation"])
    names = [name for name in first if name.startswith("network.") and not name.startswith("network.fc.")]
    pairs = [(first[name], after[name.replace("network.", "network.encoder.", 1)]) for name in names]
    equal = [torch.equal(*pair) for pair in pairs]
    assert len(equal) > 100
    assert (
        all(equal)
        if configs
        else not any(
            same for same, (before, _) in zip(equal, pairs, strict=True) if before.is_floating_point()
        )
    )
    assert not torch.equal(first["network.fc.weight"], after["network.classifier.weight"])


def test_one_file_is_a_study_of_one_view(trial):
    """As MONAI Label gives it."""
    prepare = parse(STUDY, ["inference"], CPU, trial.inference).get_parsed_content("preprocessing")
    paths = next(item["image"] for item in items(STUDY, trial) if len(item["image"]) > 1)
    alone, together = (prepare({"image": image})["image"] for image in (paths[0], paths))
    assert alone.shape == (1, 1, *SIZE)
    assert torch.equal(alone[0], together[0])
