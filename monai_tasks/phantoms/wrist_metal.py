"""Metal in or at a wrist: a plate with screws, wires, a ring."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_tasks.phantoms.wrist_anatomy import Person
from monai_tasks.phantoms.wrist_fractures import Break
from monai_tasks.phantoms.wrist_shapes import slab

KINDS = ("plate", "wires", "ring")
ABSORPTION = 0.55  # of each mm
Point = tuple[float, float]


@dataclass(frozen=True)
class Rod:
    """A straight piece of metal in one view.

    Attributes:
        start: one end: to the side, up.
        stop: the other end.
        half: half of its width in mm.
        half_depth: half of its thickness along the ray.
        holes: share of the way from start to stop where a hole is drilled.
    """

    start: Point
    stop: Point
    half: float
    half_depth: float
    holes: tuple[float, ...] = ()

    def thickness(self, side: np.ndarray, up: np.ndarray) -> np.ndarray:
        """Metal in mm along the ray."""
        start, stop = np.array(self.start), np.array(self.stop)
        length = float(np.hypot(*(stop - start)))
        way = (stop - start) / length
        along = (side - start[0]) * way[0] + (up - start[1]) * way[1]
        off = (side - start[0]) * way[1] - (up - start[1]) * way[0]
        inwards = self.half - np.hypot(off, along - np.clip(along, 0, length))
        for place in self.holes:
            inwards = np.minimum(inwards, np.hypot(off, along - place * length) - 0.5 * self.half)
        return slab(inwards.astype(np.float32), self.half_depth)


@dataclass(frozen=True)
class Metal:
    """Pieces of metal, the same ones in each view.

    Attributes:
        kind: one of `KINDS`.
        rods: of each view.
    """

    kind: str
    rods: dict[str, tuple[Rod, ...]]

    @classmethod
    def draw(cls, rng: np.random.Generator, person: Person, kind: str | None = None) -> Metal:
        """Draw the metal of a person.

        Args:
            rng: source of randomness.
            person: who has it.
            kind: one of `KINDS`; drawn if not given.

        Raises:
            ValueError: for another kind.
        """
        drawn = str(rng.choice(KINDS, p=(0.5, 0.3, 0.2)))
        kind = drawn if kind is None else kind
        if kind not in KINDS:
            raise ValueError(f"metal of {', '.join(KINDS)} is needed, not {kind!r}")
        draw = {"plate": _plate, "wires": _wires, "ring": _ring}[kind]
        return cls(kind, draw(rng, person))

    def add(
        self, absorption: np.ndarray, view: str, side: np.ndarray, up: np.ndarray, broken: Break | None
    ) -> bool:
        """Add the metal to an image, in place.

        Args:
            absorption: (H, W).
            view: a key of `rods`.
            side: of the pixels in the view, in mm.
            up: likewise.
            broken: the fracture that carries a ring away with its fragment, or None.

        Returns:
            Whether at least 5 square mm of it lie in the image.
        """
        if self.kind == "ring" and broken is not None:
            side, up = broken.back(side, up)
        thickness = np.zeros_like(absorption)
        for rod in self.rods[view]:
            np.maximum(thickness, rod.thickness(side, up), out=thickness)
        absorption += ABSORPTION * thickness
        pixel = abs(
            float(
                (side[0, 1] - side[0, 0]) * (up[1, 0] - up[0, 0])
                - (side[1, 0] - side[0, 0]) * (up[0, 1] - up[0, 0])
            )
        )
        return float((thickness > 0).sum()) * pixel >= 5.0


def _plate(rng: np.random.Generator, person: Person) -> dict[str, tuple[Rod, ...]]:
    """A plate at the palm's side of the radius, with screws that reach its back."""
    size = person.size
    bottom, top = -size * rng.uniform(45, 62), -size * rng.uniform(3, 7)
    lean, half = rng.uniform(-1.5, 1.5), rng.uniform(3.5, 4.5)
    holes = np.linspace(0.08, 0.62, rng.integers(4, 7))
    head = [(size * x, top - size * abs(x) * 0.15) for x in (-8.0, -3.5, 1.5, 6.5, 10.0)]
    pa = [Rod((lean, bottom), (0.5, top - 6), half, 1.0, tuple(holes.tolist()))]
    pa += [Rod((head[0][0], top - 4), (head[-1][0], top - 3), 4.0, 1.0)]
    palmar = size * 11.5
    lateral = [Rod((size * 7.0, bottom), (size * 7.0, top - 18), 1.0, half)]
    lateral += [Rod((size * 7.0, top - 18), (palmar, top - 2), 1.0, 8.0)]
    for place in holes:
        if rng.random() < 0.75:
            height = bottom + place * (top - 6 - bottom)
            lateral.append(Rod((size * 7.0, height), (-size * 6.5, height + rng.uniform(-1, 1)), 1.2, 1.2))
            pa.append(Rod((lean * (1 - place), height - 0.1), (lean * (1 - place), height + 0.1), 2.2, 3.0))
    for x, height in head:
        drift = rng.uniform(-1, 1)
        lateral.append(Rod((palmar, height), (-size * 8.0, height + 3 + drift), 0.9, 0.9))
        pa.append(Rod((x, height - 3), (x + rng.uniform(-1, 1), height + 0.5 + drift), 0.9, 6.0))
    return {"pa": tuple(pa), "lateral": tuple(lateral)}


def _wires(rng: np.random.Generator, person: Person) -> dict[str, tuple[Rod, ...]]:
    """Two or three wires from the styloid into the shaft."""
    pa, lateral = [], []
    for number in range(rng.integers(2, 4)):
        x = rng.uniform(10, 18) if number < 2 else rng.uniform(-12, -6)
        start = np.array([x, rng.uniform(-7, 7), rng.uniform(9, 20)])
        stop = np.array([-np.sign(x) * rng.uniform(0, 7), rng.uniform(-5, 5), -rng.uniform(35, 55)])
        half = rng.uniform(0.6, 0.9)
        start, stop = person.size * start, person.size * stop
        for rods, side in ((pa, 0), (lateral, 1)):
            ends = [(float(end[side]), float(end[2])) for end in (start, stop)]
            rods.append(Rod(*ends, half, half))
    return {"pa": tuple(pa), "lateral": tuple(lateral)}


def _ring(rng: np.random.Generator, person: Person) -> dict[str, tuple[Rod, ...]]:
    """A ring on the fourth finger, or a bracelet's clasp where the field ends before the fingers."""
    rods = {}
    share, half = rng.uniform(0.3, 0.6), rng.uniform(1.2, 2.8)
    for view in ("pa", "lateral"):
        bone = person.bone(view, "phalanx4.1")
        length, reach = bone.shape.box()[3], 8.5 * person.size
        ends = [bone.to_view(way * reach, share * length) for way in (-1, 1)]
        rods[view] = (Rod(*ends, half, 2.0),)
    return rods
