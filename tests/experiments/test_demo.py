"""The demo's whole way, with a network and a training too small to learn much."""

from __future__ import annotations

import dataclasses
import json

import pytest
from click.testing import CliRunner

from monai_tasks.catalog import BundleError
from monai_tasks.cli import main
from monai_tasks.experiments import demo as module
from monai_tasks.io.tables import read_table

BUNDLE = "hippocampus_mri_segmentation"


@pytest.fixture
def small_plan(monkeypatch):
    """A plan of ten cases and one epoch."""
    plan = dataclasses.replace(
        module.PLANS[BUNDLE], cases=10, epochs=1, expected=0.0, settings={"window": [16, 16, 16]}
    )
    monkeypatch.setitem(module.PLANS, BUNDLE, plan)


def test_every_planned_bundle_is_shipped():
    from monai_tasks.catalog import find_bundles

    assert set(module.PLANS) <= {bundle.name for bundle in find_bundles()}


@pytest.mark.slow
def test_command_ends_with_the_report(small_plan, tmp_path, monkeypatch):
    out = tmp_path / "demo"
    result = CliRunner().invoke(main, ["demo", BUNDLE, "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[-1] == str(out / "report.html")
    page = (out / "report.html").read_text(encoding="utf-8")
    unseen = {item["subject"] for item in json.loads((out / "datalist.json").read_text())["test"]}
    rows = read_table(out / "inference" / "results.csv")
    assert {row["case"] for row in rows} == unseen
    assert all(f"inference/previews/{case}.png" in page for case in unseen)
    mean = json.loads((out / "evaluation" / "summary.json").read_text())["mean_of_labels"]["dice"]["mean"]
    assert f"{mean:.3f}" in page
    plan = dataclasses.replace(module.PLANS[BUNDLE], expected=0.99)
    monkeypatch.setitem(module.PLANS, BUNDLE, plan)
    again = CliRunner().invoke(main, ["demo", BUNDLE, "-o", str(out)])
    assert again.exit_code == 1
    assert f"mean Dice on unseen images {mean:.3f}; expected at least 0.99" in again.stderr


def test_a_bundle_without_a_plan_is_refused(example_bundle, tmp_path):
    with pytest.raises(BundleError, match="no demo; expected one of: hippocampus"):
        module.demo(example_bundle, tmp_path)
