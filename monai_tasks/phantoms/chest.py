"""Generated radiographs of chests from the front, with findings.

The frame is that of the image: `x` points to its right, which is the patient's left, and `y` up, in mm; the origin
lies on the midline at the middle of the lungs. Nothing here is measured on persons.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import gaussian_filter

from monai_tasks.phantoms.chest_findings import FINDINGS, Findings
from monai_tasks.phantoms.radiography import Look, expose
from monai_tasks.phantoms.wrist import MUSCLE, Grid
from monai_tasks.phantoms.wrist_shapes import Curve, slab, smooth_min

SIDES = (-1, 1)  # of the image: the patient's right lung, the left one
VIEWS = ("PA", "AP")
FLESH = 0.62 * MUSCLE  # absorption of each mm of the trunk, on average
LUNG = 0.26  # density of a lung, relative to flesh
EDGE = 30.0  # mm within which a lung gets as deep as it is


@dataclass(frozen=True)
class Chest:
    """One chest.

    Attributes:
        half: half width of the lungs together.
        base: y of the top of the diaphragm, right and left.
        apex: y of the top of the lungs.
        depth: of the lungs along the ray.
        stout: thickness of the trunk around the lungs along the ray.
        heart: factors of the heart's width and height.
        lean: by how much the midline leans, in mm from top to bottom.
        rib: distance of two ribs.
        bone: strength of the bones.
        breast: thickness of the breasts along the ray; 0 for none.
        bubble: of air in the stomach, along the ray.
        vessels: strength of the vessels.
        tree: seed of the vessels.
    """

    half: float
    base: tuple[float, float]
    apex: float
    depth: float
    stout: float
    heart: tuple[float, float]
    lean: float
    rib: float
    bone: float
    breast: float
    bubble: float
    vessels: float
    tree: int

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Chest:
        """Draw one person."""
        size = rng.normal(1.0, 0.07)
        half, apex, base = (
            size * rng.uniform(122, 138),
            size * rng.uniform(108, 128),
            -size * rng.uniform(95, 125),
        )
        return cls(
            half=half,
            base=(base + rng.uniform(4, 16), base),
            apex=apex,
            depth=size * rng.uniform(105, 140),
            stout=rng.uniform(55, 105),
            heart=(rng.uniform(0.88, 1.08), rng.uniform(0.85, 1.1)),
            lean=rng.normal(0, 5),
            rib=size * rng.uniform(23, 28),
            bone=rng.uniform(0.7, 1.2),
            breast=rng.uniform(15, 45) if rng.random() < 0.5 else 0.0,
            bubble=rng.uniform(15, 60) if rng.random() < 0.6 else 0.0,
            vessels=rng.uniform(0.7, 1.3),
            tree=int(rng.integers(2**31)),
        )

    def outline(self) -> Curve:
        """The distance of the lungs' outer edge from the midline over y."""
        low, high = min(self.base) - 40, self.apex
        shape = ((0, 0.99), (0.2, 1.0), (0.45, 0.97), (0.68, 0.84), (0.85, 0.6), (0.95, 0.38), (1, 0.14))
        return Curve.through([(low + t * (high - low), width * self.half) for t, width in shape])

    def inwards(self, x: np.ndarray, y: np.ndarray, side: int, flat: float = 0.0) -> np.ndarray:
        """How many mm points lie inside of a lung.

        Args:
            x: to the image's right.
            y: up.
            side: one of `SIDES`.
            flat: share by which the dome of the diaphragm is flattened.
        """
        off = side * (x - self.lean * y / 120)
        outer = self.outline().near(y) - off
        middle = 0.5 * self.half
        dome = self.base[side > 0] - (1 - flat) * 0.006 * (off - middle) ** 2
        return smooth_min(smooth_min(outer, off - 0.08 * self.half, 6.0), y - dome, 8.0)


@dataclass(frozen=True)
class ChestImage:
    """A radiograph of a chest.

    Attributes:
        pixels: (H, W) uint16, white where the body is dense.
        pneumothorax: (H, W) bool, the air outside of the lung; empty where there is none.
        view: one of `VIEWS`.
    """

    pixels: np.ndarray
    pneumothorax: np.ndarray
    view: str


def chest(
    rng: np.random.Generator,
    size: tuple[int, int] = (256, 256),
    findings: Collection[str] = (),
    person: Chest | None = None,
) -> ChestImage:
    """Take one radiograph of a chest.

    Args:
        rng: source of randomness; made by `numpy.random.default_rng`.
        size: rows and columns.
        findings: what is seen, keys of `chest_findings.FINDINGS`.
        person: whose chest; drawn if not given.

    Raises:
        ValueError: for another finding.
    """
    unknown = sorted(set(findings) - set(FINDINGS))
    if unknown:
        raise ValueError(f"findings of {', '.join(FINDINGS)} are needed, not {unknown[0]!r}")
    body, place, film, extra, texture = rng.spawn(5)
    person = Chest.draw(body) if person is None else person
    view = VIEWS[place.random() < 0.35]
    grid = Grid(
        shape=size,
        spacing=float(place.uniform(310, 390)) / min(size),
        centre=(float(place.normal(0, 8)), float(place.normal(-8, 10))),
        turn=float(place.normal(0, 2.5)),
        mirrored=False,
    )
    drawn = Findings.draw(extra, findings)
    absorption, air = project(texture, person, grid, view, drawn)
    look = Look.draw(film, str(film.choice(["L", "R"])))
    look = replace(look, collimation=look.collimation if film.random() < 0.2 else None)
    return ChestImage(expose(film, absorption, grid.spacing, look), air, view)


def project(
    rng: np.random.Generator, person: Chest, grid: Grid, view: str, findings: Findings
) -> tuple[np.ndarray, np.ndarray]:
    """What the rays pass.

    Args:
        rng: source of randomness, of the fine texture.
        person: whose chest.
        grid: pixels.
        view: "AP" for a larger heart and a higher diaphragm.
        findings: what is seen.

    Returns:
        absorption: (H, W) float32, negative logarithm of the share of a ray that passes.
        air: (H, W) bool, the air between lung and chest wall.
    """
    x, y = np.broadcast_arrays(*grid.points())
    if view == "AP":
        person = replace(
            person,
            heart=tuple(1.12 * half for half in person.heart),
            base=tuple(base + 10 for base in person.base),
        )
    hollow, lung, air = (
        np.zeros(grid.shape, np.float32),
        np.zeros(grid.shape, np.float32),
        np.zeros(grid.shape, bool),
    )
    line = np.zeros(grid.shape, np.float32)
    for side in SIDES:
        inwards = person.inwards(x, y, side, findings.flat)
        whole = person.depth * slab(inwards, EDGE) / (2 * EDGE)
        hollow += whole
        if side == findings.collapsed:
            left = inwards - findings.gap(np.abs(x) / person.half, y, person.base[side > 0], person.apex)
            rest = person.depth * slab(left, EDGE) / (2 * EDGE)
            air |= (inwards > 1) & (left < -1)
            line += np.exp(-((left / 1.1) ** 2)) * (inwards > 3)
            lung += rest * min(1.0 + 0.5 * findings.size, 1.5)
        else:
            lung += whole
    heart = _heart(person, x, y, findings.large_heart)
    absorption = _trunk(person, grid, x, y) - FLESH * (1 - heart) * hollow
    wet = findings.wet(person.half, person.base, x, y)
    patches = gaussian_filter(
        rng.standard_normal(grid.shape, dtype=np.float32), 2.5 / grid.spacing, mode="nearest"
    )
    patches *= 0.05 / patches.std()
    aerated = (1 - heart) * (1 - wet)
    absorption += FLESH * (1 - heart) * hollow * wet
    absorption += FLESH * LUNG * findings.density * aerated * lung * (1 + patches)
    shadows = _vessels(person, grid, x, y) + findings.shadows(person.half, x, y)
    absorption += aerated * (lung > 0.3 * person.depth) * shadows + 0.06 * line
    absorption += _bones(person, x, y) - _stomach(person, x, y)
    return absorption.astype(np.float32), air & (heart < 0.3)


def _trunk(person: Chest, grid: Grid, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Absorption of the trunk as if it were all flesh, with neck, shoulders and breasts."""
    out = np.abs(x)
    half = person.half + 22 + 0.15 * person.stout + 75 / (1 + np.exp(-(y - person.apex + 22) / 15))
    depth = person.depth + person.stout + 25 / (1 + np.exp((y - min(person.base)) / 20))
    neck = 90 / (1 + np.exp(np.clip((out - 58) / 7, -30, 30)))
    skin = person.apex + 42 + neck - 0.3 * np.clip(out - 60, 0, None)
    high = np.sqrt(np.clip((skin - y) / 60, 0, 1))
    trunk = FLESH * depth * high * np.sqrt(np.clip(1 - (out / half) ** 5, 0, 1))
    for side in SIDES if person.breast else ():
        off = ((side * x - 0.55 * person.half) / 60) ** 2 + ((y - min(person.base) - 42) / 50) ** 2
        trunk += FLESH * person.breast * np.sqrt(np.clip(1 - off, 0, 1))
    return trunk


def _heart(person: Chest, x: np.ndarray, y: np.ndarray, large: float) -> np.ndarray:
    """The share of the lungs' depth that heart, great vessels and what lies between the lungs take."""
    wide, tall = person.heart
    bottom, scale = min(person.base), person.half / 130
    heights = [
        bottom - 30,
        *(bottom + 62 * tall * share for share in (0, 0.35, 0.8, 1.3)),
        0.42 * person.apex,
    ]
    heights += [0.5 * person.apex, 0.66 * person.apex, person.apex + 30]
    left = [60 * wide * large, 78 * wide * large, 80 * wide * large, 62 * wide * large, 36, 31, 38, 24, 26]
    right = [30 * wide * large, 36 * wide * large, 42 * wide * large, 37 * wide * large, 24, 24, 24, 26, 28]
    borders = [
        Curve.through(list(zip(heights, scale * np.array(edge), strict=True))).near(y)
        for edge in (left, right)
    ]
    middle = x - person.lean * y / 120
    return 0.85 * np.clip(np.minimum(borders[0] - middle, borders[1] + middle) / 9, 0, 1)


def _bones(person: Chest, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Absorption of ribs, spine and collar bones."""
    bones = np.zeros(x.shape, np.float32)
    outer = person.outline().near(y) + 5
    off = np.abs(x - person.lean * y / 120)
    for rib in range(11):
        top = person.apex - 4 - rib * person.rib
        steep = 0.0018 + 0.00022 * rib
        behind = top + 8 - steep * (off - 40) ** 2
        front = top - 52 + 0.42 * (off - 45)
        for middle, half, strength, end in ((behind, 5.5, 0.26, 12), (front, 6.5, 0.13, 0.36 * person.half)):
            share = (y - middle) / half
            profile = np.sqrt(np.clip(1 - share**2, 0, 1)) * (0.7 + 0.5 * share**2)
            bones += strength * profile * (off < outer) * (off > end)
    edge = np.clip(1 - (off / 17) ** 6, 0, 1)
    bones += edge * (0.2 + 0.1 * np.cos(2 * np.pi * y / (0.95 * person.rib)))
    along = np.clip((off - 14) / 120, 0, 1)
    collar = (y - person.apex + 10 - 26 * along + 10 * np.sin(5 * along)) / 6.5
    bones += 0.22 * np.sqrt(np.clip(1 - collar**2, 0, 1)) * (off > 14) * (off < 140)
    return person.bone * bones


def _stomach(person: Chest, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What the air in the stomach takes away, below the left half of the diaphragm."""
    away = ((x - 0.5 * person.half) / 30) ** 2 + ((y - person.base[1] + 34) / 20) ** 2
    return FLESH * person.bubble * np.sqrt(np.clip(1 - away, 0, 1))


def _vessels(person: Chest, grid: Grid, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Absorption of the vessels: branches that leave each hilum and grow thin."""
    rng = np.random.default_rng(person.tree)
    drawn = np.zeros(grid.shape, np.float32)
    for side in SIDES:
        start = (side * 0.24 * person.half, 0.1 * person.apex)
        for angle in np.linspace(-1.35, 1.25, 9) + rng.normal(0, 0.1, 9):
            _branch(rng, drawn, grid, x, y, start, side, float(angle), float(rng.uniform(3.2, 4.4)), 5)
    return person.vessels * 0.05 * drawn


def _branch(
    rng: np.random.Generator,
    drawn: np.ndarray,
    grid: Grid,
    x: np.ndarray,
    y: np.ndarray,
    start: tuple[float, float],
    side: int,
    angle: float,
    half: float,
    pieces: int,
) -> None:
    """Draw pieces of a vessel, each thinner than the one before; some fork."""
    for piece in range(pieces):
        length = rng.uniform(14, 24)
        stop = (start[0] + side * length * np.cos(angle), start[1] + length * np.sin(angle))
        window = grid.window(np.array([start, stop]), half)
        if drawn[window].size:
            way = np.array([stop[0] - start[0], stop[1] - start[1]]) / length
            right, up = x[window] - start[0], y[window] - start[1]
            along = np.clip(right * way[0] + up * way[1], 0, length)
            away = np.hypot(right - along * way[0], up - along * way[1])
            np.maximum(
                drawn[window], half * np.sqrt(np.clip(1 - (away / half) ** 2, 0, 1)), out=drawn[window]
            )
        start, half, angle = stop, 0.76 * half, angle + rng.normal(0, 0.2)
        if piece and rng.random() < 0.5:
            fork = angle + float(rng.choice([-0.6, 0.6]))
            _branch(rng, drawn, grid, x, y, start, side, fork, 0.8 * half, pieces - piece - 1)
