"""What the runs of a transfer experiment answered on the test part, so that they can be compared case by case."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_tasks.catalog import Bundle
from monai_tasks.datasets.cases import find_cases
from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.evaluation.by_kind import CLASSIFICATION, SEGMENTATION
from monai_tasks.evaluation.class_pairing import AS_WRITTEN
from monai_tasks.evaluation.class_predictions import IMAGE, PROBABILITY, STUDY, class_names
from monai_tasks.evaluation.class_statistics import Scores, WeightedMetrics
from monai_tasks.evaluation.classification import MACRO, heading
from monai_tasks.evaluation.outcome import TABLE
from monai_tasks.evaluation.segmentation import METRICS
from monai_tasks.evaluation.summary import label_means
from monai_tasks.inference.configs import CONFIG, merged
from monai_tasks.inference.inputs import RADIOGRAPHS, STUDIES, VOLUMES, kind_of
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table

PREDICTIONS = "predictions.csv"
IMAGES = "images"
CASES = {IMAGE: IMAGES, STUDY: "studies"}
# What there are answers for; first what the network itself looks at.
LEVELS_OF = {VOLUMES: (IMAGE,), RADIOGRAPHS: (IMAGE, STUDY), STUDIES: (STUDY,)}
# Metrics that are better when they are higher, which a "helps" needs.
OF_SEGMENTATION = ("dice", "jaccard", "precision", "sensitivity", "specificity", "accuracy")
OF_TWO_CLASSES = (
    "auroc",
    "average_precision",
    "accuracy",
    "f1",
    "sensitivity",
    "specificity",
    "precision",
    "kappa",
)
OF_MORE_CLASSES = (
    *("accuracy", "kappa", "quadratic_kappa"),
    *(f"{MACRO}{name}" for name in ("auroc", "average_precision", "f1", "sensitivity", "precision")),
)

# (R, S) weights of the subjects to (R,) values of the metric.
Weighted = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class MapAnswers:
    """Label maps: a value a case.

    Args:
        subjects: of each case.
        values: of the metric, of each case.
    """

    subjects: Mapping[str, str]
    values: Mapping[str, float]

    def weighted(self, cases: Sequence[str]) -> Weighted:
        """The mean over some cases, for weights of their subjects, which are in the order of their names.

        Args:
            cases: that have a value.
        """
        numbers = np.unique([self.subjects[case] for case in cases], return_inverse=True)[1].ravel()
        sums = np.bincount(numbers, weights=[self.values[case] for case in cases])
        counts = np.bincount(numbers).astype(float)
        return lambda weights: (weights @ sums) / (weights @ counts)


@dataclass(frozen=True)
class ClassAnswers:
    """Classes: probabilities and a decision a case.

    Args:
        subjects: of each case.
        metric: a name of `WeightedMetrics`.
        labels: number of the true class of each case.
        probabilities: of the classes, of each case.
        decisions: number of the class decided for, of each case.
    """

    subjects: Mapping[str, str]
    metric: str
    labels: Mapping[str, int]
    probabilities: Mapping[str, tuple[float, ...]]
    decisions: Mapping[str, int]

    def weighted(self, cases: Sequence[str]) -> Weighted:
        """The metric of some cases, for weights of their subjects, which are in the order of their names.

        Args:
            cases: that have an answer.
        """
        scores = Scores.of(
            *([of[case] for case in cases] for of in (self.labels, self.probabilities, self.decisions)),
            [self.subjects[case] for case in cases],
        )
        metrics = WeightedMetrics(scores)
        return lambda weights: metrics(weights)[self.metric, None]


Answers = MapAnswers | ClassAnswers


@dataclass(frozen=True)
class Measure:
    """By what the arms are compared.

    Args:
        metric: its name.
        heading: for people.
        cases: what it is measured on: `images` or `studies`.
        seen: what the network looks at, and its own metrics of training and validation are of: likewise.
    """

    metric: str
    heading: str
    cases: str = IMAGES
    seen: str = IMAGES

    @property
    def title(self) -> str:
        """The heading, with what it is of where that is not single images."""
        return self.heading if self.cases == IMAGES else f"{self.heading} of {self.cases}"


def measure_of(bundle: Bundle, metric: str | None, level: str | None) -> Measure:
    """Choose the metric.

    Args:
        bundle: the target.
        metric: that is wished for, or None.
        level: of a classification, or None.

    Raises:
        InputError: when the kind of bundle has no such metric, there is none for its kind, or its network gives no
            answers of that level.
        ConfigError: when the bundle's config cannot be read.
    """
    if bundle.kind == SEGMENTATION:
        known, usual = OF_SEGMENTATION, "dice"
    elif bundle.kind == CLASSIFICATION:
        two = len(bundle.labels) == 2
        known = OF_TWO_CLASSES if two else OF_MORE_CLASSES
        usual = "auroc" if two else f"{MACRO}auroc"
    else:
        raise InputError(bundle.name, f"a bundle of kind {bundle.kind!r}", "a segmentation or classification")
    metric = metric or usual
    if metric not in known:
        raise InputError(f"metric of {bundle.name}", repr(metric), f"one of {', '.join(known)}")
    if bundle.kind == SEGMENTATION:
        if level is not None:
            raise InputError(f"level of {bundle.name}", repr(level), "none for a segmentation")
        return Measure(metric, METRICS[metric].heading)
    inputs = kind_of(merged(bundle, (CONFIG,)), {})
    if level is not None and level not in LEVELS_OF[inputs]:
        raise InputError(f"level of {bundle.name}", repr(level), " or ".join(LEVELS_OF[inputs]))
    seen = LEVELS_OF[inputs][0]
    return Measure(metric, heading(metric), CASES[level or seen], CASES[seen])


def read_answers(
    bundle: Bundle, datalist: Path, evaluation: Path, metric: str, level: str | None = None
) -> Answers:
    """Read what a run answered.

    Args:
        bundle: the target.
        datalist: whose test part was predicted.
        evaluation: folder that `evaluate` wrote.
        metric: of `measure_of`.
        level: of a classification, or None for what the network answers for.

    Raises:
        InputError: when a table is missing, or has no case with an answer.
    """
    if bundle.kind == SEGMENTATION:
        answers: Answers = _maps(datalist, evaluation / TABLE, metric)
    else:
        answers = _classes(evaluation / PREDICTIONS, metric, level)
    if not answers.subjects:
        raise InputError(evaluation, "no test case with an answer", "at least one")
    return answers


def _maps(datalist: Path, table: Path, metric: str) -> MapAnswers:
    rows = [row | {metric: _number(row[metric])} for row in read_table(table) if row["status"] == "done"]
    means = {case: value for case, value in label_means(rows, metric).items() if value is not None}
    subjects = _subjects(datalist)
    return MapAnswers({case: subjects[case] for case in means}, means)


def _subjects(datalist: Path) -> dict[str, str]:
    """The subject of each case of the test part, by the name that inference gives it."""
    of_image = {_first(item["image"]): str(item["subject"]) for item in read_part(datalist, "test")}
    return {
        case.name: of_image[_first([str(path) for path in case.paths])] for case in find_cases([datalist])
    }


def _first(image: str | Sequence[str]) -> str:
    return os.path.abspath(image if isinstance(image, str) else image[0])


def _classes(table: Path, metric: str, level: str | None) -> ClassAnswers:
    rows = [row for row in read_table(table) if row["status"] == "done"]
    names = class_names(rows[0]) if rows else []
    numbers = {name: number for number, name in enumerate(names)}
    level = level or (IMAGE if any(row["level"] == IMAGE for row in rows) else STUDY)
    # The studies as the network, or what sums its images up, answered for them.
    rows = [row for row in rows if row["level"] == level and row["rule"] in ("", AS_WRITTEN)]
    return ClassAnswers(
        {row["case"]: row["subject"] for row in rows},
        metric,
        {row["case"]: numbers[row["label"]] for row in rows},
        {row["case"]: tuple(float(row[f"{PROBABILITY}{name}"]) for name in names) for row in rows},
        {row["case"]: numbers[row["decision"]] for row in rows},
    )


def _number(text: str) -> float | None:
    return float(text) if text else None
