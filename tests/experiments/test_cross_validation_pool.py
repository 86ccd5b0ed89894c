"""The answers of folds put together, and a row of what each says."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.experiments.cross_validation_cases import rows_of_cases
from monai_tasks.experiments.cross_validation_pool import Pool, pool
from monai_tasks.experiments.cross_validation_run import Task
from monai_tasks.io.files import write_json
from monai_tasks.io.tables import read_table, write_table

CHEST = open_bundle("chest_xray_pneumothorax_classification")
HIPPOCAMPUS = open_bundle("hippocampus_mri_segmentation")
NAMES = ("no_pneumothorax", "pneumothorax")


@pytest.fixture
def answered(tmp_path) -> Callable[..., tuple[list[Task], list[dict[str, Any]]]]:
    """Writes what folds leave: datalists, tables of results, a file and a picture a case."""

    def written(
        bundle: Bundle,
        items: Sequence[dict[str, Any]],
        rows: Sequence[Sequence[Mapping[str, Any]]],
        suffix: str,
    ) -> tuple[list[Task], list[dict[str, Any]]]:
        tasks = []
        for fold, own in enumerate(rows):
            file = tmp_path / "run" / "datalists" / f"fold_{fold}.json"
            write_json(file, {"test": [item for item in items if item["fold"] == fold]})
            task = Task(
                output=tmp_path / "run", fold=fold, seed=0, bundle=bundle.root, training=file, datalist=file
            )
            folder = task.folder / "inference"
            write_table(folder / "results.csv", own, list(own[0]))
            labels = {"0": "sound", "1": "broken"}
            write_json(folder / "report.json", {"bundle": bundle.name, "version": "1", "labels": labels})
            for row in own:
                for place, end in (("predictions", suffix), ("previews", ".png")):
                    (folder / place).mkdir(exist_ok=True)
                    if row["status"] != "failed" and row.get("level") != "study":
                        (folder / place / f"{row['case']}{end}").write_text(f"{fold} {row['case']}")
            tasks.append(task)
        return tasks, list(items)

    return written


def row(case: str, image: str, status: str = "done", reason: str = "", **more: Any) -> dict[str, Any]:
    return {"case": case, "input": image, "status": status, "reason": reason, **more}


@pytest.fixture
def maps(answered, tmp_path) -> tuple[Pool, Path]:
    """Two folds, in each of which a case is called T1; one case of the second could not be read."""
    items = [
        {"image": f"/{name}/{stem}.nii.gz", "label": f"/{name}/label.nii.gz", "subject": name, "fold": fold}
        for name, stem, fold in (("a", "T1", 0), ("b", "T1", 1), ("c", "T2", 1))
    ]
    rows = [
        [row("T1", "/a/T1.nii.gz")],
        [row("T1", "/b/T1.nii.gz"), row("T2", "/c/T2.nii.gz", "failed", "no such file")],
    ]
    tasks, items = answered(HIPPOCAMPUS, items, rows, ".nii.gz")
    return pool(HIPPOCAMPUS, tasks, items, tmp_path / "run"), tmp_path / "run"


def test_names_are_unique_over_all_folds(maps):
    pooled, run = maps
    assert [answer.case for answer in pooled.answers] == ["a_T1", "b_T1", "T2"]
    assert [(answer.subject, answer.fold) for answer in pooled.answers] == [("a", 0), ("b", 1), ("c", 1)]
    for answer, text in zip(pooled.answers, ("0 T1", "1 T1"), strict=False):
        assert (run / answer.prediction).read_text() == text
        assert (run / "out_of_fold" / "previews" / f"{answer.case}.png").read_text() == text
    assert pooled.answers[2].prediction == ""
    results = read_table(run / "out_of_fold" / "results.csv")
    assert [(one["case"], one["input"]) for one in results] == [
        ("a_T1", "/a/T1.nii.gz"),
        ("b_T1", "/b/T1.nii.gz"),
        ("T2", "/c/T2.nii.gz"),
    ]
    assert len(json.loads(pooled.datalist.read_text())["test"]) == 3


def test_what_an_earlier_call_pooled_is_replaced(maps, answered, tmp_path):
    items = [{"image": "/a/T1.nii.gz", "label": "/a/label.nii.gz", "subject": "a", "fold": 0}]
    tasks, items = answered(HIPPOCAMPUS, items, [[row("T1", "/a/T1.nii.gz")]], ".nii.gz")
    pool(HIPPOCAMPUS, tasks, items, tmp_path / "run")
    names = [path.name for path in (tmp_path / "run" / "out_of_fold" / "predictions").iterdir()]
    assert names == ["T1.nii.gz"]
    assert not list((tmp_path / "run").glob(".*"))


def test_a_row_says_how_a_segmentation_did(maps, tmp_path):
    pooled, _ = maps
    columns = ("case", "status", "reason", "label", "label_name", "dice", "hd95_mm")
    compared = [
        ("a_T1", "done", "", 1, "anterior", 0.5, 2.0),
        ("a_T1", "done", "", 2, "posterior", 0.75, ""),
        ("b_T1", "failed", "another grid", "", "", "", ""),
    ]
    write_table(tmp_path / "metrics.csv", [dict(zip(columns, own, strict=True)) for own in compared], columns)
    rows, _ = rows_of_cases(HIPPOCAMPUS, pooled.answers, tmp_path)
    done, other, unread = rows
    assert (done["metric"], done["loss"]) == (0.625, 0.375)
    assert (done["dice_posterior"], done["hd95_mm_anterior"], done["hd95_mm_posterior"]) == (
        "0.75",
        "2.0",
        "",
    )
    assert (done["label"], done["image"]) == ("/a/label.nii.gz", "/a/T1.nii.gz")
    assert (other["status"], other["reason"]) == ("failed", "another grid")
    assert (unread["status"], unread["reason"]) == ("failed", "no such file")
    assert "loss" not in other | unread


@pytest.fixture
def radiographs(answered, tmp_path) -> tuple[Pool, Path]:
    """Images of studies that are called alike in both folds, and the rows of the studies."""
    items = [
        {
            "image": f"/{name}/{view}.png",
            "label": int(name == "b"),
            "subject": name,
            "study": f"{name} 1",
            "fold": fold,
        }
        for fold, name in enumerate("ab")
        for view in (1, 2)
    ]
    rows = []
    for fold, name in enumerate("ab"):
        own = {"level": "image", "study": f"{name}_1", "probability_pneumothorax": 0.2 + 0.1 * fold}
        images = [row(str(view), f"/{name}/{view}.png", **own) for view in (1, 2)]
        study = row(f"{name}_1", f"/{name}/1.png;/{name}/2.png", **own | {"level": "study"})
        rows.append([*images, study])
    tasks, items = answered(CHEST, items, rows, ".json")
    return pool(CHEST, tasks, items, tmp_path / "run"), tmp_path / "run"


def test_studies_that_images_are_summed_up_to_come_last(radiographs):
    pooled, run = radiographs
    assert [answer.case for answer in pooled.answers] == ["a_1", "a_2", "b_1", "b_2"]
    results = read_table(run / "out_of_fold" / "results.csv")
    assert [(one["case"], one["level"], one["study"]) for one in results] == [
        *((f"{name}_{view}", "image", f"{name}_1") for name in "ab" for view in (1, 2)),
        ("a_1", "study", "a_1"),
        ("b_1", "study", "b_1"),
    ]
    assert (run / "out_of_fold" / "predictions" / "b_1.json").read_text() == "1 1"


def test_the_pool_keeps_how_the_config_called_the_classes(radiographs):
    _, run = radiographs
    told = json.loads((run / "out_of_fold" / "report.json").read_text())
    assert told["labels"] == {"0": "sound", "1": "broken"}


def test_a_row_says_how_a_classification_did(radiographs, tmp_path):
    pooled, _ = radiographs
    columns = ("level", "rule", "case", "label", "decision", "right", "status", "reason")
    columns += tuple(f"probability_{name}" for name in NAMES)
    compared = [
        ("image", "", "a_1", NAMES[0], NAMES[0], 1, "done", "", 0.8, 0.2),
        ("image", "", "a_2", NAMES[0], NAMES[1], 0, "done", "", 0.4, 0.6),
        ("image", "", "b_1", NAMES[1], NAMES[0], 0, "done", "", 1.0, 0.0),
        # A study of the name of an image says nothing about the image.
        ("study", "results", "b_2", NAMES[1], NAMES[1], 1, "done", "", 0.1, 0.9),
    ]
    table = tmp_path / "predictions.csv"
    write_table(table, [dict(zip(columns, own, strict=True)) for own in compared], columns)
    rows, _ = rows_of_cases(CHEST, pooled.answers, tmp_path)
    assert [one["label"] for one in rows] == ["0", "0", "1", "1"]
    assert [one["metric"] for one in rows[:3]] == [1, 0, 0]
    losses = [-math.log(0.8), -math.log(0.4), -math.log(1e-7)]
    assert [one["loss"] for one in rows[:3]] == pytest.approx(losses, abs=1e-5)
    assert (rows[1]["predicted"], rows[1]["probability_pneumothorax"]) == (NAMES[1], "0.6")
    assert (rows[3]["status"], rows[3]["reason"]) == ("failed", "not compared")
