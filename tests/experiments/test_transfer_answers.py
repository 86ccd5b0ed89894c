"""What is read of a run's answers."""

from __future__ import annotations

import pytest

from monai_tasks.catalog import open_bundle
from monai_tasks.experiments.transfer_answers import read_answers
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import write_table

CHEST = open_bundle("chest_xray_pneumothorax_classification")


def test_classes_may_have_names_of_the_plans_own(tmp_path):
    rows = [
        {
            "level": level,
            "rule": rule,
            "case": case,
            "subject": f"patient of {case}",
            "label": label,
            "decision": decision,
            "status": "done",
            "probability_sound": 1 - probability,
            "probability_pneumonia": probability,
        }
        for level, rule, case, label, decision, probability in (
            ("image", "", "a", "sound", "pneumonia", 0.75),
            ("image", "", "b", "pneumonia", "pneumonia", 0.5),
            ("study", "majority", "a", "sound", "sound", 0.25),
        )
    ]
    write_table(tmp_path / "predictions.csv", rows, list(rows[0]))
    found = read_answers(CHEST, tmp_path / "datalist.json", tmp_path, "auroc")
    assert found.labels == {"a": 0, "b": 1}
    assert found.decisions == {"a": 1, "b": 1}
    assert found.probabilities["a"] == (0.25, 0.75)
    assert found.subjects == {"a": "patient of a", "b": "patient of b"}


def test_a_run_without_an_answer_is_told_of(tmp_path):
    write_table(
        tmp_path / "predictions.csv",
        [{"status": "failed", "level": "image", "rule": ""}],
        ("status", "level", "rule"),
    )
    with pytest.raises(InputError, match="no test case with an answer"):
        read_answers(CHEST, tmp_path / "datalist.json", tmp_path, "auroc")
