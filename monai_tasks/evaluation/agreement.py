"""How far raters agree on the grades of the same scans: table, plots and page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np

from monai_tasks import __version__
from monai_tasks.evaluation.agreement_page import FIGURES, write_agreement_page
from monai_tasks.evaluation.agreement_plots import draw_grades, draw_intervals, draw_pairs
from monai_tasks.evaluation.agreement_ratings import SUBJECT, Ratings, read_ratings
from monai_tasks.evaluation.agreement_statistics import Agreement, AgreementStatistics, measure_agreement
from monai_tasks.evaluation.intervals import LEVEL, RESAMPLES
from monai_tasks.io.files import write_json
from monai_tasks.io.tables import write_table

RESCAN_FROM = 4
TABLE, STATISTICS, PAGE = "agreement.csv", "summary.json", "report.html"
COLUMNS = ("group", "raters", "metric", "value", "low", "high", "n", "subjects", "resamples")
PLOTS = {"pairs": "pairs.png", "grades": "grades.png", "kappas": "kappas.png"}
KAPPAS = ("fleiss_kappa", "kappa", "quadratic_kappa")


@dataclass(frozen=True)
class AgreementSummary:
    """What was found.

    Args:
        output: the folder written.
        statistics: the content of `summary.json`.
    """

    output: Path
    statistics: dict[str, Any]

    @property
    def page(self) -> Path:
        """The report for a person."""
        return self.output / PAGE


@dataclass(frozen=True)
class _Group:
    """Scans that are measured together, as `COLUMN=VALUE`; empty for all."""

    name: str
    ratings: Ratings
    figures: tuple[Agreement, ...]
    confusions: dict[tuple[int, int], np.ndarray]


def measure_raters(
    table: str | PathLike[str],
    output: str | PathLike[str],
    *,
    raters: Sequence[str] | None = None,
    subject: str = SUBJECT,
    by: Sequence[str] | None = None,
    rescan_from: int = RESCAN_FROM,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> AgreementSummary:
    """Measure the agreement of raters.

    Writes `agreement.csv`, `summary.json`, `pairs.png`, `grades.png`, `kappas.png` and `report.html` into `output`.

    Args:
        table: CSV with a row a scan; see `read_ratings`.
        output: folder to write to; made if missing.
        raters: columns of the raters; None for all whose name begins with `rater`.
        subject: column of who a scan is of; intervals draw subjects.
        by: columns for each of whose values all is given too; None for `site`, where the table has it.
        rescan_from: the lowest grade that means to scan again.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        What was found.

    Raises:
        InputError: when the table cannot be used.
    """
    output = Path(output)
    ratings, columns = read_ratings(table, raters, subject, by)
    groups = [_measured(name, own, rescan_from, resamples, seed) for name, own in _parts(ratings, columns)]
    statistics = {
        "monai_tasks": __version__,
        "table": Path(table).name,
        "raters": list(ratings.raters),
        "scale": list(ratings.scale),
        "rescan_from": rescan_from,
        "interval": {
            "level": LEVEL,
            "resamples": resamples,
            "seed": seed,
            "method": f"percentile, by {subject}",
        },
        "missing": _counts(ratings, (~ratings.given).sum(axis=0)),
        "unreadable": _counts(ratings, ratings.unreadable),
        "groups": [_content(group) for group in groups],
    }
    write_table(output / TABLE, (row for group in groups for row in _rows(group)), COLUMNS)
    _draw(groups[0], output)
    write_agreement_page(output / PAGE, statistics, PLOTS)
    write_json(output / STATISTICS, statistics)
    return AgreementSummary(output, statistics)


def _parts(ratings: Ratings, columns: dict[str, list[str]]) -> Iterator[tuple[str, Ratings]]:
    """All scans, then those of each value of each column."""
    yield "", ratings
    for column, values in columns.items():
        for value in sorted(set(values)):
            yield f"{column}={value}", ratings.part(np.array([one == value for one in values]))


def _measured(name: str, ratings: Ratings, rescan_from: int, resamples: int, seed: int) -> _Group:
    statistics = AgreementStatistics(ratings, rescan_from)
    count = len(ratings.scale)
    confusions = {pair: statistics.confusion(pair)[:count, :count] for pair in ratings.pairs}
    return _Group(name, ratings, tuple(measure_agreement(ratings, rescan_from, resamples, seed)), confusions)


def _names(group: _Group, pair: tuple[int, int] | None) -> list[str]:
    raters = group.ratings.raters
    return list(raters) if pair is None else [raters[number] for number in pair]


def _rows(group: _Group) -> Iterable[dict[str, Any]]:
    for one in group.figures:
        yield {
            "group": group.name,
            "raters": " ".join(_names(group, one.pair)),
            "subjects": group.ratings.subject_count,
            **{name: getattr(one, name) for name in ("metric", "value", "low", "high", "n", "resamples")},
        }


def _content(group: _Group) -> dict[str, Any]:
    """What `summary.json` says of a group."""

    def metrics(pair: tuple[int, int] | None) -> dict[str, Any]:
        names = ("value", "low", "high", "n", "resamples")
        return {
            one.metric: {name: getattr(one, name) for name in names}
            for one in group.figures
            if one.pair == pair
        }

    ratings = group.ratings
    return {
        "group": group.name,
        "scans": len(ratings.grades),
        "subjects": ratings.subject_count,
        "complete": int(ratings.complete.sum()),
        "of_grade": {rater: own.tolist() for rater, own in _given_grades(ratings).items()},
        "metrics": metrics(None),
        "pairs": [
            {"raters": _names(group, pair), "confusion": counts.tolist(), "metrics": metrics(pair)}
            for pair, counts in group.confusions.items()
        ],
    }


def _given_grades(ratings: Ratings) -> dict[str, np.ndarray]:
    """For each rater how often which grade of the scale was given."""
    return {
        rater: (ratings.grades[ratings.given[:, k], k][:, None] == np.array(ratings.scale)).sum(axis=0)
        for k, rater in enumerate(ratings.raters)
    }


def _counts(ratings: Ratings, values: Iterable[int]) -> dict[str, int]:
    return {rater: int(value) for rater, value in zip(ratings.raters, values, strict=True)}


def _draw(group: _Group, output: Path) -> None:
    scale = group.ratings.scale
    pairs = [(*_names(group, pair), counts) for pair, counts in group.confusions.items()]
    draw_pairs(pairs, scale, output / PLOTS["pairs"])
    draw_grades(_given_grades(group.ratings), scale, output / PLOTS["grades"])
    lines = []
    for metric in KAPPAS:
        for one in group.figures:
            if one.metric == metric and one.value is not None:
                whom = "" if one.pair is None else f", {' and '.join(_names(group, one.pair))}"
                lines.append((f"{FIGURES[metric].heading}{whom}", one.value, one.low, one.high))
    draw_intervals(lines, output / PLOTS["kappas"], "Agreement beyond chance, 95 % intervals")
