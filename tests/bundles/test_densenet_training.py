"""What the bone and the chest bundle train: from which start, how fast in which layer, on which draws."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigParser
from sklearn.metrics import cohen_kappa_score

from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.evaluation.by_kind import evaluate
from monai_tasks.inference.configs import ConfigError, parse
from monai_tasks.inference.runner import infer
from monai_tasks.io.tables import read_table
from monai_tasks.training.train import train

BONE = open_bundle("bone_xray_abnormality_classification")
CHEST = open_bundle("chest_xray_pneumothorax_classification")
CPU = torch.device("cpu")


def config(bundle: Bundle, trial, output: Path, *configs: str, **settings: Any) -> ConfigParser:
    """The merged config of a training with small settings."""
    places = {"datalist": str(trial.datalist), "output_dir": str(output), "model_dir": str(output)}
    return parse(bundle, ["train", *configs], CPU, trial.settings | places | settings)


def short_training(bundle: Bundle, trial, output: Path, **settings: Any) -> dict[str, torch.Tensor]:
    """The weights after one epoch."""
    settings = trial.settings | {"max_epochs": 1} | settings
    summary = train(bundle, trial.datalist, output, device="cpu", settings=settings)
    return torch.load(summary.weights, weights_only=True)


@pytest.fixture(scope="module")
def bones(trial_of, tmp_path_factory) -> Path:
    """A short training on bones."""
    output = tmp_path_factory.mktemp("bones")
    short_training(BONE, trial_of(BONE), output)
    return output


@pytest.mark.parametrize(
    ("configs", "times"), [((), "most"), (("undersampling",), "fewest"), (("over_and_undersampling",), 2)]
)
def test_the_rare_class_comes_as_often_as_the_config_says(trial_of, tmp_path, configs, times):
    trial = trial_of(CHEST)
    labels = [item["label"] for item in read_part(trial.datalist, "training")]
    fewest, most = sorted(Counter(labels).values())
    assert fewest < most
    own = {"repeats": times} if isinstance(times, int) else {}
    sampler = config(CHEST, trial, tmp_path, *configs, **own).get_parsed_content("train#sampler")
    each = {"most": most, "fewest": fewest, 2: min(2 * fewest, most)}[times]
    assert Counter(labels[place] for place in sampler) == {0: each, 1: each}


def test_early_layers_are_slower_where_a_start_is_given(trial_of, tmp_path):
    def rates(**settings: Any) -> list[float]:
        parser = config(CHEST, trial_of(CHEST), tmp_path, learning_rate=0.32, **settings)
        return [group["lr"] for group in parser.get_parsed_content("optimizer").param_groups]

    assert rates() == [0.32] * 6
    falling = pytest.approx([0.32, 0.16, 0.08, 0.04, 0.02, 0.01])
    assert rates(start_weights="bones.pt") == falling
    assert rates(imagenet_weights="densenet.pth") == falling
    assert rates(start_weights="bones.pt", rate_decay=1.0) == [0.32] * 6


def test_the_chest_network_starts_from_the_bones_with_layers_that_stay(trial_of, bones, tmp_path):
    before = torch.load(bones / "model.pt", weights_only=True)
    after = short_training(
        CHEST, trial_of(CHEST), tmp_path, start_weights=str(bones / "model.pt"), start_layers=5, frozen=2
    )
    still = ("conv0", "norm0", "denseblock1", "transition1")
    names = [name for name in before if name.startswith(tuple(f"network.features.{part}" for part in still))]
    assert len(names) > 20
    assert all(torch.equal(before[name], after[name]) for name in names)
    assert not torch.equal(before["network.features.norm5.weight"], after["network.features.norm5.weight"])
    start = json.loads((tmp_path / "start.json").read_text(encoding="utf-8"))
    assert set(names) <= set(start["loaded"])
    assert {name for name in start["kept"] if ".features." in name} == set()
    assert "network.head.linear2.weight" in start["kept"]


def test_the_bone_network_starts_from_a_checkpoint_of_torchvision(trial_of, tmp_path):
    from monai.networks.nets import DenseNet

    settings = trial_of(BONE).settings
    colour = DenseNet(
        2, 3, 1000, **{name: settings[name] for name in ("init_features", "growth_rate", "block_config")}
    )
    state = {name.replace(".layers.", "."): value for name, value in colour.state_dict().items()}
    torch.save(state, tmp_path / "densenet.pth")
    after = short_training(
        BONE,
        trial_of(BONE),
        tmp_path / "run",
        imagenet_weights=str(tmp_path / "densenet.pth"),
        frozen=["conv_0"],
    )
    expected = colour.features.conv0.weight.sum(1, keepdim=True)
    torch.testing.assert_close(after["network.features.conv0.weight"], expected)


def test_two_starts_at_once_are_refused(trial_of, tmp_path):
    with pytest.raises(ConfigError, match="expected one"):
        short_training(BONE, trial_of(BONE), tmp_path, start_weights="a.pt", imagenet_weights="b.pth")


def test_studies_and_regions_have_their_figures(trial_of, bones, tmp_path):
    """A row an image and a row a study; one abnormal image makes the study abnormal; kappa of each region."""
    trial = trial_of(BONE)
    batch = infer(
        BONE,
        trial.datalist,
        tmp_path / "out",
        weights=bones / "model.pt",
        device="cpu",
        settings=trial.inference,
        progress=False,
    )
    rows = read_table(batch.results)
    items = read_part(trial.datalist, "test")
    truth = {item["study"]: item for item in items}
    decided: dict[str, list[bool]] = {}
    for row in rows:
        if row["level"] == "image":
            decided.setdefault(row["study"], []).append(row["decision"] == "abnormal")
    studies = {row["study"]: row for row in rows if row["level"] == "study"}
    assert studies.keys() == decided.keys() == truth.keys()
    assert max(map(len, decided.values())) > 1
    assert all((row["decision"] == "abnormal") == any(decided[name]) for name, row in studies.items())

    summary = evaluate(
        BONE, batch.output, trial.datalist, tmp_path / "evaluation", by=["region"], progress=False
    )
    tables = {
        (table["level"], table["rule"], table["subgroup"]): table["metrics"]
        for table in summary.statistics["tables"]
    }
    regions = {item["region"] for item in items}
    assert regions == {"wrist", "humerus"}
    for region in (None, *sorted(regions)):
        own = [name for name, item in truth.items() if region in (None, item["region"])]
        expected = cohen_kappa_score(
            [truth[name]["label"] for name in own], [any(decided[name]) for name in own]
        )
        metrics = tables["study", "at_least_one", f"region={region}" if region else ""]
        assert metrics["kappa"]["value"] == pytest.approx(expected, nan_ok=True)
        assert {"accuracy", "auroc"} <= metrics.keys()
