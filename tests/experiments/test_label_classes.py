"""Labels that are files become classes before a sampler or a loss sees them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from monai.bundle import ConfigParser
from monai.data import CacheDataset

from monai_tasks.catalog import Bundle
from monai_tasks.experiments import label_app, label_copy
from monai_tasks.experiments.label_classes import class_of, reading_labels
from monai_tasks.experiments.label_copy import Offer
from monai_tasks.io.errors import InputError

NAMES = ("not_broken", "Broken")


def _label(path: Path, content: object) -> str:
    path.write_text(json.dumps(content), encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    ("content", "number"), [("Broken", 1), ("broken", 1), ("not_broken", 0), (0, 0), (1, 1)]
)
def test_a_file_names_a_class(tmp_path: Path, content: object, number: int) -> None:
    assert class_of(_label(tmp_path / "a.label.json", {"label": content}), NAMES) == number


def test_a_number_is_a_class_already() -> None:
    assert class_of(1, NAMES) == 1


@pytest.mark.parametrize("content", [{"label": "bent"}, {"label": 2}, {"label": True}, {}, ["Broken"]])
def test_what_names_no_class_is_refused(tmp_path: Path, content: object) -> None:
    with pytest.raises(InputError, match=r"expected .* one of not_broken, Broken, or its number"):
        class_of(_label(tmp_path / "a.label.json", content), NAMES)
    with pytest.raises(InputError, match="not readable as JSON"):
        class_of(str(tmp_path / "none.label.json"), NAMES)


def test_datasets_and_sampler_of_a_config_get_classes(tmp_path: Path) -> None:
    dataset = {"_target_": "CacheDataset", "data": [], "transform": None, "progress": False}
    config = {
        "train": {
            "dataset": dataset,
            "labels": "$[item['label'] for item in @train#dataset#data]",
            "state": {"_target_": "collections.Counter"},
            "handlers": [{"_target_": "collections.deque"}, "@train#state"],
        },
        "validate": {"dataset": dataset},
        "fitted": "@train#dataset#data",
    }
    parser = ConfigParser(reading_labels(config, NAMES))
    files = [_label(tmp_path / f"{number}.json", {"label": NAMES[number]}) for number in (1, 0)]
    items = [{"image": f"{number}.png", "label": file} for number, file in enumerate(files)]
    # As MONAI Label does it.
    parser.update({"train#dataset#data": items, "validate#dataset#data": items[:1]})
    train, validate = (parser.get_parsed_content(f"{part}#dataset") for part in ("train", "validate"))
    assert isinstance(train, CacheDataset)
    assert [item["label"] for item in train] == [1, 0]
    assert [item["label"] for item in validate] == [1]
    assert parser.get_parsed_content("train#labels") == [1, 0]
    assert parser.get_parsed_content("fitted") == items
    # MONAI Label asks each handler for its `_target_`.
    assert all("_target_" in handler for handler in parser.get("train#handlers"))
    assert parser.get_parsed_content("train#handlers")[1] is parser.get_parsed_content("train#state")


def test_the_copy_of_a_classification_reads_label_files_and_keeps_the_name_of_its_first_class(
    named: Callable[[str], Bundle], tmp_path: Path
) -> None:
    bundle = named("wrist_classification")
    network = {"_target_": "torch.nn.Linear", "in_features": 1, "out_features": 2}
    both = {"network_def": network, "label_names": ["broken"]}
    configs = {
        "train": {**both, "train": {"dataset": {"_target_": "CacheDataset", "data": []}}},
        "inference": {**both, "inputs": "radiographs", "preprocessing": {"transforms": []}},
        "named": {"label_names": ["fractured"]},
        "metadata": {
            **bundle.metadata,
            "network_data_format": {"outputs": {"pred": {"channel_def": {"0": "whole", "1": "broken"}}}},
        },
    }
    for name, content in configs.items():
        (bundle.root / "configs" / f"{name}.json").write_text(json.dumps(content))
    torch.save(torch.nn.Linear(1, 2).state_dict(), bundle.weights)
    offer = Offer(Bundle(bundle.root), configs=("named",))
    label_copy.write(offer, label_copy.prepare(offer), tmp_path / "copy")
    copy = Bundle(tmp_path / "copy")
    channels = copy.metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    assert channels == {"0": "whole", "1": "fractured"}
    dataset = json.loads(copy.config("train").read_text())["train"]["dataset"]
    assert dataset["names"] == ["whole", "fractured"]
    assert json.loads(bundle.config("train").read_text()) == configs["train"]


def test_folders_are_searched_for_what_the_bundles_take(
    bundle: Bundle, named: Callable[[str], Bundle], tmp_path: Path
) -> None:
    other = named("wrist_classification")
    other.config("inference").write_text('{"inputs": "studies"}')
    assert set(label_app.file_patterns([bundle])) == set(label_app.FILE_PATTERNS)
    labels = set(label_app.CLASS_PATTERNS)
    assert set(label_app.file_patterns([other])) == set(label_app.RADIOGRAPH_PATTERNS) | labels
    other.config("inference").write_text('{"inputs": "volumes"}')
    assert set(label_app.file_patterns([other])) == set(label_app.FILE_PATTERNS) | labels
    other.config("inference").write_text('{"inputs": "studies"}')
    both = label_app.file_patterns([other, bundle])
    assert {"*.nii.gz", "*.png"} <= set(both)
    settings = label_app.server_settings(tmp_path, None, both)
    assert json.loads(settings["MONAI_LABEL_DATASTORE_FILE_EXT"]) == list(both)
