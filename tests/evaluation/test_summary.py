"""Counts, means and intervals of rows, against NumPy over all of them."""

from __future__ import annotations

import json

import numpy as np
import pytest

from monai_tasks.evaluation.intervals import mean_interval
from monai_tasks.evaluation.segmentation import METRICS
from monai_tasks.evaluation.summary import label_means, summarise

LABELS = {1: "anterior", 2: "posterior"}


def row(case, label, dice, hd95=1.0, volume=1.0, reference=1.0):
    values = dict.fromkeys(METRICS, 0.5) | {"dice": dice, "hd95_mm": hd95}
    volumes = {"volume_ml": volume, "reference_volume_ml": reference}
    return {"case": case, "status": "done", "label": label, **values, **volumes}


@pytest.fixture
def rows():
    rng = np.random.default_rng(2)
    made = [row(f"c{case}", label, float(rng.uniform(0.7, 0.9))) for case in range(8) for label in LABELS]
    made += [row("empty", 1, 1.0, None, 0.0, 0.0), row("empty", 2, 0.0, None, 0.0, 2.0)]
    made += [row("ghost", 1, 0.0, None, 1.0, 0.0), row("ghost", 2, 0.6, 4.0)]
    made += [{"case": "bad", "status": "failed", "reason": "x"}, {"case": "alone", "status": "skipped"}]
    return made


def test_cases_are_counted_once(rows):
    assert summarise(rows, LABELS)["cases"] == {"done": 10, "failed": 1, "skipped": 1}


def test_each_label_has_its_statistics(rows):
    summary = summarise(rows, LABELS)
    for value, name in LABELS.items():
        own = [r for r in rows if r.get("label") == value]
        dice = np.array([r["dice"] for r in own])
        found = summary["labels"][name]["metrics"]["dice"]
        assert found["n"] == 10
        assert found["mean"] == pytest.approx(dice.mean())
        assert found["median"] == pytest.approx(np.median(dice))
        assert found["standard_deviation"] == pytest.approx(dice.std(ddof=1))
        interval = mean_interval(list(dice))
        assert (found["low"], found["high"], found["method"]) == (interval.low, interval.high, "BCa")
    assert summary["labels"]["anterior"]["metrics"]["hd95_mm"]["n"] == 8
    assert summary["labels"]["anterior"]["metrics"]["hd95_mm"]["mean"] == 1.0
    assert summary["labels"]["posterior"]["metrics"]["hd95_mm"]["n"] == 9


def test_empty_masks_are_counted(rows):
    labels = summarise(rows, LABELS)["labels"]
    assert labels["anterior"]["empty"] == {"both": 1, "prediction_only": 0, "reference_only": 1}
    assert labels["posterior"]["empty"] == {"both": 0, "prediction_only": 1, "reference_only": 0}


def test_the_mean_of_labels_is_over_cases(rows):
    done = [r for r in rows if r["status"] == "done"]
    means = label_means(done, "dice")
    assert means["empty"] == 0.5
    assert means["ghost"] == pytest.approx(0.3)
    assert label_means(done, "hd95_mm")["ghost"] is None
    summary = summarise(rows, LABELS)["mean_of_labels"]
    assert summary["dice"]["mean"] == pytest.approx(np.mean(list(means.values())))
    assert summary["hd95_mm"]["n"] == 8
    assert set(summary) == {name for name, about in METRICS.items() if about.averaged}
    assert "mean_of_labels" not in summarise(rows, {1: "anterior"})


def test_nothing_done_has_no_means_and_is_json():
    summary = summarise([{"case": "bad", "status": "failed"}], LABELS)
    assert summary["labels"]["anterior"]["metrics"]["dice"]["mean"] is None
    assert json.loads(json.dumps(summary, allow_nan=False)) == summary
