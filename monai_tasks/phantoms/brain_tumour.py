"""A generated head with a tumour in one half of the brain: which tissue is where, and how four modalities show it.

Lengths are in mm; `x` points to the right, `y` to the front and `z` up, and the origin lies in the middle of the
brain. Nothing here is measured on persons.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import nibabel
import numpy as np

from monai_tasks.phantoms import scanner
from monai_tasks.phantoms.hippocampus import warped_points
from monai_tasks.phantoms.temporal_lobe import ellipsoid

FIELD = (176.0, 208.0, 160.0)  # mm, towards right, front and top
PARTS = {"core": 1, "oedema": 2, "enhancing": 4}  # values of the map, as BraTS has them


class Tissue(IntEnum):
    """Values of a tissue map."""

    AIR = 0
    CSF = 1
    CORTEX = 2
    WHITE_MATTER = 3
    DEEP_GREY = 4
    SPOT = 5  # old damage of white matter, which is no tumour
    NECROSIS = 6
    SOLID = 7
    ENHANCING = 8
    OEDEMA = 9


# Value of the map for each tissue.
MAP = np.zeros(len(Tissue), np.uint8)
MAP[[Tissue.NECROSIS, Tissue.SOLID]] = PARTS["core"]
MAP[Tissue.OEDEMA] = PARTS["oedema"]
MAP[Tissue.ENHANCING] = PARTS["enhancing"]

# Brightness of each tissue, in the order of `Tissue`.
CONTRASTS = {
    modality: dict(zip(Tissue, values, strict=True))
    for modality, values in {
        "t1": (0.0, 0.15, 0.58, 0.95, 0.76, 0.72, 0.30, 0.50, 0.54, 0.70),
        "t1ce": (0.0, 0.15, 0.60, 0.95, 0.76, 0.72, 0.30, 0.52, 1.35, 0.70),
        "t2": (0.0, 1.00, 0.52, 0.34, 0.40, 0.66, 0.88, 0.64, 0.56, 0.76),
        "flair": (0.0, 0.12, 0.56, 0.42, 0.50, 0.88, 0.36, 0.74, 0.70, 1.00),
    }.items()
}


@dataclass(frozen=True)
class Tumour:
    """A tumour.

    Attributes:
        centre: of the core.
        radii: of the core, before its surface is made uneven.
        rim: thickness of the enhancing rim; 0 where nothing enhances.
        necrosis: share of the core's inside that is dead tissue.
        oedema: how far oedema reaches beyond the core, as a share of its radius.
        push: share by which the brain around it is pushed away.
    """

    centre: tuple[float, float, float]
    radii: tuple[float, float, float]
    rim: float
    necrosis: float
    oedema: float
    push: float

    @classmethod
    def draw(cls, rng: np.random.Generator, enhancing: bool = True, low_grade: bool = False) -> Tumour:
        """Draw one tumour.

        Args:
            rng: source of randomness.
            enhancing: whether any of it enhances.
            low_grade: True for little dead tissue and little oedema.
        """
        side = rng.choice([-1, 1])
        centre = (side * rng.uniform(22, 42), rng.uniform(-50, 48), rng.uniform(-6, 38))
        radius = rng.uniform(10, 23)
        return cls(
            centre=centre,
            radii=tuple(radius * rng.uniform(0.8, 1.25, 3)),
            rim=rng.uniform(2.0, 4.5) if enhancing else 0.0,
            necrosis=rng.uniform(0.0, 0.3) if low_grade else rng.uniform(0.4, 0.95),
            oedema=rng.uniform(0.1, 0.5) if low_grade else rng.uniform(0.3, 1.2),
            push=rng.uniform(0.1, 0.45),
        )

    def before(self, points: np.ndarray) -> np.ndarray:
        """Where points (3, X, Y, Z) of the brain lay before the tumour pushed them away."""
        offset = points - np.reshape(self.centre, (3, 1, 1, 1))
        reach = np.exp(-(offset**2).sum(0) / (2.2 * np.mean(self.radii)) ** 2)
        return points - self.push * reach * offset

    def paint(
        self, tissue: np.ndarray, points: np.ndarray, spacing: np.ndarray, rng: np.random.Generator
    ) -> None:
        """Put the tumour into a tissue map, in place; fluid and air outside of the brain stay."""
        radius = float(np.mean(self.radii))
        uneven, patches = (
            scanner.smooth_noise(rng, tissue.shape, spacing, length) for length in (0.45 * radius, 4.0)
        )
        # 1 on the core's surface.
        offset = (points - np.reshape(self.centre, (3, 1, 1, 1))) / np.reshape(self.radii, (3, 1, 1, 1))
        distance = np.sqrt((offset**2).sum(0)) * (1 + 0.16 * uneven)
        brain = (tissue != Tissue.AIR) & (tissue != Tissue.CSF)
        swollen = brain & (distance < 1 + self.oedema * (1 + 0.5 * uneven + 0.25 * patches))
        tissue[swollen & (tissue != Tissue.CORTEX)] = Tissue.OEDEMA
        core = (tissue != Tissue.AIR) & (distance < 1)
        depth = (1 - distance) * radius + 1.2 * patches
        tissue[core] = Tissue.SOLID
        dead = core & (patches < np.quantile(patches, self.necrosis)) & (depth > 1.5)
        tissue[dead] = Tissue.NECROSIS
        if self.rim:
            tissue[core & (depth < self.rim)] = Tissue.ENHANCING


def head(
    rng: np.random.Generator,
    size: tuple[int, int, int],
    enhancing: bool = True,
    low_grade: bool = False,
) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Draw one person.

    Args:
        rng: source of randomness; the same state gives the same person.
        size: of the grid in voxels, towards left, back and top; it spans `FIELD`, whatever it is.
        enhancing: whether any of the tumour enhances.
        low_grade: True for little dead tissue and little oedema.

    Returns:
        images: (X, Y, Z) int16 by modality, zero outside of the brain, as BraTS has them.
        map: (X, Y, Z) uint8 with the values of `PARTS`.
        affine: (4, 4), voxel to world in mm, RAS.
    """
    spacing = np.array(FIELD) / size
    matrix = np.diag(spacing * (-1, -1, 1))
    affine = nibabel.affines.from_matvec(matrix, -matrix @ (np.array(size) - 1) / 2)
    points = warped_points(affine, size, rng, 2.0)
    tumour = Tumour.draw(rng, enhancing, low_grade)
    tissue = _brain(tumour.before(points), spacing, rng)
    tumour.paint(tissue, points, spacing, rng)
    images = {name: _acquire(tissue, spacing, contrast, rng) for name, contrast in CONTRASTS.items()}
    return images, MAP[tissue], affine


def _acquire(
    tissue: np.ndarray, spacing: np.ndarray, contrast: dict[IntEnum, float], rng: np.random.Generator
) -> np.ndarray:
    """One modality as int16, with nothing outside of the brain."""
    image = scanner.acquire(tissue, spacing, contrast, rng) * (tissue != Tissue.AIR)
    bright = np.quantile(image[tissue != Tissue.AIR], 0.99)
    return np.minimum(image * (rng.uniform(300, 2500) / bright), 32767).astype(np.int16)


def _brain(points: np.ndarray, spacing: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tissue of a brain without tumour at points (3, X, Y, Z)."""
    x, y, z = points
    size = rng.uniform(0.92, 1.06)
    depth = _depth(x / size, y / size, z / size)
    tissue = np.full(x.shape, Tissue.WHITE_MATTER, np.uint8)
    # Folds: where a smooth field is near zero the surface dips in, with cortex on both sides.
    folds = np.abs(scanner.smooth_noise(rng, x.shape, spacing, rng.uniform(4.5, 6.0)))
    fissure = np.abs(x) - np.where((z > 16) | (np.abs(y) > 40), 1.2, -9)
    inwards = np.minimum(np.minimum(depth, 12 * folds + 0.25 * depth - 3.5), fissure)
    tissue[inwards < rng.uniform(3.0, 4.2)] = Tissue.CORTEX
    tissue[inwards < 0] = Tissue.CSF
    _paint_middle(tissue, np.abs(x) / size, y / size, z / size, rng)
    _paint_spots(tissue, points, rng)
    tissue[depth < 0] = Tissue.AIR
    return tissue


def _depth(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    """How far points lie inside of the brain, in mm and about right near its surface."""
    halves = np.abs(x)
    parts = (
        ellipsoid((x, y, z), (0, 0, 12), (66, 84, 54)),
        ellipsoid((halves, y, z), (40, 14, -22), (23, 38, 24)),
        ellipsoid((halves, y, z), (18, -50, -34), (32, 28, 25)),
        ellipsoid((x, y, z), (0, -18, -46), (13, 14, 32)),
    )
    return -np.minimum.reduce(parts)


def _paint_middle(
    tissue: np.ndarray, side: np.ndarray, y: np.ndarray, z: np.ndarray, rng: np.random.Generator
) -> None:
    """Grey nuclei and ventricles; `side` is the distance from the midline."""
    wide = rng.uniform(0.7, 1.7)
    tissue[ellipsoid((side, y, z), (12, -10, 4), (9, 14, 9)) < 0] = Tissue.DEEP_GREY
    tissue[ellipsoid((side, y, z), (25, 8, 6), (7, 20, 11)) < 0] = Tissue.DEEP_GREY
    bow = 5 + 4 * (y / 34) ** 2
    tissue[ellipsoid((side - bow, y, z), (4, 2, 19), (4.5 * wide, 36, 6 * wide)) < 0] = Tissue.CSF
    tissue[ellipsoid((side, y, z), (26, -32, 6), (5 * wide, 14, 7)) < 0] = Tissue.CSF
    tissue[(side < 1.5 * wide) & (np.abs(y + 6) < 14) & (np.abs(z - 4) < 10)] = Tissue.CSF


def _paint_spots(tissue: np.ndarray, points: np.ndarray, rng: np.random.Generator) -> None:
    """Spots in the white matter beside the ventricles, in some persons many."""
    for _ in range(rng.integers(0, 9)):
        centre = (rng.choice([-1, 1]) * rng.uniform(18, 34), rng.uniform(-45, 45), rng.uniform(12, 40))
        spot = ellipsoid(tuple(points), centre, tuple(rng.uniform(2.0, 5.5, 3))) < 0
        tissue[spot & (tissue == Tissue.WHITE_MATTER)] = Tissue.SPOT
