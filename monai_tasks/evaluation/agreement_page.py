"""The page that shows the agreement of raters to a person."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_tasks.report.page import BLANK, Facts, Figures, Section, Table, Text, write_page

Statistics = Mapping[str, Any]


@dataclass(frozen=True)
class Figure:
    """How a figure of agreement is shown.

    Args:
        heading: its name.
        what: what it says, in a sentence without its end.
    """

    heading: str
    what: str


FIGURES = {
    "consensus": Figure("Consensus", "the share of scans that all raters give the same grade"),
    "fleiss_kappa": Figure(
        "Fleiss' kappa", "agreement of all raters beyond chance: 0 is chance, 1 is full agreement"
    ),
    "mean_kappa": Figure("Kappa, mean of pairs", "the mean of Cohen's kappa over the pairs of raters"),
    "mean_quadratic_kappa": Figure(
        "Quadratic kappa, mean of pairs", "the mean of the quadratic kappa over the pairs"
    ),
    "rescan_disagreement": Figure(
        "Disagree on scanning again", "the share of scans that one rater would take again and another not"
    ),
    "rescan_disagreement_near": Figure(
        "The same, near the limit",
        "that share of the scans whose rounded mean grade is the first that means to scan again, or the one before",
    ),
    "rescan_any": Figure("One rater or more would scan again", "the share of scans"),
    "rescan_all": Figure("All raters would scan again", "the share of scans"),
    "rescan_consensus": Figure(
        "The mean says to scan again", "the share of scans whose mean grade, a half rounded up, says so"
    ),
    "agreement": Figure("Agreement", "the share of scans that the two give the same grade"),
    "kappa": Figure("Kappa", "Cohen's kappa of two raters, agreement beyond chance"),
    "quadratic_kappa": Figure(
        "Quadratic kappa", "the same, where a difference of two grades counts four times one"
    ),
    "mean_absolute_difference": Figure("Mean absolute difference", "how many grades the two are apart"),
    "mean_difference": Figure(
        "Mean difference", "the second rater's grade less the first's; above 0 the second is the stricter one"
    ),
}
INTERVALS = (
    "Figures in brackets are 95 % percentile bootstrap intervals: subjects are drawn again with replacement, each with "
    "all scans of theirs. Where raters never differ an interval has no width, and says less than it seems to."
)
MISSING = (
    "What is said of all raters is of the scans that each of them graded; what is said of two, of those that both "
    "graded. A field that holds no whole number counts as a grade that was not given."
)
RESCAN = "A grade of {} or more means to scan again."


def write_agreement_page(path: str | Path, statistics: Statistics, plots: Mapping[str, str]) -> None:
    """Write the page.

    Args:
        path: the HTML file; pictures are linked relative to its folder.
        statistics: the content of `summary.json`.
        plots: the plots `pairs`, `grades` and `kappas`.
    """
    write_page(path, "Agreement of raters", list(_sections(statistics, plots)), statistics["table"])


def _sections(statistics: Statistics, plots: Mapping[str, str]) -> Iterator[Section]:
    groups = statistics["groups"]
    everything = groups[0]
    yield Facts(_cards(everything), cards=True)
    yield _overall(groups)
    for group in groups:
        yield _pairs(group)
    yield _grades(statistics)
    yield Figures(
        [
            (plots["kappas"], "Agreement beyond chance"),
            (plots["pairs"], "Scans by the grades that two raters gave"),
            (plots["grades"], "How often each rater gave each grade"),
        ],
        "Plots",
        wide=True,
    )
    shown = {name for group in groups for own in (group, *group["pairs"]) for name in own["metrics"]}
    explained = "; ".join(f"{own.heading}: {own.what}" for name, own in FIGURES.items() if name in shown)
    paragraphs = [f"{explained}.", RESCAN.format(statistics["rescan_from"]), INTERVALS, MISSING]
    yield Text(paragraphs, "How to read this")


def _cards(group: Statistics) -> dict[str, object]:
    cards: dict[str, object] = {"scans": group["scans"], "graded by all raters": group["complete"]}
    for name in ("consensus", "fleiss_kappa", "mean_quadratic_kappa", "rescan_disagreement"):
        own = group["metrics"][name]
        interval = f" (95 %: {own['low']:.3f} to {own['high']:.3f})" if own["low"] is not None else ""
        cards[f"{FIGURES[name].heading}{interval}"] = BLANK if own["value"] is None else f"{own['value']:.3f}"
    return cards


def _overall(groups: list[Statistics]) -> Table:
    """A row a figure, a column a group."""
    columns = {"metric": "Figure"} | {str(k): group["group"] or "all" for k, group in enumerate(groups)}
    counts = {str(k): f"{group['complete']} of {group['scans']} scans" for k, group in enumerate(groups)}
    rows: list[dict[str, object]] = [{"metric": "Graded by all"} | counts]
    for name in (name for name in FIGURES if name in groups[0]["metrics"]):
        own = {str(k): _shown(group["metrics"][name]) for k, group in enumerate(groups)}
        rows.append({"metric": FIGURES[name].heading} | own)
    return Table(rows, columns, title="All raters")


def _pairs(group: Statistics) -> Table:
    names = list(group["pairs"][0]["metrics"])
    rows = [
        {"raters": " and ".join(pair["raters"]), "n": pair["metrics"][names[0]]["n"]}
        | {name: _shown(own) for name, own in pair["metrics"].items()}
        for pair in group["pairs"]
    ]
    columns = {"raters": "Raters", "n": "Scans"} | {name: FIGURES[name].heading for name in names}
    suffix = f": {group['group']}" if group["group"] else ""
    return Table(rows, columns, title=f"Pairs of raters{suffix}")


def _grades(statistics: Statistics) -> Table:
    scale = [str(grade) for grade in statistics["scale"]]
    rows = [
        {"rater": rater}
        | dict(zip(scale, counts, strict=True))
        | {"missing": statistics["missing"][rater], "unreadable": statistics["unreadable"][rater]}
        for rater, counts in statistics["groups"][0]["of_grade"].items()
    ]
    columns = {"rater": "Rater"} | {grade: f"Grade {grade}" for grade in scale}
    columns |= {"missing": "Not given", "unreadable": "of these unreadable"}
    return Table(rows, columns, title="Grades given")


def _shown(own: Mapping[str, Any]) -> str:
    """A value with its interval."""
    if own["value"] is None:
        return BLANK
    interval = f" ({own['low']:.3f} to {own['high']:.3f})" if own["low"] is not None else ""
    return f"{own['value']:.3f}{interval}"
