"""Two networks and mirror images through every bundle's own postprocessing, decisions and grids."""

from __future__ import annotations

import csv
import json

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigParser

from monai_tasks.inference.runner import infer


def read(path):
    with path.open(encoding="utf-8", newline="") as stream:
        return [row for row in csv.DictReader(stream) if row["status"] != "failed"]


@pytest.fixture
def predict(bundle, trial, weights_for, tmp_path):
    """Runs the bundle with the first, the second or both of two networks, and gives the summary."""
    first = weights_for([str(bundle.config("inference"))], trial.inference)
    state = torch.load(first, weights_only=True)
    generator = torch.Generator().manual_seed(5)
    for name, value in state.items():
        if value.dim() > 1:
            state[name] = value + 0.2 * value.std() * torch.randn(value.shape, generator=generator)
    torch.save(state, tmp_path / "second.pt")
    inputs = trial.images if trial.images.is_dir() else few(trial.images, tmp_path / "few.json")
    files = [first, tmp_path / "second.pt"]
    options = {"device": "cpu", "preview": False, "progress": False, "settings": trial.inference}

    def run(name, numbers, **more):
        weights = [files[number] for number in numbers]
        return infer(bundle, inputs, tmp_path / name, weights=weights, **options, **more)

    return run


def test_two_networks_and_mirror_images_answer_together(bundle, predict):
    flips = ConfigParser.load_config_file(bundle.config("inference"))["flips"]
    summary = predict("out", (0, 1), flips=bool(flips))
    assert (summary.done > 0, summary.failed) == (True, 0), summary.failures
    content = json.loads(summary.report.read_text(encoding="utf-8"))
    assert (len(content["members"]), content.get("flips", [])) == (2, flips)
    for row in read(summary.results):
        assert all(0 <= float(row[name] or 0) <= 1 for name in ("entropy", "disagreement"))
        if bundle.kind == "segmentation":
            label, unsure = (
                nibabel.load(summary.output / folder / f"{row['case']}.nii.gz")
                for folder in ("predictions", "uncertainty")
            )
            assert unsure.shape == label.shape
            np.testing.assert_allclose(unsure.affine, label.affine, atol=1e-5)
            values = np.asarray(unsure.dataobj)
            assert 0 <= values.min() < values.max() <= 1


def test_the_probabilities_of_two_networks_are_averaged(bundle, predict):
    if bundle.kind != "classification":
        pytest.skip("no classification")
    one, other, both = (
        read(predict(str(number), numbers).results) for number, numbers in enumerate(((0,), (1,), (0, 1)))
    )
    level = both[0]["level"]  # a study of images has the highest of their means
    compared = 0
    for first, second, mean in zip(one, other, both, strict=True):
        for name in (name for name in mean if name.startswith("probability_") and mean["level"] == level):
            expected = (float(first[name]) + float(second[name])) / 2
            assert float(mean[name]) == pytest.approx(expected, abs=2e-6), (mean["case"], name)
            compared += 1
    assert compared >= 4


def few(datalist, path):
    """The first cases of a datalist, which are enough here; paths are made absolute."""
    content = json.loads(datalist.read_text(encoding="utf-8"))
    items = next(content[part] for part in ("test", "testing", "validation", "training") if content.get(part))
    studies = list(dict.fromkeys(item.get("study") for item in items))[:2]
    chosen = [item for item in items if item.get("study") in studies][:4]
    for item in chosen:
        images = item["image"] if isinstance(item["image"], list) else [item["image"]]
        item["image"] = [str(datalist.parent / image) for image in images]
    path.write_text(json.dumps({"test": chosen}), encoding="utf-8")
    return path
