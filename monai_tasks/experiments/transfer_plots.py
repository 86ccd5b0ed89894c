"""The figures of a transfer experiment."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, NullLocator

from monai_tasks.experiments.transfer_statistics import Group
from monai_tasks.report.plots import COLOURS, panels, plain, save

SIDE_BY_SIDE = 3
DASHES = ("-", "--", ":", "-.")

# Epochs and values of a run.
Course = tuple[Sequence[float], Sequence[float]]


def course(rows: Sequence[Mapping[str, str]], column: str) -> Course:
    """The known values of a column of a run's record, with their epochs.

    Args:
        rows: of `record.csv`.
        column: its name; of one that is not there nothing is known.
    """
    known = [(float(row["epoch"]), float(row[column])) for row in rows if row.get(column)]
    known = [(epoch, value) for epoch, value in known if math.isfinite(value)]
    return [epoch for epoch, _ in known], [value for _, value in known]


def draw_courses(
    courses: Mapping[str, Mapping[str, Sequence[Course]]], arms: Sequence[str], what: str, path: Path
) -> None:
    """A panel a subset, in it a line a run in the colour of its arm.

    Args:
        courses: heading of each panel to the runs of each arm.
        arms: all, in order, so that each has one colour.
        what: the lines show.
        path: the PNG to write.
    """
    figure, places = panels(len(courses), min(SIDE_BY_SIDE, max(len(courses), 1)), width=1.35)
    for axes, (title, own) in zip(places, courses.items(), strict=True):
        for arm, runs in own.items():
            for number, (epochs, values) in enumerate(runs):
                marker = "." if len(epochs) < 2 else None
                label = None if number else plain(arm)
                axes.plot(epochs, values, linewidth=1.1, marker=marker, label=label, **_style(arm, arms))
        axes.set_title(plain(title), fontsize=11)
        axes.set_xlabel("Epoch", fontsize=9)
        axes.set_ylabel(plain(what), fontsize=9)
        # With one epoch alone there is one whole number in view.
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _legend(axes)
    save(figure, path)


def draw_learning_curves(
    groups: Sequence[Group], subjects: Mapping[str, int], arms: Sequence[str], what: str, path: Path
) -> None:
    """The test metric by the number of training subjects, a line an arm; bars are intervals, dots are seeds.

    Args:
        groups: of each subset and arm.
        subjects: of each subset.
        arms: all, in order.
        what: the metric's heading.
        path: the PNG to write.
    """
    figure, (axes,) = panels(1, 1, width=2.2)
    for place, arm in enumerate(arms):
        own = [one for one in groups if one.arm == arm and one.mean is not None]
        if not own:
            continue
        # Side by side, so that the bars of the arms do not hide each other.
        shift = 1.04 ** (place - (len(arms) - 1) / 2)
        sizes = [subjects[one.subset] * shift for one in own]
        style = _style(arm, arms)
        axes.plot(sizes, [one.mean for one in own], marker="o", markersize=4, label=plain(arm), **style)
        for size, one in zip(sizes, own, strict=True):
            if one.low is not None:
                axes.vlines(size, one.low, one.high, color=style["color"], linewidth=1.2)
            dots = list(one.values.values())
            axes.plot([size] * len(dots), dots, ".", color=style["color"], markersize=3, alpha=0.6)
    counts = sorted({subjects[one.subset] for one in groups})
    axes.set_xscale("log")
    axes.set_xticks(counts, [str(count) for count in counts])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlabel("Training subjects", fontsize=9)
    axes.set_ylabel(plain(what), fontsize=9)
    if names := axes.get_legend_handles_labels()[1]:
        # Above the axes, for bars may stand anywhere in them.
        place = {"loc": "lower center", "bbox_to_anchor": (0.5, 1.0)}
        axes.legend(fontsize=8, frameon=False, ncols=min(len(names), SIDE_BY_SIDE), **place)
    save(figure, path)


def _style(arm: str, arms: Sequence[str]) -> dict[str, str]:
    place = arms.index(arm)
    return {
        "color": COLOURS[place % len(COLOURS)],
        "linestyle": DASHES[place // len(COLOURS) % len(DASHES)],
    }


def _legend(axes: Axes) -> None:
    if axes.get_legend_handles_labels()[0]:
        axes.legend(fontsize=8, frameon=False)
