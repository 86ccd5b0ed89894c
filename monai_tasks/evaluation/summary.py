"""What the rows of a comparison say together: counts, means and their intervals."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from monai_tasks.evaluation.intervals import LEVEL, METHODS, RESAMPLES, mean_interval
from monai_tasks.evaluation.segmentation import EMPTY_MASK_RULE, METRICS

MEAN_OF_LABELS = "mean of labels"

Row = Mapping[str, Any]


def summarise(rows: Sequence[Row], labels: Mapping[int, str], seed: int = 0) -> dict[str, Any]:
    """Sum up the rows of `metrics.csv`.

    Args:
        rows: one a case and label for cases that are done, one a case for others.
        labels: value to name.
        seed: of the bootstrap.

    Returns:
        `cases` (count of each status), `labels` (name to value, counts of empty masks and statistics of each
        metric), `mean_of_labels` (statistics of each case's mean over the labels; where there are several
        labels), and the rules used.
    """
    done = [row for row in rows if row["status"] == "done"]
    cases = {status: len({row["case"] for row in rows if row["status"] == status}) for status in STATUSES}
    summary: dict[str, Any] = {"cases": cases, "labels": {}}
    for value, name in labels.items():
        own = [row for row in done if row["label"] == value]
        metrics = {metric: _statistics([row[metric] for row in own], seed) for metric in METRICS}
        summary["labels"][name] = {"value": value, "empty": _empty(own), "metrics": metrics}
    if len(labels) > 1:
        averaged = [metric for metric, about in METRICS.items() if about.averaged]
        summary["mean_of_labels"] = {
            metric: _statistics(list(label_means(done, metric).values()), seed) for metric in averaged
        }
    interval = {"level": LEVEL, "resamples": RESAMPLES, "seed": seed, "methods": METHODS}
    return summary | {"interval": interval, "empty_mask_rule": EMPTY_MASK_RULE}


STATUSES = ("done", "failed", "skipped")


def label_means(rows: Sequence[Row], metric: str) -> dict[str, float | None]:
    """The mean of a metric over the labels of each case; None where it has no value for one of them.

    Args:
        rows: of cases that are done, one a case and label.
        metric: a key of `METRICS`.
    """
    values: dict[str, list[float | None]] = {}
    for row in rows:
        values.setdefault(row["case"], []).append(row[metric])
    return {case: None if None in own else float(np.mean(own)) for case, own in values.items()}


def _statistics(values: Sequence[float | None], seed: int) -> dict[str, Any]:
    known = [value for value in values if value is not None]
    return {
        **asdict(mean_interval(known, seed=seed)),
        "median": float(np.median(known)) if known else None,
        "standard_deviation": float(np.std(known, ddof=1)) if len(known) > 1 else None,
    }


def _empty(rows: Sequence[Row]) -> dict[str, int]:
    """How many cases lack the label in the prediction, in the reference, and in both."""
    pairs = [(row["volume_ml"] == 0, row["reference_volume_ml"] == 0) for row in rows]
    return {
        "both": pairs.count((True, True)),
        "prediction_only": pairs.count((True, False)),
        "reference_only": pairs.count((False, True)),
    }
