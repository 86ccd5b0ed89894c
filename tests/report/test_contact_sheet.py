"""Many pictures on one sheet."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_tasks.report.contact_sheet import Tile, contact_sheet

COLOURS = ((200, 30, 30), (30, 160, 30), (30, 30, 200))


@pytest.fixture
def pictures(tmp_path) -> list[Path]:
    paths = [tmp_path / f"{number}.png" for number in range(3)]
    for path, colour, size in zip(paths, COLOURS, ((400, 90), (90, 400), (40, 30)), strict=True):
        Image.new("RGB", size, colour).save(path)
    return paths


def places(sheet: np.ndarray, colour: tuple[int, int, int]) -> tuple[slice, slice]:
    """The box of a colour."""
    rows, columns = np.nonzero((np.abs(sheet.astype(int) - colour) < 8).all(axis=2))
    return slice(rows.min(), rows.max() + 1), slice(columns.min(), columns.max() + 1)


def test_each_picture_is_whole_on_the_sheet_in_rows(pictures, tmp_path):
    tiles = [Tile(f"case {number}", "why", path) for number, path in enumerate(pictures)]
    contact_sheet(tiles, tmp_path / "sheet.png", columns=2)
    sheet = np.asarray(Image.open(tmp_path / "sheet.png"))
    boxes = [places(sheet, colour) for colour in COLOURS]
    for box, shape in zip(boxes, (400 / 90, 90 / 400, 40 / 30), strict=True):
        height, width = (part.stop - part.start for part in box)
        assert width / height == pytest.approx(shape, rel=0.1)
        assert (np.abs(sheet[box].astype(int) - sheet[box][0, 0]) < 8).all()
    assert boxes[1][1].start > boxes[0][1].stop  # beside
    assert boxes[2][0].start > boxes[1][0].stop  # below


def test_a_case_without_a_picture_has_its_text(tmp_path):
    words = ("reason " * 60, "")
    for name, text in zip(("with", "without"), words, strict=True):
        contact_sheet([Tile("case", text, None)], tmp_path / f"{name}.png")
    told, blank = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("with", "without"))
    assert told.shape == blank.shape
    assert (told < 128).sum() > 2 * (blank < 128).sum() > 0


def test_a_sheet_of_nothing_is_refused(tmp_path):
    with pytest.raises(ValueError, match="no tile to draw"):
        contact_sheet([], tmp_path / "sheet.png")
