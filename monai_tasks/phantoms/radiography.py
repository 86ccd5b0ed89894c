"""From what a ray passes to a radiograph: exposure, scatter, noise, collimation, markers, grey scale.

`absorption` is the negative logarithm of the share of a ray that passes, (H, W) float32.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

LEAD = 3.5  # absorption of a marker's letters


@dataclass(frozen=True)
class Collimation:
    """The open rectangle of the tube's shutters, and the frame that hides what lies outside.

    Attributes:
        margins: mm from the image's edges: top, bottom, left, right; negative ones lie outside the image.
        tilt: of the rectangle in degrees.
        penumbra: width of its soft edge in mm.
        frame: "black", "white", or None where the unexposed rim stays as the detector sees it.
        slack: by how many mm the frame begins outside the rectangle.
    """

    margins: tuple[float, float, float, float]
    tilt: float
    penumbra: float
    frame: str | None
    slack: float

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Collimation:
        """Draw one setting."""
        margins = tuple(float(value) for value in np.maximum(rng.normal(2, 4, 4), -6))
        tilt = float(rng.normal(0, 1.5)) if rng.random() < 0.8 else float(rng.uniform(-8, 8))
        frame = ("black", "white", None)[rng.choice(3, p=(0.84, 0.05, 0.11))]
        return cls(margins, tilt, float(rng.uniform(0.5, 2.0)), frame, float(rng.uniform(-0.5, 3.5)))

    def inside(self, shape: tuple[int, int], spacing: float) -> np.ndarray:
        """How many mm each pixel lies inside the rectangle, (H, W) float32."""
        rows = (np.arange(shape[0], dtype=np.float32)[:, None] - shape[0] / 2) * np.float32(spacing)
        columns = (np.arange(shape[1], dtype=np.float32) - shape[1] / 2) * np.float32(spacing)
        cos, sin = (np.float32(f(np.radians(self.tilt))) for f in (np.cos, np.sin))
        down, right = cos * rows + sin * columns, cos * columns - sin * rows
        top, bottom, left, start = self.margins
        half = np.multiply(shape, spacing / 2).astype(np.float32)
        vertical = np.minimum(down + half[0] - top, half[0] - bottom - down)
        return np.minimum(vertical, np.minimum(right + half[1] - left, half[1] - start - right))


@dataclass(frozen=True)
class Look:
    """How one radiograph is taken and shown.

    Attributes:
        photons: that reach a pixel of one square mm through air, in thousands.
        scatter: share of scattered radiation.
        blur: deviation of the detector's blur in mm.
        floor: absorption shown as black.
        ceiling: absorption shown as white, relative to what 97 per cent of the field stay below.
        gamma: of the grey scale.
        heel: relative change of the exposure from one edge to the other, down and across.
        grid: strength and period in pixels of the anti-scatter grid's lines; 0 for none.
        collimation: None where the whole detector is exposed.
        marker: text of a lead marker, or None.
        marker_place: centre of the marker as a share of rows and of columns.
        marker_turn: in degrees.
        initials: text of a second, small marker, or None.
        background: strength of uneven grey that the detector adds.
        inverted: True where bone is dark.
    """

    photons: float
    scatter: float
    blur: float
    floor: float
    ceiling: float
    gamma: float
    heel: tuple[float, float]
    grid: tuple[float, float]
    collimation: Collimation | None
    marker: str | None
    marker_place: tuple[float, float]
    marker_turn: float
    initials: str | None
    background: float
    inverted: bool = False

    @classmethod
    def draw(cls, rng: np.random.Generator, side: str = "R") -> Look:
        """Draw the look of one radiograph.

        Args:
            rng: source of randomness.
            side: letter of the marker.
        """
        marked, initials = rng.random() < 0.75, rng.random() < 0.35
        edge = rng.choice([0.1, 0.9])
        letters = "".join(rng.choice(list("ABCDEFGHKLMNPRSTVW"), 2))
        return cls(
            photons=float(np.exp(rng.uniform(np.log(20), np.log(200)))),
            scatter=float(rng.uniform(0.08, 0.4)),
            blur=float(rng.uniform(0.1, 0.3)),
            floor=float(rng.uniform(-0.1, 0.2)),
            ceiling=float(rng.uniform(1.05, 1.45)),
            gamma=float(rng.uniform(0.75, 1.3)),
            heel=tuple(rng.normal(0, 0.06, 2).tolist()),
            grid=(
                float(rng.uniform(0.002, 0.012)) if rng.random() < 0.15 else 0.0,
                float(rng.uniform(2.5, 7)),
            ),
            collimation=Collimation.draw(rng) if rng.random() < 0.8 else None,
            marker=side if marked else None,
            marker_place=(float(rng.uniform(0.1, 0.9)), float(edge + rng.uniform(-0.04, 0.04))),
            marker_turn=float(rng.normal(0, 4) + (90 * rng.integers(1, 4) if rng.random() < 0.15 else 0)),
            initials=letters if initials else None,
            background=float(rng.uniform(0.05, 0.3)) if rng.random() < 0.1 else 0.0,
        )

    def turned_dark(self, inverted: bool = True) -> Look:
        """The same with bone dark."""
        return replace(self, inverted=inverted)


def expose(rng: np.random.Generator, absorption: np.ndarray, spacing: float, look: Look) -> np.ndarray:
    """Take the radiograph.

    Args:
        rng: source of randomness, of the noise.
        absorption: (H, W) float32.
        spacing: of the pixels in mm.
        look: how it is taken.

    Returns:
        (H, W) uint16; white is dense unless `look.inverted`.
    """
    shape = absorption.shape
    primary = np.exp(-_with_markers(absorption, spacing, look))
    inside = None
    if look.collimation is not None:
        inside = look.collimation.inside(shape, spacing)
        primary *= 0.004 + 0.996 / (1 + np.exp(np.clip(-4 * inside / look.collimation.penumbra, -30, 30)))
    down, across = (np.linspace(-1, 1, size, dtype=np.float32) for size in shape)
    primary *= (1 + np.float32(look.heel[0]) * down)[:, None] * (1 + np.float32(look.heel[1]) * across)
    signal = gaussian_filter(primary, max(look.blur / spacing, 0.35), truncate=3)
    signal = (1 - look.scatter) * signal + look.scatter * _wide_blur(primary, 14 / spacing)
    if look.grid[0]:
        signal *= 1 + look.grid[0] * np.sin(np.arange(shape[1], dtype=np.float32) * (6.2832 / look.grid[1]))
    count = 1000 * look.photons * spacing**2
    signal += np.sqrt(signal / count) * rng.standard_normal(shape, dtype=np.float32)
    density = -np.log(np.maximum(signal, 0.002))
    if look.background:
        density += look.background * (1 + _patches(rng, shape))
    shown = density[::4, ::4] if inside is None else density[::4, ::4][inside[::4, ::4] > 1]
    bright = np.quantile(shown if shown.size else density, 0.97)
    grey = (density - look.floor) / max(look.ceiling * bright - look.floor, 0.2)
    grey = np.clip(grey, 0, 1) ** np.float32(look.gamma)
    if inside is not None and look.collimation.frame is not None:
        grey[inside < -look.collimation.slack] = float(look.collimation.frame == "white")
    grey = 1 - grey if look.inverted else grey
    return (grey * 65535 + 0.5).astype(np.uint16)


def _wide_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Blur by far more than a pixel: on a coarse grid."""
    step = max(int(sigma / 4), 1)
    rows, columns = (-(-size // step) * step for size in image.shape)
    padded = np.pad(image, ((0, rows - image.shape[0]), (0, columns - image.shape[1])), mode="edge")
    coarse = padded.reshape(rows // step, step, columns // step, step).mean((1, 3))
    return enlarge(gaussian_filter(coarse, sigma / step, mode="nearest"), (rows, columns))[
        : image.shape[0], : image.shape[1]
    ]


def enlarge(image: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """The image at a larger size, by straight lines between its pixels."""
    resized = Image.fromarray(np.ascontiguousarray(image, np.float32)).resize(shape[::-1], Image.BILINEAR)
    return np.asarray(resized)


def _patches(rng: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Uneven grey of mean 0 that varies over a quarter of the image."""
    field = gaussian_filter(rng.standard_normal((24, 24)), 4, mode="nearest")
    return enlarge((field / field.std()).astype(np.float32), shape)


def _with_markers(absorption: np.ndarray, spacing: float, look: Look) -> np.ndarray:
    """Add the lead letters, on the little plate that holds them."""
    if look.marker is None and look.initials is None:
        return absorption
    height, width = absorption.shape
    letters = Image.new("L", (width, height))
    plates = Image.new("L", (width, height))
    row, column = look.marker_place[0] * height, look.marker_place[1] * width
    if look.marker is not None:
        _write(letters, plates, look.marker, (row, column), 11 / spacing, look.marker_turn)
    if look.initials is not None:
        _write(letters, None, look.initials, (row + 13 / spacing, column), 6 / spacing, look.marker_turn)
    lead, plastic = (np.asarray(drawn, np.float32) / 255 for drawn in (letters, plates))
    return absorption + LEAD * lead + 0.06 * plastic


def _write(
    letters: Image.Image,
    plates: Image.Image | None,
    text: str,
    place: tuple[float, float],
    height: float,
    turn: float,
) -> None:
    """Draw a text of some pixels' height centred at a place (row, column), in 8-bit images."""
    size = max(int(height), 6)
    font = ImageFont.load_default(size * 1.3)
    tile = Image.new("L", (int(size * (len(text) + 1)), 2 * size))
    ImageDraw.Draw(tile).text((tile.width / 2, tile.height / 2), text, fill=255, font=font, anchor="mm")
    tile = tile.rotate(turn, expand=True, resample=Image.BILINEAR)
    corner = (int(place[1] - tile.width / 2), int(place[0] - tile.height / 2))
    if plates is not None:
        plates.paste(255, (corner[0], corner[1], corner[0] + tile.width, corner[1] + tile.height))
    letters.paste(255, corner, tile)
