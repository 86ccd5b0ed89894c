"""Cross-sections of a forearm and a lower leg near the joint: the outlines of bones and flesh, by formulas.

Points lie in a plane across the limb: `u` and `v` in mm from the middle of the larger bone; the smaller bone lies at
its side, where `u` is below 0. `z` runs along the limb, in mm from the slice that is nearest to the joint.

Nothing here is measured on persons. Sizes are drawn from ranges that textbooks give.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SITES = ("radius", "tibia")
ANGLES = np.linspace(-np.pi, np.pi, 721)


@dataclass(frozen=True)
class Outline:
    """A closed line around a middle: an ellipse with waves and bumps.

    Attributes:
        centre: of the line, along u and v, in mm.
        half_widths: of the ellipse along u and v, in mm.
        waves: order, height as a share of the width, and phase in radians of each.
        bumps: direction in radians, width in radians, and height in mm of each; below 0 it is a dent.
        taper: share by which the width shrinks in 10 mm along z.
    """

    centre: tuple[float, float]
    half_widths: tuple[float, float]
    waves: tuple[tuple[int, float, float], ...] = ()
    bumps: tuple[tuple[float, float, float], ...] = ()
    taper: float = 0.0

    def depth(self, u: np.ndarray, v: np.ndarray, z: np.ndarray) -> np.ndarray:
        """How far points lie inside of the line in mm, below 0 where outside; about right near the line.

        Args:
            u: (N,), of the points, in mm.
            v: (N,), likewise.
            z: (Z,), of the planes, in mm.

        Returns:
            (Z, N) float32.
        """
        u, v = u - self.centre[0], v - self.centre[1]
        line = self._distance()
        # A line that comes nearer to the middle along the way is met at a slant.
        slant = 1 / np.sqrt(1 + (np.gradient(line, ANGLES) / line) ** 2)
        angle = np.arctan2(v, u)
        line, slant = np.interp(angle, ANGLES, line), np.interp(angle, ANGLES, slant)
        taper = 1 - self.taper * np.asarray(z)[:, None] / 10
        return ((taper * line - np.hypot(u, v)) * slant).astype(np.float32)

    def reach(self) -> float:
        """The largest distance of the line from its centre, in mm."""
        return float(self._distance().max())

    def _distance(self) -> np.ndarray:
        wide, high = self.half_widths
        line = 1 / np.hypot(np.cos(ANGLES) / wide, np.sin(ANGLES) / high)
        for order, height, phase in self.waves:
            line = line * (1 + height * np.cos(order * ANGLES + phase))
        for direction, width, height in self.bumps:
            away = np.angle(np.exp(1j * (ANGLES - direction)))
            line = line + height * np.exp(-0.5 * (away / width) ** 2)
        return line


@dataclass(frozen=True)
class Bone:
    """A bone with a shell of dense bone.

    Attributes:
        outline: of its surface.
        shell: thickness of the dense bone in mm where z is 0.
        thickening: by how much it gets thicker in 10 mm along z, in mm.
        uneven: share by which the thickness changes around the bone.
        phase: of that change, in radians.
    """

    outline: Outline
    shell: float
    thickening: float
    uneven: float
    phase: float

    def thickness(self, u: np.ndarray, v: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Thickness of the dense bone in mm, in the direction of each point: (Z, N) from (N,), (N,) and (Z,)."""
        angle = np.arctan2(v - self.outline.centre[1], u - self.outline.centre[0])
        around = 1 + self.uneven * (np.cos(angle + self.phase) + 0.5 * np.cos(3 * angle - self.phase))
        return (self.shell + self.thickening * np.asarray(z)[:, None] / 10) * around.astype(np.float32)


@dataclass(frozen=True)
class Person:
    """What the bones of a person have in common.

    Attributes:
        number: another number is another person.
        size: of the bones beside those of an average person.
        mineral: density of bone beside an average person's.
        shell: thickness of dense bone beside an average person's.
        spacing: of the struts of spongy bone, in mm.
        volume: share of spongy bone that is bone.
        fat: thickness of the fat under the skin, in mm.
    """

    number: int
    size: float
    mineral: float
    shell: float
    spacing: float
    volume: float
    fat: float

    @classmethod
    def draw(cls, rng: np.random.Generator, number: int = 0) -> Person:
        """Draw a person; bones lose substance with age, all parts of them together.

        Args:
            rng: source of randomness.
            number: of the person.
        """
        loss = rng.uniform(0, 1)
        return cls(
            number=number,
            size=float(np.clip(rng.normal(1, 0.07), 0.85, 1.15)),
            mineral=rng.uniform(0.92, 1.05) - 0.06 * loss,
            shell=rng.uniform(0.85, 1.2) - 0.3 * loss,
            spacing=rng.uniform(1.2, 1.5) + 0.4 * loss,
            volume=rng.uniform(0.22, 0.32) - 0.1 * loss,
            fat=rng.uniform(1.5, 5.0),
        )


@dataclass(frozen=True)
class Limb:
    """A forearm or lower leg of a person.

    Attributes:
        site: "radius" or "tibia".
        bones: the larger one first.
        flesh: outline of the muscle; around it come fat and skin.
        tendons: outlines.
        person: whose limb.
    """

    site: str
    bones: tuple[Bone, Bone]
    flesh: Outline
    tendons: tuple[Outline, ...]
    person: Person

    @property
    def skin(self) -> float:
        """Distance of the skin's surface from the flesh, in mm."""
        return self.person.fat + 1.2

    @property
    def reach(self) -> float:
        """Radius in mm of a circle around the flesh's centre that holds the limb."""
        return self.flesh.reach() + self.skin

    @classmethod
    def draw(cls, rng: np.random.Generator, site: str, person: Person) -> Limb:
        """Draw the limb of a person.

        Args:
            rng: source of randomness.
            site: "radius" or "tibia".
            person: whose limb.

        Raises:
            ValueError: for another site.
        """
        if site not in SITES:
            raise ValueError(f"a site of {' and '.join(SITES)} is needed, not {site!r}")
        return (_forearm if site == "radius" else _lower_leg)(rng, person)


def _forearm(rng: np.random.Generator, person: Person) -> Limb:
    """The radius, broad and flat in front, hollow where the ulna's round head lies."""
    scale, turn = person.size, rng.normal(0, 0.08)
    wide, high = scale * rng.uniform(13.5, 15.5), scale * rng.uniform(9.5, 11.5)
    radius = Outline(
        (0.0, 0.0),
        (wide, high),
        (*_waves(rng, 0.02), (4, rng.uniform(0.02, 0.05), np.pi)),
        (
            (np.pi, 0.35, -scale * rng.uniform(1.0, 2.4)),
            (np.pi / 2 + turn, 0.14, scale * rng.uniform(0.8, 1.8)),
            (np.pi / 2 + 0.6 + turn, 0.2, scale * rng.uniform(0.0, 0.8)),
            (-np.pi / 2, 0.55, -scale * rng.uniform(0.4, 1.6)),
        ),
        rng.uniform(0.04, 0.09),
    )
    head = scale * rng.uniform(6.5, 8.0)
    far = -(wide + head - scale * rng.uniform(-0.5, 1.2))
    ulna = Outline(
        (far, scale * rng.uniform(-2.0, 3.0)),
        (head, head * rng.uniform(0.85, 1.05)),
        _waves(rng, 0.03),
        ((rng.uniform(1.5, 3.0), 0.25, scale * rng.uniform(0.3, 1.2)),),
        rng.uniform(0.03, 0.08),
    )
    bones = (
        _bone(rng, radius, person.shell * rng.uniform(0.75, 0.95), 0.5),
        _bone(rng, ulna, person.shell * rng.uniform(0.8, 1.1), 0.3),
    )
    middle = (wide + far - head) / 2
    flesh = Outline(
        (middle, scale * rng.uniform(-2.5, 0.0)),
        ((wide - far + head) / 2 + rng.uniform(1.0, 2.5), high + rng.uniform(5.0, 7.5)),
        _waves(rng, 0.012),
    )
    return Limb("radius", bones, flesh, _tendons(rng, flesh, bones, 14), person)


def _lower_leg(rng: np.random.Generator, person: Person) -> Limb:
    """The tibia, three-sided with round corners, and a groove for the fibula."""
    scale = person.size
    wide, high = scale * rng.uniform(20.0, 23.0), scale * rng.uniform(17.0, 20.0)
    tibia = Outline(
        (0.0, 0.0),
        (wide, high),
        (*_waves(rng, 0.015), (3, rng.uniform(0.01, 0.05), rng.uniform(-0.5, 0.5))),
        (
            (np.pi + rng.normal(0, 0.1), 0.3, -scale * rng.uniform(1.5, 3.5)),
            (rng.uniform(-0.5, 0.1), 0.25, scale * rng.uniform(0.8, 2.5)),
            (np.pi / 2 + rng.normal(0, 0.15), 0.4, -scale * rng.uniform(0.0, 1.2)),
        ),
        rng.uniform(0.04, 0.08),
    )
    thin = scale * rng.uniform(5.5, 7.0)
    far = -(wide + thin - scale * rng.uniform(-0.5, 1.5))
    fibula = Outline(
        (far, -scale * rng.uniform(1.0, 6.0)),
        (thin, thin * rng.uniform(1.0, 1.35)),
        (*_waves(rng, 0.03), (3, rng.uniform(0.03, 0.08), rng.uniform(0, 6.3))),
        (),
        rng.uniform(0.0, 0.04),
    )
    bones = (
        _bone(rng, tibia, person.shell * rng.uniform(0.9, 1.2), 0.4),
        _bone(rng, fibula, person.shell * rng.uniform(1.1, 1.7), 0.4),
    )
    flesh = Outline(
        ((wide + far - thin) / 2, -scale * rng.uniform(2.0, 5.0)),
        ((wide - far + thin) / 2 + rng.uniform(1.0, 2.0), high + rng.uniform(6.5, 10.0)),
        _waves(rng, 0.015),
    )
    return Limb("tibia", bones, flesh, _tendons(rng, flesh, bones, 10), person)


def _bone(rng: np.random.Generator, outline: Outline, shell: float, thickening: float) -> Bone:
    return Bone(
        outline,
        shell,
        thickening * rng.uniform(0.6, 1.4),
        rng.uniform(0.1, 0.22),
        rng.uniform(0, 2 * np.pi),
    )


def _waves(rng: np.random.Generator, height: float) -> tuple[tuple[int, float, float], ...]:
    """What makes each bone a little different all around."""
    return tuple(
        (order, height * rng.normal() / (order - 1), rng.uniform(0, 2 * np.pi)) for order in (2, 3, 4, 5, 7)
    )


def _tendons(
    rng: np.random.Generator, flesh: Outline, bones: tuple[Bone, ...], count: int
) -> tuple[Outline, ...]:
    """Tendons between the bones and the skin, where there is room."""
    found: list[Outline] = []
    for _ in range(20 * count):
        angle, share, radius = rng.uniform(-np.pi, np.pi), rng.uniform(0.55, 0.95), rng.uniform(1.0, 2.6)
        u = flesh.centre[0] + share * flesh.half_widths[0] * np.cos(angle)
        v = flesh.centre[1] + share * flesh.half_widths[1] * np.sin(angle)
        place = np.array([u]), np.array([v]), np.zeros(1)
        if flesh.depth(*place)[0, 0] < radius + 0.4:
            continue
        if any(bone.outline.depth(*place)[0, 0] > -radius - 0.6 for bone in bones):
            continue
        near = (
            np.hypot(u - other.centre[0], v - other.centre[1]) - sum(other.half_widths) / 2 for other in found
        )
        if min(near, default=9.0) < radius + 0.3:
            continue
        found.append(Outline((u, v), (radius * rng.uniform(1.0, 1.5), radius)))
        if len(found) == count:
            break
    return tuple(found)
