"""The bones of a right knee as formulas over points: how far each point lies from a bone's surface.

Lengths are in mm. In the knee's frame `x` points to the patient's right, which is lateral, `y` forward and
`z` up; its origin lies midway between the femur's condyles and the tibia's plateau. All functions take
float32 arrays of any one shape and return such arrays; distances are negative inside and about right near
the surface.

Nothing here is measured on persons. Sizes and angles are drawn from ranges that textbooks give.
"""

from __future__ import annotations

from dataclasses import dataclass

import nibabel
import numpy as np

Points = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class GrowthPlate:
    """The dark, wavy plate of cartilage where a young bone grows.

    Attributes:
        height: along the bone's own z, in mm.
        thickness: in mm.
        arch: by how much it rises in the middle, in mm.
        waves: length in mm, phase in radians and height in mm of two waves, along x and along y.
        openness: 1 where it is open all over, 0 where only a faint scar is left; between, it is closed in
            patches.
    """

    height: float
    thickness: float
    arch: float
    waves: tuple[tuple[float, float, float], tuple[float, float, float]]
    openness: float

    @classmethod
    def draw(cls, rng: np.random.Generator, height: float, arch: float, openness: float) -> GrowthPlate:
        """Draw the waves of a plate at a height."""
        waves = tuple(
            (rng.uniform(2.2, 4.0), rng.uniform(0, 2 * np.pi), rng.uniform(0.4, 1.0)) for _ in range(2)
        )
        return cls(height, rng.uniform(1.5, 2.5), arch, waves, openness)

    def above(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, radius: float) -> np.ndarray:
        """How far points of the bone's own frame lie above the plate, which spans `radius` sideways."""
        (length, phase, height), (second_length, second_phase, second_height) = self.waves
        surface = self.height + self.arch * np.cos(x * (2 * np.pi / radius))
        surface += height * np.sin(x / length + phase)
        return z - surface - second_height * np.sin(y / second_length + second_phase)


@dataclass(frozen=True)
class Femur:
    """The thigh bone: a shaft that flares, two condyles, the groove for the patella before the notch.

    Attributes:
        turn: (3, 3), from the knee's frame to the bone's own, about `pivot`.
        pivot: height of the point about which it turns.
        gap: half the distance between the condyles and the tibia.
        shaft: half width and half depth of the shaft.
        flare: half width and half depth of the flared end.
        waist: height at which half of the flare is gone.
        condyles: the medial and the lateral one, each as distance from the middle and three radii.
        slope: by how much the condyles' ends rise for each mm to the side, so that the leaning bone stands level.
        plate: growth plate.
    """

    turn: np.ndarray
    pivot: float
    gap: float
    shaft: tuple[float, float]
    flare: tuple[float, float]
    waist: float
    condyles: tuple[tuple[float, float, float, float], tuple[float, float, float, float]]
    slope: float
    plate: GrowthPlate

    @classmethod
    def draw(cls, rng: np.random.Generator, size: float, gap: float, openness: float) -> Femur:
        """Draw a femur; its shaft leans outwards, and back where the knee is bent."""
        lean, flexion = rng.normal(6, 2), rng.uniform(-2, 9)
        width, depth = size * rng.normal(1, 0.02), size * rng.normal(1, 0.03)
        condyles = tuple(
            (
                width * (21.5 + offset),
                width * rng.uniform(16.3, 17.3),
                depth * (30.5 + rng.uniform(-1, 1)),
                size * rng.uniform(19.5, 20.7),
            )
            for offset in (0.6, 0.0)
        )
        return cls(
            turn=turn(-flexion, lean, rng.normal(0, 3)),
            pivot=22 * size,
            gap=gap,
            shaft=(size * rng.uniform(14, 16), size * rng.uniform(13.5, 15)),
            flare=(38.0 * width, 21 * depth),
            waist=size * rng.uniform(44, 49),
            condyles=condyles,
            slope=float(np.tan(np.radians(lean + rng.normal(0, 1.2)))),
            plate=GrowthPlate.draw(rng, size * rng.uniform(31, 36), size * rng.uniform(1, 3), openness),
        )

    def own(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Points:
        """Points of the knee's frame in the bone's own."""
        x, y, z = turned(self.turn, x, y, z - self.pivot)
        return x, y, z + self.pivot

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
        """Distance from the surface at points of the bone's own frame."""
        flare = logistic((self.waist - z) / 9.0)
        half_width = self.shaft[0] + (self.flare[0] - self.shaft[0]) * flare
        half_depth = self.shaft[1] + (self.flare[1] - self.shaft[1]) * flare
        upper = column(x, y - 4.0, half_width, half_depth)
        upper *= 1 / np.sqrt(1 + ((self.flare[0] - self.shaft[0]) / 9.0 * flare * (1 - flare)) ** 2)
        bone = soft_intersection(upper, self.gap + 19.0 - z, 6.0)
        groove = ellipsoid((x, y, z), (1.0, 10.0, self.gap + 18.5), (0.66 * self.flare[0], 18.5, 16.0))
        bone = soft_union(bone, groove, 5.0)
        for side, (offset, *radii) in zip((-1, 1), self.condyles, strict=True):
            centre = (side * offset, -4.5 - 0.5 * side, self.gap + radii[2] + side * offset * self.slope)
            bone = soft_union(bone, ellipsoid((x, y, z), centre, tuple(radii)), 4.0)
        return bone


@dataclass(frozen=True)
class Tibia:
    """The shin bone: a plateau with an eminence, which tapers to a shaft with the tuberosity in front.

    Attributes:
        turn: (3, 3), from the knee's frame to the bone's own, about the origin.
        gap: half the distance between the femur and the plateau.
        shaft: half width and half depth of the shaft.
        plateau: half width and half depth of the plateau.
        waist: depth below the joint at which half of the taper is done.
        eminence: height of the eminence above the plateau.
        plate: growth plate.
    """

    turn: np.ndarray
    gap: float
    shaft: tuple[float, float]
    plateau: tuple[float, float]
    waist: float
    eminence: float
    plate: GrowthPlate

    @classmethod
    def draw(cls, rng: np.random.Generator, size: float, gap: float, openness: float) -> Tibia:
        """Draw a tibia."""
        width, depth = size * rng.normal(1, 0.02), size * rng.normal(1, 0.03)
        return cls(
            turn=turn(rng.normal(2, 2), rng.normal(0, 2), rng.normal(0, 3)),
            gap=gap,
            shaft=(size * rng.uniform(12.2, 13.8), size * rng.uniform(12.5, 14.5)),
            plateau=(38.5 * width, 25.0 * depth),
            waist=size * rng.uniform(32, 37),
            eminence=rng.uniform(5.5, 8.5),
            plate=GrowthPlate.draw(rng, -size * rng.uniform(15, 19), size * rng.uniform(0.5, 2), openness),
        )

    def own(self, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Points:
        """Points of the knee's frame in the bone's own."""
        return turned(self.turn, x, y, z)

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, femur: np.ndarray) -> np.ndarray:
        """Distance from the surface at points of the bone's own frame, given that from the femur."""
        flare = logistic((z + self.waist) / 8.5)
        half_width = self.shaft[0] + (self.plateau[0] - self.shaft[0]) * flare
        half_depth = self.shaft[1] + (self.plateau[1] - self.shaft[1]) * flare
        sides = column(x, y - 4.0 * (1 - flare), half_width, half_depth)
        sides *= 1 / np.sqrt(1 + ((self.plateau[0] - self.shaft[0]) / 8.5 * flare * (1 - flare)) ** 2)
        away = np.square(np.abs(x) * (1 / 4.5) - 1.0) + np.square((y + 1.0) * (1 / 10.0))
        dish = np.square((np.abs(x) - 20.0) * (1 / 12.0)) + np.square(y * (1 / 18.0))
        top = self.eminence * np.exp(-away) - 1.2 * np.exp(-dish) - self.gap
        bone = soft_intersection(sides, z - top, 5.0)
        tuberosity = ellipsoid((x, y, z), (3.0, 19.0, -42.0), (9.0, 8.5, 17.0))
        # Where the femur is tilted it presses in, and never touches.
        return np.maximum(soft_union(bone, tuberosity, 6.0), 1.5 * self.gap - femur)


@dataclass(frozen=True)
class Fibula:
    """The calf bone, a thin column behind the tibia's lateral edge; it shares the tibia's frame.

    Attributes:
        place: x and y of the head's middle.
        top: height of the tip, below the joint and so negative.
        head: half width and half depth of the head.
        shaft: half width and half depth of the shaft.
        length: of the head, in mm.
        lean: by how much the shaft nears the middle for each mm downwards.
        clearance: smallest distance to the tibia.
        plate: growth plate.
    """

    place: tuple[float, float]
    top: float
    head: tuple[float, float]
    shaft: tuple[float, float]
    length: float
    lean: float
    clearance: float
    plate: GrowthPlate

    @classmethod
    def draw(cls, rng: np.random.Generator, size: float, openness: float) -> Fibula:
        """Draw a fibula."""
        top = -rng.uniform(10, 15)
        scale = size * rng.uniform(0.92, 1.1)
        return cls(
            place=(size * rng.uniform(31, 35), -size * rng.uniform(17, 22)),
            top=top,
            head=(8.4 * scale, 10.8 * scale),
            shaft=(5.7 * scale, 7.0 * scale),
            length=scale * rng.uniform(19, 26),
            lean=rng.uniform(0.0, 0.08),
            clearance=rng.uniform(1.5, 2.8),
            plate=GrowthPlate.draw(rng, top - size * rng.uniform(12, 15), 0.3, openness),
        )

    def distance(self, x: np.ndarray, y: np.ndarray, z: np.ndarray, tibia: np.ndarray) -> np.ndarray:
        """Distance from the surface at points of the tibia's own frame, given that from the tibia."""
        head = logistic((z - self.top + self.length) / 2.8)
        half_width = self.shaft[0] + (self.head[0] - self.shaft[0]) * head
        half_depth = self.shaft[1] + (self.head[1] - self.shaft[1]) * head
        along = self.lean * (z - self.top)
        sides = column(x - self.place[0] - along, y - self.place[1], half_width, half_depth)
        return np.maximum(soft_intersection(sides, z - self.top, 7.0), self.clearance - tibia)


def turn(pitch: float, roll: float, yaw: float) -> np.ndarray:
    """From the knee's frame to that of a bone whose top leans forward, then right; `yaw` turns it about z.

    Args:
        pitch: degrees by which the top leans forward.
        roll: degrees by which the top leans to the right.
        yaw: degrees about the long axis.

    Returns:
        (3, 3) float32.
    """
    return nibabel.eulerangles.euler2mat(*np.radians((yaw, -roll, pitch))).astype(np.float32)


def turned(matrix: np.ndarray, x: np.ndarray, y: np.ndarray, z: np.ndarray) -> Points:
    """Points multiplied by a (3, 3) matrix."""
    return tuple(row[0] * x + row[1] * y + row[2] * z for row in matrix.tolist())


def logistic(value: np.ndarray) -> np.ndarray:
    """A smooth step from 0 to 1."""
    return 1 / (1 + np.exp(-value))


def column(
    x: np.ndarray, y: np.ndarray, half_width: np.ndarray | float, half_depth: np.ndarray | float
) -> np.ndarray:
    """Distance in the x-y plane from the side of an upright column of elliptic section."""
    # The small number keeps the ratio defined on the axis.
    across, front = np.square(x) + 1e-6, np.square(y)
    relative = np.sqrt(across / np.square(half_width) + front / np.square(half_depth))
    return np.sqrt(across + front) * (1 - 1 / relative)


def ellipsoid(
    point: Points, centre: tuple[float, float, float], radii: tuple[float, float, float]
) -> np.ndarray:
    """Distance from an ellipsoid's surface, along the line to its centre."""
    across, front, up = (np.square(p - c) + 1e-6 for p, c in zip(point, centre, strict=True))
    weights = [1 / (r * r) for r in radii]
    relative = np.sqrt(across * weights[0] + front * weights[1] + up * weights[2])
    return np.sqrt(across + front + up) * (1 - 1 / relative)


def soft_union(first: np.ndarray, second: np.ndarray, radius: float) -> np.ndarray:
    """Distance from two shapes joined, with the inner edge rounded."""
    blend = np.maximum(radius - np.abs(first - second), 0)
    return np.minimum(first, second) - blend * blend * (1 / (4 * radius))


def soft_intersection(first: np.ndarray, second: np.ndarray, radius: float) -> np.ndarray:
    """Distance from what two shapes share, with the outer edge rounded."""
    return -soft_union(-first, -second, radius)
