"""A row for every case of a cross-validation: what the network that had not seen it made of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_tasks.catalog import Bundle
from monai_tasks.evaluation.by_kind import SEGMENTATION
from monai_tasks.evaluation.class_pairing import AS_WRITTEN
from monai_tasks.evaluation.class_predictions import IMAGE, PROBABILITY, STUDY, class_names, class_number
from monai_tasks.evaluation.evaluate_classification import PREDICTIONS
from monai_tasks.evaluation.outcome import TABLE
from monai_tasks.evaluation.pairing import shown
from monai_tasks.experiments.cross_validation_pool import Answer
from monai_tasks.inference.results import DONE, FAILED
from monai_tasks.io.tables import read_table

FIRST = ("case", "subject", "fold", "status", "reason", "image", "label", "prediction", "loss", "metric")
OF_LABELS = ("dice", "hd95_mm")  # a column each with the name of the label behind
LEAST = 1e-7  # probability of the true class whose logarithm is the highest loss

Row = dict[str, Any]


def rows_of_cases(bundle: Bundle, answers: Sequence[Answer], evaluation: Path) -> tuple[list[Row], list[str]]:
    """The rows and columns of `out_of_fold.csv`.

    `loss` is 1 less the mean Dice of the labels, or the negative logarithm of the probability of the true class;
    `metric` is the mean Dice, or 1 where the decision was right and 0 where not.

    Args:
        bundle: that was trained.
        answers: of the pool.
        evaluation: folder of the pooled evaluation.
    """
    if bundle.kind == SEGMENTATION:
        return _of_maps(answers, read_table(evaluation / TABLE))
    return _of_classes(answers, read_table(evaluation / PREDICTIONS))


def main_rows(rows: Sequence[Mapping[str, str]]) -> list[Mapping[str, str]]:
    """The rows of `predictions.csv` that the network itself answered for: images, else studies as predicted.

    Args:
        rows: all of them.
    """
    level = IMAGE if any(row["level"] == IMAGE for row in rows) else STUDY
    return [row for row in rows if row["level"] == level and row["rule"] in ("", AS_WRITTEN)]


def _common(answer: Answer, label: str, found: Mapping[str, str] | None) -> Row:
    """The first columns; a case has failed where it was not predicted, or could not be compared."""
    status, reason = DONE, ""
    if answer.row["status"] == FAILED:
        status, reason = FAILED, answer.row["reason"]
    elif found is None or found["status"] != DONE:
        status, reason = FAILED, found["reason"] if found else "not compared"
    return {
        "case": answer.case,
        "subject": answer.subject,
        "fold": answer.fold,
        "status": status,
        "reason": reason,
        "image": ";".join(answer.images),
        "label": label,
        "prediction": answer.prediction,
    }


def _of_maps(answers: Sequence[Answer], compared: Sequence[Mapping[str, str]]) -> tuple[list[Row], list[str]]:
    of_case: dict[str, list[Mapping[str, str]]] = {}
    for row in compared:
        of_case.setdefault(row["case"], []).append(row)
    names = list(dict.fromkeys(row["label_name"] for row in compared if row["label_name"]))
    columns = [f"{metric}_{name}" for metric in OF_LABELS for name in names]
    rows = []
    for answer in answers:
        own = of_case.get(answer.case, [])
        label = answer.items[0]["label"]
        row = _common(
            answer, shown(Path(label) if isinstance(label, str) else tuple(label)), next(iter(own), None)
        )
        if row["status"] == DONE:
            dice = float(np.mean([float(one["dice"]) for one in own]))
            row |= {"loss": round(1 - dice, 6), "metric": round(dice, 6)}
            row |= {f"{metric}_{one['label_name']}": one[metric] for metric in OF_LABELS for one in own}
        rows.append(row)
    return rows, [*FIRST, *columns]


def _of_classes(
    answers: Sequence[Answer], compared: Sequence[Mapping[str, str]]
) -> tuple[list[Row], list[str]]:
    names = class_names(compared[0])
    columns = [f"{PROBABILITY}{name}" for name in names]
    of_case = {row["case"]: row for row in main_rows(compared)}
    rows = []
    for answer in answers:
        found = of_case.get(answer.case)
        # Of two classes a study has the second if any of its images has it.
        number = max(class_number(item["label"], names) for item in answer.items)
        row = _common(answer, str(number), found)
        if row["status"] == DONE:
            true = float(found[f"{PROBABILITY}{names[number]}"])
            row |= {"loss": round(-math.log(max(true, LEAST)), 6), "metric": int(found["right"])}
            row |= {name: found[name] for name in columns} | {"predicted": found["decision"]}
        rows.append(row)
    return rows, [*FIRST, *columns, "predicted"]
