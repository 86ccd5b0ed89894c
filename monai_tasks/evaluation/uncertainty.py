"""Whether what a network is unsure of is what it gets wrong.

Two measures, each with an interval from drawing the subjects again. Spearman's rank correlation of uncertainty and
error is 1 where each case that is more uncertain is more wrong. The risk at a coverage is the mean error of that share
of the cases which are the least uncertain [Geifman2017]. The area under its curve lies between that of the errors
sorted by themselves and the mean error, which is what an uncertainty that says nothing comes to; `gain` is how much of
the way from the latter to the former it goes: 1 at best, 0 for nothing, below 0 where it misleads.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from monai_tasks.evaluation.intervals import LEVEL, RESAMPLES
from monai_tasks.evaluation.subject_bootstrap import draws, percentile_interval
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table
from monai_tasks.report.page import Figures, Section, Table
from monai_tasks.report.plots import COLOURS, LINE, panels, plain, save

ENTROPY, DISAGREEMENT = NAMES = ("entropy", "disagreement")
FEWEST = 3  # cases that can be put in an order worth a figure
PLOT = "risk_coverage.png"
RESULTS = "results.csv"

NOTE = (
    "Rank correlation: 1 where each case that is more uncertain is more wrong, 0 where uncertainty says nothing. Gain: "
    "what is gained by leaving the uncertain cases to a person, of what leaving those with the largest errors would "
    "gain; 1 at best, 0 for nothing. Intervals are 95 %, by subject where subjects are known, else by case."
)


def read_uncertainties(folder: Path) -> dict[str, dict[str, float]]:
    """What `infer` wrote of each case's uncertainty.

    Args:
        folder: its output folder, or the table in it.

    Returns:
        Case to value for each of `NAMES` that the table has values of; empty where there is no such table. A case in
        which no opinion has found anything is infinitely uncertain.

    Raises:
        InputError: when a value is no number.
    """
    table = folder if folder.is_file() else folder / RESULTS
    rows = read_table(table) if table.is_file() else []
    if not rows or not {"case", *NAMES} <= rows[0].keys():
        return {}
    known = [row for row in rows if row[DISAGREEMENT] != ""]  # the others have failed
    return {name: {row["case"]: _value(table, row, name) for row in known} for name in NAMES if known}


def _value(table: Path, row: Mapping[str, str], name: str) -> float:
    if row[ENTROPY] == "":
        return math.inf
    try:
        return float(row[name])
    except ValueError as cause:
        raise InputError(table, f"{name} {row[name]!r} of {row['case']}", "a number") from cause


def measure_uncertainties(
    uncertainties: Mapping[str, Mapping[str, float]],
    errors: Mapping[str, float],
    subjects: Mapping[str, str],
    path: Path,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """How well each uncertainty ranks the errors; draws their risk by coverage where there is one.

    Args:
        uncertainties: as `read_uncertainties` gives them.
        errors: case to error, from 0.
        subjects: case to subject; a case without one is a subject of its own.
        path: of the plot; an old one is removed where there is nothing to draw.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        A row for each uncertainty that three or more of the cases have, and that differs, see `rank_errors`.
    """
    rows, lines = [], {}
    for name, own in uncertainties.items():
        cases = [case for case in errors if case in own]
        if len(cases) < FEWEST or len({own[case] for case in cases}) < 2:  # one opinion disagrees with none
            continue
        values, wrong = np.array([own[case] for case in cases]), np.array([errors[case] for case in cases])
        owners = [subjects.get(case) or f"case {case}" for case in cases]
        rows.append({"uncertainty": name} | rank_errors(values, wrong, owners, resamples, seed))
        lines[name] = values, wrong
    path.unlink(missing_ok=True)
    if lines:
        _draw(lines, path)
    return rows


def rank_errors(
    uncertainty: np.ndarray,
    errors: np.ndarray,
    subjects: Sequence[str],
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Any]:
    """Measure how well an uncertainty ranks errors.

    Args:
        uncertainty: (N,).
        errors: (N,), from 0: one less the Dice, or 1 for a wrong decision and 0 for a right one.
        subjects: (N,), whose cases they are.
        resamples: of the bootstrap.
        seed: of the bootstrap.

    Returns:
        `n`; `spearman` and `gain`, each with `_low` and `_high`; `aurc`, `aurc_best` and `mean_error`. None where
        there is no value, as without any error.
    """
    owners = np.unique(np.asarray(subjects, dtype=str), return_inverse=True)[1]
    once = np.ones((1, len(errors)))
    content: dict[str, Any] = {"n": len(errors)}
    for name, measure in (("spearman", _spearman), ("gain", _gain)):
        value = measure(uncertainty, errors, once)[0]
        drawn = [
            measure(uncertainty, errors, counts[:, owners])
            for counts in draws(int(owners.max()) + 1, len(errors), resamples, seed)
        ]
        low, high, _ = percentile_interval(np.concatenate(drawn), LEVEL)
        content |= {name: _number(value), f"{name}_low": low, f"{name}_high": high}
    area, best = (risk_coverage(order, errors, once)[1][0] for order in (uncertainty, errors))
    return content | {"aurc": float(area), "aurc_best": float(best), "mean_error": float(errors.mean())}


def risk_coverage(
    uncertainty: np.ndarray, errors: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The mean error of the least uncertain cases, for every share of them, and the area under this curve.

    A case may be covered in part, so that the area is an integral and two copies of a case are as one of twice the
    weight. Cases that are equally uncertain count with the mean of their errors, whatever their order.

    Args:
        uncertainty: (N,).
        errors: (N,).
        weights: (B, N), how often each case comes in each resample.

    Returns:
        (B, N) the risks up to each case by rising uncertainty, NaN before the first of a resample; and (B,) the areas.
    """
    order = np.argsort(uncertainty, kind="stable")
    weights, errors = weights[:, order], errors[order]
    starts, sizes = _ties(uncertainty[order])
    held = np.add.reduceat(weights, starts, axis=1)
    level = _over(np.add.reduceat(weights * errors, starts, axis=1), held, 0.0)
    end, wrong = held.cumsum(1), (held * level).cumsum(1)
    begin, wrong_before = end - held, wrong - held * level
    # From b to b + h the risk is (E + t L) / (b + t), whose integral over t is this.
    excess = np.where(begin > 0, wrong_before - level * begin, 0.0)
    areas = level * held + excess * np.log(_over(end, begin, 1.0))
    covered = weights.cumsum(1)
    errors_so_far = (weights * np.repeat(level, sizes, axis=1)).cumsum(1)
    return _over(errors_so_far, covered, np.nan), areas.sum(1) / end[:, -1]


def _over(part: np.ndarray, whole: np.ndarray, otherwise: float) -> np.ndarray:
    """The ratio, or something else where the whole is nothing."""
    return np.divide(part, whole, out=np.full_like(part, otherwise), where=whole > 1e-12)


def _gain(uncertainty: np.ndarray, errors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    mean = (weights * errors).sum(1) / weights.sum(1)
    area, best = (risk_coverage(order, errors, weights)[1] for order in (uncertainty, errors))
    room = mean - best
    return _over(mean - area, room, np.nan)


def _spearman(uncertainty: np.ndarray, errors: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Pearson's correlation of the ranks, where each case counts as often as its weight says."""
    total = weights.sum(1, keepdims=True)
    centred = []
    for values in (uncertainty, errors):
        ranks = _ranks(values, weights)
        centred.append(ranks - (weights * ranks).sum(1, keepdims=True) / total)
    first, second = centred
    common = (weights * first * second).sum(1)
    spread = np.sqrt((weights * first**2).sum(1) * (weights * second**2).sum(1))
    return _over(common, spread, np.nan)


def _ranks(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """(B, N): the mean rank of each value among all copies that the weights make."""
    order = np.argsort(values, kind="stable")
    starts, sizes = _ties(values[order])
    held = np.add.reduceat(weights[:, order], starts, axis=1)
    middle = held.cumsum(1) - held / 2 + 0.5
    ranks = np.empty_like(weights)
    ranks[:, order] = np.repeat(middle, sizes, axis=1)
    return ranks


def _ties(ordered: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where runs of equal values begin, and how long they are."""
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    return starts, np.diff(np.r_[starts, len(ordered)])


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _draw(lines: Mapping[str, tuple[np.ndarray, np.ndarray]], path: Path) -> None:
    figure, (axes,) = panels(1, 1, width=1.5)
    wrong = next(iter(lines.values()))[1]
    axes.axhline(wrong.mean(), color=LINE, label="says nothing")
    for (name, (values, errors)), colour in zip(lines.items(), COLOURS, strict=False):
        shares = np.arange(1, len(errors) + 1) / len(errors)
        axes.plot(
            shares,
            risk_coverage(values, errors, np.ones((1, len(errors))))[0][0],
            color=colour,
            label=plain(name),
        )
    shares = np.arange(1, len(wrong) + 1) / len(wrong)
    best = risk_coverage(wrong, wrong, np.ones((1, len(wrong))))[0][0]
    axes.plot(shares, best, color="black", linestyle=":", label="sorted by the errors")
    axes.set_xlabel("share of the cases, least uncertain first")
    axes.set_ylabel("mean error of these")
    axes.legend(fontsize=8)
    save(figure, path)


def sections(rows: Sequence[Mapping[str, Any]]) -> list[Section]:
    """The part of a page that shows what `measure_uncertainties` found.

    Args:
        rows: as it gave them.
    """
    if not rows:
        return []
    shown = [
        {
            "uncertainty": row["uncertainty"],
            "n": row["n"],
            **{name: _with_interval(row, name) for name in ("spearman", "gain")},
        }
        for row in rows
    ]
    columns = {
        "uncertainty": "Uncertainty",
        "n": "Cases",
        "spearman": "Rank correlation with the error",
        "gain": "Gain",
    }
    title = "Does uncertainty find the errors?"
    return [
        Table(shown, columns, title=title, note=NOTE),
        Figures([(PLOT, "Mean error of the cases that are left, by how many are left")], wide=True),
    ]


def _with_interval(row: Mapping[str, Any], name: str) -> str:
    value, low, high = row[name], row[f"{name}_low"], row[f"{name}_high"]
    if value is None:
        return "none"
    return f"{value:.3f}" if low is None else f"{value:.3f} ({low:.3f} to {high:.3f})"
