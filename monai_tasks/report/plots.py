"""Plots as PNG files: spreads of metrics over cases, and the course of a training run.

Figures are made without pyplot, which keeps global state and is not safe in threads.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from monai_tasks.io.errors import InputError
from monai_tasks.io.files import atomic_path
from monai_tasks.io.tables import read_table

INK, LINE, ACCENT, POINT = "#1d2630", "#d9dfe4", "#1f5f8b", "#5c6873"
# Okabe and Ito's colours, which people with other colour vision tell apart too.
COLOURS = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#d55e00", "#56b4e9", "#000000")
PANEL = (3.1, 2.9)  # inches
DPI = 130


def box_plots(
    metrics: Mapping[str, Mapping[str, Sequence[float | None]]],
    path: str | os.PathLike[str],
    columns: int = 3,
    width: float = 1.0,
) -> None:
    """One panel a metric, in it one box a label over the values of all cases.

    A box spans the quartiles with the median as a line, whiskers reach the furthest value within 1.5 times
    the box beyond it; every value further out is a point.

    Args:
        metrics: heading of each panel to the values of each label; None and NaN are left out.
        path: the PNG to write.
        columns: panels side by side at most.
        width: of a panel, in the usual widths.
    """
    figure, places = panels(len(metrics), min(columns, max(len(metrics), 1)), width)
    for axes, (heading, groups) in zip(places, metrics.items(), strict=True):
        values = [[value for value in group if _is_number(value)] for group in groups.values()]
        axes.boxplot(
            values,
            widths=0.55,
            patch_artist=True,
            boxprops={"facecolor": "#dbe7ef", "edgecolor": ACCENT},
            medianprops={"color": INK, "linewidth": 1.6},
            whiskerprops={"color": ACCENT},
            capprops={"color": ACCENT},
            flierprops={"marker": "o", "markersize": 3.5, "markeredgecolor": POINT},
        )
        names = [f"{plain(name)}\nn = {len(group)}" for name, group in zip(groups, values, strict=True)]
        axes.set_xticks(range(1, len(names) + 1), names, fontsize=9)
        axes.set_title(plain(heading), fontsize=11)
    save(figure, path)


def training_curves(record: str | os.PathLike[str], path: str | os.PathLike[str]) -> None:
    """The columns of a run record over the epochs, in panels by their names.

    Names that hold `loss` share a panel, and so do those that hold `learning_rate` (on a logarithmic scale), begin
    with `train_`, end in `_share`, or in `seconds`; all others are validation metrics, but for `iterations`, which is
    not drawn. An epoch without a value is bridged.

    Args:
        record: CSV table with a column `epoch`; columns that are not numbers are left out.
        path: the PNG to write.

    Raises:
        InputError: when the table cannot be read, or has no epochs or nothing to draw.
    """
    rows = read_table(record)
    if not rows or "epoch" not in rows[0]:
        raise InputError(record, "no epochs", "a table with a column `epoch` and at least one row")
    columns = {name: [_number(row[name]) for row in rows] for name in rows[0]}
    epochs = columns.pop("epoch")
    columns.pop("iterations", None)
    curves: dict[str, dict[str, list[float]]] = {}
    for name, values in columns.items():
        if any(map(math.isfinite, values)):
            curves.setdefault(_panel_of(name), {})[name] = values
    if not curves:
        raise InputError(record, "no column of numbers", "at least one beside `epoch`")
    order = [heading for heading in _PANELS if heading in curves]
    figure, places = panels(len(order), min(3, len(order)), width=1.35)
    for axes, heading in zip(places, order, strict=True):
        _draw_curves(axes, heading, epochs, curves[heading])
    save(figure, path)


_PANELS = ("Loss", "Training", "Validation", "Learning rate", "Share of a training step", "Seconds an epoch")


def _panel_of(name: str) -> str:
    if "loss" in name:
        return "Loss"
    if name.startswith("train_"):
        return "Training"
    if "learning_rate" in name:
        return "Learning rate"
    if name.endswith("_share"):
        return "Share of a training step"
    return "Seconds an epoch" if name.endswith("seconds") else "Validation"


def _draw_curves(axes: Axes, heading: str, epochs: list[float], curves: dict[str, list[float]]) -> None:
    for index, (name, values) in enumerate(curves.items()):
        known = [(e, v) for e, v in zip(epochs, values, strict=True) if math.isfinite(e) and math.isfinite(v)]
        known.sort()
        marker = "." if len(known) < 40 else None
        colour = COLOURS[index % len(COLOURS)]
        axes.plot(*zip(*known, strict=True), color=colour, marker=marker, linewidth=1.4, label=plain(name))
    axes.set_title(heading, fontsize=11)
    axes.set_xlabel("Epoch", fontsize=9)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    if heading == "Learning rate":
        axes.set_yscale("log")
    if heading == "Share of a training step":
        axes.set_ylim(bottom=0)
    axes.legend(fontsize=8, frameon=False)


def panels(count: int, columns: int, width: float = 1.0) -> tuple[Figure, list[Axes]]:
    """A figure with panels in the style of all plots.

    Args:
        count: of the panels.
        columns: panels side by side.
        width: of a panel, in the usual widths.
    """
    rows = math.ceil(count / columns)
    size = (PANEL[0] * width * columns, PANEL[1] * max(rows, 1))
    figure = Figure(figsize=size, dpi=DPI, layout="constrained", facecolor="white")
    places = [figure.add_subplot(rows, columns, place + 1) for place in range(count)]
    for axes in places:
        axes.grid(axis="y", color=LINE, linewidth=0.8)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(labelsize=9, color=LINE)
    return figure, places


def save(figure: Figure, path: str | os.PathLike[str]) -> None:
    """Write a figure as PNG.

    Args:
        figure: the figure.
        path: the file, written under a temporary name and renamed.
    """
    with atomic_path(path) as temporary:
        FigureCanvasAgg(figure).print_png(temporary)


def plain(name: str) -> str:
    """A name as it is: between two dollar signs Matplotlib would set formulas.

    Args:
        name: any text.
    """
    return name.replace("$", r"\$")


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return math.nan
