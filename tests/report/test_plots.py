"""Plots: what is drawn where, from values and tables with gaps."""

from __future__ import annotations

import math
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from figures import keep_figures
from PIL import Image

from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import write_table
from monai_tasks.report import plots

VALUES = [0.9, 0.8, 0.85, 0.2, 0.95, 0.88, 0.91]


@pytest.fixture
def drawn(monkeypatch):
    """The figures that were saved."""
    return keep_figures(monkeypatch, plots)


def medians(axes) -> list[float]:
    lines = [line for line in axes.lines if line.get_color() == plots.INK]
    return [float(np.unique(line.get_ydata())[0]) for line in lines]


def test_box_plots_show_each_label_of_each_metric(tmp_path, drawn):
    groups = {"anterior": [*VALUES, None, math.nan], "posterior": [0.5, 0.7]}
    plots.box_plots({"Dice": groups, "HD95, mm": {"anterior": [1.0], "posterior": [2.0]}}, tmp_path / "b.png")
    dice, distance = drawn[0].axes
    assert (dice.get_title(), distance.get_title()) == ("Dice", "HD95, mm")
    assert medians(dice) == pytest.approx([sorted(VALUES)[3], 0.6])
    assert [text.get_text() for text in dice.get_xticklabels()] == ["anterior\nn = 7", "posterior\nn = 2"]
    outliers = [value for line in dice.lines if line.get_marker() == "o" for value in line.get_ydata()]
    assert outliers == [0.2]
    with Image.open(tmp_path / "b.png") as picture:
        assert len(np.unique(np.asarray(picture))) > 10
    assert [path.name for path in tmp_path.iterdir()] == ["b.png"]


def test_box_plots_without_values_are_empty_panels(tmp_path, drawn):
    plots.box_plots({"Dice": {"a": [], "b": [None]}}, tmp_path / "b.png")
    assert [text.get_text() for text in drawn[0].axes[0].get_xticklabels()] == ["a\nn = 0", "b\nn = 0"]
    plots.box_plots({}, tmp_path / "none.png")
    assert (tmp_path / "none.png").is_file()


def test_names_are_no_formulas(tmp_path):
    plots.box_plots({"cost $\\x$": {r"$\bad": [1.0, 2.0]}}, tmp_path / "b.png")
    assert (tmp_path / "b.png").is_file()


COLUMNS = (
    *("epoch", "iterations", "loss", "train_dice", "dice_anterior", "learning_rate", "seconds"),
    *("data_wait_share", "note"),
)


def record(tmp_path, rows):
    write_table(tmp_path / "record.csv", [dict(zip(COLUMNS, row, strict=True)) for row in rows], COLUMNS)
    return tmp_path / "record.csv"


def test_training_curves_bridge_gaps_and_sort_columns_into_panels(tmp_path, drawn):
    rows = [
        (1, 7, 0.9, 0.4, None, 1e-3, 5.0, 0.1, "start"),
        (2, 7, 0.8, 0.5, 0.5, 1e-3, 5.1, 0.2, ""),
        (3, 7, 0.7, 0.6, None, 1e-4, 5.2, 0.1, ""),
        (4, 7, 0.6, 0.7, 0.7, 1e-4, 5.3, "nan", ""),
    ]
    plots.training_curves(record(tmp_path, rows), tmp_path / "curves.png")
    panels = {axes.get_title(): axes for axes in drawn[0].axes}
    assert list(panels) == list(plots._PANELS)
    curves = {
        line.get_label(): [[float(v) for v in data] for data in line.get_data()]
        for axes in panels.values()
        for line in axes.lines
    }
    assert set(curves) == set(COLUMNS) - {"epoch", "iterations", "note"}
    assert [line.get_label() for line in panels["Training"].lines] == ["train_dice"]
    assert curves["loss"] == [[1, 2, 3, 4], [0.9, 0.8, 0.7, 0.6]]
    assert curves["dice_anterior"] == [[2, 4], [0.5, 0.7]]
    assert curves["data_wait_share"] == [[1, 2, 3], [0.1, 0.2, 0.1]]
    assert panels["Learning rate"].get_yscale() == "log"
    with Image.open(tmp_path / "curves.png") as picture:
        assert picture.width > picture.height


def test_records_that_hold_nothing_to_draw_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"record\.csv: no epochs"):
        plots.training_curves(record(tmp_path, []), tmp_path / "c.png")
    write_table(tmp_path / "words.csv", [{"epoch": 1, "note": "x"}], ("epoch", "note"))
    with pytest.raises(InputError, match=r"words\.csv: no column of numbers"):
        plots.training_curves(tmp_path / "words.csv", tmp_path / "c.png")
    with pytest.raises(InputError, match=r"absent\.csv: no such file"):
        plots.training_curves(tmp_path / "absent.csv", tmp_path / "c.png")
    assert not (tmp_path / "c.png").exists()


def test_plots_can_be_drawn_in_threads(tmp_path):
    paths = [tmp_path / f"{index}.png" for index in range(6)]
    with ThreadPoolExecutor(3) as pool:
        list(pool.map(lambda path: plots.box_plots({"Dice": {"a": VALUES}}, path), paths))
    assert len({path.read_bytes() for path in paths}) == 1
    assert "matplotlib.pyplot" not in sys.modules or sys.modules["matplotlib.pyplot"].get_fignums() == []
