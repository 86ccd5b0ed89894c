"""What a transfer experiment leaves: table, summary, figures and page."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from monai_tasks import __version__
from monai_tasks.evaluation.intervals import LEVEL, RESAMPLES
from monai_tasks.experiments.runs import DONE, EVALUATION, FAILED, Result
from monai_tasks.experiments.transfer_answers import Answers, MapAnswers, Measure, read_answers
from monai_tasks.experiments.transfer_page import BOXES, LEARNING, LOSSES, VALIDATION, write_transfer_page
from monai_tasks.experiments.transfer_plan import Plan
from monai_tasks.experiments.transfer_plots import SIDE_BY_SIDE, course, draw_courses, draw_learning_curves
from monai_tasks.experiments.transfer_run import Task
from monai_tasks.experiments.transfer_statistics import Place, Statistics, statistics_of
from monai_tasks.experiments.transfer_subsets import Subset
from monai_tasks.experiments.transfer_words import answer
from monai_tasks.io.files import write_json
from monai_tasks.io.tables import read_table, write_table
from monai_tasks.report.plots import box_plots

TABLE, SUMMARY, PAGE = "table.csv", "summary.json", "report.html"
NARROW = 10  # letters of a line under a box
MEASURED = ("train", "train_loss", "validation", "test")
COLUMNS = (
    *("subset", "subjects", "images", "arm", "seed", "status", *MEASURED, "best_epoch", "best_iteration"),
    *("epochs", "seconds", "data_wait_share", "unanswered", "reason"),
)


def write_outcome(
    plan: Plan,
    output: Path,
    results: Mapping[Task, Result],
    subsets: Mapping[tuple[str, int], Subset],
    measure: Measure,
) -> str:
    """Compare the runs and write what a person reads.

    Args:
        plan: the plan.
        output: folder of the experiment.
        results: of all runs, in order.
        subsets: by name and seed.
        measure: by which the arms are compared.

    Returns:
        The answer as a paragraph.
    """
    done = {place_of(task): task for task, result in results.items() if result.status == DONE}
    answers = {
        place: read_answers(plan.bundle, plan.datalist, task.folder / EVALUATION, measure.metric, plan.level)
        for place, task in done.items()
    }
    pairs = [(arm.name, plan.reference) for arm in plan.arms if arm.name != plan.reference]
    pairs += [pair for pair in plan.controls if pair not in pairs]
    statistics = statistics_of(answers, pairs)
    rows = _rows(results, subsets, statistics)
    subjects = {name: subset.subjects for (name, _), subset in subsets.items()}
    failed = sum(result.status == FAILED for result in results.values())
    words = answer(statistics, measure, plan.reference, len(plan.seeds), subjects, failed, redraw=plan.redraw)
    validation = next((result.metric for result in results.values() if result.metric), "validation")
    write_table(output / TABLE, rows, COLUMNS)
    boxes = _draw(plan, output, done, answers, statistics, subjects, measure, validation)
    write_json(output / SUMMARY, _content(plan, measure, validation, statistics, rows, words))
    write_transfer_page(output / PAGE, plan, words, rows, statistics, measure, validation, boxes)
    return words


def place_of(task: Task) -> Place:
    """Subset, arm and seed of a run."""
    return task.subset, task.arm, task.seed


def _rows(
    results: Mapping[Task, Result], subsets: Mapping[tuple[str, int], Subset], statistics: Statistics
) -> list[dict[str, Any]]:
    test = {(one.subset, one.arm, seed): v for one in statistics.groups for seed, v in one.values.items()}
    rows = []
    for task, result in results.items():
        subset = subsets[task.subset, task.seed]
        row = {"subset": subset.name, "subjects": subset.subjects, "images": subset.images}
        row |= {"arm": task.arm, "seed": task.seed} | asdict(result) | {"test": test.get(place_of(task))}
        rows.append({name: row[name] for name in COLUMNS})
    return rows


def _draw(
    plan: Plan,
    output: Path,
    done: Mapping[Place, Task],
    answers: Mapping[Place, Answers],
    statistics: Statistics,
    subjects: Mapping[str, int],
    measure: Measure,
    validation: str,
) -> str:
    """Draw the figures; what a box of the box plots holds."""
    arms = [arm.name for arm in plan.arms]
    for name in (LOSSES, VALIDATION, BOXES, LEARNING):
        (output / name).unlink(missing_ok=True)
    if not statistics.groups:
        return ""
    records = {place: read_table(task.folder / "record.csv") for place, task in done.items()}
    headings = {name: f"{count} training subjects" for name, count in subjects.items()}
    for column, what, file in (("loss", "Loss", LOSSES), (validation, validation, VALIDATION)):
        courses: dict[str, dict[str, list[Any]]] = {}
        for (subset, arm, _), rows in records.items():
            courses.setdefault(headings[subset], {}).setdefault(arm, []).append(course(rows, column))
        draw_courses(courses, arms, what, output / file)
    draw_learning_curves(statistics.groups, subjects, arms, measure.title, output / LEARNING)
    boxes: dict[str, dict[str, list[float]]] = {}
    for group in statistics.groups:
        own = [answers[group.subset, group.arm, seed] for seed in group.values]
        name = textwrap.fill(group.arm, NARROW)
        boxes.setdefault(headings[group.subset], {})[name] = _spread(own, list(group.values.values()))
    width = max(1.0, len(arms) / 4)
    box_plots(boxes, output / BOXES, columns=max(1, int(SIDE_BY_SIDE / width)), width=width)
    if any(isinstance(one, MapAnswers) for one in answers.values()):
        return f"{measure.title} of the test part; a value a case, the mean over the seeds"
    return f"{measure.title} of the test part; a value a seed"


def _spread(own: list[Answers], values: list[float]) -> list[float]:
    """What a box holds: of label maps a value a case, of classes a value a seed."""
    if not own or not isinstance(own[0], MapAnswers):
        return values
    cases = set.intersection(*(set(one.values) for one in own))
    return [float(np.mean([one.values[case] for one in own])) for case in sorted(cases)]


def _content(
    plan: Plan,
    measure: Measure,
    validation: str,
    statistics: Statistics,
    rows: list[dict[str, Any]],
    words: str,
) -> dict[str, Any]:
    """What `summary.json` holds."""
    own = asdict(statistics)
    for group in own["groups"]:
        runs = [row for row in rows if (row["subset"], row["arm"]) == (group["subset"], group["arm"])]
        group["over_seeds"] = {
            name: _over_seeds([row[name] for row in runs if row["status"] == DONE])
            for name in (*MEASURED, "best_epoch", "best_iteration", "seconds", "data_wait_share")
        }
    for found, difference in zip(own["differences"], statistics.differences, strict=True):
        found |= {"sign": difference.sign}
    return {
        "bundle": plan.bundle.name,
        "bundle_version": plan.bundle.metadata["version"],
        "monai_tasks": __version__,
        "answer": words,
        "metric": measure.metric,
        "measured_on": measure.cases,
        "validation_metric": validation,
        "reference": plan.reference,
        "arms": [asdict(arm) | {"start": arm.start and arm.start.name} for arm in plan.arms],
        "seeds": list(plan.seeds),
        "interval": {"level": LEVEL, "resamples": RESAMPLES, "seed": 0, "method": "percentile, by subject"},
        **own,
    }


def _over_seeds(values: list[float | None]) -> dict[str, float | int | None]:
    known = [value for value in values if value is not None]
    return {
        "n": len(known),
        "mean": float(np.mean(known)) if known else None,
        "deviation": float(np.std(known, ddof=1)) if len(known) > 1 else None,
    }
