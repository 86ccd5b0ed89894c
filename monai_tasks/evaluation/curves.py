"""Curves of a classification as points and plots: ROC, precision, calibration, probabilities, confusion."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from sklearn.calibration import calibration_curve
from sklearn.metrics import precision_recall_curve, roc_curve

from monai_tasks.evaluation.class_statistics import BINS, Scores
from monai_tasks.evaluation.classification import confusion
from monai_tasks.report.plots import COLOURS, INK, LINE, panels, plain, save

ROC = ("threshold", "false_positive_rate", "sensitivity")
PR = ("threshold", "sensitivity", "precision")
CALIBRATION = ("from", "to", "n", "mean_probability", "share_true")
HISTOGRAM_BINS = 20
SIDE_BY_SIDE = 3
NONE = "one class only"
DASHES = ("-", "--", ":", "-.")

Style = dict[str, str]

Points = list[dict[str, float | int | None]]


@dataclass(frozen=True)
class Curve:
    """A line of a plot: a class of a table against the rest.

    Args:
        name: what the legend says.
        scores: the table.
        number: of the class.
    """

    name: str
    scores: Scores
    number: int = 1

    @property
    def true(self) -> np.ndarray:
        """(N,) bool, whether a case is of the class."""
        return self.scores.labels == self.number

    @property
    def values(self) -> np.ndarray:
        """(N,) probabilities of the class."""
        return self.scores.probabilities[:, self.number]

    @property
    def exists(self) -> bool:
        """Whether there are cases of the class and others."""
        return bool(self.true.any() and not self.true.all())


def roc_points(curve: Curve) -> Points:
    """The ROC curve, from no case found to all.

    Args:
        curve: a class of a table.

    Returns:
        Points with the keys `ROC`; the threshold of the first, above all probabilities, is None. None without both
        classes.
    """
    if not curve.exists:
        return []
    false, found, thresholds = roc_curve(curve.true, curve.values)
    return [
        dict(zip(ROC, (_finite(limit), float(x), float(y)), strict=True))
        for limit, x, y in zip(thresholds, false, found, strict=True)
    ]


def pr_points(curve: Curve) -> Points:
    """Precision by sensitivity, from all cases found to none.

    Args:
        curve: a class of a table.

    Returns:
        Points with the keys `PR`; the last, which has no threshold, is where nothing is found and the precision is
        set to 1. None without both classes.
    """
    if not curve.exists:
        return []
    precision, found, thresholds = precision_recall_curve(curve.true, curve.values, drop_intermediate=True)
    return [
        dict(zip(PR, (_finite(limit), float(x), float(y)), strict=True))
        for limit, x, y in zip([*thresholds, np.inf], found, precision, strict=True)
    ]


def calibration_points(scores: Scores) -> Points:
    """The reliability diagram: what came true among cases of about one probability.

    Of two classes the probability is that of the second, of more that of the most probable class.

    Args:
        scores: a table.

    Returns:
        Points with the keys `CALIBRATION`, one for each of ten equal bins that holds a case.
    """
    values, came_true = scores.confidence
    share, mean = calibration_curve(came_true, values, n_bins=BINS, strategy="uniform", pos_label=True)
    edges = np.linspace(0, 1, BINS + 1)
    counts = np.bincount(np.searchsorted(edges[1:-1], values), minlength=BINS)
    held = np.flatnonzero(counts)
    return [
        dict(zip(CALIBRATION, (edges[k], edges[k + 1], int(counts[k]), float(x), float(y)), strict=True))
        for k, x, y in zip(held, mean, share, strict=True)
    ]


def draw_roc(plots: Mapping[str, Sequence[Curve]], path: str | os.PathLike[str]) -> None:
    """ROC curves, with a ring at the operating point of tables of two classes.

    Args:
        plots: heading of each panel to its curves.
        path: the PNG to write.
    """

    def draw(axes: Axes, curve: Curve, style: Style) -> None:
        points = roc_points(curve)
        _line(axes, points, ROC[1:], curve.name, style)
        if curve.scores.classes == 2 and points:
            positive = curve.scores.decisions == 1
            axes.plot(positive[~curve.true].mean(), positive[curve.true].mean(), **_ring(style))

    _curves(plots, path, draw, ("1 - specificity", "Sensitivity"), diagonal=True)


def draw_pr(plots: Mapping[str, Sequence[Curve]], path: str | os.PathLike[str]) -> None:
    """Curves of precision and sensitivity, with a ring at the operating point of tables of two classes.

    Args:
        plots: heading of each panel to its curves.
        path: the PNG to write.
    """

    def draw(axes: Axes, curve: Curve, style: Style) -> None:
        points = pr_points(curve)
        _line(axes, points, PR[1:], curve.name, style, step=True)
        positive = curve.scores.decisions == 1
        if curve.scores.classes == 2 and points and positive.any():
            axes.plot(positive[curve.true].mean(), curve.true[positive].mean(), **_ring(style))

    _curves(plots, path, draw, ("Sensitivity", "Precision"))


def draw_calibration(plots: Mapping[str, Sequence[Curve]], path: str | os.PathLike[str]) -> None:
    """Reliability diagrams; on the diagonal as many come true as the probability says.

    Args:
        plots: heading of each panel to its curves, of which the class does not matter.
        path: the PNG to write.
    """

    def draw(axes: Axes, curve: Curve, style: Style) -> None:
        _line(axes, calibration_points(curve.scores), CALIBRATION[3:], curve.name, style, marker="o")

    _curves(plots, path, draw, ("Mean probability of a bin", "Share that came true"), diagonal=True)


def draw_probabilities(
    tables: Mapping[str, tuple[Scores, Sequence[str]]], path: str | os.PathLike[str]
) -> None:
    """Histograms by true class: of two classes of the second one's probability, of more of the true one's.

    Args:
        tables: heading of each panel to its table and the names of its classes, in order.
        path: the PNG to write.
    """
    figure, places = panels(len(tables), min(SIDE_BY_SIDE, max(len(tables), 1)), width=1.2)
    for axes, (heading, (scores, classes)) in zip(places, tables.items(), strict=True):
        two = scores.classes == 2
        values = (
            scores.probabilities[:, 1]
            if two
            else scores.probabilities[np.arange(len(scores.labels)), scores.labels]
        )
        for number, name in enumerate(classes):
            own = values[scores.labels == number]
            label = f"{plain(name)} ({len(own)})"
            colour = COLOURS[number % len(COLOURS)]
            axes.hist(own, np.linspace(0, 1, HISTOGRAM_BINS + 1), alpha=0.55, color=colour, label=label)
        axes.set_xlabel(f"Probability of {plain(classes[1]) if two else 'the true class'}", fontsize=9)
        _finish(axes, heading)
        axes.set_ylabel("Cases", fontsize=9)
    save(figure, path)


def draw_confusion(
    scores: Scores, classes: Sequence[str], path: str | os.PathLike[str], heading: str
) -> None:
    """Counts of decisions by true class, with the share of the true class.

    Args:
        scores: a table.
        classes: their names, in order.
        path: the PNG to write.
        heading: of the plot.
    """
    counts = confusion(scores)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    figure, (axes,) = panels(1, 1, width=1.25 if len(classes) < 5 else 1.9)
    axes.grid(False)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, column in np.ndindex(counts.shape):
        text = f"{counts[row, column]}\n{shares[row, column]:.0%}"
        colour = "white" if shares[row, column] > 0.55 else INK
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=10)
    names = [plain(name) for name in classes]
    axes.set_xticks(range(len(names)), names, fontsize=9)
    axes.set_yticks(range(len(names)), names, fontsize=9, rotation=90, va="center")
    axes.set_xlabel("Decision", fontsize=9)
    axes.set_ylabel("True class", fontsize=9)
    axes.set_title(plain(heading), fontsize=11)
    save(figure, path)


def _curves(
    plots: Mapping[str, Sequence[Curve]],
    path: str | os.PathLike[str],
    draw: Callable[[Axes, Curve, Style], None],
    names: tuple[str, str],
    diagonal: bool = False,
) -> None:
    figure, places = panels(len(plots), min(SIDE_BY_SIDE, max(len(plots), 1)), width=1.2)
    for axes, (heading, curves) in zip(places, plots.items(), strict=True):
        if diagonal:
            axes.plot([0, 1], [0, 1], color=LINE, linestyle="--", linewidth=1.2)
        for index, curve in enumerate(curves):
            # Dashes, so that lines that coincide are all seen, as at-least-one and the studies of `infer` do.
            dashes = DASHES[index % len(DASHES)]
            draw(axes, curve, {"color": COLOURS[index % len(COLOURS)], "linestyle": dashes})
        axes.set_xlim(-0.02, 1.02)
        axes.set_ylim(-0.02, 1.02)
        axes.set_xlabel(names[0], fontsize=9)
        axes.set_ylabel(names[1], fontsize=9)
        _finish(axes, heading)
    save(figure, path)


def _line(
    axes: Axes,
    points: Points,
    keys: Iterable[str],
    name: str,
    style: Style,
    step: bool = False,
    marker: str | None = None,
) -> None:
    x, y = ([point[key] for point in points] for key in keys)
    label = plain(name) if points else f"{plain(name)}: {NONE}"
    # Between two points of a precision curve there is no mean of the two: the area is a sum of steps.
    drawing = "steps-post" if step else "default"
    axes.plot(x, y, **style, linewidth=1.7, label=label, marker=marker, markersize=4, drawstyle=drawing)


def _ring(style: Style) -> dict[str, object]:
    edge = {"markeredgecolor": style["color"], "markerfacecolor": "white"}
    return {"marker": "o", "markersize": 6, "zorder": 3, "linestyle": "none"} | edge


def _finish(axes: Axes, heading: str) -> None:
    axes.set_title(plain(heading), fontsize=11)
    axes.legend(fontsize=8, frameon=False)


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
