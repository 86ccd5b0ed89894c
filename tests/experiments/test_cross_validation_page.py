"""What the report of a cross-validation says of how its folds were made."""

from __future__ import annotations

import pytest

from monai_tasks.experiments.cross_validation_folds import DEALT, GIVEN
from monai_tasks.experiments.cross_validation_metrics import Metric, Name, Value
from monai_tasks.experiments.cross_validation_page import write_cross_validation_page


@pytest.fixture
def content():
    run = {"fold": 0, "status": "done", "best_epoch": 3, "epochs": 4, "seconds": 9.0, "unanswered": 1}
    run |= {"validation": 0.8, "metric": "dice", "data_wait_share": 0.1}
    run |= {name: {"training": 6, "validation": 2, "test": 2} for name in ("cases", "subjects")}
    return {
        "bundle": "hippocampus_mri_segmentation",
        "bundle_version": "1.0",
        "runs": [run],
        "cases": 10,
        "subjects": 10,
        "operating_point": None,
        "datalist_sha256": "0" * 64,
        "parts": ["training", "validation"],
        "folds": 5,
        "folds_from": DEALT,
        "excluded": None,
        "stratify": ["label_volume", "site"],
        "seed": 0,
        "configs": ["train.json"],
        "settings": {},
        "versions": {"torch": "2"},
    }


def page(tmp_path, content) -> str:
    value = Value(0.8, 0.7, 0.9, 9, 9)
    metric = Metric(Name("hippocampus", "dice", "Dice"), {0: value}, value)
    return write_cross_validation_page(tmp_path / "report.html", content, [metric]).read_text()


def test_folds_that_are_dealt_out_are_stratified(tmp_path, content):
    text = page(tmp_path, content)
    assert "dealt out by subject" in text
    assert "Stratified by" in text
    assert "label_volume, site" in text
    assert "of every case that has an answer" in text


def test_given_folds_are_not_called_stratified(tmp_path, content):
    text = page(tmp_path, content | {"folds_from": GIVEN})
    assert "as the datalist numbers them, not stratified here" in text
    assert "Stratified by" not in text
    assert "Validation parts stratified by" in text
