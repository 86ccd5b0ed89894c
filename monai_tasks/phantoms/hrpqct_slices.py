"""Generated HR-pQCT slices of forearms and lower legs, taken while the limb moves.

A limb is drawn as densities, projected, moved between the views and reconstructed, as in a scanner whose detector takes
all slices in one half turn.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from monai_tasks.phantoms.hrpqct_bone import Bone, Limb, Outline
from monai_tasks.phantoms.spongy_bone import drawn_texture, real_texture
from monai_tasks.transforms.motion import Motion, half_turn, move, project, reconstruct

LENGTH = 9.02  # mm of a limb that a scan covers: 110 slices of 0.082 mm
SLOPE, INTERCEPT = 1603.51904, -391.209015  # mg HA/ccm from linear attenuation in 1/cm
VIEWS = 750  # in a half turn of the scanner, 0.24 degrees apart
FEWER_VIEWS = (
    360  # enough for slices of 256 pixels; angles of a half turn that mirror each other are quick to compute
)
# mg HA/ccm
AIR, SKIN, FAT, MUSCLE, TENDON, MARROW, STRUT, DENSE = INTERCEPT, 30.0, -70.0, 35.0, 75.0, -60.0, 780.0, 960.0
SHARPNESS = 0.55  # pixels, standard deviation of what the detector and the focus blur


@dataclass(frozen=True)
class Slices:
    """Slices across a limb at rest.

    Attributes:
        attenuation: (Z, X, Y) float32, linear attenuation in 1/cm; 0 is air.
        spacing: of the voxels along x, y and z in mm.
        bone_radius: half the width of the larger bone, in mm.
    """

    attenuation: np.ndarray
    spacing: tuple[float, float, float]
    bone_radius: float


def draw_slices(
    rng: np.random.Generator, limb: Limb, size: int = 256, slices: int = 8, texture: str | Path | None = None
) -> Slices:
    """Draw slices of a limb, which lies a little off the middle and turned.

    Args:
        rng: source of randomness.
        limb: what is drawn.
        size: edge of a slice in pixels; the limb just fits.
        slices: over the length of a scan, equally spaced.
        texture: a micro-CT image of spongy bone; its network is drawn if not given.
    """
    place, network, soft = rng.spawn(3)
    field = 2.18 * limb.reach
    pixel = field / size
    spacing = pixel, pixel, LENGTH / slices
    angle = place.normal(0, 0.25) + (np.pi if place.random() < 0.5 else 0)
    off = place.uniform(-0.02, 0.02, 2) * field
    along, across = np.meshgrid(*[(np.arange(size) - (size - 1) / 2) * pixel] * 2, indexing="ij")
    along, across = along - off[0], across - off[1]
    u = (np.cos(angle) * along + np.sin(angle) * across + limb.flesh.centre[0]).ravel()
    v = (-np.sin(angle) * along + np.cos(angle) * across + limb.flesh.centre[1]).ravel()
    z = (np.arange(slices) + 0.5) * spacing[2]
    density = _soft_tissue(soft, limb, u, v, z, pixel)
    person = limb.person
    shape = size, size, slices
    if texture is None:
        spongy = drawn_texture(network, shape, spacing, person.spacing, person.volume)
    else:
        spongy = real_texture(network, shape, spacing, texture, 1.6 * person.spacing)
        spongy *= person.volume / spongy.mean()
    spongy = spongy.reshape(-1, slices).T
    for bone in limb.bones:
        _draw_bone(density, bone, u, v, z, pixel, spongy, person.mineral)
    density = gaussian_filter(density.reshape(slices, size, size), (0, SHARPNESS, SHARPNESS))
    return Slices((density - INTERCEPT) / SLOPE, spacing, limb.bones[0].outline.half_widths[0])


def acquire(
    rng: np.random.Generator,
    slices: Slices,
    motion: Motion | None = None,
    photons: float = 30_000.0,
    views: int = FEWER_VIEWS,
) -> tuple[np.ndarray, np.ndarray]:
    """Scan slices of a limb.

    Args:
        rng: source of randomness, of the noise.
        slices: at rest.
        motion: of `views` + 1 views; none if not given.
        photons: counted by a bin of the detector where nothing is in the way.
        views: in a half turn; one more is taken at its end.

    Returns:
        image: (X, Y, Z) float32, linear attenuation in 1/cm; 0 beyond the circle that all views see.
        projections: (views + 1, Z, bins) float32, integrals of the attenuation with noise.

    Raises:
        ValueError: when the motion is of another number of views.
    """
    pixel = slices.spacing[0]
    motion = Motion.none(views + 1) if motion is None else motion
    at_rest = project(torch.from_numpy(slices.attenuation), half_turn(views)) * (pixel / 10)
    angles = np.arange(views + 1) * (180.0 / views)
    integrals = move(at_rest, motion, pixel, angles).numpy().clip(min=0)
    noise = rng.standard_normal(integrals.shape, dtype=np.float32)
    integrals += noise * np.exp(integrals / 2) / np.float32(np.sqrt(photons))
    image = reconstruct(torch.from_numpy(integrals[:, :-1]), angles[:-1]).numpy() / (pixel / 10)
    middle = (np.arange(image.shape[1]) - (image.shape[1] - 1) / 2) ** 2
    image[:, middle[:, None] + middle > (image.shape[1] / 2) ** 2] = 0
    return image.transpose(1, 2, 0), integrals.transpose(1, 0, 2)


def _soft_tissue(
    rng: np.random.Generator, limb: Limb, u: np.ndarray, v: np.ndarray, z: np.ndarray, pixel: float
) -> np.ndarray:
    """Density (Z, N) of a limb without its bones."""
    depth = limb.flesh.depth(u, v, z)
    size = round(np.sqrt(len(u)))
    mottle = gaussian_filter(rng.standard_normal((size, size), dtype=np.float32), 1.2 / pixel)
    muscle = MUSCLE + 12 * (mottle / mottle.std()).ravel()
    density = np.full(depth.shape, AIR, np.float32)
    for level, value in ((limb.skin, SKIN), (limb.person.fat, FAT), (0.0, muscle)):
        _paint(density, depth + np.float32(level), value, pixel)
    for tendon in limb.tendons:
        near = _near(tendon, u, v)
        part = density[:, near]
        _paint(part, tendon.depth(u[near], v[near], z), TENDON, pixel)
        density[:, near] = part
    return density


def _draw_bone(
    density: np.ndarray, bone: Bone, u: np.ndarray, v: np.ndarray, z: np.ndarray, pixel: float,
    spongy: np.ndarray, mineral: float,
) -> None:  # fmt: skip
    """Draw a bone over densities (Z, N)."""
    near = _near(bone.outline, u, v)
    part = density[:, near]
    depth = bone.outline.depth(u[near], v[near], z)
    inner = depth - bone.thickness(u[near], v[near], z)
    _paint(part, depth, DENSE * mineral, pixel)
    # Struts stand closer near the shell.
    struts = np.clip(spongy[:, near] * (0.85 + 0.6 * np.exp(-np.clip(inner, 0, None) / 2.0)), 0, 1)
    _paint(part, inner, MARROW + (STRUT * mineral - MARROW) * struts, pixel)
    density[:, near] = part


def _near(outline: Outline, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    return np.flatnonzero(np.hypot(u - outline.centre[0], v - outline.centre[1]) < outline.reach() + 1.0)


def _paint(density: np.ndarray, depth: np.ndarray, value: np.ndarray | float, pixel: float) -> None:
    """Cover what lies inside by a value; the edge is as wide as a pixel."""
    cover = np.clip(depth / np.float32(pixel) + np.float32(0.5), 0, 1)
    density += cover * (np.asarray(value, np.float32) - density)
