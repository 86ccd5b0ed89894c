"""Every bundle through a cross-validation of two folds, too short to learn much."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from monai_tasks.catalog import Bundle
from monai_tasks.datasets import hrpqct
from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.datasets.splits import PARTS
from monai_tasks.experiments.cross_validation import cross_validate
from monai_tasks.inference.members import gather
from monai_tasks.inference.operating_point import held_point
from monai_tasks.inference.results import RESULTS
from monai_tasks.io.tables import read_table
from monai_tasks.phantoms.hrpqct import write_hrpqct


@pytest.fixture
def datalist(bundle: Bundle, trial_of, tmp_path) -> Path:
    """The bundle's generated images; more of them where the usual ones have a class once only."""
    if bundle.name != "hrpqct_motion_classification":
        return trial_of(bundle).datalist
    file = tmp_path / "datalist.json"
    scans = write_hrpqct(tmp_path / "scans", 40, size=48, slices=9, jobs=1)
    file.write_text(json.dumps(hrpqct.datalist(scans)))
    return file


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_every_case_is_held_out_once(bundle: Bundle, trial_of, datalist, tmp_path):
    settings = {name: value for name, value in trial_of(bundle).settings.items() if name != "max_epochs"}
    summary = cross_validate(
        bundle,
        datalist,
        tmp_path / "run",
        folds=2,
        with_test=True,
        epochs=1,
        settings=settings,
        devices=["cpu"],
        progress=False,
    )
    assert summary.failures == ()
    items = [item for part in PARTS for item in read_part(datalist, part)]
    rows = read_table(summary.output / "out_of_fold.csv")
    images = [image for row in rows for image in row["image"].split(";")]
    listed = [item["image"] if isinstance(item["image"], list) else [item["image"]] for item in items]
    assert sorted(images) == sorted(image for own in listed for image in own)
    assert {row["subject"] for row in rows} == {str(item["subject"]) for item in items}
    for subject in {row["subject"] for row in rows}:
        assert len({row["fold"] for row in rows if row["subject"] == subject}) == 1
    results = {row["case"]: row for row in read_table(summary.output / "out_of_fold" / RESULTS)}
    for row in rows:
        assert (row["status"], row["reason"]) == ("done", "")
        assert (summary.output / row["prediction"]).is_file()
        assert results[row["case"]]["input"] == row["image"]
        if bundle.kind == "classification":
            name = bundle.labels[int(row["label"])]
            true = max(float(row[f"probability_{name}"]), 1e-7)
            assert float(row["loss"]) == pytest.approx(-math.log(true), abs=1e-4)
            assert int(row["metric"]) == (row["predicted"] == name)
            assert row["predicted"] in bundle.labels.values()
        else:
            dice = [float(row[f"dice_{name}"]) for name in bundle.labels.values()]
            assert float(row["metric"]) == pytest.approx(sum(dice) / len(dice), abs=1e-5)
            assert float(row["loss"]) == pytest.approx(1 - float(row["metric"]), abs=1e-5)
    content = json.loads((summary.output / "cross_validation.json").read_text())
    assert [run["status"] for run in content["runs"]] == ["done", "done"]
    held = held_point(gather(summary.output), 0.25, {})
    if bundle.kind == "classification":
        chosen = json.loads((summary.output / "operating_point.json").read_text())
        assert (held.threshold, held.origin, held.part) == (
            chosen["threshold"],
            "operating_point.json",
            "out-of-fold",
        )
        first = 3 if len(bundle.labels) > 2 else 1  # scans of grade 4 and 5 are taken again
        positive = [row for row in rows if int(row["label"]) >= first]
        found = [
            sum(
                float(row[f"probability_{bundle.labels[number]}"])
                for number in bundle.labels
                if number >= first
            )
            for row in positive
        ]
        assert chosen["positives"] == len(positive)
        reached = sum(value >= chosen["threshold"] for value in found) / len(found)
        assert chosen["sensitivity"] == pytest.approx(reached)
    else:
        assert held.origin == "config"
    for name in ("curves.png", "report.html", "evaluation/report.html"):
        assert (summary.output / name).is_file()
