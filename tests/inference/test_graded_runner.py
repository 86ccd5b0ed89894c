"""Scans in one command: a few slices of each are read, graded and explained."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from monai_tasks.inference.configs import ConfigError
from monai_tasks.inference.runner import Summary, infer
from monai_tasks.io.scan_base import Scan
from monai_tasks.io.scanco_writer import write_isq
from monai_tasks.io.tables import read_table

CLASSES = [f"grade_{number}" for number in range(1, 6)]
SLICES = 4
# The score of grade g is -(mean - g)^2 for a slice with this mean.
WEIGHT = torch.tensor([[2.0 * grade] for grade in range(1, 6)])
BIAS = torch.tensor([-float(grade**2) for grade in range(1, 6)])


def step(name: str, **arguments: object) -> dict[str, object]:
    return {"_target_": name, **arguments}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that takes the mean of a slice for its grade."""
    root = tmp_path / "mini_classification"
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    channels = {str(number): name for number, name in enumerate(CLASSES)}
    metadata = {"version": "1.0.0", "network_data_format": {"outputs": {"pred": {"channel_def": channels}}}}
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata))
    image_network = (
        "$torch.nn.Sequential(torch.nn.Conv2d(1, 1, 1), torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten(), "
        "torch.nn.Linear(1, 5))"
    )
    config = {
        "bundle_root": ".",
        "device": "cpu",
        "inputs": "volumes",
        "ordinal": True,
        "rescan_from": 3,
        "grade_rule": "expected",
        "operating_point": 0.5,
        "confidence": 0.7,
        "in_channels": 1,
        "network": step("monai_tasks.networks.slice_grader.SliceGrader", network=image_network),
        "inferer": step("SimpleInferer"),
        "preprocessing": step(
            "Compose",
            transforms=[
                step("monai_tasks.io.scan.OpenScand", keys="image"),
                step("monai_tasks.transforms.sample_slices.SampleSlicesd", keys="image", count=SLICES),
            ],
        ),
        "postprocessing": step(
            "Compose",
            transforms=[
                step("Activationsd", keys="pred", softmax=True),
                step("CopyItemsd", keys="pred", names="pred_slices"),
                step("Lambdad", keys="pred", func="$lambda pred: pred.mean(-1)"),
                step("DeleteItemsd", keys=["image", "image_meta_dict"]),
            ],
        ),
    }
    (root / "configs" / "inference.json").write_text(json.dumps(config))
    state = {
        "network.0.weight": torch.ones(1, 1, 1, 1),
        "network.0.bias": torch.zeros(1),
        "network.3.weight": WEIGHT,
        "network.3.bias": BIAS,
    }
    torch.save(state, root / "models" / "model.pt")
    return root


@pytest.fixture
def scans(tmp_path: Path) -> Path:
    """Scans of 12 slices whose density is the grade of each quarter, and one with too few slices."""
    for name, grades in (("still", (1, 1, 2, 1)), ("moved", (4, 5, 4, 5)), ("between", (3, 4, 4, 4))):
        values = np.repeat(np.array(grades), 3)[None, None] * np.ones((9, 7, 1))
        # One native unit is a density of 1 mg HA/ccm.
        write_isq(tmp_path / "scans" / f"{name}.ISQ", values.astype(np.int16), (0.1, 0.1, 0.1), 1000, 1000, 0)
    short = np.ones((9, 7, 3), np.int16)
    write_isq(tmp_path / "scans" / "short.ISQ", short, (0.1, 0.1, 0.1), 1000, 1000, 0)
    return tmp_path / "scans"


def run(bundle: Path, scans: Path, output: Path, **options: object) -> Summary:
    return infer(bundle, scans, output, **({"device": "cpu", "preview": False, "progress": False} | options))


def softmax(grade: int) -> np.ndarray:
    scores = -((grade - np.arange(1, 6)) ** 2.0)
    return np.exp(scores) / np.exp(scores).sum()


def test_every_scan_has_a_row_of_its_slices_alone(bundle, scans, tmp_path, monkeypatch):
    read: dict[str, list[int]] = {}
    taken = Scan.read

    def counted(self: Scan, indices: list[int]) -> np.ndarray:
        read.setdefault(self.path.stem, []).extend(indices)
        return taken(self, indices)

    monkeypatch.setattr(Scan, "read", counted)
    summary = run(bundle, scans, tmp_path / "out", preview=True)
    assert (summary.done, summary.failed) == (3, 1)
    assert summary.failures[0][0] == "short"
    assert "at least 4 slices" in summary.failures[0][1]
    rows = {row["case"]: row for row in read_table(summary.results)}
    assert read == {name: [1, 4, 7, 10] for name in ("still", "moved", "between")}
    for name, grades in (("still", (1, 1, 2, 1)), ("moved", (4, 5, 4, 5)), ("between", (3, 4, 4, 4))):
        row = rows[name]
        expected = np.mean([softmax(grade) for grade in grades], axis=0)
        found = [float(row[f"probability_{one}"]) for one in CLASSES]
        assert found == pytest.approx(expected.tolist(), abs=1e-5)
        assert float(row["expected_grade"]) == pytest.approx(expected @ np.arange(1, 6), abs=1e-3)
        assert float(row["probability_scan_again"]) == pytest.approx(expected[3:].sum(), abs=1e-5)
        assert (row["slices"], row["slice_grades"]) == ("1 4 7 10", " ".join(map(str, grades)))
        assert (tmp_path / "out" / "previews" / f"{name}.png").is_file()
    assert [rows[name]["decision"] for name in ("still", "between", "moved")] == [
        "keep",
        "scan_again",
        "scan_again",
    ]
    assert [rows[name]["ask"] for name in ("still", "between", "moved")] == ["", "yes", ""]
    page = summary.page.read_text()
    assert "scan again" in page
    again = run(bundle, scans, tmp_path / "out", preview=True)
    assert (again.skipped, again.failed) == (3, 1)
    assert {row["case"]: row for row in read_table(again.results)}["moved"] == rows["moved"] | {
        "status": "skipped"
    }


def test_the_operating_point_and_the_rule_can_be_set(bundle, scans, tmp_path):
    settings = {"operating_point": 0.99, "grade_rule": "highest", "confidence": 0.0}
    summary = run(bundle, scans / "between.ISQ", tmp_path / "out", settings=settings)
    (row,) = read_table(summary.results)
    assert (row["decision"], row["ask"]) == ("keep", "")
    assert json.loads(summary.report.read_text())["operating_point"]["threshold"] == 0.99


def test_slices_are_explained(bundle, scans, tmp_path):
    summary = run(bundle, scans / "moved.ISQ", tmp_path / "out", explain="gradcam")
    assert summary.failed == 0
    assert (tmp_path / "out" / "explanations" / "moved.png").stat().st_size > 1000
    with pytest.raises(ConfigError, match="expected a classification of radiographs, or of slices"):
        run(bundle, scans, tmp_path / "other", explain="gradcam", settings={"ordinal": False})


def test_several_networks_grade_by_the_mean_of_their_slices(bundle, scans, tmp_path):
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    # The second network takes every slice for one grade worse.
    worse = state | {"network.0.bias": torch.ones(1)}
    for number, own in enumerate((state, worse)):
        torch.save(own, tmp_path / f"{number}.pt")
    file = bundle / "configs" / "inference.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"flips": [[0], [0, 1]]}))
    weights = [tmp_path / "0.pt", tmp_path / "1.pt"]
    summary = run(bundle, scans / "between.ISQ", tmp_path / "out", weights=weights, flips=True, preview=True)
    (row,) = read_table(summary.results)
    slices = np.array([[(softmax(grade) + softmax(grade + 1)) / 2 for grade in (3, 4, 4, 4)]])[0]
    found = [float(row[f"probability_{one}"]) for one in CLASSES]
    assert found == pytest.approx(slices.mean(0).tolist(), abs=1e-5)
    opinions = np.array([[softmax(grade + n) for grade in (3, 4, 4, 4)] for n in (0, 1)]).mean(1)

    def entropy(values: np.ndarray) -> float:
        return -(values * np.log(values)).sum() / np.log(5)

    assert float(row["entropy"]) == pytest.approx(entropy(opinions.mean(0)), abs=1e-5)
    own = (entropy(opinions[0]) + entropy(opinions[1])) / 2
    assert float(row["disagreement"]) == pytest.approx(entropy(opinions.mean(0)) - own, abs=1e-5)
    content = json.loads((summary.output / "predictions" / "between.json").read_text())
    np.testing.assert_allclose([one["probabilities"] for one in content["slices"]], slices, atol=1e-5)
    assert "Look at these first" in summary.page.read_text()


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rescan_from": 5}, "rescan_from 5 of 5 classes; expected 1 to 4"),
        ({"confidence": 1.5}, "confidence: 1.5; expected a number from 0 to 1"),
        ({"confidence": True}, "confidence: True"),
        ({"operating_point": -1}, "operating_point: -1; expected a number from 0 to 1"),
    ],
)
def test_what_cannot_decide_is_refused_before_any_scan(bundle, scans, tmp_path, settings, message):
    with pytest.raises(ConfigError, match=message):
        run(bundle, scans, tmp_path / "out", settings=settings)
    assert not (tmp_path / "out" / "results.csv").exists()
