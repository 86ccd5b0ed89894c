"""The page that shows an evaluation to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tasks.evaluation.segmentation import EMPTY_MASK_RULE, METRICS, VOLUMES
from monai_tasks.evaluation.summary import MEAN_OF_LABELS, Row
from monai_tasks.evaluation.uncertainty import sections as uncertainty_sections
from monai_tasks.report.page import Facts, Figures, Number, Section, Table, Text, write_page

MOST_ROWS = 2000

READING = (
    "Dice (also called F1) and Jaccard (also IoU) measure the overlap of prediction and reference, from 0 to 1. "
    "Precision is the share of the predicted voxels that are right, sensitivity (also recall) the share of the "
    "reference that was found, specificity the share of the background that was left out, accuracy the share of all "
    "voxels that are right, which is near 1 for any small label, for most voxels are background. HD95 is the 95th "
    "percentile of the distances from surface to surface, the larger of both directions. The mean surface distance is "
    "the mean of both directions. Volume errors are prediction minus reference, so that their mean shows whether "
    "volumes come out too large or small.",
    "Intervals are 95 % bootstrap intervals of the mean over cases (bias-corrected and accelerated; percentiles "
    "where that has no value). A single case has no interval; equal values have one without width.",
    EMPTY_MASK_RULE,
)


def write_results_page(
    path: str | Path,
    rows: Sequence[Row],
    labels: Mapping[int, str],
    statistics: Mapping[str, Any],
    pictures: Sequence[tuple[str, str]],
) -> None:
    """Write the page.

    Args:
        path: the HTML file; pictures and `boxplots.png` are linked relative to its folder.
        rows: of `metrics.csv`.
        labels: value to name.
        statistics: the content of `summary.json`.
        pictures: path and caption of the worst cases, worst first.
    """
    subtitle = f"{statistics['bundle']} {statistics['bundle_version']}"
    write_page(path, "Evaluation", list(_sections(rows, labels, statistics, pictures)), subtitle)


def _sections(
    rows: Sequence[Row],
    labels: Mapping[int, str],
    statistics: Mapping[str, Any],
    pictures: Sequence[tuple[str, str]],
) -> Iterator[Section]:
    yield Facts(_cards(statistics), cards=True)
    aside = [row for row in rows if row["status"] != "done"]
    if aside:
        failed = {index for index, row in enumerate(aside) if row["status"] == "failed"}
        columns = {"case": "Case", "status": "Status", "reason": "Reason"}
        yield Table(aside, columns, title="Cases that were not compared", marked=failed)
    yield _means(statistics)
    yield _empty(statistics)
    yield Figures([("boxplots.png", "Quartiles, median and outliers over the cases")], "Spread", wide=True)
    yield from uncertainty_sections(statistics.get("uncertainty", ()))
    if pictures:
        note = "Lowest mean Dice first. Prediction in colour, reference as a white line."
        yield Figures(pictures, "Worst cases", note)
    yield _cases(rows)
    yield Text(READING, "How to read this")


def _cards(statistics: Mapping[str, Any]) -> dict[str, object]:
    counts = statistics["cases"]
    cards: dict[str, object] = {"cases compared": counts["done"], "cases failed": counts["failed"]}
    if counts["skipped"]:
        cards["predictions without a reference"] = counts["skipped"]
    for name, metrics in _groups(statistics):
        dice = metrics["dice"]
        if dice["mean"] is not None:
            interval = f" (95 %: {dice['low']:.3f} to {dice['high']:.3f})" if dice["low"] is not None else ""
            cards[f"mean Dice, {name}{interval}"] = f"{dice['mean']:.3f}"
    return cards


def _groups(statistics: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    """Name and statistics of each label, and of their mean where there are several."""
    groups = [(name, label["metrics"]) for name, label in statistics["labels"].items()]
    if "mean_of_labels" in statistics:
        groups.append((MEAN_OF_LABELS, statistics["mean_of_labels"]))
    return groups


def _means(statistics: Mapping[str, Any]) -> Table:
    keys = ("mean", "low", "high", "median")
    rows = [
        {"label": name, "metric": METRICS[metric].heading, "n": own["n"]}
        | {key: Number(own[key], METRICS[metric].spec) for key in keys}
        | {"standard_deviation": Number(own["standard_deviation"], METRICS[metric].spec.lstrip("+"))}
        for name, metrics in _groups(statistics)
        for metric, own in metrics.items()
    ]
    headings = {"label": "Label", "metric": "Metric", "n": "Cases", "mean": "Mean"}
    headings |= {"low": "95 % from", "high": "to", "median": "Median", "standard_deviation": "SD"}
    return Table(rows, headings, title="Means over the cases")


def _empty(statistics: Mapping[str, Any]) -> Table:
    rows = [{"label": name, **label["empty"]} for name, label in statistics["labels"].items()]
    headings = {
        "label": "Label",
        "both": "In neither",
        "prediction_only": "Not in the prediction only",
        "reference_only": "Not in the reference only",
    }
    return Table(rows, headings, title="Cases that lack a label")


def _cases(rows: Sequence[Row]) -> Table:
    done = sorted((row for row in rows if row["status"] == "done"), key=lambda row: row["dice"])
    shown = METRICS | {"volume_ml": VOLUMES["volume_ml"]}
    headings = {"case": "Case", "label_name": "Label"} | {key: about.heading for key, about in shown.items()}
    specs = {key: about.spec for key, about in shown.items()}
    note = "Lowest Dice first; metrics.csv holds the reference volumes too."
    if len(done) > MOST_ROWS:
        note += f" The first {MOST_ROWS} of {len(done)} rows; all are in metrics.csv."
    return Table(done[:MOST_ROWS], headings, specs, "All cases", note)
