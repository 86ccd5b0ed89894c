"""One picture of a segmentation: three planes of the image with the labels drawn on it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from functools import cache

import nibabel as nib
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from monai_tasks.io.files import atomic_path

# Colours that stay apart for people who do not see all colours, as Okabe and Ito proposed them.
COLOURS = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (204, 121, 167),
    (213, 94, 0),
    (0, 114, 178),
)
REFERENCE_COLOUR = (255, 255, 255)
PANEL = 320  # pixels along the longest side of the volume
GAP = 8
LEGEND = 28
FILL = 0.25
CONTOUR = 2  # pixels
# Along each axis of a RAS+ volume: what is at the left, the right, the top and the bottom of the panel.
EDGES = (("A", "P", "S", "I"), ("R", "L", "S", "I"), ("R", "L", "A", "P"))


def overlay(
    image: np.ndarray,
    labels: np.ndarray,
    names: Mapping[int, str],
    path: str | os.PathLike[str],
    reference: np.ndarray | None = None,
    affine: np.ndarray | None = None,
) -> None:
    """Draw labels on the sagittal, coronal and axial plane in which the largest label is widest.

    The planes are shown upright and in radiological convention: anterior of the sagittal one and the right of the
    body are on the left. All three have one scale in mm.

    Args:
        image: (X, Y, Z) or (C, X, Y, Z), of which the first channel is drawn.
        labels: (X, Y, Z), integers, on the grid of the image.
        names: label value to the name in the legend; the value fixes the colour.
        path: the PNG to write.
        reference: (X, Y, Z), the true labels, drawn as white contours; the planes go through these where given.
        affine: (4, 4), voxel indices to RAS+ millimetres; the one that `image` carries where not given, 1 mm
            voxels where it carries none.

    Raises:
        ValueError: if the labels or the reference are not on the grid of the image.
    """
    if affine is None:
        affine = getattr(image, "affine", np.eye(4))
    image, labels = np.asarray(image), np.asarray(labels)
    image = image[0] if image.ndim == 4 else image
    drawn = [labels] if reference is None else [labels, np.asarray(reference)]
    for array in drawn:
        if array.shape != image.shape:
            raise ValueError(f"{path}: labels of shape {array.shape}; expected the image's {image.shape}")
    orientation = nib.io_orientation(np.asarray(affine, dtype=np.float64))
    spacing = np.empty(3)
    spacing[orientation[:, 0].astype(int)] = nib.affines.voxel_sizes(np.asarray(affine))
    image, *drawn = (nib.apply_orientation(array, orientation) for array in (image, *drawn))

    window = _window(image)
    scale = PANEL / float(np.max(spacing * image.shape))
    index = _planes(drawn[::-1])
    panels = []
    for axis in range(3):
        planes = [_upright(array, axis, index[axis]) for array in (image, *drawn)]
        millimetres = np.delete(spacing, axis) * np.delete(image.shape, axis)
        size = tuple(max(1, round(side * scale)) for side in millimetres)
        panels.append(_panel(planes, window, size, sorted(names), EDGES[axis]))
    picture = _sheet(panels, names, reference is not None)
    with atomic_path(path) as temporary:
        picture.save(temporary, format="PNG", compress_level=1)


def grey(image: np.ndarray) -> np.ndarray:
    """The image in 8 bits, for a picture: an eighth to a quarter of the memory.

    Args:
        image: any shape.

    Returns:
        uint8 of the same shape; the 0.5th percentile is 0 and the 99.5th is 255.
    """
    return _eight_bits(image, _window(image))


def _window(image: np.ndarray) -> tuple[float, float]:
    """The range of intensities to show. A few ten thousand voxels are enough to find it."""
    step = max(1, round((image.size / 30_000) ** (1 / image.ndim)))
    low, high = np.percentile(image[(slice(None, None, step),) * image.ndim], (0.5, 99.5))
    return float(low), float(high) if high > low else float(low) + 1.0


def _eight_bits(image: np.ndarray, window: tuple[float, float]) -> np.ndarray:
    low, high = window
    scaled = (image.astype(np.float32, copy=False) - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.clip(scaled, 0.0, 255.0).astype(np.uint8)


def _planes(candidates: list[np.ndarray]) -> tuple[int, int, int]:
    """The index along each axis where the largest label covers most, in the first array that has a label."""
    for labels in candidates:
        values, counts = np.unique(labels[labels > 0], return_counts=True)
        if len(values):
            mask = labels == values[np.argmax(counts)]
            return tuple(int(np.argmax(mask.sum(axis=other))) for other in ((1, 2), (0, 2), (0, 1)))
    return tuple(side // 2 for side in candidates[0].shape)


def _upright(volume: np.ndarray, axis: int, index: int) -> np.ndarray:
    """A plane of a RAS+ volume as rows from the top and columns from the left."""
    return np.take(volume, index, axis=axis).T[::-1, ::-1]


def _panel(
    planes: list[np.ndarray],
    window: tuple[float, float],
    size: tuple[int, int],
    values: list[int],
    edges: tuple[str, str, str, str],
) -> Image.Image:
    image, labels, *reference = planes
    background = Image.fromarray(_eight_bits(np.ascontiguousarray(image), window))
    pixels = np.asarray(background.resize(size, Image.Resampling.BICUBIC).convert("RGB")).copy()
    labels = _resized(labels, size)
    for value in values:
        mask = labels == value
        if mask.any():
            colour = np.array(_colour(value), dtype=np.float32)
            pixels[mask] = ((1 - FILL) * pixels[mask] + FILL * colour).astype(np.uint8)
            pixels[_contour(mask, CONTOUR)] = colour
    for plane in reference:
        true = _resized(plane, size)
        for value in values:
            pixels[_contour(true == value, 1)] = REFERENCE_COLOUR
    panel = Image.fromarray(pixels)
    _letter(panel, edges)
    return panel


def _resized(labels: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    plane = Image.fromarray(np.ascontiguousarray(labels).astype(np.int32))
    return np.asarray(plane.resize(size, Image.Resampling.NEAREST))


def _contour(mask: np.ndarray, width: int) -> np.ndarray:
    """The pixels of a mask that are nearer than `width` to a pixel outside it."""
    inner = mask
    for _ in range(width):
        padded = np.pad(inner, 1)
        inner = inner & padded[:-2, 1:-1] & padded[2:, 1:-1] & padded[1:-1, :-2] & padded[1:-1, 2:]
    return mask & ~inner


def _colour(value: int) -> tuple[int, int, int]:
    return COLOURS[(value - 1) % len(COLOURS)]


@cache
def _font() -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(14)


def _letter(panel: Image.Image, edges: tuple[str, str, str, str]) -> None:
    """Say at the edges which side of the body they are."""
    width, height = panel.size
    places = ((3, height // 2, "lm"), (width - 3, height // 2, "rm"), (width // 2, 3, "mt"))
    places += ((width // 2, height - 3, "mb"),)
    draw = ImageDraw.Draw(panel)
    for letter, (x, y, anchor) in zip(edges, places, strict=True):
        draw.text((x, y), letter, fill=(200, 200, 200), font=_font(), anchor=anchor)


def _sheet(panels: list[Image.Image], names: Mapping[int, str], has_reference: bool) -> Image.Image:
    """The panels side by side over the legend."""
    height = max(panel.height for panel in panels)
    width = sum(panel.width for panel in panels) + GAP * (len(panels) + 1)
    sheet = Image.new("RGB", (width, height + LEGEND + GAP))
    left = GAP
    for panel in panels:
        sheet.paste(panel, (left, GAP + (height - panel.height) // 2))
        left += panel.width + GAP
    entries = [(names[value], _colour(value)) for value in sorted(names)]
    entries += [("reference", REFERENCE_COLOUR)] if has_reference else []
    draw, left, middle = ImageDraw.Draw(sheet), GAP, height + GAP + LEGEND // 2
    for name, colour in entries:
        draw.rectangle((left, middle - 6, left + 12, middle + 6), fill=colour)
        draw.text((left + 18, middle), name, fill=(230, 230, 230), font=_font(), anchor="lm")
        left += 18 + round(draw.textlength(name, font=_font())) + 18
    return sheet
