"""Plots of the agreement of raters: who gave which grade where another gave which, and figures with intervals."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

import numpy as np

from monai_tasks.report.plots import ACCENT, COLOURS, INK, LINE, panels, plain, save

MOST_SIDE_BY_SIDE = 3


def draw_pairs(
    pairs: Sequence[tuple[str, str, np.ndarray]], scale: Sequence[int], path: str | os.PathLike[str]
) -> None:
    """A panel a pair of raters: counts of scans by the grades that the two gave.

    Args:
        pairs: the first rater, the second, and (K, K) counts.
        scale: the K grades.
        path: the PNG to write.
    """
    figure, places = panels(len(pairs), min(MOST_SIDE_BY_SIDE, len(pairs)), width=1.2)
    for axes, (first, second, counts) in zip(places, pairs, strict=True):
        axes.grid(False)
        shares = counts / max(counts.max(), 1)
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
        for row, column in zip(*counts.nonzero(), strict=True):
            colour = "white" if shares[row, column] > 0.55 else INK
            axes.text(column, row, counts[row, column], ha="center", va="center", color=colour, fontsize=9)
        axes.set_xticks(range(len(scale)), scale, fontsize=9)
        axes.set_yticks(range(len(scale)), scale, fontsize=9)
        axes.set_xlabel(plain(second), fontsize=9)
        axes.set_ylabel(plain(first), fontsize=9)
    save(figure, path)


def draw_grades(
    counts: Mapping[str, Sequence[int]], scale: Sequence[int], path: str | os.PathLike[str]
) -> None:
    """Bars: how often each rater gave each grade.

    Args:
        counts: rater to counts, one a grade.
        scale: the grades.
        path: the PNG to write.
    """
    figure, (axes,) = panels(1, 1, width=1.7)
    width = 0.8 / len(counts)
    for number, (rater, own) in enumerate(counts.items()):
        places = np.arange(len(scale)) + (number + 0.5) * width - 0.4
        axes.bar(places, own, width, color=COLOURS[number % len(COLOURS)], label=plain(rater))
    axes.set_xticks(range(len(scale)), scale)
    axes.set_xlabel("Grade", fontsize=9)
    axes.set_ylabel("Scans", fontsize=9)
    axes.legend(fontsize=8, frameon=False)
    save(figure, path)


def draw_intervals(
    lines: Sequence[tuple[str, float, float | None, float | None]],
    path: str | os.PathLike[str],
    heading: str,
) -> None:
    """A line a figure: its value as a point and its interval.

    Args:
        lines: name, value and the ends of the interval, or None where there is none.
        path: the PNG to write.
        heading: of the plot.
    """
    figure, (axes,) = panels(1, 1, width=1.9)
    axes.grid(axis="x", color=LINE, linewidth=0.8)
    for place, (_, value, low, high) in enumerate(lines):
        if low is not None:
            axes.plot([low, high], [place, place], color=ACCENT, linewidth=2)
        axes.plot(value, place, "o", color=ACCENT, markersize=5)
    axes.set_yticks(range(len(lines)), [plain(name) for name, *_ in lines], fontsize=9)
    axes.set_ylim(len(lines) - 0.5, -0.5)
    axes.set_xlim(right=1.02)
    axes.set_title(plain(heading), fontsize=11)
    save(figure, path)
