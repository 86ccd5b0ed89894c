"""Every bundle trains, evaluates and predicts by `monai.bundle run` from a foreign folder, given its root alone."""

from __future__ import annotations

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_tasks.catalog import Bundle, find_bundles, open_bundle
from monai_tasks.datasets.datalist_file import image_items
from monai_tasks.inference.runner import infer
from monai_tasks.io.tables import read_table
from monai_tasks.training.train import train

pytestmark = pytest.mark.slow

STANDARD = {"train", "evaluate", "inference", "multi_gpu_train"}
OVERRIDES = [(bundle, name) for bundle in find_bundles() for name in bundle.configs if name not in STANDARD]
TORCHRUN = [
    "-m",
    "torch.distributed.run",
    "--standalone",
    "--local-addr=127.0.0.1",
    "--nproc_per_node=2",
    "-m",
    "monai.bundle",
]


class Ran(NamedTuple):
    """A bundle with what a run wrote into it.

    Args:
        bundle: a copy of the shipped one.
        cwd: the folder that the run was started in.
    """

    bundle: Bundle
    cwd: Path


def run(
    bundle: Bundle,
    run_id: str,
    configs: Sequence[str],
    settings: Mapping[str, Any],
    cwd: Path,
    words: list[str],
) -> str:
    """`monai.bundle run` in a process of its own; returns what it printed.

    Args:
        bundle: whose folder becomes `bundle_root`.
        run_id: what to run.
        configs: the names of the configs to merge.
        settings: ids to set.
        cwd: the folder to start it in.
        words: what Python runs, up to the name of the module.
    """
    arguments = cwd.with_name(f"{cwd.name}_{run_id}.json")
    arguments.write_text(json.dumps(dict(settings)), encoding="utf-8")
    files = [str(bundle.config(name)) for name in configs]
    done = subprocess.run(
        [
            *(sys.executable, *words, "run", run_id),
            *("--config_file", files[0] if len(files) == 1 else str(files)),
            *("--bundle_root", str(bundle.root), "--args_file", str(arguments)),
        ],
        cwd=cwd,
        env=os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


def prepared(bundle: Bundle, folder: Path, data: Path) -> Ran:
    """A copy of a bundle with generated images in it, and an empty folder to start runs in."""
    root = shutil.copytree(bundle.root, folder / bundle.name, ignore=shutil.ignore_patterns("models", "data"))
    shutil.copytree(data, root / "data")
    cwd = folder / "elsewhere"
    cwd.mkdir()
    return Ran(Bundle(Path(root)), cwd)


def scores(folder: Path) -> dict[str, list[float]]:
    """What MONAI's saver of classifications wrote: a row a case, its name and its probabilities."""
    with open(folder / "predictions.csv", encoding="utf-8", newline="") as stream:
        return {name: [float(value) for value in values] for name, *values in csv.reader(stream)}


def of_studies(bundle: Bundle) -> bool:
    return ConfigParser.load_config_file(bundle.config("train")).get("inputs") == "studies"


def first_channel(image: str | list[str]) -> str:
    return image if isinstance(image, str) else image[0]


def place(path: str) -> tuple[str, ...]:
    """Where an image is below the folder of generated images: names alone come in several studies."""
    parts = Path(path).parts
    return parts[len(parts) - parts[::-1].index("data") :]


@pytest.fixture(scope="module")
def trained(bundle, trial, tmp_path_factory) -> Ran:
    """The bundle after a short training, which had its data in its own folder."""
    ran = prepared(bundle, tmp_path_factory.mktemp("trained"), trial.data)
    run(ran.bundle, "training", ["train"], trial.settings, ran.cwd, ["-m", "monai.bundle"])
    return ran


def test_training_writes_into_its_folders_alone(trained, trial):
    assert (trained.bundle.root / "models" / "model.pt").is_file()
    rows = read_table(trained.bundle.root / "run" / "record.csv")
    assert [int(row["epoch"]) for row in rows] == list(range(1, trial.settings["max_epochs"] + 1))
    assert list(trained.cwd.iterdir()) == []


def test_evaluation_takes_the_weights_and_the_test_part(trained, trial):
    said = run(
        trained.bundle,
        "evaluating",
        ["train", "evaluate"],
        trial.settings,
        trained.cwd,
        ["-m", "monai.bundle"],
    )
    expected = json.loads(trial.datalist.read_text())["test"]
    if trained.bundle.kind == "segmentation":
        raw = list((trained.bundle.root / "evaluation").glob("*_raw.csv"))
        assert raw, said
        rows = read_table(raw[0])
        values = [value for row in rows for name, value in row.items() if name != "filename"]
        names = [Path(row["filename"]).name for row in rows]
        assert names == [Path(first_channel(item["image"])).name for item in expected]
    else:
        found = scores(trained.bundle.root / "evaluation")
        values = [value for row in found.values() for value in row]
        # Its data lie in the bundle's folder: the same names in another place.
        names = {item["study"] if of_studies(trained.bundle) else place(item["image"]) for item in expected}
        assert {name if of_studies(trained.bundle) else place(name) for name in found} == names
        assert len(found) == len(names)
        metrics = (trained.bundle.root / "evaluation" / "metrics.csv").read_text(encoding="utf-8")
        (expected,) = (
            handler["metrics"]
            for handler in ConfigParser.load_config_file(trained.bundle.config("evaluate"))[
                "validate#handlers"
            ]
            if handler["_target_"] == "MetricsSaver"
        )
        assert set(re.findall(r"^val_\w+", metrics, re.MULTILINE)) == set(expected)
    assert values
    assert all(0 <= float(value) <= 1 for value in values)
    assert list(trained.cwd.iterdir()) == []


def test_inference_predicts_what_the_batch_command_does(trained, trial, tmp_path):
    if trained.bundle.kind != "segmentation":
        pytest.skip("no label maps")
    listed = trial.images.is_file()
    images = trial.images if listed else trained.bundle.root / "data" / trial.images.name
    settings = trial.inference | {"dataset_dir": str(images)}
    run(trained.bundle, "run", ["inference"], settings, trained.cwd, ["-m", "monai.bundle"])
    batch = infer(
        trained.bundle,
        images,
        tmp_path,
        device="cpu",
        preview=False,
        progress=False,
        settings=trial.inference,
    )
    paths = [Path(first_channel(item["image"])) for item in image_items([images])]
    assert (batch.failed, batch.done) == (0, len(paths))
    found = 0
    for path in paths:
        name = path.name.partition(".")[0]
        image = nibabel.load(path)
        alone = nibabel.load(trained.bundle.root / "predictions" / f"{name}_seg.nii.gz")
        together = nibabel.load(tmp_path / "predictions" / f"{name}.nii.gz")
        for prediction in (alone, together):
            assert prediction.shape == image.shape
            assert prediction.get_data_dtype() == np.uint8
            np.testing.assert_allclose(prediction.affine, image.affine, atol=1e-4)
        np.testing.assert_array_equal(np.asarray(alone.dataobj), np.asarray(together.dataobj))
        found += np.count_nonzero(np.asarray(alone.dataobj))
    assert found > 0
    assert list(trained.cwd.iterdir()) == []


def test_classification_gives_what_the_batch_command_does(trained, trial, tmp_path):
    if trained.bundle.kind != "classification":
        pytest.skip("no probabilities")
    settings = trial.inference | {"dataset_dir": str(trial.images)}
    run(trained.bundle, "run", ["inference"], settings, trained.cwd, ["-m", "monai.bundle"])
    alone = scores(trained.bundle.root / "predictions")
    batch = infer(
        trained.bundle, trial.images, tmp_path, device="cpu", progress=False, settings=trial.inference
    )
    level = "study" if of_studies(trained.bundle) else "image"
    rows = [row for row in read_table(batch.results) if row["level"] == level]
    assert (batch.failed, batch.done) == (0, len(rows))
    together = {
        row["input"].partition(";")[0]: [
            float(row[f"probability_{name}"]) for name in trained.bundle.labels.values()
        ]
        for row in rows
    }
    assert together.keys() == alone.keys()
    for name, values in together.items():
        assert values == pytest.approx(alone[name], abs=1e-4)
        assert sum(values) == pytest.approx(1, abs=1e-4)
    assert len({values[1] for values in together.values()}) > 1
    assert list(trained.cwd.iterdir()) == []


def test_two_processes_train_one_network(bundle, trial, tmp_path):
    """Both end with the same weights, and the first one alone writes."""
    ran = prepared(bundle, tmp_path, trial.data)
    parts = json.loads(trial.datalist.read_text(encoding="utf-8"))
    parts["validation"] += parts["test"]  # MONAI wants as many cases as processes
    datalist = tmp_path / "datalist.json"
    datalist.write_text(json.dumps(parts), encoding="utf-8")
    save = "$torch.save(@network_def.state_dict(), @output_dir + '/rank' + str(dist.get_rank()) + '.pt')"
    ends = ConfigParser.load_config_file(bundle.config("multi_gpu_train"))["finalize"]
    # gloo's thread lets go of a collective's tensors under Python's lock, and a process that ends before that is
    # aborted. Without switches of threads that is sure to happen, unless the last words wait.
    hurry = ["$__import__('sys').setswitchinterval(1000)", "$dist.all_reduce(torch.zeros(1))"]
    settings = trial.settings | {"datalist": str(datalist), "finalize": [save, *hurry, *ends]}
    run(ran.bundle, "training", ["train", "multi_gpu_train"], settings, ran.cwd, TORCHRUN)
    output = ran.bundle.root / "run"
    first, second = (torch.load(output / f"rank{rank}.pt", weights_only=True) for rank in range(2))
    trained = [name for name in first if not name.rpartition(".")[2].startswith(("running_", "num_batches"))]
    assert trained
    for name in trained:
        assert torch.equal(first[name], second[name]), name
    last = torch.load(output / "last.pt", weights_only=True)
    assert last["network"].keys() == first.keys()
    for name in first:
        assert torch.equal(last["network"][name], first[name]), name
    rows = read_table(output / "record.csv")
    assert [int(row["epoch"]) for row in rows] == list(range(1, trial.settings["max_epochs"] + 1))
    best = torch.load(ran.bundle.root / "models" / "model.pt", weights_only=True)
    assert best.keys() == first.keys()


@pytest.mark.parametrize(("bundle", "override"), OVERRIDES, ids=lambda value: getattr(value, "name", value))
def test_an_override_config_trains_and_predicts(bundle, override, trial_of, tmp_path):
    trial = trial_of(bundle, override)
    summary = train(
        bundle, trial.datalist, tmp_path / "run", device="cpu", configs=[override], settings=trial.settings
    )
    assert summary.epochs == trial.settings["max_epochs"]
    changed = {key.partition("#")[0] for key in ConfigParser.load_config_file(bundle.config(override))}
    configs = [] if changed & {"train", "validate"} else [override]
    batch = infer(
        bundle,
        trial.images,
        tmp_path / "out",
        weights=summary.weights,
        configs=configs,
        device="cpu",
        progress=False,
        settings=trial.inference,
    )
    assert batch.failed == 0
    assert batch.done > 0
    names = ConfigParser.load_config_files([str(bundle.config(name)) for name in ("train", override)])[
        "label_names"
    ]
    row = read_table(batch.results)[0]
    if bundle.kind == "classification":
        columns = [name for name in row if name.startswith("probability_")]
        assert columns[1 : len(names) + 1] == [f"probability_{name}" for name in names]
        return
    assert [name for name in row if name.startswith("volume_ml_")] == [f"volume_ml_{name}" for name in names]
    for path in (batch.output / "predictions").iterdir():
        assert set(np.unique(np.asarray(nibabel.load(path).dataobj))) <= set(range(len(names) + 1))


def test_both_sides_train_as_one_class(trial_of, tmp_path):
    bundle = open_bundle("hippocampus_mri_segmentation")
    trial = trial_of(bundle, "t1t2")
    one = {"label_groups": [[17, 53]], "label_names": ["hippocampus"]}
    summary = train(
        bundle, trial.datalist, tmp_path, device="cpu", configs=["t1t2"], settings=trial.settings | one
    )
    assert torch.load(summary.weights, weights_only=True)["blocks.3.conv.weight"].shape[0] == 2
