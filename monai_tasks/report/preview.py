"""One picture of a segmentation: planes of the image, or its slices where they are thick, with the labels on them."""

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
THICK = 3.0  # slices this many pixels apart are thick: across them a picture would be smeared
SLICES, COLUMNS = 12, 4  # of a picture of slices, at most
SLICE_PANEL = 256  # pixels along the longer side of a slice
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
    white: str = "reference",
) -> None:
    """Draw labels on the sagittal, coronal and axial plane in which the largest label is widest.

    All three have one scale in mm. Of an image with thick slices, whose distance is three times the pixel or more,
    slices are drawn instead: twelve at most, evenly from the first to the last that holds a label or a reference,
    or of all slices where none does. They stand in the order of the file, each with its number, counted from 1.

    Planes and slices are upright and in radiological convention: anterior of a sagittal one and the right of the
    body are on the left.

    Args:
        image: (X, Y, Z) or (C, X, Y, Z), of which the first channel is drawn.
        labels: (X, Y, Z), integers, on the grid of the image.
        names: label value to the name in the legend; the value fixes the colour.
        path: the PNG to write.
        reference: (X, Y, Z), the true labels, drawn as white contours; planes go through these where given.
        affine: (4, 4), voxel indices to RAS+ millimetres; the one that `image` carries where not given, 1 mm
            voxels where it carries none.
        white: what the legend calls the reference.

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

    axis = int(np.argmax(spacing))
    if spacing[axis] < THICK * np.delete(spacing, axis).max():
        panels = _three_planes([image, *drawn], spacing, sorted(names))
    else:
        reversed_axis = orientation[orientation[:, 0] == axis, 1][0] < 0
        panels = _slices([image, *drawn], spacing, sorted(names), axis, reversed_axis)
    picture = _sheet(panels, names, "" if reference is None else white)
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


def _three_planes(arrays: list[np.ndarray], spacing: np.ndarray, values: list[int]) -> list[Image.Image]:
    """A panel for each axis of the image and its labels on a RAS+ grid."""
    image, *drawn = arrays
    window = _window(image)
    scale = PANEL / float(np.max(spacing * image.shape))
    panels = []
    for axis, index in enumerate(_planes(drawn[::-1])):
        planes = [_upright(array, axis, index) for array in arrays]
        panels.append(_panel(planes, window, _size(image, spacing, axis, scale), values))
        _letter(panels[-1], EDGES[axis])
    return panels


def _slices(
    arrays: list[np.ndarray], spacing: np.ndarray, values: list[int], axis: int, reversed_axis: bool
) -> list[Image.Image]:
    """Panels of slices across an axis of a RAS+ grid, in the order of the file, which may run the other way."""
    image, *drawn = arrays
    window, depth = _window(image), image.shape[axis]
    scale = SLICE_PANEL / float(np.max(np.delete(spacing * image.shape, axis)))
    chosen = _evenly(drawn, axis)
    panels = []
    for index in chosen[::-1] if reversed_axis else chosen:
        planes = [_upright(array, axis, index) for array in arrays]
        panel = _panel(planes, window, _size(image, spacing, axis, scale), values)
        number = depth - index if reversed_axis else index + 1
        _write(panel, str(number) if panels else f"slice {number} of {depth}", (4, 4), "lt")
        panels.append(panel)
    _letter(panels[0], EDGES[axis])
    return panels


def _evenly(drawn: list[np.ndarray], axis: int) -> list[int]:
    """The indices of slices to draw."""
    others = tuple(np.delete(np.arange(3), axis))
    held = np.flatnonzero(np.any([array.any(axis=others) for array in drawn], axis=0))
    first, last = (held[0], held[-1]) if len(held) else (0, drawn[0].shape[axis] - 1)
    return np.linspace(first, last, min(SLICES, last - first + 1)).round().astype(int).tolist()


def _size(image: np.ndarray, spacing: np.ndarray, axis: int, scale: float) -> tuple[int, int]:
    """Width and height of a panel across an axis."""
    millimetres = np.delete(spacing, axis) * np.delete(image.shape, axis)
    return tuple(max(1, round(side * scale)) for side in millimetres)


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
    # A view: np.take would first copy a volume that lies the other way in memory.
    return np.moveaxis(volume, axis, 0)[index].T[::-1, ::-1]


def _panel(
    planes: list[np.ndarray],
    window: tuple[float, float],
    size: tuple[int, int],
    values: list[int],
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
    return Image.fromarray(pixels)


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
    for letter, (x, y, anchor) in zip(edges, places, strict=True):
        _write(panel, letter, (x, y), anchor)


def _write(panel: Image.Image, text: str, place: tuple[int, int], anchor: str) -> None:
    """Write so that it can be read on bright ground too."""
    ImageDraw.Draw(panel).text(
        place, text, fill=(200, 200, 200), font=_font(), anchor=anchor, stroke_width=1, stroke_fill=(0, 0, 0)
    )


def _sheet(panels: list[Image.Image], names: Mapping[int, str], white: str) -> Image.Image:
    """The panels in rows over the legend."""
    entries = [(names[value], _colour(value)) for value in sorted(names)]
    entries += [(white, REFERENCE_COLOUR)] if white else []
    steps = [18 + round(_font().getlength(name)) + 18 for name, _ in entries]
    rows = [panels[start : start + COLUMNS] for start in range(0, len(panels), COLUMNS)]
    width = max(sum(panel.width + GAP for panel in row) for row in rows)
    heights = [max(panel.height for panel in row) for row in rows]
    sheet = Image.new("RGB", (GAP + max(width, sum(steps)), sum(heights) + GAP * len(rows) + LEGEND))
    top = GAP
    for row, height in zip(rows, heights, strict=True):
        left = GAP
        for panel in row:
            sheet.paste(panel, (left, top + (height - panel.height) // 2))
            left += panel.width + GAP
        top += height + GAP
    draw, left, middle = ImageDraw.Draw(sheet), GAP, sheet.height - LEGEND // 2
    for (name, colour), step in zip(entries, steps, strict=True):
        draw.rectangle((left, middle - 6, left + 12, middle + 6), fill=colour)
        draw.text((left + 18, middle), name, fill=(230, 230, 230), font=_font(), anchor="lm")
        left += step
    return sheet
