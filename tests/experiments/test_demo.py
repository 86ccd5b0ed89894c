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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "level"),
    [
        ("wrist_xray_fracture_classification", "images"),
        ("wrist_xray_fracture_study_classification", "studies"),
    ],
)
def test_a_classification_is_judged_by_the_area_under_its_curve(name, level, tmp_path, monkeypatch):
    """The same images for both; with so few of them anything may come out, but it must come out."""
    plan = module.PLANS[name]
    settings = {**plan.settings, "size": [32, 22], "widen_factor": 0.125}
    monkeypatch.setitem(
        module.PLANS, name, dataclasses.replace(plan, cases=16, epochs=1, expected=0.0, settings=settings)
    )
    summary = module.demo(name, tmp_path, progress=False)
    assert summary.failed == 0
    assert summary.headline.name == f"AUROC of unseen {level}"
    table = json.loads((tmp_path / "evaluation" / "summary.json").read_text())["tables"][0]
    assert summary.headline.value == table["metrics"]["auroc"]["value"]
    page = summary.page.read_text(encoding="utf-8")
    assert f"{summary.headline.value:.3f}" in page
    assert "evaluation/roc.png" in page


@pytest.mark.slow
def test_grades_are_judged_by_their_kappa(tmp_path, monkeypatch):
    name = "hrpqct_motion_classification"
    plan = module.PLANS[name]
    settings = {**plan.settings, "size": [32, 32], "channels": [4, 8]}
    monkeypatch.setitem(
        module.PLANS, name, dataclasses.replace(plan, cases=40, epochs=1, expected=-1.0, settings=settings)
    )
    summary = module.demo(name, tmp_path, progress=False)
    assert summary.failed == 0
    assert summary.headline.name == "quadratic kappa of unseen scans"
    table = json.loads((tmp_path / "evaluation" / "summary.json").read_text())["tables"][0]
    assert summary.headline.value == table["metrics"]["quadratic_kappa"]["value"]
    assert f"{summary.headline.value:.3f}" in summary.page.read_text(encoding="utf-8")


def test_a_bundle_without_a_plan_is_refused(example_bundle, tmp_path):
    with pytest.raises(BundleError, match="no demo; expected one of: hippocampus"):
        module.demo(example_bundle, tmp_path)
