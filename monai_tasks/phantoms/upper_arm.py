"""The bones and the soft tissue of shoulder, upper arm and elbow, as outlines in two views that belong together.

The frame is that of a right arm: the side direction points away from the body in "pa" and to the front in "lateral",
`up` to the shoulder, in mm; the origin lies in the middle of the head of the humerus. In "lateral" the elbow is bent.
Nothing here is measured on persons.
"""

from __future__ import annotations

import numpy as np

from monai_tasks.phantoms.wrist_anatomy import VIEWS, Person
from monai_tasks.phantoms.wrist_shapes import Curve, Pebble, Placed, Tube

LENGTH = 305.0  # of the humerus
Point = tuple[float, float]


def draw_upper_arm(rng: np.random.Generator) -> Person:
    """Draw one person's shoulder, upper arm and elbow.

    Args:
        rng: source of randomness.
    """
    size, shell = float(rng.normal(0.98, 0.06)), float(rng.uniform(0.75, 1.15))
    draw = _Draw(rng, size, shell)
    bend = float(rng.uniform(60, 105))
    bones = {
        view: (
            *draw.trunk(view),
            *draw.humerus(view),
            *draw.forearm(view, bend if view == "lateral" else 0.0),
        )
        for view in VIEWS
    }
    stout = float(rng.uniform(0.85, 1.3))
    return Person(
        size=size,
        age=float(rng.uniform(17, 85)),
        bones=bones,
        skin={view: draw.skin(view, stout, bend if view == "lateral" else 0.0) for view in VIEWS},
        fat=0.15,
        density=float(rng.uniform(0.8, 1.1)),
        coarseness=float(rng.uniform(0.5, 1.0)),
    )


class _Draw:
    """Draws the parts of one person.

    Args:
        rng: source of randomness.
        size: scale of everything.
        shell: thickness of dense bone, relative to a healthy grown person's.
    """

    def __init__(self, rng: np.random.Generator, size: float, shell: float) -> None:
        self.rng, self.size, self.shell = rng, size, shell
        self.carry = float(rng.uniform(4, 14))

    def _tube(
        self,
        name: str,
        start: Point,
        stop: Point,
        widths: tuple[tuple[float, float], ...],
        depth: float,
        cortex: float,
        dome: float = 0.3,
    ) -> Placed:
        """A bone between two points, with half widths over the share of its length and a dome at its end."""
        start, stop = (self.size * (np.array(end) + self.rng.normal(0, 0.8, 2)) for end in (start, stop))
        way = stop - start
        length = float(np.hypot(*way))
        scale = self.size * self.rng.normal(1, 0.05)
        edge = Curve.through([(share * length, half * scale) for share, half in widths])
        last = widths[-1][1] * scale
        top = Curve.through([(-last, length - dome * last), (0, length), (last, length - dome * last)])
        thick = cortex * self.shell * self.size
        shell = Curve.through(
            [(0, 0.6 * thick), (0.2 * length, thick), (0.75 * length, thick), (length, 0.3 * thick)]
        )
        half_depth = Curve.through([(share * length, depth * half * scale) for share, half in widths])
        shape = Tube(edge.mirrored(), edge, half_depth, shell, top, 0.0, seat=0.05)
        return Placed(name, shape, tuple(start.tolist()), float(np.degrees(np.arctan2(*way))))

    def _pebble(
        self, name: str, centre: Point, half: tuple[float, float, float], lean: float = 0.0
    ) -> Placed:
        """A short bone around a point."""
        half = tuple(self.size * part * float(self.rng.normal(1, 0.05)) for part in half)
        place = self.size * (np.array(centre) + self.rng.normal(0, 1.0, 2))
        shape = Pebble.draw(self.rng, half, 0.8 * self.shell * self.size, 0.08)
        return Placed(name, shape, tuple(place.tolist()), lean + float(self.rng.normal(0, 4)))

    def trunk(self, view: str) -> list[Placed]:
        """Shoulder blade, collar bone and ribs."""
        narrow = 1.0 if view == "pa" else 0.6
        rib = ((0, 4.5), (0.5, 5.0), (1, 4.5))
        bones = [
            self._pebble("blade", (-62 * narrow, -48), (36 * narrow, 60, 3.0), 14),
            self._pebble("glenoid", (-31 * narrow, -4), (7, 19, 12), 6),
            self._pebble("coracoid", (-26 * narrow, 19), (12, 8, 7), 60),
            self._tube("acromion", (-70 * narrow, 14), (9, 34), ((0, 5), (0.7, 7), (1, 9)), 0.7, 1.2),
            self._tube("clavicle", (-150 * narrow, 26), (-9, 36), ((0, 8), (0.5, 6), (1, 9)), 0.9, 2.0),
        ]
        for number in range(6):
            low = -160 + 27 * number
            bones.append(self._tube(f"rib{number}", (-190, low + 45), (-92 * narrow - 6, low), rib, 0.7, 0.9))
        return bones

    def humerus(self, view: str) -> list[Placed]:
        """The upper arm, from the elbow up to its head."""
        flare = 27 if view == "pa" else 14
        widths = (
            (0, 0.6 * flare),
            (0.02, 0.9 * flare),
            (0.05, flare),
            (0.13, 13),
            (0.3, 10.5),
            (0.65, 12),
            (0.82, 16),
            (0.93, 24),
            (1, 21),
        )
        half = 17 if view == "pa" else 13
        return [
            self._tube("humerus", (0, -LENGTH + 6), (0, 23), widths, 0.8, 4.4, 0.9),
            self._pebble("trochlea", (-10 if view == "pa" else 0, -LENGTH), (half, 11, 11)),
            self._pebble("capitulum", (12 if view == "pa" else 3, -LENGTH), (11, 11, 10)),
        ]

    def forearm(self, view: str, bend: float) -> list[Placed]:
        """Radius and ulna, which end at the elbow; bent towards the front by some degrees."""
        lean = np.radians(bend if view == "lateral" else -self.carry)
        down, aside = np.array([np.sin(lean), -np.cos(lean)]), np.array([np.cos(lean), np.sin(lean)])
        gap = 12.0 if view == "pa" else 5.0
        joint = np.array([0, -LENGTH])
        bones = []
        for name, way, reach, widths in (
            ("ulna", -1, -14, ((0, 7), (0.6, 8), (0.85, 11), (0.95, 13), (1, 9))),
            ("radius", 1, 13, ((0, 7), (0.6, 7.5), (0.84, 8), (0.93, 9), (0.96, 12), (1, 12))),
        ):
            tip = joint + reach * down + way * gap * aside
            far = joint + 190 * down + way * (gap + 3) * aside
            bones.append(self._tube(name, tuple(far), tuple(tip), widths, 0.9, 3.0, 0.15))
        return bones

    def skin(self, view: str, stout: float, bend: float) -> tuple[Placed, ...]:
        """Trunk, arm and forearm."""
        down = np.radians(bend if view == "lateral" else -self.carry)
        joint = np.array([0.0, -LENGTH])
        far = joint + 215 * np.array([np.sin(down), -np.cos(down)])
        arm = ((0, 8), (0.04, 25), (0.12, 36), (0.25, 41), (0.6, 50), (0.85, 58), (1, 50))
        forearm = ((0, 30), (0.6, 40), (0.85, 42), (1, 36))
        trunk = ((0, 95), (0.7, 100), (0.9, 80), (1, 60))
        pieces = [
            self._tube("flesh of the arm", (0, -LENGTH - 30), (0, 58), arm, 0.95 * stout, 8.0, 0.8),
            self._tube("flesh of the forearm", tuple(far), (0, -LENGTH + 32), forearm, 0.9 * stout, 6.0, 0.8),
            self._tube("flesh of the trunk", (-125, -360), (-125, 95), trunk, 0.7 * stout, 12.0, 0.7),
        ]
        return tuple(pieces)
