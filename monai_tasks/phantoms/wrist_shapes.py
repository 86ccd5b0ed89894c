"""Bones in projection: how many mm of bone a ray passes at each point of a view's plane.

A bone is a slab with an outline and rounded edges, a shell of dense bone around spongy bone. From an outline
only the distance inwards is needed, so a bone costs a few operations a pixel and no volume is ever drawn.
Lengths are in mm, arrays are float32 of any one shape.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.interpolate import PchipInterpolator

STEP = 0.25  # mm between the entries of an outline's tables
Knots = Sequence[tuple[float, float]]


def slab(inwards: np.ndarray, half_depth: np.ndarray | float) -> np.ndarray:
    """Thickness of a slab with half-round edges, `inwards` mm from its outline."""
    inwards = np.clip(inwards, 0, half_depth)
    return 2 * np.sqrt(inwards * (2 * half_depth - inwards))


def smooth_min(first: np.ndarray, second: np.ndarray, round_off: float) -> np.ndarray:
    """The smaller of two distances, with the corner between them rounded off over some mm."""
    return 0.5 * (first + second - np.sqrt((first - second) ** 2 + round_off**2))


@dataclass(frozen=True)
class Curve:
    """A smooth curve through knots; level beyond the outer ones. It is looked up in a table, which is fast.

    Attributes:
        knots: (place, value) pairs in rising order of place.
    """

    knots: tuple[tuple[float, float], ...]

    @classmethod
    def through(cls, knots: Knots) -> Curve:
        """The curve through (place, value) pairs in rising order of place; no value lies beyond theirs."""
        return cls(tuple((float(place), float(value)) for place, value in knots))

    def mirrored(self) -> Curve:
        """The curve with the opposite values."""
        return Curve(tuple((place, -value) for place, value in self.knots))

    @property
    def start(self) -> float:
        """Place of the first knot."""
        return self.knots[0][0]

    @property
    def limits(self) -> tuple[float, float]:
        """Smallest and largest value."""
        values = [value for _, value in self.knots]
        return min(values), max(values)

    @cached_property
    def values(self) -> np.ndarray:
        """(entries,) float32, `STEP` apart. Made when needed: many bones lie outside of an image."""
        places, values = np.array(self.knots).T
        grid = np.minimum(np.arange(places[0], places[-1] + STEP, STEP), places[-1])
        table = (
            PchipInterpolator(places, values)(grid) if len(places) > 2 else np.interp(grid, places, values)
        )
        return table.astype(np.float32)

    @cached_property
    def flat(self) -> np.ndarray:
        """(entries,) float32, cosine of the slope: turns a distance along an axis into one across the curve."""
        return (1 / np.hypot(1, np.gradient(self.values, STEP))).astype(np.float32)

    def at(self, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Value and cosine of the slope at places."""
        last = len(self.values) - 1
        position = np.clip((places - self.start) * np.float32(1 / STEP), 0, last)
        below = np.minimum(position.astype(np.int32), last - 1)
        share = position - below
        low = self.values[below]
        return low + share * (self.values[below + 1] - low), self.flat[below]

    def near(self, places: np.ndarray) -> np.ndarray:
        """Value at the entry next to places; for what changes slowly."""
        position = (places - np.float32(self.start)) * np.float32(1 / STEP) + np.float32(0.5)
        return self.values[np.clip(position, 0, len(self.values) - 1).astype(np.int32)]


@dataclass(frozen=True)
class Plate:
    """The wavy band of cartilage across a bone that still grows.

    Attributes:
        height: of its middle along the bone.
        thickness: of the band.
        arch: by how much it rises in the middle.
        wave: length and phase of its waves.
        open: 1 where it is open, near 0 where only a scar is left.
    """

    height: float
    thickness: float
    arch: float
    wave: tuple[float, float]
    open: float

    def above(self, across: np.ndarray, along: np.ndarray) -> np.ndarray:
        """How far points lie beyond the middle of the band."""
        wave = 0.5 * np.sin(across / self.wave[0] + self.wave[1])
        return along - self.height - self.arch * (1 - (across / 14) ** 2) - wave


@dataclass(frozen=True)
class Tube:
    """A long bone in one view: two edges along an axis, an end, and what lies inside.

    The axis runs along `along`, upwards; `across` is the other direction.

    Attributes:
        low: edge on the side of small `across`, over `along`.
        high: the other edge.
        half_depth: half of the thickness along the ray.
        cortex: thickness of the dense shell.
        top: upper end over `across`.
        bottom: lower end.
        plate: growth plate, or None.
        lines: dense lines across the bone, each a height and a strength; harmless scars of growth.
        seat: share by which spongy bone is denser below the cartilage of its ends.
    """

    low: Curve
    high: Curve
    half_depth: Curve
    cortex: Curve
    top: Curve
    bottom: float
    plate: Plate | None = None
    lines: tuple[tuple[float, float], ...] = ()
    seat: float = 0.0

    def box(self) -> tuple[float, float, float, float]:
        """Smallest and largest `across`, smallest and largest `along`."""
        return self.low.limits[0], self.high.limits[1], self.bottom, self.top.limits[1]

    def thickness(self, across: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Dense and spongy bone in mm along the ray."""
        low, low_flat = self.low.at(along)
        high, high_flat = self.high.at(along)
        top, top_flat = self.top.at(across)
        side = np.minimum((across - low) * low_flat, (high - across) * high_flat)
        end = np.minimum((top - along) * top_flat, along - self.bottom)
        inwards = smooth_min(side, end, 1.5)
        shell = self.cortex.near(along)
        # The shell is thin below the cartilage, however thick it is along the shaft.
        shell = np.minimum(shell, 0.9 + 0.15 * np.maximum(end, 0))
        dense, spongy = _shell(inwards, self.half_depth.near(along), shell)
        if self.seat:
            dense = dense + self.seat * spongy * np.exp(-(((end - 1.3) / 0.9) ** 2))
        if self.plate is not None:
            above = self.plate.above(across, along)
            band = self.plate.open * np.exp(-((2 * above / self.plate.thickness) ** 4))
            rim = np.exp(-(((np.abs(above) - 0.75 * self.plate.thickness) / 0.5) ** 2))
            dense = dense * (1 - 0.8 * band) + 0.08 * rim * spongy
            spongy = spongy * (1 - 0.8 * band)
        for height, strength in self.lines:
            dense = dense + strength * spongy * np.exp(-(((along - height - 0.02 * across) / 0.35) ** 2))
        return dense, spongy


@dataclass(frozen=True)
class Pebble:
    """A short bone in one view: an outline around a centre.

    Attributes:
        radii: (entries,) float32, distance from centre to outline over the angle from -pi to pi.
        flat: (entries,) float32, cosine between the outline's normal and the ray from the centre.
        half_depth: half of the thickness along the ray.
        cortex: thickness of the dense shell.
    """

    radii: np.ndarray
    flat: np.ndarray
    half_depth: float
    cortex: float

    @classmethod
    def draw(
        cls, rng: np.random.Generator, half: tuple[float, float, float], cortex: float, uneven: float
    ) -> Pebble:
        """An ellipse, nearly, with bumps.

        Args:
            rng: source of randomness; it draws the bumps.
            half: half of the extent across, along and in depth.
            cortex: thickness of the dense shell.
            uneven: relative height of the bumps.
        """
        angle = np.linspace(-np.pi, np.pi, 257)
        corners = rng.uniform(2.4, 3.3)
        radii = (np.abs(np.cos(angle) / half[0]) ** corners + np.abs(np.sin(angle) / half[1]) ** corners) ** (
            -1 / corners
        )
        for waves in (2, 3, 4, 5):
            radii = radii * (1 + uneven / waves * rng.normal() * np.cos(waves * angle + rng.uniform(0, 6.3)))
        slope = np.gradient(radii, angle) / radii
        return cls(radii.astype(np.float32), (1 / np.hypot(1, slope)).astype(np.float32), half[2], cortex)

    def box(self) -> tuple[float, float, float, float]:
        """Smallest and largest `across`, smallest and largest `along`."""
        reach = float(self.radii.max())
        return -reach, reach, -reach, reach

    def thickness(self, across: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Dense and spongy bone in mm along the ray."""
        position = (np.arctan2(along, across) + np.float32(np.pi)) * np.float32(256 / (2 * np.pi))
        below = np.clip(position.astype(np.int32), 0, 255)
        share = position - below
        radius = self.radii[below] + share * (self.radii[below + 1] - self.radii[below])
        inwards = (radius - np.hypot(across, along)) * self.flat[below]
        return _shell(inwards, self.half_depth, self.cortex)


@dataclass(frozen=True)
class Placed:
    """A bone where it lies in a view.

    Attributes:
        name: of the bone.
        shape: in the bone's own frame.
        origin: of that frame in the view: to the side, up.
        lean: angle of the bone's axis from upright, in degrees; positive leans towards the positive side.
        ray: number of the finger that it belongs to, 1 for the thumb; 0 for carpals, None for the forearm.
        canals: of vessels; each a place across, a height, half of a length, and mm across for each mm along.
    """

    name: str
    shape: Tube | Pebble
    origin: tuple[float, float]
    lean: float = 0.0
    ray: int | None = None
    canals: tuple[tuple[float, float, float, float], ...] = ()

    def _axes(self) -> tuple[float, float]:
        angle = np.radians(self.lean)
        return float(np.cos(angle)), float(np.sin(angle))

    def box(self) -> np.ndarray:
        """(4, 2) corners of a box around the bone, in the view."""
        cos, sin = self._axes()
        left, right, bottom, top = self.shape.box()
        corners = np.array([(a, b) for a in (left, right) for b in (bottom, top)])
        return corners @ np.array([[cos, -sin], [sin, cos]]) + self.origin

    def to_view(self, across: float, along: float) -> tuple[float, float]:
        """A point of the bone's own frame in the view."""
        cos, sin = self._axes()
        return (
            self.origin[0] + cos * across + sin * along,
            self.origin[1] - sin * across + cos * along,
        )

    def own(self, side: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Points of the view in the bone's own frame."""
        cos, sin = (np.float32(value) for value in self._axes())
        side, up = side - np.float32(self.origin[0]), up - np.float32(self.origin[1])
        return cos * side - sin * up, sin * side + cos * up

    def thickness(self, side: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Dense and spongy bone in mm along the ray, at points of the view."""
        across, along = self.own(side, up)
        dense, spongy = self.shape.thickness(across, along)
        for place, height, length, lean in self.canals:
            # The canal of a vessel: a short, thin, nearly upright line of less bone, with soft ends.
            offset = across - place - lean * (along - height)
            canal = 0.3 * np.exp(-((offset / 0.5) ** 2) - ((along - height) / length) ** 4)
            dense, spongy = dense * (1 - canal), spongy * (1 - canal)
        return dense, spongy


def _shell(
    inwards: np.ndarray, half_depth: np.ndarray | float, shell: np.ndarray | float
) -> tuple[np.ndarray, np.ndarray]:
    """Dense and spongy part of a slab whose shell is everywhere as thick."""
    whole = slab(inwards, half_depth)
    spongy = slab(inwards - shell, np.maximum(half_depth - shell, 0))
    return whole - spongy, spongy
