"""The plain way from DICOM files to a clean data set, beside which `radiographs.py` measures: as the source worked."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image
from pydicom import dcmread
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from scipy import ndimage


def plain_import(source: Path, output: Path) -> None:
    for number, path in enumerate(sorted(path for path in source.rglob("*") if path.is_file())):
        dataset = dcmread(path)
        frames = dataset.pixel_array.reshape(-1, dataset.Rows, dataset.Columns)
        for index, frame in enumerate(frames):
            values = apply_voi_lut(apply_modality_lut(frame, dataset), dataset).astype(np.float64)
            values = (values - values.min()) / (values.max() - values.min())
            if dataset.PhotometricInterpretation == "MONOCHROME1":
                values = 1 - values
            save((65535 * values).astype(np.uint16), output / f"{number}_{index}.png")


def plain_filter(pixels: np.ndarray) -> list[np.ndarray]:
    return [pixels]


def plain_inversion(pixels: np.ndarray) -> list[np.ndarray]:
    corners = pixels[:: pixels.shape[0] - 1, :: pixels.shape[1] - 1]
    return [65535 - pixels if corners.mean() >= 100 * 257 else pixels]


def plain_parts(pixels: np.ndarray) -> list[np.ndarray]:
    labels, count = ndimage.label(pixels > otsu(pixels))
    sizes = ndimage.sum_labels(np.ones(labels.shape), labels, range(1, count + 1))
    boxes = ndimage.find_objects(labels)
    large = [box for box, size in zip(boxes, sizes, strict=True) if size >= 0.05 * pixels.size]
    return [pixels[box] for box in large] if len(large) > 1 else [pixels]


def plain_alignment(pixels: np.ndarray) -> list[np.ndarray]:
    mask = pixels > otsu(pixels)
    mask = ndimage.binary_opening(ndimage.binary_closing(mask, iterations=3), iterations=3)
    places = np.argwhere(mask)
    _, axes = np.linalg.eigh(np.cov(places.T))
    down, right = axes[:, 1]
    degrees = (np.degrees(np.arctan2(right, -down)) + 90) % 180 - 90
    return [ndimage.rotate(pixels, degrees, order=3)]


def otsu(pixels: np.ndarray) -> float:
    counts, edges = np.histogram(pixels, bins=256)
    centres = (edges[1:] + edges[:-1]) / 2
    below, above = np.cumsum(counts), np.cumsum(counts[::-1])[::-1]
    low = np.cumsum(counts * centres) / np.maximum(below, 1)
    high = (np.cumsum((counts * centres)[::-1]) / np.maximum(np.cumsum(counts[::-1]), 1))[::-1]
    spread = below[:-1] * above[1:] * (low[:-1] - high[1:]) ** 2
    return float(centres[spread.argmax()])


def plain_pass(source: Path, output: Path, step: Callable[[np.ndarray], list[np.ndarray]]) -> None:
    """Read every image, take it through one step, and write it."""
    for path in sorted(source.glob("*.png")):
        with Image.open(path) as picture:
            pixels = np.asarray(picture).astype(np.uint16)
        for number, part in enumerate(step(pixels)):
            save(part, output / f"{path.stem}_{number}.png")


def save(pixels: np.ndarray, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.ascontiguousarray(pixels)).save(path)


def plain_pipeline(source: Path, work: Path) -> None:
    for step in (plain_filter, plain_inversion, plain_parts, plain_alignment):
        plain_pass(source, work / step.__name__, step)
        source = work / step.__name__
