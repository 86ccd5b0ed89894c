"""Radiographs that are more, or other, than one wrist: two arms in one image, joined films, other body parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from monai_tasks.phantoms.radiography import Look, expose
from monai_tasks.phantoms.wrist import DENSE, FAT, MUSCLE, SPONGY, Grid, WristImage, project
from monai_tasks.phantoms.wrist_anatomy import Person
from monai_tasks.phantoms.wrist_fractures import Fracture
from monai_tasks.phantoms.wrist_shapes import slab

ARM = 104.0  # mm of width that an arm of a grown person gets in an image of two


@dataclass(frozen=True)
class TwoArms:
    """An image of both wrists.

    Attributes:
        pixels: (H, W) uint16.
        arms: left and right half as images of their own, cut from `pixels`.
        joined: True where two films were put side by side, False where both arms lay on one detector.
        border: column of the first pixel of the right half.
    """

    pixels: np.ndarray
    arms: tuple[WristImage, WristImage]
    joined: bool
    border: int


def two_arms(
    rng: np.random.Generator,
    size: tuple[int, int] = (1024, 1024),
    joined: bool = False,
    person: Person | None = None,
    fractures: tuple[Fracture | None, Fracture | None] = (None, None),
    inverted: bool = False,
    collimated: bool = True,
) -> TwoArms:
    """Both wrists of a person from above, in one image.

    Args:
        rng: source of randomness; made by `numpy.random.default_rng`.
        size: rows and columns of the whole.
        joined: True for two films side by side, each with its own exposure.
        person: whose wrists; drawn if not given.
        fractures: of the arm on the left and on the right of the image.
        inverted: True for bone dark.
        collimated: whether shutters may show.
    """
    body, place, film, *textures = rng.spawn(5)
    person = Person.draw(body) if person is None else person
    border = size[1] // 2
    widths = (border, size[1] - border)
    spacing = person.size * ARM * float(place.uniform(1.0, 1.25)) / border
    up = person.size * float(place.uniform(0, 15))
    sides = ("L", "R") if place.random() < 0.5 else ("R", "L")
    absorptions, masks = [], []
    for width, side, fracture, texture in zip(widths, sides, fractures, textures, strict=True):
        centre = (person.size * float(place.uniform(-9, -3)), up + float(place.uniform(-3, 3)))
        grid = Grid((size[0], width), spacing, centre, float(place.normal(0, 2)), side == "R")
        absorption, mask, _ = project(texture, person, "pa", grid, fracture)
        absorptions.append(absorption)
        masks.append(mask)
    looks = [Look.draw(film, side) for side in sides]
    looks = [replace(look, inverted=inverted) for look in looks]
    if not collimated:
        looks = [replace(look, collimation=None) for look in looks]
    if joined:
        films = [expose(film, *pair) for pair in zip(absorptions, (spacing, spacing), looks, strict=True)]
        pixels = np.concatenate(films, 1)
    else:
        pixels = expose(film, np.concatenate(absorptions, 1), spacing, looks[0])
    halves = (pixels[:, :border], pixels[:, border:])
    arms = (
        WristImage(half, mask, "pa", side, False)
        for half, mask, side in zip(halves, masks, sides, strict=True)
    )
    return TwoArms(pixels, tuple(arms), joined, border)


def other_part(
    rng: np.random.Generator, kind: str, size: tuple[int, int] = (512, 512), inverted: bool = False
) -> np.ndarray:
    """A simple radiograph of another part of the body.

    Args:
        rng: source of randomness; made by `numpy.random.default_rng`.
        kind: a key of `PARTS`.
        size: rows and columns.
        inverted: True for bone dark.

    Returns:
        (H, W) uint16.

    Raises:
        ValueError: for another kind.
    """
    if kind not in PARTS:
        raise ValueError(f"a part of {', '.join(PARTS)} is needed, not {kind!r}")
    body, film = rng.spawn(2)
    width, draw = PARTS[kind]
    spacing = width / size[1]
    rows = (np.arange(size[0], dtype=np.float32)[:, None] - size[0] / 2) * -spacing
    columns = (np.arange(size[1], dtype=np.float32) - size[1] / 2) * spacing
    look = Look.draw(film, str(film.choice(["L", "R"])))
    return expose(film, draw(body, columns, rows), spacing, replace(look, inverted=inverted))


def _ellipse(
    x: np.ndarray, y: np.ndarray, centre: tuple[float, float], radii: tuple[float, float], depth: float
) -> np.ndarray:
    """Thickness of an ellipsoid in mm."""
    inside = 1 - ((x - centre[0]) / radii[0]) ** 2 - ((y - centre[1]) / radii[1]) ** 2
    return 2 * depth * np.sqrt(np.maximum(inside, 0))


def _rod(
    x: np.ndarray, y: np.ndarray, start: tuple[float, float], stop: tuple[float, float], half: float
) -> tuple[np.ndarray, np.ndarray]:
    """Dense and spongy bone in mm of a bone between two points, wider at its ends."""
    way = np.subtract(stop, start)
    length = float(np.hypot(*way))
    way = way / length
    along = (x - start[0]) * way[0] + (y - start[1]) * way[1]
    off = (x - start[0]) * way[1] - (y - start[1]) * way[0]
    flare = half * (1 + 0.5 * np.abs(2 * np.clip(along / length, 0, 1) - 1) ** 3)
    inwards = flare - np.hypot(off, along - np.clip(along, 0, length))
    shell = 0.22 * half
    whole, inner = slab(inwards, half), slab(inwards - shell, half - shell)
    return whole - inner, inner


def _limb(
    x: np.ndarray,
    y: np.ndarray,
    flesh: list[tuple[tuple[float, float], tuple[float, float], float]],
    bones: list[tuple[tuple[float, float], tuple[float, float], float]],
) -> np.ndarray:
    """Absorption of flesh and bones, both as rods."""
    thickness = np.zeros(np.broadcast_shapes(x.shape, y.shape), np.float32)
    for start, stop, half in flesh:
        np.maximum(thickness, sum(_rod(x, y, start, stop, half)), out=thickness)
    absorption = (0.3 * FAT + 0.7 * MUSCLE) * thickness
    for start, stop, half in bones:
        dense, spongy = _rod(x, y, start, stop, half)
        absorption += DENSE * dense + SPONGY * spongy
    return absorption.astype(np.float32)


def _foot(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    flesh = [((0, -60), (0, 25), 34.0)]
    bones = [((-3, -75), (-3, -50), 15.0), ((6, -38), (4, -30), 13.0), ((-10, -28), (-10, -20), 10.0)]
    for toe, bottom in enumerate((-40, -20, 0, 20, 40)):
        bottom = 0.55 * bottom + rng.normal(0, 1)
        top, length = 1.6 * bottom, 58 - 5 * toe
        bones.append(((bottom, -12), (top, -12 + length), 4.6 - 0.3 * toe))
        tip = (1.15 * top, length + rng.uniform(14, 20))
        bones.append(((1.03 * top, -8 + length), tip, 4.0 - 0.2 * toe))
        flesh.append(((bottom, -12), (tip[0], tip[1] + 6), 10.0 - 0.5 * toe))
    return _limb(x, y, flesh, bones)


def _elbow(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    bend = np.radians(rng.uniform(20, 100))
    end = (110 * np.sin(bend), -110 * np.cos(bend))
    aside = (9 * np.cos(bend), 9 * np.sin(bend))
    upper = ((0, 115), (0, 8), 10.0)
    lower = [
        ((s * aside[0], s * aside[1] - 6), (end[0] + s * aside[0], end[1] + s * aside[1]), 7.5)
        for s in (1, -1)
    ]
    return _limb(x, y, [((0, 120), (0, 0), 38.0), ((0, 0), end, 32.0)], [upper, *lower])


def _knee(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    lean = rng.uniform(-8, 8)
    bones = [((lean, 150), (0, 22), 17.0), ((0, -22), (-lean, -150), 15.0), ((30, -30), (28, -150), 6.0)]
    bones += [((-18, 20), (18, 20), 20.0), ((-20, -18), (20, -18), 17.0), ((0, 32), (0, 40), 17.0)]
    return _limb(x, y, [((lean, 160), (0, 0), 66.0), ((0, 0), (-lean, -160), 54.0)], bones)


def _chest(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    width, height = rng.uniform(150, 170), rng.uniform(110, 130)
    body = _ellipse(x, y, (0, -40), (width, 260), 90)
    for side in (-1, 1):
        body -= 0.95 * _ellipse(x, y, (side * 0.45 * width, 5), (0.34 * width, height), 62)
    absorption = 0.55 * MUSCLE * np.maximum(body, 0)
    absorption += MUSCLE * _ellipse(x, y, (25, -45), (55, 60), 25)
    absorption += 0.25 * DENSE * sum(_rod(x, y, (0, 190), (0, -190), 14.0))
    for rib in range(9):
        top = 125 - 26 * rib + rng.normal(0, 2)
        arch = top - 0.0022 * (np.abs(x) - 40) ** 2
        line = np.exp(-(((y - arch) / 4.5) ** 2)) * (np.abs(x) < 0.82 * width)
        absorption += 0.12 * line
    return absorption.astype(np.float32)


def _skull(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    half, tall, shell = rng.uniform(70, 78), rng.uniform(92, 102), rng.uniform(5, 7)
    head = _ellipse(x, y, (0, 20), (half, tall), 85)
    inner = _ellipse(x, y, (0, 20), (half - shell, tall - shell), 85 - shell)
    absorption = 0.4 * MUSCLE * _ellipse(x, y, (0, 10), (half + 6, tall + 18), 88)
    absorption += 0.35 * DENSE * (head - inner)
    absorption += 0.3 * SPONGY * _ellipse(x, y, (0, -65), (45, 48), 50)
    for side in (-1, 1):
        absorption -= 0.22 * (_ellipse(x, y, (side * 31, -12), (18, 15), 0.5))
    absorption -= 0.2 * _ellipse(x, y, (0, -42), (11, 19), 0.5)
    absorption += 0.25 * DENSE * _ellipse(x, y, (0, -88), (26, 9), 20)
    return np.maximum(absorption, 0).astype(np.float32)


_Draw = Callable[[np.random.Generator, np.ndarray, np.ndarray], np.ndarray]
# Width of the image in mm, and what draws its absorption.
PARTS: dict[str, tuple[float, _Draw]] = {
    "foot": (190.0, _foot),
    "elbow": (220.0, _elbow),
    "knee": (240.0, _knee),
    "chest": (380.0, _chest),
    "skull": (240.0, _skull),
}
