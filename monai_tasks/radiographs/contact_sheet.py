"""Pictures before and after each step of the pipeline, for a person to check."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Picture
from PIL import ImageDraw, ImageFont

from monai_tasks.io.files import atomic_path
from monai_tasks.radiographs.pipeline import Change, run_steps
from monai_tasks.radiographs.study import Image, Step
from monai_tasks.radiographs.work import open_study

FOLDER = "contact_sheets"
PANEL = 200  # pixels along the longer side of an image
GAP, LINE = 10, 16
MOST_PARTS = 3  # images shown of those that one was split into
BACKGROUND, INK, FAINT = (255, 255, 255), (29, 38, 48), (92, 104, 115)


@dataclass(frozen=True)
class Pair:
    """One image before and after a step, small.

    Args:
        title: the image's name.
        before: the image that the step was given.
        after: what it made of it; none where it was left out.
        note: what is said of it.
    """

    title: str
    before: Picture.Image
    after: tuple[Picture.Image, ...]
    note: str


def write_sheets(
    data: Path,
    output: Path,
    steps: Sequence[Step],
    changed: Mapping[str, Mapping[str, int]],
    count: int,
) -> list[Path]:
    """Draw `contact_sheets/STEP.png` for each step that changed images.

    Studies are chosen by a digest of their names, which is the same in every run and has nothing to do with their
    content, and taken through the steps once more.

    Args:
        data: the data set before the steps.
        output: where to write.
        steps: in their order.
        changed: `LABEL/STUDY` to the name of each step to how many images it changed.
        count: images on a sheet at most; sheets of an earlier run are removed, also with 0.

    Returns:
        The files.
    """
    for path in (output / FOLDER).glob("*.png"):
        path.unlink()
    wanted = {step.name: count for step in steps} if count else {}
    pairs: dict[str, list[Pair]] = {name: [] for name in wanted}

    for key in sorted(changed, key=_digest):
        if any(len(pairs[name]) < count and changed[key].get(name) for name in wanted):
            label, study = key.split("/")
            for _, changes in run_steps(open_study(data, label, study), steps):
                for change in changes:
                    if len(pairs[change.step]) < count:
                        pairs[change.step].append(_pair(change))
    paths = []
    for name, found in pairs.items():
        if found:
            paths.append(output / FOLDER / f"{name}.png")
            total = sum(studies.get(name, 0) for studies in changed.values())
            draw_sheet(found, f"{name}: {len(found)} of {total} changed images, before and after", paths[-1])
    return paths


def draw_sheet(pairs: Iterable[Pair], heading: str, path: str | os.PathLike[str], columns: int = 2) -> None:
    """Draw pairs one beside and below the other.

    Args:
        pairs: what to draw.
        heading: of the sheet.
        path: the PNG to write.
        columns: pairs side by side.
    """
    cells = [_cell(pair) for pair in pairs]
    width = max(cell.width for cell in cells) + 2 * GAP
    rows = [cells[first : first + columns] for first in range(0, len(cells), columns)]
    height = sum(max(cell.height for cell in row) + GAP for row in rows)
    sheet = Picture.new(
        "RGB", (max(width * min(columns, len(cells)), 420), height + LINE + 2 * GAP), BACKGROUND
    )
    ImageDraw.Draw(sheet).text((GAP, GAP), heading, INK, ImageFont.load_default(13))
    top = LINE + 2 * GAP
    for row in rows:
        for place, cell in enumerate(row):
            sheet.paste(cell, (GAP + place * width, top))
        top += max(cell.height for cell in row) + GAP
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG")


def _cell(pair: Pair) -> Picture.Image:
    """A pair with its title above and its note below."""
    panels = [pair.before, *pair.after]
    width = sum(panel.width for panel in panels) + GAP * (len(panels) - 1) + (0 if pair.after else PANEL // 2)
    cell = Picture.new("RGB", (max(width, 2 * PANEL), max(p.height for p in panels) + 2 * LINE), BACKGROUND)
    draw, font = ImageDraw.Draw(cell), ImageFont.load_default(11)
    draw.text((0, 0), pair.title, INK, font)
    left = 0
    for panel in panels:
        cell.paste(panel, (left, LINE))
        left += panel.width + GAP
    draw.text((0, cell.height - LINE + 2), pair.note, FAINT, font)
    return cell


def _pair(change: Change) -> Pair:
    after = change.after[:MOST_PARTS]
    note = _note(change)
    if len(change.after) > MOST_PARTS:
        note += f" (the first {MOST_PARTS} of {len(change.after)})"
    return Pair(change.before.row["image"], _small(change.before), tuple(map(_small, after)), note)


def _note(change: Change) -> str:
    """What a step did: its reason for leaving an image out, else the columns that it set."""
    if not change.after:
        return f"left out: {change.reason}" if change.reason else "left out"
    if len(change.after) > 1:
        return f"{len(change.after)} images"
    before, after = change.before.row, change.after[0].row
    set_columns = {name: value for name, value in after.items() if value != before.get(name, "")}
    shown = {name: value for name, value in set_columns.items() if name not in ("image", "rows", "columns")}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def _small(image: Image) -> Picture.Image:
    """An image in 8 bits and small enough for a sheet; its grey values are kept, so that an inversion shows."""
    pixels = image.pixels
    step = max(1, max(pixels.shape) // (2 * PANEL))
    small = Picture.fromarray((pixels[::step, ::step] >> 8).astype(np.uint8))
    small.thumbnail((PANEL, PANEL), Picture.Resampling.BOX)
    return small.convert("RGB")


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
