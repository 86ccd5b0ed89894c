"""The picture of an explanation: red for, blue against, drawn on the image."""

from __future__ import annotations

import os
from functools import cache

import numpy as np
import torch
from monai.utils import convert_to_numpy
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from monai_tasks.io.files import atomic_path

# Red and blue that stay apart for people who do not see all colours.
FOR, AGAINST = (220, 20, 20), (20, 80, 255)
SMOOTHING = 1 / 200  # of the longer side: the deviation of the Gauss filter for display
SHOWN = 99.8  # percentile of the sizes that gets the full colour
OPACITY = 0.85  # of the full colour
SIDE = 512  # pixels up to which small images are enlarged
GAP, BAR, LABELS, LINE = 8, 14, 86, 24
COLUMNS = 4  # panels in a row
GROUND, TEXT = (0, 0, 0), (230, 230, 230)


def draw(
    image: np.ndarray | torch.Tensor,
    explanation: np.ndarray | torch.Tensor,
    path: str | os.PathLike[str],
    caption: str = "",
) -> None:
    """Draw an explanation on its image, or those of all views of a study side by side, with a colour bar.

    What is drawn is smoothed a little, for relevance is grainy. All views share one scale, which the bar tells, in
    the unit of the score for each pixel; larger values have the colour of its end. Nothing is drawn where the
    explanation is near 0.

    Args:
        image: (1, H, W), or (V, 1, H, W) with absent views all NaN, which are left out; 0 is black and 1 white.
        explanation: the same shape: positive for, negative against.
        path: the PNG to write.
        caption: a line over the picture.

    Raises:
        ValueError: if the shapes differ, are others than these, or no view has a value.
    """
    grey, values = (convert_to_numpy(array).astype(np.float32) for array in (image, explanation))
    if grey.shape != values.shape or grey.ndim not in (3, 4) or grey.shape[-3] != 1:
        found = f"image of shape {grey.shape}, explanation of {values.shape}"
        raise ValueError(f"{path}: {found}; expected (1, H, W) or (V, 1, H, W) of both")
    grey, values = (array.reshape(-1, *array.shape[-2:]) for array in (grey, values))
    present = [view for view in range(len(grey)) if np.isfinite(grey[view]).any()]
    if not present:
        raise ValueError(f"{path}: no view has a value; expected one that is not NaN")
    smooth = [gaussian_filter(values[view], SMOOTHING * max(grey.shape[1:])) for view in present]
    limit = float(np.percentile(np.abs(smooth), SHOWN)) or float(np.abs(smooth).max()) or 1.0
    panels = [_panel(grey[view], part / limit) for view, part in zip(present, smooth, strict=True)]
    low = -1.0 if min(part.min() for part in smooth) < 0 else 0.0  # Grad-CAM has no "against"
    sheet = _sheet(panels, _bar(panels[0].height, limit, low), caption)
    with atomic_path(path) as temporary:
        sheet.save(temporary, format="PNG", compress_level=1)


def coloured(grey: np.ndarray, strength: np.ndarray) -> np.ndarray:
    """Lay red and blue over grey.

    Args:
        grey: (H, W), 0 to 1; NaN is black.
        strength: (H, W), -1 full blue to 1 full red, clipped.

    Returns:
        (H, W, 3) uint8.
    """
    strength = np.clip(strength, -1.0, 1.0)[..., None]
    colour = np.where(strength > 0, np.float32(FOR), np.float32(AGAINST))
    ground = 255.0 * np.clip(np.nan_to_num(grey), 0.0, 1.0)[..., None]
    opacity = OPACITY * np.abs(strength)
    return np.round((1.0 - opacity) * ground + opacity * colour).astype(np.uint8)


def _panel(grey: np.ndarray, strength: np.ndarray) -> Image.Image:
    panel = Image.fromarray(coloured(grey, strength))
    scale = max(1, SIDE // max(panel.size))
    return panel.resize((panel.width * scale, panel.height * scale), Image.Resampling.NEAREST)


def _bar(height: int, limit: float, low: float) -> Image.Image:
    """From `limit` at the top to `low` times it, 0 or -1, on the grey of soft tissue."""
    strength = np.repeat(np.linspace(1.0, low, height)[:, None], BAR, axis=1)
    bar = Image.new("RGB", (BAR + LABELS, height), GROUND)
    bar.paste(Image.fromarray(coloured(np.full_like(strength, 0.35), strength)), (0, 0))
    lines = [(0, "la", f"for\n{limit:+.2g}")]
    if low:
        lines += [(height // 2, "lm", "0"), (height, "ld", f"against\n{low * limit:+.2g}")]
    else:
        lines += [(height, "ld", "0")]
    for place, anchor, text in lines:
        ImageDraw.Draw(bar).multiline_text((BAR + 6, place), text, fill=TEXT, font=_font(), anchor=anchor)
    return bar


def _sheet(panels: list[Image.Image], bar: Image.Image, caption: str) -> Image.Image:
    """The panels in rows, the bar at the end of the first, under the caption. All panels are of one size."""
    top = GAP + (LINE if caption else 0)
    columns = min(len(panels), COLUMNS)
    side = panels[0].width + GAP
    width = GAP + columns * side + bar.width + GAP
    if caption:
        width = max(width, 2 * GAP + round(_font().getlength(caption)))
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (width, top + rows * (bar.height + GAP)), GROUND)
    for number, panel in enumerate(panels):
        row, column = divmod(number, columns)
        sheet.paste(panel, (GAP + column * side, top + row * (bar.height + GAP)))
    sheet.paste(bar, (GAP + columns * side, top))
    if caption:
        ImageDraw.Draw(sheet).text((GAP, GAP), caption, fill=TEXT, font=_font(), anchor="lt")
    return sheet


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(14)
