"""The plot of what the free text for the body part says, over a data set."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.figure import Figure

from monai_tasks.report.plots import COLOURS, DPI, LINE, plain, save

KEPT, DROPPED = COLOURS[0], COLOURS[4]  # blue and vermilion
MOST, LONGEST = 40, 36  # bars, and letters of a text


def draw_histogram(rows: Sequence[Mapping[str, Any]], path: str | os.PathLike[str]) -> None:
    """Bars of the most frequent texts, coloured by whether they are kept; the others are summed in two bars.

    Args:
        rows: `value`, `count`, `part` and `kept` (`yes` or `no`), the most frequent first.
        path: the PNG to write.
    """
    bars = [(_label(row), row["count"], row["kept"]) for row in rows[:MOST]]
    for kept, word in (("yes", "kept"), ("no", "left out")):
        others = [row["count"] for row in rows[MOST:] if row["kept"] == kept]
        if others:
            bars.append((f"{len(others)} other texts, {word}", sum(others), kept))
    figure = Figure(figsize=(7.5, 1.2 + 0.22 * len(bars)), dpi=DPI, layout="constrained", facecolor="white")
    axes = figure.add_subplot()
    for place, (_, count, kept) in enumerate(bars):
        axes.barh(place, count, color=KEPT if kept == "yes" else DROPPED)
        axes.annotate(f" {count}", (count, place), va="center", fontsize=8)
    axes.set_yticks(range(len(bars)), [label for label, *_ in bars], fontsize=8)
    if bars:
        axes.set_ylim(len(bars) - 0.5, -0.5)
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(0, 2 * max(count for _, count, _ in bars))
    axes.grid(axis="x", color=LINE, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlabel("images (logarithmic)", fontsize=9)
    total = {kept: sum(row["count"] for row in rows if row["kept"] == kept) for kept in ("yes", "no")}
    axes.set_title(f"blue: {total['yes']} images kept; orange: {total['no']} left out", fontsize=10)
    save(figure, path)


def _label(row: Mapping[str, Any]) -> str:
    """The text and the part it was taken for. Signs that fonts lack or that Matplotlib would read are replaced."""
    text = "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in row["value"])
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return plain(f"{text or '(empty)'}: {row['part']}")
