"""Numbers that describe one image: its grid, its intensities, its borders; and a thumbnail."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import nibabel as nib
import numpy as np

from monai_tasks.datasets.checks_read import Image

PICTURE_THUMBNAIL = (32, 32)
VOLUME_THUMBNAIL = (16, 16, 16)
AXES = ("x", "y", "z")  # towards the right, the front and the top
_SAMPLED = 200_000  # pixels from which percentiles are taken
_STRAYS = 0.01  # share of pixels at each end of the range that may be anything


@dataclass(frozen=True, eq=False)
class ImageFindings:
    """What one channel or view is like.

    Args:
        shape: of the whole image: (X, Y, Z) towards right, front and top, or (H, W).
        orientation: where the axes of the file go, such as `LPS`; empty for a radiograph.
        measures: name of a measure in `checks_compare.MEASURES` to its value.
        thumbnail: uint8, VOLUME_THUMBNAIL or PICTURE_THUMBNAIL; means of equal blocks of the image, stretched from its
            darkest to its brightest.
        name: folder and name of its file.
    """

    shape: tuple[int, ...]
    orientation: str
    measures: dict[str, float]
    thumbnail: np.ndarray = field(repr=False)
    name: str = ""


def look_at_image(image: Image, name: str = "") -> ImageFindings:
    """Measure one channel or view.

    Args:
        image: with finite pixels that are not all equal.
        name: folder and name of its file.

    Returns:
        The findings.
    """
    array = np.asarray(image.array, dtype=np.float32)
    measures = {**_grid(image), **_intensity(array), **_borders(array)}
    return ImageFindings(image.shape, image.orientation, measures, thumbnail(array), name)


def thumbnail(array: np.ndarray) -> np.ndarray:
    """A small copy of an image, of means of equal blocks.

    Blocks share pixels that lie across their border, so that the thumbnail of a mirrored image is mirrored.

    Args:
        array: (H, W) or (X, Y, Z).

    Returns:
        uint8, from the darkest block, 0, to the brightest, 255.
    """
    small = block_means(array, PICTURE_THUMBNAIL if array.ndim == 2 else VOLUME_THUMBNAIL)
    low, high = float(small.min()), float(small.max())
    return np.round((small - low) * (255.0 / max(high - low, np.finfo(np.float32).tiny))).astype(np.uint8)


def block_means(array: np.ndarray, shape: Sequence[int]) -> np.ndarray:
    """The means of equal blocks, whose borders may run through pixels.

    Args:
        array: any number of axes.
        shape: number of blocks along each axis.

    Returns:
        float32, of the shape asked for.
    """
    small = array.astype(np.float32, copy=False)
    for axis, count in enumerate(shape):
        small = np.moveaxis(np.tensordot(_shares(array.shape[axis], count), small, (1, axis)), 0, axis)
    return small


def _shares(size: int, count: int) -> np.ndarray:
    """(count, size): the share that each pixel has in each block's mean."""
    edges = np.linspace(0, size, count + 1)
    starts = np.arange(size)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(edges[:-1, None], starts)
    return (np.clip(overlap, 0, None) * (count / size)).astype(np.float32)


def _grid(image: Image) -> dict[str, float]:
    if image.affine is None:
        height, width = image.shape
        return {"height": float(height), "width": float(width), "aspect": width / height}
    edges = nib.affines.voxel_sizes(image.affine)
    cosines = np.abs(np.diag(image.affine[:3, :3])) / edges
    measures = {f"edge_{axis}": float(edge) for axis, edge in zip(AXES, edges, strict=True)}
    field = edges * image.shape
    measures |= {f"field_{axis}": float(size) for axis, size in zip(AXES, field, strict=True)}
    return {**measures, "tilt": float(np.degrees(np.arccos(np.clip(cosines.min(), 0, 1))))}


def _intensity(array: np.ndarray) -> dict[str, float]:
    step = max(1, round((array.size / _SAMPLED) ** (1 / array.ndim)))
    sampled = array[(slice(None, None, step),) * array.ndim]
    low, middle, high = (float(value) for value in np.percentile(sampled, (1, 50, 99)))
    if high <= low:  # nearly all pixels are equal
        low, high = float(array.min()), float(array.max())
    spread = high - low
    return {
        "spread": spread,
        "middle": (middle - low) / spread,
        "contrast": float(np.clip(sampled, low, high).std()) / spread,
        "lowest": float(np.mean(array == array.min())),
        "highest": float(np.mean(array == array.max())),
        "noise": _roughness(array) / spread,
    }


def _roughness(array: np.ndarray) -> float:
    """How far pixels are from the mean of their two neighbours, along the first two axes."""
    parts = [
        np.abs(array[1:-1] - (array[:-2] + array[2:]) / 2).mean() if array.shape[0] > 2 else 0.0,
        np.abs(array[:, 1:-1] - (array[:, :-2] + array[:, 2:]) / 2).mean() if array.shape[1] > 2 else 0.0,
    ]
    return float(np.mean(parts))


def _borders(array: np.ndarray) -> dict[str, float]:
    """What share is blank border, and how bright the image is where the blank border, or the image, ends."""
    kept = []
    for axis in range(array.ndim):
        others = tuple(other for other in range(array.ndim) if other != axis)
        filled = np.flatnonzero(array.min(axis=others) < array.max(axis=others))
        kept.append(slice(filled[0], filled[-1] + 1) if filled.size else slice(None))
    inner = array[tuple(kept)]
    low, high = (
        float(value) for value in np.percentile(inner.ravel()[:: max(1, inner.size // _SAMPLED)], (1, 99))
    )
    # Of a volume the first two axes only: along the third many a body goes on.
    faces = [np.take(inner, place, axis) for axis in range(2) for place in (0, -1)]
    edge = np.concatenate([face.ravel() for face in faces])
    bright = float(np.mean(edge > low + 0.2 * (high - low))) if high > low else 0.0
    return {"blank": 1.0 - inner.size / array.size, "edge_body": bright}
