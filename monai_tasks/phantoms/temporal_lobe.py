"""The anatomy around one hippocampus as formulas over points: which tissue is where.

Lengths are in mm. The frame belongs to one side of the head: `x` points to the midline, `y` forward, `z` up,
and its origin lies in the middle of the hippocampus. Inside, a tilted frame is used: `s` runs along the
hippocampus from tail to head, `h` stands upright on it.

Nothing here is measured on persons. Sizes and angles are drawn from ranges that textbooks give.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np


class Tissue(IntEnum):
    """Values of a tissue map."""

    AIR = 0
    CSF = 1
    CORTEX = 2
    WHITE_MATTER = 3
    DEEP_GREY = 4
    BRAINSTEM = 5
    AMYGDALA = 6
    VESSEL = 7
    HIPPOCAMPUS_ANTERIOR = 8
    HIPPOCAMPUS_POSTERIOR = 9


@dataclass(frozen=True)
class TemporalLobe:
    """One hippocampus and its neighbours.

    Attributes:
        tilt: angle by which the hippocampus sinks towards its head, in degrees.
        half_length: half the length along the axis, in mm.
        head: half width and half height of the head, in mm.
        body: half width and half height of the body, in mm.
        bow: how far the two ends lie towards the midline, in mm.
        arch: how far the two ends lie above the middle, in mm.
        uncus: place of the uncus along the axis as a share of half_length; the two parts meet behind it.
        horn: thickness of the temporal horn of the ventricle, in mm; 0 where it is closed.
        ribbon: thickness of the white matter below the hippocampus, in mm.
        fold: thickness of the cortex below, in mm.
        cistern: width of the fluid between the temporal lobe and the brainstem, in mm.
        waves: length in mm and phase in radians of three waves that bend cortex and shores.
    """

    tilt: float
    half_length: float
    head: tuple[float, float]
    body: tuple[float, float]
    bow: float
    arch: float
    uncus: float
    horn: float
    ribbon: float
    fold: float
    cistern: float
    waves: tuple[tuple[float, float], ...]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> TemporalLobe:
        """Draw the sizes and angles of one subject."""
        size = rng.uniform(0.9, 1.1)
        return cls(
            tilt=rng.uniform(16, 34),
            half_length=rng.uniform(20.5, 24.5),
            head=(size * rng.uniform(6.2, 7.4), size * rng.uniform(3.9, 4.9)),
            body=(size * rng.uniform(5.2, 6.4), size * rng.uniform(3.0, 3.9)),
            bow=rng.uniform(1.0, 3.5),
            arch=rng.uniform(0.5, 3.0),
            uncus=rng.uniform(0.36, 0.54),
            horn=max(rng.uniform(-0.8, 2.4), 0.0),
            ribbon=rng.uniform(1.4, 3.0),
            fold=rng.uniform(2.4, 3.6),
            cistern=rng.uniform(2.5, 6.0),
            waves=tuple((rng.uniform(11, 24), rng.uniform(0, 2 * np.pi)) for _ in range(3)),
        )

    def tissue(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Tissue at each point; a point that nothing else claims is white matter.

        Args:
            x: mm towards the midline.
            y: mm forward.
            z: mm up.

        Returns:
            uint8 array of `Tissue` values, shaped as the arguments.
        """
        s, h = self._tilted(y, z)
        distance, angle = self._from_hippocampus(x, s, h)
        tissue = np.full(x.shape, Tissue.WHITE_MATTER, np.uint8)
        self._paint_cortex(tissue, x, s, h)
        self._paint_upper_neighbours(tissue, x, y, s, h)
        self._paint_cistern(tissue, x, y, z, s, h)
        # The horn lies lateral to the body and above it: an open crescent around part of the surface.
        crescent = np.clip(np.cos(angle - np.radians(125)) * 1.3, 0, 1)
        tissue[(distance < self.horn * crescent) & (np.abs(s) < 0.85 * self.half_length)] = Tissue.CSF
        fimbria = (
            (distance < 0.9) & (h > 0) & (np.abs(angle - np.radians(75)) < 0.5) & (s < 0.2 * self.half_length)
        )
        tissue[fimbria] = Tissue.WHITE_MATTER
        anterior = y > self.boundary
        tissue[(distance < 0) & anterior] = Tissue.HIPPOCAMPUS_ANTERIOR
        tissue[(distance < 0) & ~anterior] = Tissue.HIPPOCAMPUS_POSTERIOR
        return tissue

    @property
    def boundary(self) -> float:
        """Where the posterior part ends, in mm forward of the middle: at a coronal plane behind the uncus."""
        return (self.uncus * self.half_length - 6.0) * np.cos(np.radians(self.tilt))

    def _wave(self, k: int, place: np.ndarray) -> np.ndarray:
        length, phase = self.waves[k]
        return np.sin(2 * np.pi * place / length + phase)

    def _tilted(self, y: np.ndarray, z: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        sine, cosine = np.sin(np.radians(self.tilt)), np.cos(np.radians(self.tilt))
        return y * cosine - z * sine, y * sine + z * cosine

    def _centre(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Centre line (x, h) at places along the axis."""
        along = np.clip(s / self.half_length, -1.3, 1.3)
        return self.bow * (along**2 - 0.3) + 0.8 * along, self.arch * (along**2 - 0.3)

    def _radii(self, s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Half width and half height at places along the axis, without the closing at the ends."""
        along = s / self.half_length
        to_head = 1 / (1 + np.exp(-(along - self.uncus + 0.25) / 0.08))
        to_tail = 1 - 0.25 * np.clip(-along - 0.3, 0, 1)
        return tuple(
            to_tail * body + (head - body) * to_head for head, body in zip(self.head, self.body, strict=True)
        )

    def _from_hippocampus(self, x: np.ndarray, s: np.ndarray, h: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Distance in mm from the surface (negative inside, about right near it), and angle around the axis.

        The angle is in radians, 0 towards the midline and pi / 2 upwards.
        """
        centre_x, centre_h = self._centre(s)
        width, height = self._radii(s)
        across, up = (x - centre_x) / width, (h - centre_h) / height
        radius = np.sqrt(across**2 + up**2 + np.abs(s / self.half_length) ** 7)
        distance = (radius - 1) * np.sqrt(width * height)
        centre = self.uncus * self.half_length
        tip_x, tip_h = self._centre(np.asarray(centre))
        uncus = ellipsoid(
            (x, s, h), (tip_x + self.head[0] + 1.0, centre + 1, tip_h + 1.0), (5.5, 5.0, self.head[1] - 1.0)
        )
        return np.minimum(distance, uncus), np.arctan2(up, across)

    def _paint_cortex(self, tissue: np.ndarray, x: np.ndarray, s: np.ndarray, h: np.ndarray) -> None:
        """Folds of cortex below: layers of grey, fluid and white, bent by waves.

        Towards the midline the white ribbon thins out and cortex lies on the hippocampus, equally bright.
        """
        centre_x, centre_h = self._centre(s)
        _, height = self._radii(s)
        first, second, third = (self._wave(k, place) for k, place in enumerate((x, s, x + s)))
        bend = 1.6 * first + 1.3 * second + 1.0 * third
        depth = centre_h - height - h + bend
        ribbon = self.ribbon / (1 + np.exp((x - centre_x - 2.0) / 0.8))
        fluid = 1.0
        period = 2 * self.fold + fluid + self.ribbon
        layer = np.mod(depth - ribbon + 0.8 * second * third, period)
        below = depth > ribbon
        tissue[below & (layer < 2 * self.fold + fluid)] = Tissue.CORTEX
        tissue[below & (layer > self.fold) & (layer < self.fold + fluid)] = Tissue.CSF

    def _paint_upper_neighbours(
        self, tissue: np.ndarray, x: np.ndarray, y: np.ndarray, s: np.ndarray, h: np.ndarray
    ) -> None:
        """Amygdala and cortex on the head, as bright as it; grey nuclei and the atrium above the tail."""
        length = self.half_length
        _, centre_h = self._centre(s)
        roof = centre_h + self._radii(s)[1]
        tissue[ellipsoid((x, s, h), (5, -0.6 * length, 13), (9, 13, 8)) < 0] = Tissue.DEEP_GREY
        tissue[ellipsoid((x, s, h - roof), (-6, 0.1 * length, 11), (5, 16, 4)) < 0] = Tissue.DEEP_GREY
        tissue[ellipsoid((x, s, h), (1, -1.12 * length, 6), (7, 6, 7)) < 0] = Tissue.CSF
        tissue[ellipsoid((x, s, h), (7, 0.9 * length, 7), (7, 12, 9)) < 0] = Tissue.CORTEX
        tissue[ellipsoid((x, s, h), (0, 1.3 * length, 0), (8, 8, 6)) < 0] = Tissue.CORTEX
        tissue[ellipsoid((x, s, h - roof), (0.5, 0.75 * length, 3.4), (8, 11, 4.5)) < 0] = Tissue.AMYGDALA
        # The tail runs on into cortex of the same brightness.
        tissue[ellipsoid((x, s, h), (5, -1.1 * length, -1), (6, 5, 3.5)) < 0] = Tissue.CORTEX

    def _paint_cistern(
        self, tissue: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray, s: np.ndarray, h: np.ndarray
    ) -> None:
        """Fluid along the midline side with the brainstem behind it, and two arteries in the fluid."""
        first, second, third = self._wave(0, z), self._wave(1, y), self._wave(2, s)
        centre_x, centre_h = self._centre(s)
        shore = centre_x + self.body[0] + 2.5 + first + second
        # The fluid reaches up to the roof of the body; in front the uncus and the cortex stand in it.
        fluid = (x > shore) & (h - centre_h > -7 - 2 * second) & (h - centre_h < 7)
        tissue[fluid & (s < 0.9 * self.half_length)] = Tissue.CSF
        fissure = (np.abs(h - centre_h - self.body[1] - 1.2) < 0.9) & (x > centre_x) & (x <= shore)
        tissue[fissure & (s < 0.2 * self.half_length)] = Tissue.CSF
        stem = self.body[0] + 2.5 + self.cistern
        tissue[ellipsoid((x, y, z), (stem + 13, -6.0, -4.0), (13, 13, 26)) < 0] = Tissue.BRAINSTEM
        for place in (0.25, 0.75):
            offset_x = x - shore - place * self.cistern
            offset_h = h - centre_h - 8 * (place - 0.5) - 2 * third
            tissue[(np.hypot(offset_x, offset_h) < 0.8) & (tissue == Tissue.CSF)] = Tissue.VESSEL


def ellipsoid(
    point: tuple[np.ndarray, ...], centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> np.ndarray:
    """Distance from an ellipsoid's surface in mm, negative inside and about right near it.

    Args:
        point: three coordinate arrays.
        centre: of the ellipsoid.
        radii: along the three coordinates.

    Returns:
        Array shaped as the coordinates.
    """
    squares = (((p - c) / r) ** 2 for p, c, r in zip(point, centre, radii, strict=True))
    return (np.sqrt(sum(squares)) - 1) * np.prod(radii) ** (1 / 3)
