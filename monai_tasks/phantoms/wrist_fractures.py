"""Fractures of a wrist: where the line runs, how far the fragment moved, and how that looks in each view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_tasks.phantoms.wrist_anatomy import VIEWS, Person
from monai_tasks.phantoms.wrist_shapes import Curve, Placed

# How often each bone breaks.
BONES = {"radius": 0.82, "ulna": 0.03, "scaphoid": 0.05, "metacarpal5": 0.06, "metacarpal4": 0.04}
REACH = 3.0  # mm from the line that count as the fracture


@dataclass(frozen=True)
class Fracture:
    """A broken bone. Lengths in mm, angles in degrees, both towards the positive direction of an axis.

    Attributes:
        bone: its name.
        place: for each view, the point of the line in the bone's own frame.
        lean: for each view, angle of the line from straight across the bone.
        jag: knots of the jagged line, mm along the line and mm off it.
        gap: width of the lucent line.
        lucency: share of the bone that the line lacks.
        shift: of the fragment (x, y, z); a negative z drives it into the shaft.
        turn: of the fragment in each view.
        impaction: share by which crushed bone beside the line is denser.
        severity: 0 for a hairline, 1 for far displaced.
    """

    bone: str
    place: dict[str, tuple[float, float]]
    lean: dict[str, float]
    jag: tuple[tuple[float, float], ...]
    gap: float
    lucency: float
    shift: tuple[float, float, float]
    turn: dict[str, float]
    impaction: float
    severity: float

    @classmethod
    def draw(
        cls,
        rng: np.random.Generator,
        person: Person,
        bone: str | None = None,
        severity: float | None = None,
    ) -> Fracture:
        """Draw the fracture of a person.

        Args:
            rng: source of randomness.
            person: whose bone breaks.
            bone: a key of `BONES`; drawn by their shares if not given.
            severity: 0 to 1; drawn if not given.

        Raises:
            ValueError: if the bone is not in `BONES`.
        """
        if bone is not None and bone not in BONES:
            raise ValueError(f"a bone of {', '.join(BONES)} is needed, not {bone!r}")
        drawn = str(rng.choice(list(BONES), p=list(BONES.values())))
        bone = drawn if bone is None else bone
        level = float(rng.beta(3.0, 1.2))
        severity = level if severity is None else severity
        steps = np.arange(-24.0, 24.1, 1.5)
        rough = rng.normal(0, 0.45, len(steps))
        bow = rng.uniform(0.3, 1.4) * np.sin(steps / rng.uniform(3, 8) + rng.uniform(0, 6.3))
        return cls(
            bone=bone,
            place=_place(rng, person, bone),
            lean=_lean(rng, bone),
            jag=tuple(zip(steps.tolist(), (rough + bow).tolist(), strict=True)),
            gap=rng.uniform(0.9, 1.6) + 1.4 * severity,
            lucency=min(rng.uniform(0.5, 0.7) + 0.4 * severity, 0.95),
            severity=severity,
            **_motion(rng, bone, severity, person.size),
        )

    def seen(self, person: Person, view: str) -> Break:
        """The fracture in the plane of a view."""
        placed = person.bone(view, self.bone)
        side = 0 if view == "pa" else 1
        return Break(
            point=placed.to_view(*self.place[view]),
            lean=placed.lean + self.lean[view],
            jag=Curve.through(self.jag),
            gap=self.gap,
            lucency=self.lucency,
            shift=(self.shift[side], self.shift[2]),
            turn=self.turn[view],
            impaction=self.impaction,
        )


def _place(rng: np.random.Generator, person: Person, bone: str) -> dict[str, tuple[float, float]]:
    """Where the line crosses the bone's axis, in each view."""
    size, along, across = person.size, 0.0, dict.fromkeys(VIEWS, 0.0)
    if bone == "radius":
        along = -size * rng.uniform(11, 30)
    elif bone == "ulna":  # the base of the styloid
        along = size * rng.uniform(-2.5, -1.0)
        across = {"pa": -6.3 * size, "lateral": 0.0}
    elif bone == "scaphoid":
        along = size * rng.uniform(-2.5, 2.5)
    else:
        length = person.bone("pa", bone).shape.box()[3]
        along = length * rng.uniform(0.15, 0.5)
    return {view: (across[view], along) for view in VIEWS}


def _lean(rng: np.random.Generator, bone: str) -> dict[str, float]:
    """Most lines run across; some run oblique. That of the ulna cuts off its styloid."""
    if bone == "ulna":
        return {"pa": -rng.uniform(20, 45), "lateral": rng.uniform(-10, 10)}
    oblique = rng.random() < 0.25
    return {view: float(rng.uniform(-35, 35) if oblique else rng.normal(0, 9)) for view in VIEWS}


def _motion(rng: np.random.Generator, bone: str, severity: float, size: float) -> dict[str, object]:
    """Shift, turn and impaction of the fragment. That of the radius mostly goes to the back and tilts there."""
    signs = rng.choice([-1, 1], 2)
    scale = size * {"radius": 1.0, "ulna": 0.5, "scaphoid": 0.3}.get(bone, 0.7)
    back = -1 if rng.random() < 0.85 else 1
    away = 1 if bone in ("ulna", "scaphoid") else -1
    shift = (
        float(signs[0] * rng.uniform(0.5, 4.5) * severity * scale),
        float(back * rng.uniform(1, 8) * severity**1.5 * scale),
        float(away * rng.uniform(0.3, 4.5) * severity * scale),
    )
    turn = {
        "pa": float(signs[1] * rng.uniform(1, 14) * severity),
        "lateral": float(back * rng.uniform(4, 28) * severity),
    }
    impaction = float(rng.uniform(0.1, 0.5)) if bone == "radius" else 0.0
    return {"shift": shift, "turn": turn, "impaction": impaction}


@dataclass(frozen=True)
class Break:
    """A fracture in one view, whose plane is spanned by a side direction and up.

    Attributes:
        point: on the line.
        lean: angle of the line's upward normal from up, in degrees towards the side.
        jag: mm off the straight line over mm along it.
        gap: width of the lucent line in mm.
        lucency: share of the bone that the line lacks.
        shift: of the fragment.
        turn: of the fragment about `point`, in degrees.
        impaction: share by which crushed bone beside the line is denser.
    """

    point: tuple[float, float]
    lean: float
    jag: Curve
    gap: float
    lucency: float
    shift: tuple[float, float]
    turn: float
    impaction: float

    def beyond(self, side: np.ndarray, up: np.ndarray) -> np.ndarray:
        """How far points lie on the fragment's side of the line, in mm."""
        angle = np.radians(self.lean)
        sin, cos = np.float32(np.sin(angle)), np.float32(np.cos(angle))
        side, up = side - np.float32(self.point[0]), up - np.float32(self.point[1])
        return sin * side + cos * up - self.jag.at(cos * side - sin * up)[0]

    def back(self, side: np.ndarray, up: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Where points that moved with the fragment were before."""
        sin, cos = self._turn()
        left = side - np.float32(self.point[0] + self.shift[0])
        top = up - np.float32(self.point[1] + self.shift[1])
        left, top = cos * left - sin * top, sin * left + cos * top
        return left + np.float32(self.point[0]), top + np.float32(self.point[1])

    def forth(self, points: np.ndarray) -> np.ndarray:
        """Where points (..., 2) of the unbroken bone's fragment are now."""
        sin, cos = self._turn()
        offset = np.asarray(points) - self.point
        return offset @ np.array([[cos, -sin], [sin, cos]]) + self.point + self.shift

    def thickness(
        self, bone: Placed, side: np.ndarray, up: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Dense and spongy bone of the broken bone in mm, and where its fracture is seen."""
        beyond, (side_before, up_before) = self.beyond(side, up), self.back(side, up)
        moved = self.beyond(side_before, up_before)
        stays, goes = self._left(-beyond), self._left(moved)
        dense, spongy = bone.thickness(side, up)
        dense_moved, spongy_moved = bone.thickness(side_before, up_before)
        crushed = 1 + self.impaction * np.exp(-(((moved - 2.2) / 1.4) ** 2))
        dense = stays * dense + goes * dense_moved * crushed
        spongy = stays * spongy + goes * spongy_moved * crushed
        near = (np.abs(beyond) < REACH) | (np.abs(moved) < REACH)
        return dense, spongy, near & (dense + spongy > 0.5)

    def _left(self, depth: np.ndarray) -> np.ndarray:
        """Share of a part that is left, `depth` mm from the line on the part's own side."""
        part = 0.5 + 0.5 * np.tanh(depth / 0.3)
        return part * (1 - self.lucency * np.exp(-((2 * depth / self.gap) ** 2)))

    def _turn(self) -> tuple[np.float32, np.float32]:
        angle = np.radians(self.turn)
        return np.float32(np.sin(angle)), np.float32(np.cos(angle))
