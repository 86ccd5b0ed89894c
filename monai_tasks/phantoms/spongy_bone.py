"""The texture of spongy bone: a network of thin struts and plates, drawn or taken from a micro-CT image."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import SimpleITK as sitk
from scipy.fft import fftfreq, irfftn, rfftfreq, rfftn
from scipy.ndimage import gaussian_filter, map_coordinates

from monai_tasks.io.errors import InputError

STRETCH = 1.8  # of the struts along the limb, which carries load
THRESHOLD = 63.0, 142.0  # grey values of the real texture between which bone begins
PATCH = 4.0  # mm, the size of the places that show one piece of the real texture


def drawn_texture(
    rng: np.random.Generator, shape: tuple[int, int, int], spacing: tuple[float, float, float],
    distance: float, volume: float,
) -> np.ndarray:  # fmt: skip
    """A network of plates where two random fields change their signs.

    Args:
        rng: source of randomness.
        shape: of the result.
        spacing: of its voxels in mm.
        distance: from strut to strut in mm, about.
        volume: share of the space that is bone.

    Returns:
        `shape`, float32, share of each voxel that is bone.
    """
    fields = [_field(rng, shape, spacing, distance) for _ in range(2)]
    # A slow field makes some places denser than others.
    share = np.clip(volume * (1 + 0.3 * _field(rng, shape, spacing, 8 * distance)), 0.02, 0.8)
    each = 1 - np.sqrt(1 - share)
    # Plates are bells across a sign change, as wide as fills that share of the space.
    width = (each / np.sqrt(1 - each**2)).astype(np.float32)
    gaps = np.float32(1.0)
    for field in fields:
        gaps = gaps * (1 - np.exp(-0.5 * (field / width) ** 2))
    return 1 - gaps


def real_texture(
    rng: np.random.Generator, shape: tuple[int, int, int], spacing: tuple[float, float, float],
    path: str | Path, scale: float = 1.0,
) -> np.ndarray:  # fmt: skip
    """The network of a real bone, from a small micro-CT image that is mirrored at its ends.

    Two pieces of it, turned and mirrored in other ways, take turns over the plane.

    Args:
        rng: source of randomness.
        shape: of the result.
        spacing: of its voxels in mm.
        path: the image, of any format that SimpleITK reads; grey values of 0 to 255, spacing in mm.
        scale: how many times as large the network is drawn.

    Returns:
        `shape`, float32, share of each voxel that is bone.

    Raises:
        InputError: when the image cannot be read.
    """
    bone, edge = _micro_ct(str(path))
    # What a voxel of the result covers is summed up in it.
    cover = np.array(spacing[:2]) / (scale * edge)
    bone = gaussian_filter(bone, (*np.clip(0.35 * cover, 0.0, None), 2.0), mode="mirror")
    u, v = (
        (np.arange(count, dtype=np.float32) - (count - 1) / 2) * step
        for count, step in zip(shape[:2], spacing[:2], strict=True)
    )
    pieces = []
    for _ in range(2):
        angle, start = rng.uniform(0, 2 * np.pi), rng.uniform(0, 4, 3) * bone.shape
        along = (np.cos(angle) * u[:, None] - np.sin(angle) * v) / (scale * edge) + start[0]
        across = (np.sin(angle) * u[:, None] + np.cos(angle) * v) / (scale * edge) + start[1]
        planes = np.arange(shape[2]) * (spacing[2] / (scale * edge)) + start[2]
        places = ([along, across, np.full(along.shape, plane)] for plane in planes)
        pieces.append([map_coordinates(bone, place, order=1, mode="mirror") for place in places])
    which = 1 / (1 + np.exp(-6 * _field(rng, shape, spacing, PATCH)))
    first, second = (np.stack(piece, -1) for piece in pieces)
    return (which * first + (1 - which) * second).astype(np.float32)


@lru_cache(maxsize=1)
def _micro_ct(path: str) -> tuple[np.ndarray, float]:
    """The share of each voxel that is bone, (X, Y, Z), and the voxels' edge in mm."""
    try:
        image = sitk.ReadImage(path)
    except RuntimeError as cause:
        raise InputError(path, "not readable as an image", "a micro-CT image of spongy bone") from cause
    values = sitk.GetArrayFromImage(image).T.astype(np.float32)
    if values.ndim != 3:
        raise InputError(path, f"{values.ndim} dimensions", "an image of 3")
    return np.clip((values - THRESHOLD[0]) / (THRESHOLD[1] - THRESHOLD[0]), 0, 1), image.GetSpacing()[0]


def _field(
    rng: np.random.Generator, shape: tuple[int, ...], spacing: tuple[float, ...], distance: float
) -> np.ndarray:
    """Random waves of about one length: mean 0, standard deviation 1; opposite ends fit together."""
    noise = rng.standard_normal(shape, dtype=np.float32)
    sigma = np.array([1.0, 1.0, STRETCH]) * 0.55 * distance / np.array(spacing)
    steps = [fftfreq(shape[0]), fftfreq(shape[1]), rfftfreq(shape[2])]
    power = sum(
        np.square(2 * np.pi * width * step).reshape([-1 if axis == place else 1 for place in range(3)])
        for axis, (width, step) in enumerate(zip(sigma, steps, strict=True))
    ).astype(np.float32)
    # A Gaussian, less one that is wider: what is slower than the waves goes.
    band = np.exp(-0.5 * power) * (1 - 0.9 * np.exp(-1.3 * power))
    field = irfftn(rfftn(noise) * band, s=shape)
    return (field - field.mean()) / field.std()
