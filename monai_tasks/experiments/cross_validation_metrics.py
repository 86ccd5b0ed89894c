"""The metrics of each fold and of all folds together, with intervals by drawing subjects again."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from monai_tasks.catalog import Bundle
from monai_tasks.evaluation.by_kind import SEGMENTATION
from monai_tasks.evaluation.class_pairing import AS_WRITTEN
from monai_tasks.evaluation.class_predictions import IMAGE, STUDY
from monai_tasks.evaluation.class_tables import heading as heading_of_table
from monai_tasks.evaluation.classification import MACRO
from monai_tasks.evaluation.classification import heading as heading_of_classes
from monai_tasks.evaluation.intervals import RESAMPLES
from monai_tasks.evaluation.outcome import STATISTICS, TABLE
from monai_tasks.evaluation.segmentation import METRICS
from monai_tasks.evaluation.study_rules import MAJORITY
from monai_tasks.evaluation.subject_bootstrap import draws, percentile_interval
from monai_tasks.evaluation.summary import MEAN_OF_LABELS, label_means
from monai_tasks.experiments.transfer_answers import MapAnswers
from monai_tasks.io.tables import read_table

OF_MAPS = ("dice", "jaccard", "sensitivity", "precision", "hd95_mm", "mean_surface_distance_mm")
HEADLINES = ("dice", "auroc", "quadratic_kappa", f"{MACRO}auroc")
POOL = -1  # in place of a fold's number


@dataclass(frozen=True)
class Value:
    """A metric of some cases.

    Args:
        value: None where it has none.
        low: lower end of the interval, or None.
        high: upper end, or None.
        n: cases.
        subjects: whose they are.
    """

    value: float | None
    low: float | None
    high: float | None
    n: int
    subjects: int


@dataclass(frozen=True)
class Name:
    """What a value is of.

    Args:
        of: the label, or the level and rule of a classification; for people.
        metric: its name in tables.
        heading: for people.
        is_main: all but the studies that images are summed up to, of whose rules one is shown at most.
    """

    of: str
    metric: str
    heading: str
    is_main: bool = True


@dataclass(frozen=True)
class Metric:
    """A metric of each fold and of all.

    Args:
        name: what it is.
        folds: by the number of the fold; a fold may have none.
        pooled: of all cases together.
    """

    name: Name
    folds: Mapping[int, Value]
    pooled: Value

    @property
    def mean(self) -> float | None:
        """Of the folds that have a value."""
        known = self._known
        return float(np.mean(known)) if known else None

    @property
    def deviation(self) -> float | None:
        """The standard deviation of the folds that have a value."""
        known = self._known
        return float(np.std(known, ddof=1)) if len(known) > 1 else None

    @property
    def _known(self) -> list[float]:
        return [one.value for one in self.folds.values() if one.value is not None]

    def content(self) -> dict[str, Any]:
        """What `cross_validation.json` says of it."""
        return {
            **vars(self.name),
            "folds": {str(fold): vars(value) for fold, value in self.folds.items()},
            "mean_of_folds": self.mean,
            "deviation_of_folds": self.deviation,
            "pooled": vars(self.pooled),
        }


def headline(metrics: Sequence[Metric]) -> Metric:
    """The metric that says most in one number.

    Args:
        metrics: of `compare_folds`, at least one.
    """
    first = [metric for metric in metrics if metric.name.of == metrics[0].name.of]
    by_name = {metric.name.metric: metric for metric in first}
    return next((by_name[name] for name in HEADLINES if name in by_name), first[0])


def compare_folds(
    bundle: Bundle, folds: Mapping[int, Path], pooled: Path, subjects: Mapping[int, Mapping[str, str]]
) -> list[Metric]:
    """Gather the metrics of the folds and of all cases together.

    Args:
        bundle: that was trained.
        folds: folder of each fold's evaluation.
        pooled: folder of the evaluation of all.
        subjects: of each case, by the fold and the name that the case has there; those of the pool under -1.
    """
    of_folds = {fold: dict(_values(bundle, folder, subjects.get(fold, {}))) for fold, folder in folds.items()}
    return [
        Metric(name, {fold: own[name] for fold, own in of_folds.items() if name in own}, value)
        for name, value in _values(bundle, pooled, subjects.get(POOL, {}))
    ]


def _values(bundle: Bundle, folder: Path, subjects: Mapping[str, str]) -> Iterator[tuple[Name, Value]]:
    if bundle.kind == SEGMENTATION:
        return _of_maps(folder / TABLE, subjects)
    return _of_classes(folder / STATISTICS)


def _of_maps(table: Path, subjects: Mapping[str, str]) -> Iterator[tuple[Name, Value]]:
    rows = [
        row | {metric: float(row[metric]) if row[metric] else None for metric in OF_MAPS}
        for row in read_table(table)
        if row["status"] == "done"
    ]
    names = list(dict.fromkeys(row["label_name"] for row in rows))
    for label in ([MEAN_OF_LABELS] if len(names) > 1 else []) + names:
        own = [row for row in rows if label in (MEAN_OF_LABELS, row["label_name"])]
        for metric in OF_MAPS:
            means = {case: value for case, value in label_means(own, metric).items() if value is not None}
            yield Name(label, metric, METRICS[metric].heading), _mean(means, subjects)


def _mean(values: Mapping[str, float], subjects: Mapping[str, str]) -> Value:
    """The mean over cases, with the interval that other subjects would give it."""
    cases = sorted(values)
    if not cases:
        return Value(None, None, None, 0, 0)
    weighted = MapAnswers(subjects, values).weighted(cases)
    count = len({subjects[case] for case in cases})
    low = high = None
    if count > 1:
        drawn = [weighted(weights) for weights in draws(count, len(cases), RESAMPLES)]
        low, high, _ = percentile_interval(np.concatenate(drawn))
    return Value(float(np.mean(list(values.values()))), low, high, len(cases), count)


def _of_classes(statistics: Path) -> Iterator[tuple[Name, Value]]:
    """What the evaluation has measured, whose intervals are by subject."""
    tables = json.loads(statistics.read_text(encoding="utf-8"))["tables"]
    images = next((table["n"] for table in tables if table["level"] == IMAGE and not table["subgroup"]), None)
    for table in tables:
        if table["subgroup"]:
            continue
        # Studies of an image each say nothing that the images do not.
        is_sum = images is not None and table["level"] == STUDY
        is_main = not (is_sum and (table["rule"] in (AS_WRITTEN, MAJORITY) or table["n"] == images))
        for metric, own in table["metrics"].items():
            of = heading_of_table(table["level"], table["rule"])
            name = Name(of, metric, heading_of_classes(metric), is_main)
            yield name, Value(own["value"], own["low"], own["high"], table["n"], table["subjects"])
