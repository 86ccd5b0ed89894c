"""What a cross-validation leaves: pooled answers, their evaluation, a row a case, an operating point and a page."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_tasks.catalog import Bundle
from monai_tasks.datasets.cases import find_cases
from monai_tasks.evaluation.by_kind import CLASSIFICATION, SEGMENTATION, evaluate
from monai_tasks.evaluation.class_predictions import PROBABILITY, class_names
from monai_tasks.evaluation.evaluate_classification import PREDICTIONS
from monai_tasks.evaluation.graded import grades_of_bundle
from monai_tasks.evaluation.intervals import LEVEL, RESAMPLES
from monai_tasks.experiments.cross_validation_cases import main_rows, rows_of_cases
from monai_tasks.experiments.cross_validation_folds import Folds, images_of
from monai_tasks.experiments.cross_validation_metrics import POOL, Metric, compare_folds
from monai_tasks.experiments.cross_validation_page import CURVES, write_cross_validation_page
from monai_tasks.experiments.cross_validation_pool import OUT_OF_FOLD, Pool, pool
from monai_tasks.experiments.cross_validation_run import Task
from monai_tasks.experiments.runs import DONE, EVALUATION, Result, shared_settings
from monai_tasks.experiments.transfer_plots import course, draw_courses
from monai_tasks.inference.configs import merged
from monai_tasks.inference.operating_point import SEVERAL
from monai_tasks.io.files import sha256, write_json
from monai_tasks.io.tables import read_table, write_table
from monai_tasks.metrics.operating_point import FILE as OPERATING_POINT
from monai_tasks.metrics.operating_point import choose_threshold
from monai_tasks.training.working_copy import software

logger = logging.getLogger(__name__)

FACTS, PAGE = "cross_validation.json", "report.html"
RULE = "operating_rule"  # config id
PART = "out-of-fold"


@dataclass(frozen=True)
class Outcome:
    """What is known of all folds.

    Args:
        bundle: that was trained.
        folds: who was held out in which.
        results: of all folds, in order.
        facts: what the cross-validation was made with.
    """

    bundle: Bundle
    folds: Folds
    results: Mapping[Task, Result]
    facts: Mapping[str, Any]

    @property
    def done(self) -> list[Task]:
        """The folds that did not fail."""
        return [task for task, result in self.results.items() if result.status == DONE]


def write_outcome(outcome: Outcome, output: Path, progress: bool = True) -> None:
    """Pool the folds that are done and write what a person reads.

    Args:
        outcome: what is known.
        output: folder of the cross-validation.
        progress: show a progress bar where there is a terminal.
    """
    bundle, done = outcome.bundle, outcome.done
    (output / OPERATING_POINT).unlink(missing_ok=True)
    metrics: list[Metric] = []
    point: dict[str, Any] | None = None
    if done:
        pooled = pool(bundle, done, outcome.folds.items, output)
        _evaluate(bundle, done[0], pooled, output, progress)
        rows, columns = rows_of_cases(bundle, pooled.answers, output / EVALUATION)
        write_table(output / f"{OUT_OF_FOLD}.csv", rows, columns)
        evaluations = {task.fold: task.folder / EVALUATION for task in done}
        metrics = compare_folds(bundle, evaluations, output / EVALUATION, _subjects(outcome, pooled))
        point = _operating_point(outcome, output) if len(done) == outcome.folds.count else None
        _draw_curves(outcome, output / CURVES)
    content = _content(outcome, metrics, point)
    write_json(output / FACTS, content)
    write_cross_validation_page(output / PAGE, content, metrics)


def _evaluate(bundle: Bundle, task: Task, pooled: Pool, output: Path, progress: bool) -> None:
    options: dict[str, Any] = {"progress": progress}
    if bundle.kind == SEGMENTATION:
        options |= {"configs": task.configs, "settings": shared_settings(bundle, task)}
    evaluate(bundle, pooled.folder, pooled.datalist, output / EVALUATION, **options)


def _subjects(outcome: Outcome, pooled: Pool) -> dict[int, dict[str, str]]:
    """Whose each case of a segmentation is, by the fold and the name that the case has there, and in the pool."""
    found = {POOL: {answer.case: answer.subject for answer in pooled.answers}}
    if outcome.bundle.kind == SEGMENTATION:
        of_image = {images_of(item): item["subject"] for item in outcome.folds.items}
        for task in outcome.done:
            cases = find_cases([task.datalist])
            found[task.fold] = {
                case.name: of_image[images_of({"image": list(map(str, case.paths))})] for case in cases
            }
    return found


def _operating_point(outcome: Outcome, output: Path) -> dict[str, Any] | None:
    """Choose the threshold of all networks together on the answers that none of them was fitted to."""
    bundle, task = outcome.bundle, outcome.done[0]
    if bundle.kind != CLASSIFICATION:
        return None
    grades = grades_of_bundle(bundle, len(bundle.labels))
    rule = task.settings.get(RULE, merged(bundle, ("train", *task.configs)).get(RULE))
    if rule is None or (len(bundle.labels) != 2 and grades is None):
        return None
    rows = [row for row in main_rows(read_table(output / EVALUATION / PREDICTIONS)) if row["status"] == DONE]
    if not rows:
        return None
    names = class_names(rows[0])
    labels = np.array([names.index(row["label"]) for row in rows])
    found = np.array([[float(row[f"{PROBABILITY}{name}"]) for name in names] for row in rows])
    if grades is not None:
        labels, positive = (labels >= grades.rescan_from).astype(int), np.clip(grades.again(found), 0, 1)
    else:
        positive = found[:, 1]
    try:
        chosen = choose_threshold(labels, positive, rule)
    except ValueError as error:
        logger.warning("no operating point of all folds: %s", error)
        return None
    members = sorted(sha256(one.folder / "model.pt") for one in outcome.done)
    point = chosen.content(PART) | {"level": rows[0]["level"], SEVERAL: members}
    write_json(output / OPERATING_POINT, point)
    return point


def _draw_curves(outcome: Outcome, path: Path) -> None:
    names = [task.key for task in outcome.results]
    records = {task.key: read_table(task.folder / "record.csv") for task in outcome.done}
    metric = next(outcome.results[task].metric for task in outcome.done)
    panels = {
        heading: {key: [course(rows, column)] for key, rows in records.items()}
        for heading, column in (("Loss", "loss"), (metric, metric))
    }
    draw_courses(panels, names, "", path)


def _content(outcome: Outcome, metrics: Sequence[Metric], point: Mapping[str, Any] | None) -> dict[str, Any]:
    """What `cross_validation.json` holds."""
    bundle, folds = outcome.bundle, outcome.folds
    return {
        "bundle": bundle.name,
        "bundle_version": bundle.metadata["version"],
        "folds": folds.count,
        "seed": folds.seed,
        "stratify": list(folds.stratify),
        "folds_from": folds.origin,
        **outcome.facts,
        "cases": len(folds.items),
        "subjects": len({item["subject"] for item in folds.items}),
        "runs": [_run(outcome, task, result) for task, result in outcome.results.items()],
        "metrics": [metric.content() for metric in metrics],
        "operating_point": None if point is None else dict(point),
        "interval": {"level": LEVEL, "resamples": RESAMPLES, "seed": 0, "method": "percentile, by subject"},
        **software(),
    }


def _run(outcome: Outcome, task: Task, result: Result) -> dict[str, Any]:
    """What is known of one fold."""
    parts = outcome.folds.parts(task.fold)
    counts = {part: len(items) for part, items in parts.items()}
    subjects = {part: len({item["subject"] for item in items}) for part, items in parts.items()}
    weights = sha256(task.folder / "model.pt") if result.status == DONE else None
    own = {"fold": task.fold, "seed": task.seed, "cases": counts, "subjects": subjects}
    return own | asdict(result) | {"weights_sha256": weights}
