"""A right knee in T1-weighted brightness, as formulas over the points of one plane.

Frame and units are those of `knee_bones`. Brightness is relative: fat is 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_tasks.phantoms.knee_bones import (
    Femur,
    Fibula,
    Points,
    Tibia,
    column,
    ellipsoid,
    logistic,
)

FAT = 1.0
SKIN = 0.42
MUSCLE = 0.36
CARTILAGE = 0.52
FLUID = 0.26
DARK = 0.07  # cortical bone, ligaments, menisci

# Muscles as ellipsoids: centre and radii in mm. Those below the gap move with the calf.
MUSCLES = (
    ((-41, 8, 72), (15, 25, 58)),  # vastus medialis
    ((40, 10, 84), (15, 27, 62)),  # vastus lateralis
    ((3, 27, 92), (30, 13, 52)),  # quadriceps before the shaft
    ((36, -30, 66), (12, 15, 78)),  # biceps femoris
    ((-27, -33, 64), (16, 15, 72)),  # semimembranosus
    ((-47, -16, 50), (7, 11, 70)),  # sartorius and gracilis
    ((-22, -41, -34), (18, 15, 60)),  # gastrocnemius, medial head
    ((20, -41, -32), (16, 14, 56)),  # gastrocnemius, lateral head
    ((2, -25, -66), (28, 13, 46)),  # popliteus and soleus
    ((25, 8, -80), (13, 15, 56)),  # tibialis anterior
    ((42, -6, -76), (9, 13, 52)),  # peroneus
    ((34, -32, -78), (13, 12, 50)),  # soleus, lateral part
)

# Ligaments and tendons as straight cords: two ends and the radius in mm.
CORDS = (
    ((2, 8, 1), (11, -14, 22), 3.2),  # anterior cruciate
    ((0, -22, -8), (-9, 2, 18), 3.8),  # posterior cruciate
    ((-41, -2, 28), (-36, 2, -42), 1.6),  # medial collateral
    ((40, -6, 25), (37, -18, -14), 1.6),  # lateral collateral
    ((43, 2, 60), (36, 14, -18), 1.5),  # iliotibial tract
)


@dataclass(frozen=True)
class Knee:
    """Everything that the plane of an image may cut.

    Attributes:
        femur: thigh bone.
        tibia: shin bone.
        fibula: calf bone.
        size: scale of the soft tissue.
        leg: half width and half depth of the leg at the joint.
        fat: thickness of the fat below the skin.
        bulk: scale of the muscles' thickness.
        patella: centre and radii of the kneecap.
        red: brightness that the marrow of shaft and metaphysis lacks beside that of the epiphysis.
        cortex: thickness of the cortical bone at the ends and at the shafts.
    """

    femur: Femur
    tibia: Tibia
    fibula: Fibula
    size: float
    leg: tuple[float, float]
    fat: float
    bulk: float
    patella: tuple[tuple[float, float, float], tuple[float, float, float]]
    red: float
    cortex: tuple[float, float]

    @classmethod
    def draw(cls, rng: np.random.Generator) -> Knee:
        """Draw one knee of a male of 14 to 21 years."""
        size = rng.uniform(0.92, 1.08)
        gap = rng.uniform(2.0, 3.4)
        # Growth plates close between 15 and 18 years; the tibia's leads a little.
        openness = float(np.clip((18.0 - rng.uniform(14, 21)) / 3.0, 0, 1))
        return cls(
            femur=Femur.draw(rng, size, gap, openness),
            tibia=Tibia.draw(rng, size, gap, max(openness - 0.1, 0.0)),
            fibula=Fibula.draw(rng, size, openness),
            size=size,
            leg=(size * rng.uniform(53, 58), size * rng.uniform(60, 65)),
            fat=rng.uniform(3.5, 9.0),
            bulk=rng.uniform(0.9, 1.15),
            patella=(
                (rng.uniform(-1, 5), size * rng.uniform(41, 43), size * rng.uniform(24, 36)),
                (size * rng.uniform(20, 23), size * rng.uniform(9, 10.5), size * rng.uniform(19, 22)),
            ),
            red=rng.uniform(0.1, 0.35),
            cortex=(rng.uniform(0.9, 1.4), rng.uniform(2.4, 3.6)),
        )

    def plane(
        self, x: np.ndarray, y: np.ndarray, z: np.ndarray, grain: np.ndarray, edge: float
    ) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
        """Draw a plane.

        Args:
            x: mm to the patient's right, (X, Y) float32.
            y: mm forward.
            z: mm up.
            grain: (X, Y), noise of mean 0 and deviation 1, which draws fibres and patches of marrow.
            edge: width of a drawn edge in mm, that of a pixel.

        Returns:
            brightness: (X, Y) float32.
            bones: where femur, tibia, fibula and patella are, each (X, Y) bool.
        """
        points = (x, y, z)
        own = self.femur.own(x, y, z)
        femur = self.femur.distance(*own)
        shin = self.tibia.own(x, y, z)
        tibia = self.tibia.distance(*shin, femur)
        fibula = self.fibula.distance(*shin, tibia)
        image = self._soft_tissue(points, femur, tibia, grain, edge)
        self._paint_joint(image, points, femur, tibia, edge)
        self._paint_cords(image, points, edge)
        patella = self._paint_patella(image, points, edge)
        for bone, distance, frame, ends in (
            (self.femur, femur, own, (38.0, 62.0)),
            (self.tibia, tibia, shin, (-26.0, -50.0)),
            (self.fibula, fibula, shin, (-28.0, -60.0)),
        ):
            self._paint_bone(image, distance, bone, frame, ends, grain, edge)
        return image, (femur < 0, tibia < 0, fibula < 0, patella < 0)

    def _soft_tissue(
        self, points: Points, femur: np.ndarray, tibia: np.ndarray, grain: np.ndarray, edge: float
    ) -> np.ndarray:
        """Leg in air: skin, fat below it, fascia, muscles in fat."""
        x, y, z = points
        # The thigh widens upwards, and the calf has its belly behind.
        thigh, calf = logistic((z - 45) / 14), logistic(-(z + 40) / 14)
        half_width = self.leg[0] * (1 + 0.2 * thigh + 0.02 * calf)
        half_depth = self.leg[1] * (1 + 0.12 * thigh)
        leg = column(x - 2 * thigh, y + 5 + 4 * calf, half_width, half_depth)
        image = np.zeros_like(x)
        paint(image, leg, SKIN, edge)
        paint(image, leg + 1.6, FAT, edge)
        depth = leg + 1.6 + self.fat + 1.2 * grain
        paint(image, np.abs(depth) - 0.35, 0.3, edge)
        # Muscles that clothe the shafts and thin out towards the joint.
        thick = 15.0 * self.bulk
        vastus = np.maximum(femur - np.minimum(0.4 * (z - 50.0 + 0.6 * y), thick), -12.0 - y)
        self._paint_muscle(image, vastus, depth, grain, edge)
        # The tibia's inner and front face lie bare below the skin.
        deep = np.maximum(np.minimum(y + 6.0, -8.0 - x), y - 14.0)
        deep = np.maximum(tibia - np.minimum(-0.4 * (z + 32.0), thick), deep)
        self._paint_muscle(image, deep, depth, grain, edge)
        low, high = float(y.min()), float(y.max())
        for centre, radii in MUSCLES:
            middle = tuple(self.size * value for value in centre)
            half = (self.bulk * radii[0], self.bulk * radii[1], radii[2])
            if low < middle[1] + half[1] and high > middle[1] - half[1]:
                self._paint_muscle(image, ellipsoid(points, middle, half), depth, grain, edge)
        return image

    def _paint_muscle(
        self, image: np.ndarray, distance: np.ndarray, depth: np.ndarray, grain: np.ndarray, edge: float
    ) -> None:
        """A muscle below the fascia, in a thin coat of fat, with fat between its bundles of fibres."""
        if float(distance.min()) > 4.0:
            return
        muscle = np.maximum(distance + 0.6 * grain, depth + 0.6)
        paint(image, muscle, 0.8 * FAT, 2 * edge)
        paint(image, muscle + 0.7, MUSCLE, edge)
        paint(image, np.maximum(np.abs(grain - 0.9) * 4.0 - 0.25, muscle + 1.0), 0.7 * FAT, edge)

    def _paint_joint(
        self, image: np.ndarray, points: Points, femur: np.ndarray, tibia: np.ndarray, edge: float
    ) -> None:
        """Capsule, cartilage on both bones, menisci in the wedges between them."""
        x, y, z = points
        between = femur + tibia
        capsule = np.maximum(between - 15.0, np.maximum(femur, tibia) - 11.0)
        paint(image, capsule, 0.62, 2 * edge)
        paint(image, np.maximum(capsule + 1.5, np.abs(femur - tibia) - 1.2), FLUID, edge)
        outside = np.abs(np.abs(x) - 21.0 * self.size) - 9.0 * self.size
        meniscus = np.maximum(
            np.maximum(femur, tibia) - 6.0, 5.0 * self.size - np.hypot(outside + 9, 0.6 * y)
        )
        meniscus = np.maximum(meniscus, np.abs(x) - 39.0 * self.size)
        meniscus = np.maximum(meniscus, np.maximum(8.0 - np.abs(x), np.abs(y) - 24 * self.size))
        paint(image, meniscus, DARK + 0.05, edge)
        paint(image, np.maximum(femur - 2.0, z - 26.0), CARTILAGE, edge)
        paint(image, np.maximum(tibia - 1.8, np.maximum(between - 16.0, -10.0 - z)), CARTILAGE, edge)

    def _paint_patella(self, image: np.ndarray, points: Points, edge: float) -> np.ndarray:
        """Kneecap with its tendons; none of the maps holds it. Returns the distance from it."""
        x, y, z = points
        (middle, front, height), radii = self.patella
        # Above the kneecap the tendon of the quadriceps, below it that to the tibia.
        for offset, length in ((radii[2] + 14, 34.0), (-radii[2] - 16, 30.0)):
            leaning = y - front + 0.12 * (z - height)
            tendon = ellipsoid((x, leaning, z), (middle, 2.0, height + offset), (15.0, 3.5, length))
            paint(image, tendon, DARK + 0.1, 2 * edge)
        patella = ellipsoid(points, (middle, front, height), radii)
        paint(image, np.maximum(patella - 2.0, y - front), CARTILAGE, edge)
        paint(image, patella, DARK, edge)
        paint(image, patella + 1.3, 0.92 * FAT, edge)
        return patella

    def _paint_cords(self, image: np.ndarray, points: Points, edge: float) -> None:
        """Ligaments, and the vessels behind the joint."""
        x, y, z = points
        low, high = float(y.min()) - 4, float(y.max()) + 4
        for start, end, radius in CORDS:
            first, second = (tuple(self.size * value for value in p) for p in (start, end))
            if low < max(first[1], second[1]) and high > min(first[1], second[1]):
                paint(image, cord(points, first, second) - radius, DARK + 0.05, edge)
        for (across, back), inner in (((2.0, -38.0), 0.1), ((9.0, -44.0), 0.5)):
            if low < self.size * back + 4 and high > self.size * back - 4:
                middle = across - 0.05 * z + 1.5 * np.sin(z / 14.0 + across)
                vessel = np.hypot(x - middle, y - self.size * back) - 3.2
                paint(image, vessel, 0.22, edge)
                paint(image, vessel + 0.8, inner, edge)

    def _paint_bone(
        self,
        image: np.ndarray,
        distance: np.ndarray,
        bone: Femur | Tibia | Fibula,
        points: Points,
        ends: tuple[float, float],
        grain: np.ndarray,
        edge: float,
    ) -> None:
        """Dark shell, bright marrow, growth plate. The shell thickens from the first to the second height."""
        if float(distance.min()) > edge:
            return
        x, y, z = points
        shaft = np.clip((z - ends[0]) * (1 / (ends[1] - ends[0])), 0, 1)
        paint(image, distance, DARK, edge)
        plate = bone.plate
        above = plate.above(x, y, z, 38.0)
        # Epiphyses turn to fat first; towards the shaft some red marrow is left in patches.
        metaphysis = above if ends[1] > 0 else -above
        marrow = 0.95 - (self.red + 0.05 * grain) * np.clip(metaphysis * 0.4 + 0.5, 0, 1) * (1 - 0.6 * shaft)
        # A thin bone has a thin shell.
        thick = min(self.cortex[1], 0.4 * bone.shaft[0])
        inner = distance + self.cortex[0] + (thick - self.cortex[0]) * shaft
        paint(image, inner, marrow, edge)
        # A plate that closes fades in patches and leaves a thin scar.
        fade = np.clip(2 * plate.openness - 0.5 + 0.35 * grain, 0, 1)
        line = np.maximum(np.abs(above) - (0.25 + 0.25 * fade) * plate.thickness, distance + 0.5)
        paint(image, line, 0.62 - 0.42 * fade, edge)


def paint(image: np.ndarray, distance: np.ndarray, value: np.ndarray | float, edge: float) -> None:
    """Lay a value over an image, in place, where a distance is negative; `edge` is the border's width."""
    cover = distance * (-1 / edge)
    cover += 0.5
    np.clip(cover, 0, 1, out=cover)
    cover *= value - image
    image += cover


def cord(point: Points, start: tuple[float, ...], end: tuple[float, ...]) -> np.ndarray:
    """Distance from the line between two points."""
    a, b, c = (last - first for first, last in zip(start, end, strict=True))
    x, y, z = (p - first for p, first in zip(point, start, strict=True))
    share = np.clip((x * a + y * b + z * c) * (1 / (a * a + b * b + c * c)), 0, 1)
    return np.sqrt(np.square(x - a * share) + np.square(y - b * share) + np.square(z - c * share))
