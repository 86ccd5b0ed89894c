"""Many pictures on one sheet, each with a few lines of text below it."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from PIL import Image, ImageDraw, ImageFont

from monai_tasks.io.files import atomic_path

WIDTH, HEIGHT = 480, 300  # of a picture, in pixels, at most
GAP, LINE = 12, 17
LETTERS, MOST_LINES = 76, 4  # of the text below a picture
BACKGROUND, INK, FAINT = (255, 255, 255), (29, 38, 48), (92, 104, 115)


@dataclass(frozen=True)
class Tile:
    """One picture of a sheet.

    Args:
        title: the line above it.
        text: what stands below it; cut where it is long.
        picture: the file; None where there is none.
    """

    title: str
    text: str
    picture: Path | None


def contact_sheet(tiles: Sequence[Tile], path: str | os.PathLike[str], columns: int = 3) -> None:
    """Draw tiles in rows.

    Args:
        tiles: in order.
        path: the PNG to write.
        columns: tiles in a row.

    Raises:
        ValueError: if there is no tile.
    """
    if not tiles:
        raise ValueError(f"{path}: no tile to draw; expected one or more")
    drawn = [_draw(tile) for tile in tiles]
    rows = [drawn[first : first + columns] for first in range(0, len(drawn), columns)]
    heights = [max(tile.height for tile in row) + GAP for row in rows]
    width = GAP + (WIDTH + GAP) * min(columns, len(drawn))
    sheet = Image.new("RGB", (width, GAP + sum(heights)), BACKGROUND)
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        for place, tile in enumerate(row):
            sheet.paste(tile, (GAP + place * (WIDTH + GAP), top))
        top += height
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def _draw(tile: Tile) -> Image.Image:
    picture = _small(tile.picture)
    lines = textwrap.wrap(tile.text, LETTERS, max_lines=MOST_LINES, placeholder=" …")
    sheet = Image.new("RGB", (WIDTH, 2 * LINE + picture.height + LINE * MOST_LINES), BACKGROUND)
    pen = ImageDraw.Draw(sheet)
    pen.text((0, 0), textwrap.shorten(tile.title, LETTERS, placeholder=" …"), INK, _font())
    sheet.paste(picture, (0, LINE + LINE // 2))
    for number, line in enumerate(lines):
        pen.text((0, 2 * LINE + picture.height + LINE * number), line, FAINT, _font())
    return sheet


def _small(path: Path | None) -> Image.Image:
    if path is None:
        return Image.new("RGB", (WIDTH, LINE), BACKGROUND)
    with Image.open(path) as picture:
        small = picture.convert("RGB")
    small.thumbnail((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    return small


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(13)
