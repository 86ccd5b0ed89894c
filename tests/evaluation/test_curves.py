"""The points of curves, what areas they have, and that plots show them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from monai_tasks.evaluation import curves
from monai_tasks.evaluation.class_statistics import Scores
from monai_tasks.evaluation.classification import measure
from monai_tasks.evaluation.curves import Curve

CLASSES = ("whole", "cracked")


def drawn(classes: int = 2, seed: int = 0, cases: int = 200) -> Scores:
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, classes, cases)
    scores = rng.random((cases, classes)) + 0.4 * np.eye(classes)[labels]
    probabilities = np.round(scores / scores.sum(axis=1, keepdims=True), 2)
    probabilities[:, 0] = 1 - probabilities[:, 1:].sum(axis=1)
    decisions = probabilities.argmax(axis=1)
    return Scores(labels, probabilities, decisions, np.arange(cases))


@pytest.fixture
def figures(monkeypatch) -> list[Figure]:
    """The figures that were saved."""
    kept, save = [], curves.save

    def keep(figure, path):
        kept.append(figure)
        save(figure, path)

    monkeypatch.setattr(curves, "save", keep)
    return kept


@pytest.mark.parametrize(("classes", "number"), [(2, 1), (3, 0), (3, 2)])
def test_the_areas_under_the_points_are_the_metrics(classes, number):
    scores = drawn(classes)
    found = {(one.metric, one.number): one.value for one in measure(scores, resamples=2)}
    key = None if classes == 2 else number
    points = curves.roc_points(Curve("", scores, number))
    x, y = ([point[name] for point in points] for name in curves.ROC[1:])
    assert (points[0]["threshold"], x[0], y[0], x[-1], y[-1]) == (None, 0, 0, 1, 1)
    assert np.trapezoid(y, x) == pytest.approx(found["auroc", key])
    points = curves.pr_points(Curve("", scores, number))
    steps = [(one["sensitivity"] - two["sensitivity"]) * one["precision"] for one, two in pairwise(points)]
    # Points between which nothing is found are left out of the curve, and add nothing.
    assert sum(steps) == pytest.approx(found["average_precision", key])
    assert (points[-1]["threshold"], points[-1]["sensitivity"]) == (None, 0)


def test_points_are_counted_at_their_thresholds():
    curve = Curve("", drawn())
    true, values = curve.true, curve.values
    for point in curves.roc_points(curve)[1:]:
        found = values >= point["threshold"]
        assert point["sensitivity"] == pytest.approx(found[true].mean())
        assert point["false_positive_rate"] == pytest.approx(found[~true].mean())
    for point in curves.pr_points(curve)[:-1]:
        found = values >= point["threshold"]
        assert (point["sensitivity"], point["precision"]) == pytest.approx(
            (found[true].mean(), true[found].mean())
        )


@pytest.mark.parametrize("classes", [2, 3])
def test_the_calibration_error_is_the_mean_gap_of_the_diagram(classes):
    scores = drawn(classes)
    points = curves.calibration_points(scores)
    assert sum(point["n"] for point in points) == len(scores.labels)
    assert all(point["from"] <= point["mean_probability"] <= point["to"] for point in points)
    gap = sum(point["n"] * abs(point["mean_probability"] - point["share_true"]) for point in points)
    found = {one.metric: one.value for one in measure(scores, resamples=2)}
    assert gap / len(scores.labels) == pytest.approx(found["calibration_error"])


def test_probabilities_of_the_ends_have_a_bin():
    scores = Scores.of([0, 1, 1], [[1, 0], [0, 1], [0.9, 0.1]], [0, 1, 0], list("abc"))
    assert [(point["n"], point["share_true"]) for point in curves.calibration_points(scores)] == [
        (2, 0.5),
        (1, 1),
    ]


def test_one_class_alone_has_no_curve(tmp_path, figures):
    curve = Curve("images", Scores.of([0, 0], [[0.5, 0.5]] * 2, [0, 1], ["a", "b"]))
    assert curves.roc_points(curve) == curves.pr_points(curve) == []
    curves.draw_roc({"Images": [curve]}, tmp_path / "roc.png")
    curves.draw_pr({"Images": [curve]}, tmp_path / "pr.png")
    for figure in figures:
        (text,) = figure.axes[0].get_legend().get_texts()
        assert text.get_text() == "images: one class only"


def test_the_ring_is_at_the_decisions(tmp_path, figures):
    scores = drawn()
    curves.draw_roc({"Images": [Curve("images", scores)]}, tmp_path / "roc.png")
    curves.draw_pr({"Images": [Curve("images", scores)]}, tmp_path / "pr.png")
    found = {one.metric: one.value for one in measure(scores, resamples=2)}
    ring = figures[0].axes[0].lines[-1].get_xydata()[0]
    assert ring == pytest.approx((1 - found["specificity"], found["sensitivity"]))
    ring = figures[1].axes[0].lines[-1].get_xydata()[0]
    assert ring == pytest.approx((found["sensitivity"], found["precision"]))
    curves.draw_roc({"Images": [Curve(str(k), drawn(3), k) for k in range(3)]}, tmp_path / "three.png")
    assert len(figures[2].axes[0].lines) == 1 + 3, "of several classes there is no operating point"


def test_histograms_hold_all_cases_by_class(tmp_path, figures):
    scores = drawn()
    tables = {"Images": (scores, CLASSES), "Studies": (scores, CLASSES)}
    curves.draw_probabilities(tables, tmp_path / "p.png")
    axes = figures[0].axes[1]
    assert sum(bar.get_height() for bar in axes.patches) == 200
    texts = [text.get_text() for text in axes.get_legend().get_texts()]
    assert texts == [f"{name} ({(scores.labels == k).sum()})" for k, name in enumerate(CLASSES)]
    three = drawn(3)
    curves.draw_probabilities({"Images": (three, ("a", "b", "c"))}, tmp_path / "three.png")
    heights = [bar.get_height() for bar in figures[1].axes[0].patches]
    own = three.probabilities[np.arange(200), three.labels]
    expected = [np.histogram(own[three.labels == k], 20, (0, 1))[0] for k in range(3)]
    assert heights == np.concatenate(expected).tolist()


def test_the_matrix_shows_counts_and_shares(tmp_path, figures):
    scores = Scores.of([0, 0, 0, 0, 1], [[0.5, 0.5]] * 5, [0, 0, 0, 1, 1], list("abcde"))
    curves.draw_confusion(scores, ("a $x$ b", "cracked"), tmp_path / "c.png", "Images")
    axes = figures[0].axes[0]
    assert [text.get_text() for text in axes.texts] == ["3\n75%", "1\n25%", "0\n0%", "1\n100%"]
    assert axes.images[0].get_array().tolist() == [[0.75, 0.25], [0, 1]]


def test_every_plot_is_a_picture_even_without_cases(tmp_path):
    scores = drawn()
    for name, plots in (("some", {"Images": [Curve("images", scores)]}), ("none", {})):
        for kind in ("roc", "pr", "calibration"):
            getattr(curves, f"draw_{kind}")(plots, tmp_path / f"{name}_{kind}.png")
        tables = {heading: (own[0].scores, CLASSES) for heading, own in plots.items()}
        curves.draw_probabilities(tables, tmp_path / f"{name}_probabilities.png")
    assert len(list(tmp_path.iterdir())) == 8
    for path in tmp_path.iterdir():
        assert Image.open(path).width > 300
