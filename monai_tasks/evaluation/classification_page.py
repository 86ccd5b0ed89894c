"""The page that shows the evaluation of a classification to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tasks.evaluation.class_pairing import AS_WRITTEN, FAILED, SKIPPED, Row
from monai_tasks.evaluation.class_tables import RULES, heading, main_metric
from monai_tasks.evaluation.classification import MACRO, METRICS
from monai_tasks.evaluation.classification import heading as metric_heading
from monai_tasks.evaluation.graded import DECISION, OF_DECISION, OF_GRADES
from monai_tasks.evaluation.study_rules import AT_LEAST_ONE, MAJORITY
from monai_tasks.evaluation.uncertainty import sections as uncertainty_sections
from monai_tasks.report.page import BLANK, Facts, Figures, Section, Table, Text, write_page

MOST_ROWS = 500
OF_SUBGROUPS = ("accuracy", "kappa", "sensitivity", "specificity", "auroc", "average_precision")

INTERVALS = (
    "Intervals are 95 % percentile bootstrap intervals: patients are drawn again with replacement, each with all cases "
    "of theirs, for images of one patient are alike. A resample that lacks a class has no AUROC and is left out; "
    "metrics.csv counts those that are left, and an interval needs half of them. Where all of few cases are right the "
    "interval has no width, and says less than it seems to."
)
RULES_EXPLAINED = (
    "Studies are shown as they were predicted, and as two rules make them of their images: at least one, where a study "
    "is positive if any of its images is, with the highest of their probabilities; and majority, where a study is of "
    "the class with the most votes, for two classes with more than half of them. Votes are shares, not probabilities, "
    "and have no calibration."
)
SEVERAL = (
    "Means of classes are over the classes that the references have, each against the rest. The quadratic kappa and "
    "the mean absolute error say something only where the classes have an order."
)
ORDERED = (
    "The classes are ordered. To scan again is right for classes from {} on; that decision is measured as two classes "
    "of its own."
)
RATED = (
    "A rater has a part in the consensus of all. So each is compared with the consensus of the others, and the network "
    "with the same, on the cases that the rater graded."
)
NO_SUBJECT = (
    "{} references name no patient. They count as patients of their own, or by study, so that the intervals may be too "
    "narrow."
)

Statistics = Mapping[str, Any]


def write_classification_page(
    path: str | Path,
    rows: Sequence[Row],
    statistics: Statistics,
    plots: Sequence[tuple[str, str]],
    matrices: Sequence[tuple[str, str]],
    errors: Sequence[tuple[str | None, str]],
) -> None:
    """Write the page.

    Args:
        path: the HTML file; pictures are linked relative to its folder.
        rows: of `predictions.csv`.
        statistics: the content of `summary.json`.
        plots: path and caption of each plot of curves.
        matrices: the same of each confusion matrix.
        errors: path of a picture, or None, and caption of each error shown, worst first.
    """
    part = f", {statistics['part']} part" if statistics["part"] else ""
    subtitle = f"{statistics['bundle']} {statistics['bundle_version']}{part}"
    write_page(path, "Evaluation", list(_sections(rows, statistics, plots, matrices, errors)), subtitle)


def _sections(
    rows: Sequence[Row],
    statistics: Statistics,
    plots: Sequence[tuple[str, str]],
    matrices: Sequence[tuple[str, str]],
    errors: Sequence[tuple[str | None, str]],
) -> Iterator[Section]:
    yield Facts(_cards(statistics), cards=True)
    aside = [row for row in rows if row.status in (FAILED, SKIPPED) and row.rule in ("", AS_WRITTEN)]
    if aside:
        yield _aside(aside)
    tables = [table for table in statistics["tables"] if not table["subgroup"]]
    if tables:
        yield _metrics(tables)
    for table in tables:
        if "classes" in table:
            yield _of_classes(table)
    if len(tables) < len(statistics["tables"]):
        yield _subgroups(statistics)
    if "raters" in statistics:
        yield _raters(statistics["raters"])
    if "comparison" in statistics:
        yield _comparison(statistics["comparison"])
    if "operating_point" in statistics:
        yield Facts(statistics["operating_point"], "Operating point chosen here")
    yield Figures(plots, "Curves", wide=True)
    if matrices:
        yield Figures(matrices, "Decisions by true class", "Counts, and shares of the true class.")
    yield from uncertainty_sections(statistics.get("uncertainty", ()))
    yield from _errors(errors)
    yield Text(list(_reading(statistics)), "How to read this")


def _cards(statistics: Statistics) -> dict[str, object]:
    cards: dict[str, object] = {}
    for level, counts in statistics["cases"].items():
        if level == "of_other_parts":
            if counts:
                cards["predictions of other parts, left out"] = counts
            continue
        cards[f"{heading(level, '').lower()} compared"] = counts["done"]
        if counts["failed"]:
            cards[f"{heading(level, '').lower()} failed"] = counts["failed"]
    for table in statistics["tables"]:
        for name in _headline(statistics, table):
            own = table["metrics"].get(name, {})
            if not table["subgroup"] and own.get("value") is not None:
                interval = f" (95 %: {own['low']:.3f} to {own['high']:.3f})" if own["low"] is not None else ""
                cards[
                    f"{metric_heading(name)}, {heading(table['level'], table['rule']).lower()}{interval}"
                ] = f"{own['value']:.3f}"
    return cards


def _headline(statistics: Statistics, table: Mapping[str, Any]) -> Sequence[str]:
    """The metrics of a table that are shown first."""
    if "ordinal" not in statistics:
        return (main_metric(len(statistics["classes"]), "auroc"),)
    return OF_DECISION if table["rule"] == DECISION else OF_GRADES[:1]


def _aside(rows: Sequence[Row]) -> Table:
    listed = [
        {"case": row.case, "level": row.level, "status": row.status, "reason": row.reason}
        for row in rows[:MOST_ROWS]
    ]
    marked = [place for place, row in enumerate(listed) if row["status"] == FAILED]
    columns = {"case": "Case", "level": "Level", "status": "Status", "reason": "Reason"}
    more = len(rows) > MOST_ROWS
    note = f"The first {MOST_ROWS} of {len(rows)}; all are in predictions.csv." if more else ""
    return Table(listed, columns, title="Cases that were not compared", note=note, marked=marked)


def _metrics(tables: Sequence[Mapping[str, Any]]) -> Table:
    """A row a metric, a column a table."""
    names = list(dict.fromkeys(name for table in tables for name in table["metrics"]))
    columns = {str(place): heading(table["level"], table["rule"]) for place, table in enumerate(tables)}
    counts = {
        str(place): f"{table['n']} of {table['subjects']} patients" for place, table in enumerate(tables)
    }
    rows: list[dict[str, object]] = [{"metric": "Cases"} | counts]
    for name in names:
        own = {str(place): _shown(table["metrics"].get(name)) for place, table in enumerate(tables)}
        rows.append({"metric": metric_heading(name)} | own)
    note = "In brackets 95 % intervals by patient."
    return Table(rows, {"metric": "Metric"} | columns, title="Metrics", note=note)


def _of_classes(table: Mapping[str, Any]) -> Table:
    names = list(dict.fromkeys(name for own in table["classes"].values() for name in own))
    rows = [
        {"class": name, "n": table["of_class"][name]} | {metric: _shown(own.get(metric)) for metric in names}
        for name, own in table["classes"].items()
    ]
    columns = {"class": "Class", "n": "Cases"} | {name: metric_heading(name) for name in names}
    title = f"Each class against the rest: {heading(table['level'], table['rule'])}"
    return Table(rows, columns, title=title)


def _subgroups(statistics: Statistics) -> Table:
    if "ordinal" in statistics:
        names = [*OF_GRADES, *OF_DECISION]
    else:
        names = [main_metric(len(statistics["classes"]), name) for name in OF_SUBGROUPS]
    rows = [
        {
            "cases": heading(table["level"], table["rule"]),
            "subgroup": table["subgroup"] or "all",
            "n": table["n"],
            **{name: _shown(table["metrics"].get(name)) for name in names},
        }
        for table in statistics["tables"]
    ]
    columns = {"cases": "Cases", "subgroup": "Subgroup", "n": "Number"}
    return Table(rows, columns | {name: metric_heading(name) for name in names}, title="Subgroups")


def _raters(rated: Sequence[Mapping[str, Any]]) -> Table:
    """A row for each rater and for the network beside them."""
    rows: dict[tuple[str, str], dict[str, object]] = {}
    for one in rated:
        place = one["who"], one["against"]
        row = rows.setdefault(place, {"who": one["who"], "against": one["against"], "n": one["n"]})
        row[f"{one['of']}_{one['metric']}"] = _shown(one)
    columns = {"who": "Who", "against": "Against", "n": "Cases"}
    for one in rated:
        suffix = " of the decision" if one["of"] == DECISION else ""
        columns[f"{one['of']}_{one['metric']}"] = metric_heading(one["metric"]) + suffix
    return Table(list(rows.values()), columns, title="Raters", note=RATED)


def _comparison(differences: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for own in differences:
        rows.append(
            {
                "cases": heading(own["level"], own["rule"]),
                "other": RULES[own["other_rule"]] or "the same",
                "metric": metric_heading(own["metric"]),
                "value": own["value"],
                "its": own["other"],
                "difference": _shown({**own, "value": own["difference"]}, "+.3f"),
                "n": own["n"],
                "left_out": own["left_out"],
            }
        )
    columns = {"cases": "This run", "other": "Other run", "metric": "Metric", "value": "This", "its": "Other"}
    columns |= {"difference": "Difference", "n": "Common cases", "left_out": "In one run only"}
    note = "This run less the other, on the cases that both have; intervals from drawing patients for both at once."
    formats = {"value": ".3f", "its": ".3f"}
    return Table(rows, columns, formats, title="Comparison of two runs", note=note)


def _errors(errors: Sequence[tuple[str | None, str]]) -> Iterator[Section]:
    note = "Errors with the least probability for the true class first."
    if pictured := [(path, caption) for path, caption in errors if path is not None]:
        yield Figures(pictured, "Worst errors", note)
    if others := [{"error": caption} for path, caption in errors if path is None]:
        title = "Worst errors without a picture" if pictured else "Worst errors"
        yield Table(others, {"error": "Error"}, title=title, note=note)


def _reading(statistics: Statistics) -> Iterator[str]:
    named = dict.fromkeys(
        name.removeprefix(MACRO)
        for table in statistics["tables"]
        for own in (table["metrics"], *table.get("classes", {}).values())
        for name in own
    )
    yield "; ".join(f"{METRICS[name].heading}: {METRICS[name].what}" for name in named) + "."
    yield INTERVALS
    if {table["rule"] for table in statistics["tables"]} & {AT_LEAST_ONE, MAJORITY}:
        yield RULES_EXPLAINED
    if len(statistics["classes"]) > 2:
        yield SEVERAL
    if "ordinal" in statistics:
        yield ORDERED.format(statistics["ordinal"]["rescan_from"])
    if statistics["without_subject"]:
        yield NO_SUBJECT.format(statistics["without_subject"])


def _shown(own: Mapping[str, Any] | None, spec: str = ".3f") -> str:
    """A value with its interval."""
    if own is None or own["value"] is None:
        return BLANK
    interval = f" ({own['low']:{spec}} to {own['high']:{spec}})" if own["low"] is not None else ""
    return f"{own['value']:{spec}}{interval}"
