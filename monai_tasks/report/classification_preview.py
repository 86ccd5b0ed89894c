"""One picture of a classification: the image, or all views of a study side by side, over the probabilities."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from monai_tasks.io.files import atomic_path
from monai_tasks.report.preview import grey

PANEL = 400  # pixels along the longer side of a view
COLUMNS, SLICES = 4, 8
GAP, LINE, BAR = 8, 22, 200
TEXT, DIM, FILL, CHOSEN = (230, 230, 230), (90, 90, 90), (86, 180, 233), (230, 159, 0)

Planes = Callable[[np.ndarray], list[np.ndarray]]


def views(image: np.ndarray) -> list[np.ndarray]:
    """The radiographs of an image that goes to a network.

    Args:
        image: (C, H, W), of which the first channel is shown, or the views of a study (V, C, H, W), absent ones NaN.

    Returns:
        (H, W) each, rows from the top.
    """
    return [view[0] for view in (image[None] if image.ndim == 3 else image) if np.isfinite(view).any()]


def slices(image: np.ndarray) -> list[np.ndarray]:
    """Up to eight slices of a volume, evenly from the first to the last.

    Args:
        image: (C, X, Y, Z), of which the first channel is shown.

    Returns:
        (Y, X) each.
    """
    chosen = np.linspace(0, image.shape[-1] - 1, min(SLICES, image.shape[-1])).round().astype(int)
    return [image[0, :, :, index].T for index in chosen]


def draw(
    planes: Sequence[np.ndarray],
    probabilities: Mapping[str, float],
    lines: Sequence[str],
    path: str | os.PathLike[str],
    marked: str = "",
    captions: Sequence[str] = (),
) -> None:
    """Draw planes over a bar for the probability of each class, and lines of text.

    Args:
        planes: (H, W) each, of any range, rows from the top; one or several, which may differ in size.
        probabilities: of each class by its name, from 0 to 1.
        lines: what is written under the bars.
        path: the PNG to write.
        marked: the class whose bar is set off.
        captions: what is written into each plane; none without them.

    Raises:
        ValueError: if there is no plane, or another number of captions.
    """
    if not planes:
        raise ValueError(f"{path}: no plane to draw; expected one or more")
    if captions and len(captions) != len(planes):
        raise ValueError(f"{path}: {len(captions)} captions; expected one for each of {len(planes)} planes")
    panels = [_panel(plane) for plane in planes]
    for panel, caption in zip(panels, captions, strict=False):
        if caption:
            _write_into(panel, caption)
    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    names = GAP + max((round(_font().getlength(name)) for name in probabilities), default=0)
    texts = [names + BAR + 8 * GAP, *(GAP + round(_font().getlength(line)) for line in lines)]
    width = max(*(sum(panel.width + GAP for panel in row) for row in rows), *texts) + GAP
    heights = [max(panel.height for panel in row) + GAP for row in rows]
    below = LINE * (len(probabilities) + len(lines)) + GAP
    sheet = Image.new("RGB", (width, GAP + sum(heights) + below))
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        left = GAP
        for panel in row:
            sheet.paste(panel, (left, top))
            left += panel.width + GAP
        top += height
    pen = ImageDraw.Draw(sheet)
    for name, probability in probabilities.items():
        middle, left = top + LINE // 2, 2 * GAP + names
        pen.text((GAP, middle), name, fill=TEXT, font=_font(), anchor="lm")
        pen.rectangle((left, middle - 5, left + BAR, middle + 5), outline=DIM)
        filled = (left, middle - 5, left + round(BAR * probability), middle + 5)
        pen.rectangle(filled, fill=CHOSEN if name == marked else FILL)
        pen.text((left + BAR + GAP, middle), f"{probability:.3f}", fill=TEXT, font=_font(), anchor="lm")
        top += LINE
    for line in lines:
        pen.text((GAP, top + LINE // 2), line, fill=TEXT, font=_font(), anchor="lm")
        top += LINE
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", compress_level=1)


def _panel(plane: np.ndarray) -> Image.Image:
    image = Image.fromarray(grey(np.nan_to_num(plane)))
    scale = PANEL / max(image.size)
    size = tuple(max(1, round(side * scale)) for side in image.size)
    return image.resize(size, Image.Resampling.BILINEAR).convert("RGB")


def _write_into(panel: Image.Image, caption: str) -> None:
    """Write into the upper left corner, on a ground that keeps it readable on bone."""
    pen = ImageDraw.Draw(panel)
    place = (GAP, GAP)
    left, top, right, bottom = pen.textbbox(place, caption, font=_font())
    pen.rectangle((left - 3, top - 3, right + 3, bottom + 3), fill=(0, 0, 0))
    pen.text(place, caption, fill=TEXT, font=_font())


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(15)
