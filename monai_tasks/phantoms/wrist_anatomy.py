"""The bones and the soft tissue of one wrist, as outlines in two views that belong together.

The frame is that of a right hand: `x` points to the thumb, `y` to the palm and `z` to the fingers, in mm; the
origin lies in the middle of the radius's joint surface. A view's plane is spanned by its side direction (`x`
in "pa", `y` in "lateral") and by `z`. A left wrist is the mirror image.

Nothing here is measured on persons. Sizes and angles are drawn from ranges that textbooks give: radial
inclination 19 to 26 degrees, palmar tilt 6 to 16 degrees, ulnar variance -2.5 to 1.5 mm.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_tasks.phantoms.wrist_shapes import Curve, Knots, Pebble, Placed, Plate, Tube

VIEWS = ("pa", "lateral")
FOREARM = -190.0  # z where the bones of the forearm are cut off

# Carpals: centre, half extents (x, y, z) and lean in "pa" and in "lateral".
CARPALS = {
    "scaphoid": ((9.5, 4.0, 14.5), (6.6, 6.5, 12.5), 38, 42),
    "lunate": ((-5.0, 0.5, 8.8), (7.8, 8.5, 6.2), -12, 10),
    "triquetrum": ((-17.0, -3.0, 13.5), (7.5, 7.0, 6.8), -30, -15),
    "pisiform": ((-19.0, 12.5, 16.5), (5.2, 4.8, 6.0), 0, 0),
    "trapezium": ((19.0, 8.5, 27.0), (7.2, 7.0, 7.6), 25, 25),
    "trapezoid": ((9.5, -1.0, 28.5), (5.6, 8.0, 6.2), 10, 0),
    "capitate": ((-1.5, 0.0, 25.5), (7.4, 7.6, 11.2), 2, 5),
    "hamate": ((-14.5, 1.5, 26.5), (8.0, 8.5, 9.8), -12, 0),
}

# Rays of the hand: base of the metacarpal (x, y, z), its lean in both views, its length and half width of the
# shaft, and lengths of the phalanges.
RAYS = {
    1: ((23.5, 13.0, 33.0), 36, 30, 45.0, 4.6, (31.0, 23.0)),
    2: ((9.5, -1.5, 35.0), 9, -1, 67.0, 4.2, (41.0, 24.0, 18.0)),
    3: ((-1.0, -2.0, 37.5), 1, 0, 65.0, 4.3, (45.0, 28.0, 19.0)),
    4: ((-10.5, -0.5, 36.5), -7, 2, 57.0, 3.7, (41.0, 27.0, 19.0)),
    5: ((-18.5, 1.5, 35.0), -15, 5, 53.0, 3.9, (33.0, 20.0, 17.0)),
}


@dataclass(frozen=True)
class Person:
    """One wrist.

    Attributes:
        size: scale of everything, 1 for a grown person.
        age: in years.
        bones: the placed bones of each view.
        skin: pieces of the soft tissue of each view; a ray passes the thickest.
        fat: share of the soft tissue's half width that is fat.
        density: of bone, relative to a healthy grown person's.
        coarseness: strength of the spongy bone's beams.
    """

    size: float
    age: float
    bones: dict[str, tuple[Placed, ...]]
    skin: dict[str, tuple[Placed, ...]]
    fat: float
    density: float
    coarseness: float

    @classmethod
    def draw(cls, rng: np.random.Generator, age: float | None = None) -> Person:
        """Draw one person.

        Args:
            rng: source of randomness.
            age: in years, 6 or more; drawn from 6 to 85 if not given, a fifth of them below 17.
        """
        drawn = rng.uniform(6, 17) if rng.random() < 0.2 else rng.uniform(17, 85)
        age = float(drawn) if age is None else age
        draw = _Draw(rng, age)
        bones = {view: [] for view in VIEWS}
        for part in (draw.forearm(), draw.carpals(), draw.hand()):
            for view in VIEWS:
                bones[view] += part[view]
        return cls(
            size=draw.size,
            age=age,
            bones={view: tuple(placed) for view, placed in bones.items()},
            skin=draw.skin(bones),
            fat=float(rng.uniform(0.06, 0.2)),
            density=float(rng.uniform(0.85, 1.1) - 0.2 * max(age - 55, 0) / 30),
            coarseness=float(rng.uniform(0.5, 1.0)),
        )

    def bone(self, view: str, name: str) -> Placed:
        """The bone of that name in a view."""
        return next(bone for bone in self.bones[view] if bone.name == name)


class _Draw:
    """Draws the parts of one person.

    Args:
        rng: source of randomness.
        age: in years.
    """

    def __init__(self, rng: np.random.Generator, age: float) -> None:
        self.rng = rng
        self.age = age
        self.size = float(rng.normal(0.98, 0.05) * np.interp(age, (6, 15), (0.66, 1)))
        self.stout = float(rng.uniform(0.92, 1.1))
        self.shell = float(rng.uniform(0.75, 1.1) * np.interp(age, (6, 20, 60, 85), (0.8, 1, 1, 0.65)))
        self.open = float(np.clip((17.5 - age) / 3 + rng.uniform(-0.2, 0.2), 0, 1))
        self.seat = float(rng.uniform(0.04, 0.12))
        self.ossified = float(np.interp(age, (6, 14), (0.72, 1)))

    def _knots(self, knots: Knots, factor: float = 1.0, shift: float = 0.0) -> Curve:
        """A curve through knots that are scaled to the person."""
        return Curve.through([(z * self.size, (v * factor + shift) * self.size) for z, v in knots])

    def _plate(self, height: float, arch: float) -> Plate | None:
        if self.open <= 0:
            return None
        rng = self.rng
        wave = (rng.uniform(2, 4), rng.uniform(0, 6.3))
        return Plate(height * self.size, rng.uniform(1.2, 2.2), arch * self.size, wave, self.open)

    def _lines(self, heights: tuple[float, float]) -> tuple[tuple[float, float], ...]:
        """Scars of growth: in the grown the closed plate's, in some people more of them."""
        rng = self.rng
        lines = []
        if self.open <= 0 and rng.random() < 0.5:
            lines.append((rng.uniform(-11, -7) * self.size, rng.uniform(0.02, 0.12)))
        if rng.random() < 0.2:
            for _ in range(rng.integers(1, 4)):
                lines.append((rng.uniform(*heights) * self.size, rng.uniform(0.03, 0.12)))
        return tuple(lines)

    def forearm(self) -> dict[str, list[Placed]]:
        """Radius and ulna."""
        rng, stout = self.rng, self.stout
        incline = np.tan(np.radians(rng.uniform(19, 26)))
        tilt = np.tan(np.radians(rng.uniform(6, 16)))
        bow = rng.uniform(0, 3)
        radius = self._radius(incline, tilt, bow)
        head = rng.uniform(-2.5, 1.5) - 1.5
        spike = rng.uniform(3.5, 6.5)
        ulna = self._ulna(head, spike)
        canals = [self._canal() for _ in range(2)]
        return {
            view: [
                Placed("radius", radius[view], (0.0, 0.0), canals=canals[0]),
                Placed(
                    "ulna",
                    ulna[view],
                    ((-25.5 if view == "pa" else -3.0) * self.size * stout**0.5, 0.0),
                    rng.uniform(-1.5, 1.5),
                    canals=canals[1],
                ),
            ]
            for view in VIEWS
        }

    def _canal(self) -> tuple[tuple[float, float, float, float], ...]:
        """The canal of the vessel that feeds a shaft; not every image shows it."""
        rng = self.rng
        if rng.random() < 0.6:
            return ()
        place = (rng.uniform(-4, 4), rng.uniform(-80, -30), rng.uniform(4, 9), rng.uniform(-0.35, 0.35))
        return (tuple(float(value) for value in place),)

    def _radius(self, incline: float, tilt: float, bow: float) -> dict[str, Tube]:
        rng, stout = self.rng, self.stout
        shaft = ((FOREARM, 2.4), (-110, 2.7), (-60, 2.6), (-35, 2.0), (-20, 1.1), (-8, 0.8), (16, 0.7))
        cortex = Curve.through([(z * self.size, t * self.shell * self.size) for z, t in shaft])
        lines = self._lines((-30, -14))
        low = [(FOREARM, -5.5), (-110, -5.5 - bow), (-60, -6.5 - bow / 2), (-40, -7.5), (-25, -10.5)]
        low += [(-14, -14.0), (-6, -15.3), (-1, -15.6), (16, -15.6)]
        high = [(FOREARM, 9.0), (-110, 9.2 - bow), (-60, 8.0 - bow / 2), (-40, 8.6), (-25, 11.2)]
        high += [(-12, 14.6), (-2, 15.8), (5, 15.8), (9, 15.0), (14, 13.4)]
        sag = rng.uniform(0.8, 2)
        top = [(x, incline * (x + 1) - sag * (1 - (x / 15) ** 2) * 1.2) for x in (-17, -12, -6, 0, 6, 11)]
        top += [(14, incline * 15 + 1.0), (17, incline * 15 - 1.0)]
        depth = ((FOREARM, 6.0), (-60, 5.8), (-35, 6.6), (-20, 9.0), (-8, 10.5), (14, 9.5))
        pa = Tube(
            self._knots(low, stout),
            self._knots(high, stout),
            self._knots(depth, stout),
            cortex,
            self._knots(top),
            FOREARM * self.size,
            self._plate(-7.5, 1.0),
            lines,
            self.seat,
        )
        dorsal = [
            (FOREARM, -6.0),
            (-60, -5.8),
            (-35, -7.0),
            (-20, -9.6),
            (-10, -11.0),
            (-4, -10.6),
            (12, -9.5),
        ]
        palmar = [(FOREARM, 6.0), (-60, 5.8), (-35, 6.6), (-20, 9.0), (-8, 11.8), (-2, 12.2), (12, 11.5)]
        surface = [(y, 2.0 - tilt * y - 2.0 * (1 - (y / 11) ** 2)) for y in (-13, -8, -4, 0, 4, 8, 13)]
        width = ((FOREARM, 7.2), (-60, 7.4), (-35, 8.5), (-20, 11.5), (-6, 14.5), (14, 12.0))
        lateral = Tube(
            self._knots(dorsal, stout), self._knots(palmar, stout), self._knots(width, stout), cortex,
            self._knots(surface), FOREARM * self.size, self._plate(-7.5, 0.5), lines,
        )  # fmt: skip
        return {"pa": pa, "lateral": lateral}

    def _ulna(self, head: float, spike: float) -> dict[str, Tube]:
        rng, stout = self.rng, self.stout
        shaft = ((FOREARM, 2.5), (-60, 2.4), (-30, 1.6), (-14, 0.9), (8, 0.7))
        cortex = Curve.through([(z * self.size, t * self.shell * self.size) for z, t in shaft])
        lines = self._lines((-25, -12))
        bow = rng.uniform(-2, 1)
        low = [(FOREARM, -6.0 + bow), (-60, -5.6), (-30, -5.6), (-14, -7.0), (-5, -8.3), (8, -8.0)]
        high = [(FOREARM, 6.5 + bow), (-60, 5.6), (-30, 5.6), (-14, 7.0), (-5, 8.4), (0, 8.0), (8, 8.0)]
        top = [(-8.5, head + spike * 0.8), (-7.0, head + spike), (-5.6, head + spike * 0.8)]
        top += [(-3.6, head - 0.4), (0, head + 0.2), (4, head), (7, head - 1.6), (8.6, head - 4)]
        depth = ((FOREARM, 6.2), (-60, 5.8), (-20, 6.0), (-5, 7.8), (8, 5.0))
        plate = self._plate(-6.5, 0.6)
        pa = Tube(
            self._knots(low, stout),
            self._knots(high, stout),
            self._knots(depth, stout),
            cortex,
            self._knots(top),
            FOREARM * self.size,
            plate,
            lines,
            self.seat,
        )
        dorsal = [(FOREARM, -6.5), (-60, -5.8), (-20, -6.2), (-5, -7.8), (8, -7.0)]
        palmar = [(FOREARM, 6.5), (-60, 5.8), (-20, 6.2), (-5, 7.6), (8, 7.0)]
        surface = [
            (-8, head - 3),
            (-5, head),
            (-3, head + spike * 0.8),
            (-1, head + spike),
            (1, head + spike * 0.7),
        ]
        surface += [(3, head), (8, head - 3)]
        lateral = Tube(
            self._knots(dorsal, stout), self._knots(palmar, stout), self._knots(depth, stout), cortex,
            self._knots(surface), FOREARM * self.size, plate, lines,
        )  # fmt: skip
        return {"pa": pa, "lateral": lateral}

    def carpals(self) -> dict[str, list[Placed]]:
        """The eight bones of the wrist; in the young they are small, with wide gaps."""
        rng = self.rng
        placed = {view: [] for view in VIEWS}
        for name, (centre, half, lean, lateral_lean) in CARPALS.items():
            centre = self.size * (np.array(centre) + rng.normal(0, 0.5, 3))
            half = self.size * self.ossified * np.array(half) * rng.normal(1, 0.04, 3)
            cortex = 0.6 * self.shell * self.size
            turn = rng.normal(0, 4)
            outlines = {
                "pa": Pebble.draw(rng, (half[0], half[2], half[1]), cortex, 0.06),
                "lateral": Pebble.draw(rng, (half[1], half[2], half[0]), cortex, 0.06),
            }
            for view, side, angle in (("pa", 0, lean), ("lateral", 1, lateral_lean)):
                origin = (float(centre[side]), float(centre[2]))
                placed[view].append(Placed(name, outlines[view], origin, angle + turn, ray=0))
        return placed

    def hand(self) -> dict[str, list[Placed]]:
        """Metacarpals and phalanges; the fingers are spread and bent a little."""
        rng, size = self.rng, self.size
        placed = {view: [] for view in VIEWS}
        spread, bend = rng.uniform(0.5, 1.4), rng.uniform(0, 14)
        for ray, (base, lean, lateral_lean, length, half_width, phalanges) in RAYS.items():
            base = size * (np.array(base) + rng.normal(0, 0.5, 3))
            leans = {"pa": lean * (spread if ray > 1 else 1) + rng.normal(0, 1.5), "lateral": lateral_lean}
            ends = {"pa": (base[0], base[2]), "lateral": (base[1], base[2])}
            half_width = half_width * size * self.stout * rng.normal(1, 0.04)
            for number, long in enumerate((length, *phalanges)):
                long = long * size * rng.normal(1, 0.02)
                name = f"metacarpal{ray}" if number == 0 else f"phalanx{ray}.{number}"
                for view in VIEWS:
                    # A bent or leaning bone is shorter in the plane of the other view.
                    other = "lateral" if view == "pa" else "pa"
                    seen = long * float(np.cos(np.radians(leans[other])))
                    shape = self._stick(seen, half_width * 0.87**number)
                    bone = Placed(name, shape, tuple(map(float, ends[view])), leans[view], ray)
                    placed[view].append(bone)
                    ends[view] = bone.to_view(0.0, seen + 1.3 * size)
                leans["lateral"] += bend * rng.uniform(0.3, 1.2)
                leans["pa"] += rng.normal(0, 2)
        return placed

    def _stick(self, length: float, half: float) -> Tube:
        """A metacarpal or a phalanx: a narrow shaft between two wide ends."""
        wide = 1.7 * half
        places = (-0.5, 0.1 * length, 0.3 * length, 0.55 * length, 0.78 * length, 0.93 * length, length + 0.5)
        widths = (0.93 * wide, 0.97 * wide, 1.12 * half, half, 1.25 * half, 0.98 * wide, 0.8 * wide)
        edge = Curve.through(list(zip(places, widths, strict=True)))
        thick = self.shell * self.size * np.array([0.7, 0.9, 1.7, 2.1, 1.6, 0.9, 0.7])
        cortex = Curve.through(list(zip(places, np.minimum(thick, 0.55 * half), strict=True)))
        dome = [(-wide, length - 0.35 * wide), (0, length), (wide, length - 0.35 * wide)]
        low = edge.mirrored()
        return Tube(low, edge, edge, cortex, Curve.through(dome), 0.0, seat=0.6 * self.seat)

    def skin(self, bones: dict[str, list[Placed]]) -> dict[str, tuple[Placed, ...]]:
        """Forearm and hand, and a sleeve around each finger."""
        rng = self.rng
        stout = rng.uniform(0.9, 1.18)
        across = [(FOREARM, 44), (-110, 39), (-60, 34), (-20, 31), (0, 30), (20, 32), (40, 37), (75, 41)]
        across += [(95, 38), (104, 30)]
        depth = [
            (FOREARM, 34),
            (-110, 30),
            (-60, 24),
            (-20, 20),
            (0, 19),
            (20, 18),
            (50, 15),
            (95, 12),
            (104, 9),
        ]
        drawn = {}
        for view, edge, half, side in (("pa", across, depth, -7), ("lateral", depth, across, 1)):
            edge = self._knots(edge, stout)
            low = edge.mirrored()
            half = self._knots(half, stout)
            end = Curve.through([(-60, 104 * self.size), (60, 104 * self.size)])
            arm = Tube(low, edge, half, half, end, (FOREARM - 5) * self.size)
            fingers = [self._sleeve(bone) for bone in bones[view] if self._is_finger(bone)]
            drawn[view] = (Placed("arm", arm, (side * self.size, 0.0)), *fingers)
        return drawn

    @staticmethod
    def _is_finger(bone: Placed) -> bool:
        return bone.name.startswith("phalanx") or bone.name == "metacarpal1"

    def _sleeve(self, bone: Placed) -> Placed:
        """The flesh around one bone of a finger."""
        length = bone.shape.box()[3]
        half = (13 if bone.name == "metacarpal1" else 9) * self.size
        reach = 0.8 * half
        edge = Curve.through([(-reach, 0.9 * half), (length / 2, half), (length + reach, 0.85 * half)])
        low = edge.mirrored()
        end = Curve.through([(-half, length + 0.3 * half), (0, length + reach), (half, length + 0.3 * half)])
        shape = Tube(low, edge, edge, edge, end, -reach)
        return Placed(f"flesh of {bone.name}", shape, bone.origin, bone.lean, bone.ray)
