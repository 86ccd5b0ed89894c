"""What an evaluation of ordered classes has beside that of others: the decision, and raters to compare with."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from monai_tasks.catalog import Bundle
from monai_tasks.evaluation.class_pairing import DONE, Row
from monai_tasks.evaluation.class_predictions import IMAGE
from monai_tasks.evaluation.class_statistics import Scores
from monai_tasks.evaluation.classification import Measure, measure
from monai_tasks.io.errors import InputError
from monai_tasks.metrics.grades import DECISIONS, Grades, grades_of

DECISION = "decision"  # the rule of rows that say whether a scan is taken again
NETWORK = "network"
RATERS = ("who", "against", "of", "metric", "value", "low", "high", "n", "subjects", "resamples")
# Of the grade, and of the decision.
OF_GRADES = ("quadratic_kappa", "mean_absolute_error", "macro_f1", "accuracy")
OF_DECISION = ("sensitivity", "specificity")
CONFIG = "inference"


def grades_of_bundle(bundle: Bundle, count: int) -> Grades | None:
    """The order of a bundle's classes, as its `inference.json` tells.

    Args:
        bundle: of a classification.
        count: how many classes it has.

    Returns:
        None where they have none, or there is no such config.

    Raises:
        InputError: when the config cannot be used.
    """
    if CONFIG not in bundle.configs:
        return None
    path = bundle.config(CONFIG)
    try:
        return grades_of(json.loads(path.read_text(encoding="utf-8")), count)
    except ValueError as cause:
        raise InputError(path, str(cause), "plain values of the ids of ordered classes") from cause


def decision_rows(rows: Sequence[Row], grades: Grades) -> list[Row]:
    """Whether each scan is taken again, beside whether it had to be, as rows of two classes.

    Args:
        rows: of `find_pairs`; those that are done count.
        grades: the order of the classes.

    Returns:
        Rows of the rule `DECISION`, with numbers of `DECISIONS`.
    """
    return [_decided(row, grades) for row in rows if row.status == DONE and row.action is not None]


def _decided(row: Row, grades: Grades) -> Row:
    again = float(np.clip(grades.again(np.array(row.probabilities)), 0, 1))
    return replace(
        row,
        rule=DECISION,
        label=int(row.label >= grades.rescan_from),
        probabilities=(1 - again, again),
        decision=row.action,
    )


@dataclass(frozen=True)
class _Against:
    """Some grades of cases beside a reference.

    Args:
        reference: (N,) numbers of classes.
        grades: (N,) likewise.
        again: (N,) whether the scan is taken again.
        subjects: of each case.
    """

    reference: list[int]
    grades: list[int]
    again: list[int]
    subjects: list[str]


def compare_raters(
    rows: Sequence[Row], grades: Grades, resamples: int, seed: int = 0
) -> list[dict[str, Any]]:
    """The raters and the network on the same terms.

    A rater has a part in the consensus of all. So each is measured against the consensus of the others (their mean,
    half up), and the network against the same, on the cases that the rater and at least one other have graded.

    Args:
        rows: of `find_pairs`; those of images that are done and have raters count.
        grades: the order of the classes.
        resamples: of the bootstrap by subject.
        seed: of the bootstrap.

    Returns:
        Rows with the columns `RATERS`: `who` is a rater or `network`, `against` tells whose consensus, and `of`
        whether the metric is of the grade or of the decision. None without two raters of a case.
    """
    rated = [row for row in rows if row.level == IMAGE and not row.rule and row.status == DONE and row.raters]
    found: list[dict[str, Any]] = []
    for name in sorted({name for row in rated for name in row.raters}):
        own = [row for row in rated if name in row.raters and len(row.raters) > 1]
        if not own:
            continue
        others = [_consensus([grade for rater, grade in row.raters.items() if rater != name]) for row in own]
        subjects = [row.subject for row in own]
        theirs = [row.raters[name] for row in own]
        again = [int(grade >= grades.rescan_from) for grade in theirs]
        for who, against in (
            (name, _Against(others, theirs, again, subjects)),
            (NETWORK, _Against(others, [row.decision for row in own], [row.action for row in own], subjects)),
        ):
            place = {"who": who, "against": f"all but {name}"}
            found += [place | one for one in _measured(against, grades, resamples, seed)]
    return found


def _consensus(grades: Sequence[int]) -> int:
    """The mean, half up."""
    return (2 * sum(grades) + len(grades)) // (2 * len(grades))


def _measured(against: _Against, grades: Grades, resamples: int, seed: int) -> Iterator[dict[str, Any]]:
    needed = [int(grade >= grades.rescan_from) for grade in against.reference]
    for of, names, labels, decisions, classes in (
        ("grade", OF_GRADES, against.reference, against.grades, grades.count),
        (DECISION, OF_DECISION, needed, against.again, len(DECISIONS)),
    ):
        # Grades have no probabilities; what these would be used for is not asked.
        scores = Scores.of(labels, np.eye(classes)[decisions], decisions, against.subjects, calibrated=False)
        own: dict[str, Measure] = {
            one.metric: one for one in measure(scores, resamples, seed) if one.number is None
        }
        for name in names:
            if name in own:
                one = own[name]
                facts = {key: getattr(one, key) for key in ("metric", "value", "low", "high", "resamples")}
                yield {"of": of, **facts, "n": len(labels), "subjects": scores.subject_count}
