"""Metrics of folds and of all cases, against slow restatements."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_tasks.catalog import open_bundle
from monai_tasks.experiments.cross_validation_metrics import OF_MAPS, POOL, Metric, compare_folds, headline
from monai_tasks.io.files import write_json
from monai_tasks.io.tables import write_table

HIPPOCAMPUS = open_bundle("hippocampus_mri_segmentation")
CHEST = open_bundle("chest_xray_pneumothorax_classification")
LABELS = ("anterior", "posterior")


def evaluated(folder: Path, dice: dict[str, tuple[float, float]]) -> Path:
    """The table of an evaluation; a distance is known where the Dice is above 0."""
    rows = [
        {"case": case, "status": "done", "label_name": name, **dict.fromkeys(OF_MAPS, value)}
        | {"hd95_mm": 10 * value if value else ""}
        for case, values in dice.items()
        for name, value in zip(LABELS, values, strict=True)
    ]
    rows.append({"case": "failed", "status": "failed"})
    write_table(folder / "metrics.csv", rows, ("case", "status", "label_name", *OF_MAPS))
    return folder


@pytest.fixture
def metrics(tmp_path) -> list[Metric]:
    """Two folds with a case and two, of which two cases are of one subject."""
    first, second = {"a": (0.5, 0.7)}, {"a": (0.9, 0.0), "b": (0.8, 0.6)}
    folds = {0: evaluated(tmp_path / "0", first), 1: evaluated(tmp_path / "1", second)}
    pooled = evaluated(tmp_path / "all", {"a": (0.5, 0.7), "1_a": (0.9, 0.0), "b": (0.8, 0.6)})
    subjects = {0: {"a": "p"}, 1: {"a": "q", "b": "q"}, POOL: {"a": "p", "1_a": "q", "b": "q"}}
    return compare_folds(HIPPOCAMPUS, folds, pooled, subjects)


def found(metrics: list[Metric], of: str, metric: str) -> Metric:
    return next(one for one in metrics if (one.name.of, one.name.metric) == (of, metric))


def test_values_of_folds_and_of_all(metrics):
    dice = found(metrics, "mean of labels", "dice")
    assert dice.folds[0].value == pytest.approx(0.6)
    assert dice.folds[1].value == pytest.approx((0.45 + 0.7) / 2)
    assert dice.mean == pytest.approx((0.6 + 0.575) / 2)
    assert dice.deviation == pytest.approx(abs(0.6 - 0.575) / 2**0.5)
    assert dice.pooled.value == pytest.approx((0.6 + 0.45 + 0.7) / 3)
    assert (dice.pooled.n, dice.pooled.subjects) == (3, 2)
    assert (dice.folds[0].low, dice.folds[1].low) == (None, None)  # one subject each
    distance = found(metrics, "posterior", "hd95_mm")
    assert (distance.pooled.n, distance.pooled.value) == (2, pytest.approx(6.5))
    assert headline(metrics) is dice


def test_intervals_come_from_drawing_subjects_with_all_of_their_cases(metrics):
    pooled = found(metrics, "anterior", "dice").pooled
    rng = np.random.default_rng(5)
    means = []
    for _ in range(4000):
        drawn = rng.choice(["p", "q"], 2)
        values = [value for subject in drawn for value in {"p": [0.5], "q": [0.9, 0.8]}[subject]]
        means.append(np.mean(values))
    assert (pooled.low, pooled.high) == pytest.approx(np.percentile(means, [2.5, 97.5]), abs=1e-6)


def table(level: str, rule: str, **values: float) -> dict:
    metrics = {
        name: {"value": value, "low": 0.1, "high": 0.9, "resamples": 9} for name, value in values.items()
    }
    return {"level": level, "rule": rule, "subgroup": "", "n": 4, "subjects": 3, "metrics": metrics}


def test_tables_of_a_classification(tmp_path):
    tables = [table("image", "", accuracy=0.5, auroc=0.75), table("study", "majority", auroc=0.7)]
    tables += [table("study", "at_least_one", f1=0.7) | {"n": 3}, table("study", "at_least_one", kappa=0.7)]
    tables.append(table("image", "", auroc=0.2) | {"subgroup": "site=a"})
    for name in ("0", "all"):
        write_json(tmp_path / name / "summary.json", {"tables": tables})
    metrics = compare_folds(CHEST, {0: tmp_path / "0"}, tmp_path / "all", {})
    assert [(one.name.of, one.name.metric) for one in metrics] == [
        ("Images", "accuracy"),
        ("Images", "auroc"),
        ("Studies, majority", "auroc"),
        ("Studies, at least one", "f1"),
        ("Studies, at least one", "kappa"),
    ]
    assert [one.name.is_main for one in metrics] == [True, True, False, True, False]
    assert headline(metrics).pooled.value == 0.75
    assert (metrics[0].mean, metrics[0].deviation) == (0.5, None)
