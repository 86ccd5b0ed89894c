"""Figures of a transfer experiment: which line is whose, and what is not drawn."""

from __future__ import annotations

import pytest
from figures import keep_figures

from monai_tasks.experiments import transfer_plots as plots
from monai_tasks.experiments.transfer_statistics import Group


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    return keep_figures(monkeypatch, plots)


def test_a_course_leaves_out_epochs_without_a_value():
    rows = [
        {"epoch": "1", "x": "0.5"},
        {"epoch": "2", "x": ""},
        {"epoch": "3", "x": "nan"},
        {"epoch": "4", "x": "1"},
    ]
    assert plots.course(rows, "x") == ([1, 4], [0.5, 1])
    assert plots.course(rows, "y") == ([], [])


def test_an_arm_has_one_colour_in_all_panels(tmp_path, drawn):
    arms = [f"arm {number}" for number in range(9)]
    one, two = ([1, 2], [0.9, 0.8]), ([1], [0.7])
    panels = {"4": {"arm 0": [one, two], "arm 8": [one]}, "8": {"arm 8": [two]}}
    plots.draw_courses(panels, arms, "Loss", tmp_path / "losses.png")
    first, second = drawn[0].axes
    assert [line.get_color() for line in first.lines] == [
        plots.COLOURS[0],
        plots.COLOURS[0],
        plots.COLOURS[1],
    ]
    assert second.lines[0].get_color() == plots.COLOURS[1]
    left, right = second.get_xlim()
    assert [tick for tick in second.get_xticks() if left <= tick <= right] == [1], "epochs are whole numbers"
    # More arms than colours differ by their dashes.
    assert first.lines[2].get_linestyle() != first.lines[0].get_linestyle()
    assert [text.get_text() for text in first.get_legend().get_texts()] == ["arm 0", "arm 8"]


def test_learning_curves_show_means_intervals_and_seeds(tmp_path, drawn):
    groups = [
        Group("4", "a", {0: 0.4, 1: 0.6}, 0.5, 0.14, 0.45, 0.55),
        Group("8", "a", {0: 0.7}, 0.7, None, None, None),
        Group("4", "b", {}, None, None, None, None),
    ]
    plots.draw_learning_curves(groups, {"4": 4, "8": 8}, ["a", "b"], "Dice", tmp_path / "curves.png")
    (axes,) = drawn[0].axes
    line, *dots = axes.lines
    assert list(line.get_ydata()) == [0.5, 0.7]
    assert [list(dot.get_ydata()) for dot in dots] == [[0.4, 0.6], [0.7]]
    (bar,) = axes.collections
    assert [float(y) for y in bar.get_segments()[0][:, 1]] == [0.45, 0.55]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["4", "8"]
