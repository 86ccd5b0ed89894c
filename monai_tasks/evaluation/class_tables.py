"""The tables of an evaluation: the cases of a level, a rule and a subgroup, with their metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from monai_tasks.evaluation.class_pairing import AS_WRITTEN, DONE, Row
from monai_tasks.evaluation.class_predictions import IMAGE, STUDY
from monai_tasks.evaluation.class_statistics import Scores
from monai_tasks.evaluation.classification import COMPARED, MACRO, Measure, compare, confusion
from monai_tasks.evaluation.curves import Curve
from monai_tasks.evaluation.graded import DECISION, OF_DECISION, OF_GRADES
from monai_tasks.evaluation.study_rules import AT_LEAST_ONE, MAJORITY
from monai_tasks.metrics.grades import DECISIONS

LEVELS = {IMAGE: "Images", STUDY: "Studies"}
RULES = {
    "": "",
    AS_WRITTEN: "as predicted",
    AT_LEAST_ONE: "at least one",
    MAJORITY: "majority",
    DECISION: "decision to scan again",
}
# What two runs are compared by where the classes have an order.
COMPARED_OF_ORDERED = (*OF_GRADES, "auroc", *OF_DECISION)
COLUMNS = (
    "level",
    "rule",
    "subgroup",
    "metric",
    "value",
    "low",
    "high",
    "n",
    "class",
    "subjects",
    "resamples",
)
COMPARISON = (
    *("level", "rule", "other_rule", "metric", "value", "other", "difference", "low", "high", "n"),
    *("subjects", "left_out", "resamples"),
)


@dataclass(frozen=True)
class Table:
    """Cases that are measured together.

    Args:
        level: `image` or `study`.
        rule: how studies were answered for; empty for images, `decision` for what is decided by ordered classes.
        subgroup: `COLUMN=VALUE`; empty for all cases.
        scores: the cases.
        measures: their metrics.
    """

    level: str
    rule: str
    subgroup: str
    scores: Scores
    measures: tuple[Measure, ...] = ()

    @property
    def heading(self) -> str:
        """What a person calls it."""
        return heading(self.level, self.rule)

    def rows(self, classes: Sequence[str]) -> Iterable[dict[str, Any]]:
        """Its rows of `metrics.csv`.

        Args:
            classes: their names, in order.
        """
        classes = classes_of(self.rule, classes)
        for one in self.measures:
            yield {
                **{name: getattr(self, name) for name in ("level", "rule", "subgroup")},
                **{name: getattr(one, name) for name in ("metric", "value", "low", "high", "resamples")},
                "n": len(self.scores.labels),
                "class": "" if one.number is None else classes[one.number],
                "subjects": self.scores.subject_count,
            }

    def content(self, classes: Sequence[str]) -> dict[str, Any]:
        """What `summary.json` says of it.

        Args:
            classes: their names, in order.
        """
        classes = classes_of(self.rule, classes)
        own, by_class = {}, {name: {} for name in classes}
        for one in self.measures:
            place = own if one.number is None else by_class[classes[one.number]]
            place[one.metric] = {key: getattr(one, key) for key in ("value", "low", "high", "resamples")}
        counts = np.bincount(self.scores.labels, minlength=len(classes)).tolist()
        content = {name: getattr(self, name) for name in ("level", "rule", "subgroup")}
        content |= {"n": len(self.scores.labels), "subjects": self.scores.subject_count}
        content |= {"of_class": dict(zip(classes, counts, strict=True))}
        content |= {"confusion": confusion(self.scores).tolist(), "metrics": own}
        return content | ({"classes": by_class} if len(classes) > 2 else {})


def classes_of(rule: str, classes: Sequence[str]) -> Sequence[str]:
    """The names of the classes that cases of a rule are of: those of the bundle, or the decisions by ordered classes.

    Args:
        rule: a key of `RULES`.
        classes: those of the bundle, in order.
    """
    return DECISIONS if rule == DECISION else classes


def heading(level: str, rule: str) -> str:
    """What a person calls the cases of a level and rule.

    Args:
        level: a key of `LEVELS`.
        rule: a key of `RULES`.
    """
    return f"{LEVELS[level]}, {RULES[rule]}" if rule else LEVELS[level]


def scores_of(rows: Sequence[Row]) -> Scores:
    """The scores of rows that are done.

    Args:
        rows: of one level and rule, at least one.
    """
    return Scores.of(
        [row.label for row in rows],
        [row.probabilities for row in rows],
        [row.decision for row in rows],
        [row.subject for row in rows],
        calibrated=rows[0].rule != MAJORITY,
    )


def tables_of(rows: Sequence[Row], by: Sequence[str] = ()) -> list[Table]:
    """The tables of all cases and those of the values of each column, by level and rule.

    Args:
        rows: of `find_pairs`; only those that are done count.
        by: the columns.

    Returns:
        Tables without metrics; all cases come before their groups.
    """
    tables = []
    for (level, rule), own in _by_rule(rows).items():
        tables.append(Table(level, rule, "", scores_of(own)))
        for column in by:
            for value in sorted({row.groups[column] for row in own}):
                group = [row for row in own if row.groups[column] == value]
                tables.append(Table(level, rule, f"{column}={value}", scores_of(group)))
    return tables


def compare_rows(
    rows: Sequence[Row], others: Sequence[Row], resamples: int, seed: int = 0, ordered: bool = False
) -> list[dict[str, Any]]:
    """The differences of two runs on the cases that both have.

    A rule is compared with the same one of the other run. Where one of them has studies only as they were predicted,
    as a network for studies has, it is compared with every rule of the other.

    Args:
        rows: of one run.
        others: of the other, paired with the same references.
        resamples: how many to draw.
        seed: of the draws.
        ordered: whether the classes have an order, which has metrics of its own.

    Returns:
        Rows with the columns `COMPARISON`; none where no case is in both.
    """
    found = []
    first, second = _by_rule(rows), _by_rule(others)
    single = any({rule for level, rule in run if level == STUDY} == {AS_WRITTEN} for run in (first, second))
    for (level, rule), own in first.items():
        for (other_level, other_rule), their in second.items():
            if level != other_level or not (rule == other_rule or (level == STUDY and single)):
                continue
            there = {row.key: row for row in their}
            common = [row for row in own if row.key in there]
            if not common:
                continue
            one, two = scores_of(common), scores_of([there[row.key] for row in common])
            two = Scores(two.labels, two.probabilities, two.decisions, one.subjects, two.calibrated)
            place = {"level": level, "rule": rule, "other_rule": other_rule}
            place |= {"n": len(common), "subjects": one.subject_count}
            place |= {"left_out": len(own) + len(their) - 2 * len(common)}
            metrics = COMPARED_OF_ORDERED if ordered else COMPARED
            differences = compare(one, two, resamples, seed, metrics)
            found += [place | vars(difference) for difference in differences]
    return found


def panels_of(tables: Sequence[Table], classes: Sequence[str]) -> dict[str, list[Curve]]:
    """The curves of tables as panels: of two classes one a level, of more one a table.

    Args:
        tables: of all cases.
        classes: their names, in order.
    """
    plots: dict[str, list[Curve]] = {}
    for table in tables:
        if table.rule == DECISION:
            plots[table.heading] = [Curve(DECISIONS[1], table.scores)]
        elif len(classes) == 2:
            name = RULES[table.rule] or "images"
            plots.setdefault(LEVELS[table.level], []).append(Curve(name, table.scores))
        else:
            plots[table.heading] = [Curve(name, table.scores, number) for number, name in enumerate(classes)]
    return plots


def main_metric(classes: int, metric: str) -> str:
    """The metric of all classes together: of more than two their mean.

    Args:
        classes: how many there are.
        metric: its name for two.
    """
    return metric if classes == 2 or metric in ("accuracy", "kappa") else f"{MACRO}{metric}"


def _by_rule(rows: Iterable[Row]) -> dict[tuple[str, str], list[Row]]:
    groups: dict[tuple[str, str], list[Row]] = {}
    for row in rows:
        if row.status == DONE:
            groups.setdefault((row.level, row.rule), []).append(row)
    return groups
