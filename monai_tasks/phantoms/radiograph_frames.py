"""Radiographs as they are found: framed, cut by shutters, noisy, with text burned in, colours turned.

What is dark and what is bright at the edge of such an image says nothing about its colours.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from monai_tasks.phantoms.radiography import Collimation, Look, expose
from monai_tasks.phantoms.wrist import draw_grid, project
from monai_tasks.phantoms.wrist_anatomy import VIEWS, Person

KINDS = ("plain", "framed", "collimated", "noisy", "burned in", "framed and collimated", "everything")
WHITE = 65535


def presented(
    rng: np.random.Generator, size: tuple[int, int] = (384, 256), kinds: tuple[str, ...] = KINDS
) -> Iterator[tuple[str, np.ndarray, bool]]:
    """One wrist, turned at random, as an image of each kind.

    Args:
        rng: source of randomness; made by `numpy.random.default_rng`.
        size: rows and columns of the wrist's image; a frame comes on top.
        kinds: of `KINDS`.

    Yields:
        The kind, pixels (H, W) uint16, and whether bone is dark in them.
    """
    body, place, texture, film = rng.spawn(4)
    person = Person.draw(body)
    view, side = str(place.choice(VIEWS)), str(place.choice(["L", "R"]))
    turn = float(place.choice([0, 90, 180, 270]) + place.normal(0, 15))
    grid = draw_grid(place, person, view, size, side, turn)
    # Also whole hands in a wide field, whose image is mostly background.
    if place.random() < 0.25:
        grid = replace(grid, spacing=grid.spacing * float(place.uniform(1.2, 1.8)))
    absorption, _, _ = project(texture, person, view, grid)
    for kind in kinds:
        inverted = bool(film.random() < 0.5)
        look = _look(film, kind, side, inverted)
        pixels = expose(film, absorption, grid.spacing, look)
        if kind in ("burned in", "everything"):
            pixels = with_text(film, pixels)
        if kind in ("framed", "framed and collimated", "everything"):
            pixels = framed(film, pixels)
        yield kind, pixels, inverted


def _look(rng: np.random.Generator, kind: str, side: str, inverted: bool) -> Look:
    """How an image of a kind is taken."""
    look = replace(Look.draw(rng, side), inverted=inverted)
    if "collimated" in kind or kind == "everything":
        low, high = (-6, 25) if rng.random() < 0.7 else (3, 10)
        margins = tuple(rng.uniform(low, high, 4).tolist())
        # On a film that was inverted before it was cut the frame has either colour.
        colour = (None, "black", "white")[rng.integers(3)]
        shutters = replace(Collimation.draw(rng), margins=margins, tilt=float(rng.normal(0, 5)), frame=colour)
        look = replace(look, collimation=shutters)
    elif kind in ("plain", "noisy", "burned in"):
        look = replace(look, collimation=look.collimation if rng.random() < 0.3 else None)
    if kind in ("noisy", "everything"):
        look = replace(
            look,
            photons=float(np.exp(rng.uniform(np.log(0.3), np.log(3)))),
            floor=float(rng.uniform(-1.2, 0.0)),
            heel=tuple(rng.normal(0, 0.12, 2).tolist()),
            background=float(rng.uniform(0.05, 0.25)),
            scatter=float(rng.uniform(0.2, 0.45)),
        )
    return look


def framed(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """The image in a white, black or grey frame, or in two, of equal or unequal sides.

    Args:
        rng: source of randomness.
        pixels: (H, W) uint16.

    Returns:
        Larger pixels, uint16.
    """
    for _ in range(1 + (rng.random() < 0.25)):
        sides = rng.uniform(0.01, 0.12, 4) if rng.random() < 0.7 else np.full(4, rng.uniform(0.01, 0.08))
        sides *= rng.random(4) < (1.0 if rng.random() < 0.7 else 0.6)
        top, bottom, left, right = (sides * max(pixels.shape)).astype(int)
        grey = float(rng.choice([0.0, 1.0])) if rng.random() < 0.8 else float(rng.uniform(0, 1))
        pixels = np.pad(pixels, ((top, bottom), (left, right)), constant_values=round(grey * WHITE))
    return pixels


def with_text(rng: np.random.Generator, pixels: np.ndarray) -> np.ndarray:
    """The image with one to three lines of white or black text burned in, some on a box of the other colour.

    Args:
        rng: source of randomness.
        pixels: (H, W) uint16.

    Returns:
        Pixels of the same shape, uint16.
    """
    height, width = pixels.shape
    colour, box = (WHITE, 0) if rng.random() < 0.5 else (0, WHITE)
    text, boxes = Image.new("L", (width, height)), Image.new("L", (width, height))
    size = max(7.0, float(rng.uniform(0.03, 0.06)) * height)
    letters = list("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 :.-")
    row = float(rng.choice([0.02, 0.8])) * height
    for _ in range(rng.integers(1, 4)):
        line = "".join(rng.choice(letters, int(rng.integers(3, 16))))
        column = float(rng.choice([0.02, 0.5])) * width
        font = ImageFont.load_default(size)
        ImageDraw.Draw(text).text((column, row), line, fill=255, font=font)
        ImageDraw.Draw(boxes).rectangle(
            ImageDraw.Draw(text).textbbox((column, row), line, font=font), fill=255
        )
        row += 1.2 * size
    pixels = pixels.astype(np.float32)
    if rng.random() < 0.4:
        pixels = np.where(np.asarray(boxes) > 0, box, pixels)
    share = np.asarray(text, np.float32) / 255
    return (pixels + share * (colour - pixels) + 0.5).astype(np.uint16)
