"""Generated coronal T1 images of right knees, with the true maps of femur, tibia and fibula.

They follow the images of two sources: slices far thicker than the pixels, the bias field of a coil, another
intensity scale for each source, single voxels far brighter than fat, and maps that were drawn in a window
around the joint only.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import nibabel
import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from monai_tasks.phantoms.knee_anatomy import Knee
from monai_tasks.phantoms.knee_bones import turn
from monai_tasks.phantoms.scanner import smooth_noise

BONES = ("femur", "tibia", "fibula")
FLIPS = ((1, 1, 1), (-1, 1, 1), (-1, -1, 1), (-1, -1, -1))  # of right, front and up: RAS, LAS, LPS, LPI
WINDOW = 112.0  # mm, edge of the square that maps are drawn in
COILS = ("loop", "ring", "none")
KNOT = 5.0  # mm between the points of smooth random fields


@dataclass(frozen=True)
class Grid:
    """Matrix of a source's coronal images, and how its scanner paints them.

    Attributes:
        shape: pixels left to right, pixels along the leg, slices.
        spacing: mm.
        fat: brightness of fat.
        coil: `loop` where one coil lies at one side of the leg, `ring` where coils surround it, `none` for an
            even field.

    Raises:
        ValueError: if the coil is none of these.
    """

    shape: tuple[int, int, int]
    spacing: tuple[float, float, float]
    fat: float = 1000.0
    coil: str = "loop"

    def __post_init__(self) -> None:
        if self.coil not in COILS:
            raise ValueError(f"a coil of {', '.join(COILS)} is needed, not {self.coil!r}")

    def reduced(self, pixel: float) -> Grid:
        """The same field of view and slices with larger pixels.

        Args:
            pixel: edge in the plane in mm; it is rounded so that the field holds a whole number of pixels.

        Returns:
            The other grid.

        Raises:
            ValueError: if the pixel is smaller than this grid's.
        """
        if not pixel >= max(self.spacing[:2]) * (1 - 1e-6):
            raise ValueError(f"a pixel of at least {max(self.spacing[:2])} mm is needed, not {pixel}")
        field = [size * edge for size, edge in zip(self.shape[:2], self.spacing[:2], strict=True)]
        sizes = [round(length / pixel) for length in field]
        edges = [length / size for length, size in zip(field, sizes, strict=True)]
        return replace(self, shape=(*sizes, self.shape[2]), spacing=(*edges, self.spacing[2]))


GRIDS = {
    "epi": Grid((800, 800, 41), (0.2, 0.2, 2.2), fat=900.0, coil="loop"),
    "jopp": Grid((512, 512, 24), (0.3125, 0.3125, 4.4), fat=1260.0, coil="ring"),
}


def knee(rng: np.random.Generator, grid: Grid) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw one knee.

    The same state of `rng` gives the same knee on a grid, on its reduced ones and with any coil.

    Args:
        rng: source of randomness; the same state gives the same case.
        grid: to draw on.

    Returns:
        image: (X, Y, Z) int16, left-right, along the leg, front-back, in either direction.
        maps: (3, X, Y, Z) uint8, 1 in femur, tibia and fibula, drawn only in a window around the joint.
        affine: (4, 4), voxel to world in mm, RAS.
        joint: (3,) RAS mm, midway between the femur's condyles and the tibia's plateau, in the middle of the
            bones from left to right; front to back it is the middle of the plateau.
    """
    affine, joint = _place(rng, grid)
    anatomy = Knee.draw(rng)
    pose = turn(*rng.normal(0, 2, 2), rng.normal(0, 4))
    fields = _Fields(rng, grid)
    window = _window(rng, grid, affine, joint)
    coil = fields.coil(rng, grid.coil)
    quality = _Quality.draw(rng, grid)
    image = np.zeros(grid.shape, np.int16)
    maps = np.zeros((3, *grid.shape), np.uint8)
    centre = np.linalg.solve(affine[:3, :3], joint - affine[:3, 3])
    samples = 2 * round(grid.spacing[2] / 1.76) + 1
    for number in range(grid.shape[2]):
        tissue = np.zeros(grid.shape[:2], np.float32)
        count = np.zeros((4, *grid.shape[:2]), np.uint8)
        for part in range(samples):
            depth = number + (part + 0.5) / samples - 0.5
            x, y, z = _points(pose @ affine[:3, :3], grid.shape, depth, centre)
            bend = fields.bend(depth, centre)
            plane, bones = anatomy.plane(
                x + bend[0], y + bend[1], z + bend[2], fields.grain(depth), grid.spacing[0]
            )
            tissue += plane
            for index, bone in enumerate(bones):
                count[index] += bone
        tissue /= samples
        maps[:, window[0], window[1], number] = (2 * count[:3] > samples)[:, window[0], window[1]]
        image[..., number] = quality.acquire(
            rng, tissue, count.sum(0) / samples, np.exp(fields.plane(coil, number))
        )
    quality.add_outliers(rng, image)
    return image, maps, affine, joint


def _place(rng: np.random.Generator, grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Affine of a grid in one of several orientations, slightly oblique in half of the cases, and the joint."""
    right, front, up = FLIPS[rng.integers(len(FLIPS))]
    matrix = np.array([[right, 0, 0], [0, 0, front], [0, up, 0]], float)
    oblique, angles = rng.random() < 0.5, np.radians(rng.uniform(-8, 8, 3))
    if oblique:
        matrix = nibabel.eulerangles.euler2mat(*angles) @ matrix
    matrix = matrix * grid.spacing
    # The right leg lies to the right of the scanner's middle.
    isocentre = rng.uniform((30, -40, -40), (110, 40, 40))
    affine = nibabel.affines.from_matvec(matrix, isocentre - matrix @ (np.array(grid.shape) - 1) / 2)
    return affine, isocentre + rng.uniform((-12, -6, -15), (12, 2, 15))


def _points(
    matrix: np.ndarray, shape: tuple[int, int, int], depth: float, centre: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where the pixels of the plane at `depth` lie in the knee's frame, whose origin is at voxel `centre`."""
    first, second = (np.arange(size) - c for size, c in zip(shape[:2], centre[:2], strict=True))
    return tuple(
        (row[0] * first[:, None] + row[1] * second + row[2] * (depth - centre[2])).astype(np.float32)
        for row in matrix
    )


def _window(
    rng: np.random.Generator, grid: Grid, affine: np.ndarray, joint: np.ndarray
) -> tuple[slice, slice]:
    """Pixels of the square window in which maps are drawn; each edge lies up to 2 mm off."""
    voxel = nibabel.affines.apply_affine(np.linalg.inv(affine), joint)
    edges = np.array([[-WINDOW / 2], [WINDOW / 2]]) + rng.uniform(-2, 2, (2, 2))
    pixels = np.ceil(voxel[:2] + edges / np.array(grid.spacing[:2])).astype(int)
    return tuple(slice(*np.maximum(edge, 0).tolist()) for edge in pixels.T)


class _Fields:
    """Smooth random fields over a grid's box, which do not depend on the grid's pixels.

    Args:
        rng: source of randomness.
        grid: whose points they are wanted at.
    """

    def __init__(self, rng: np.random.Generator, grid: Grid) -> None:
        self._grid = grid
        self._box = np.multiply(grid.shape, grid.spacing)
        amplitude = rng.uniform(0.6, 1.6)
        self._bend = amplitude * np.stack([self._noise(rng, 18.0) for _ in range(3)])
        # Fibres and the beams of spongy bone run along the leg.
        self._grain = self._noise(rng, 1.4, knots=(1.6, 1.6, 3.2), stretch=2.0)

    def _noise(
        self,
        rng: np.random.Generator,
        length: float,
        knots: tuple[float, float, float] = (KNOT, KNOT, KNOT),
        stretch: float = 1.0,
    ) -> np.ndarray:
        shape = tuple(int(size) for size in np.ceil(self._box / knots) + 1)
        return smooth_noise(rng, shape, np.array(knots) / (1, stretch, 1), length).astype(np.float32)

    def plane(self, field: np.ndarray, depth: float) -> np.ndarray:
        """Fields (..., X, Y, Z) at the pixels of the plane at `depth`, between their knots by straight lines."""
        first, second = (
            _weights(size, knots) for size, knots in zip(self._grid.shape, field.shape[-3:-1], strict=False)
        )
        place = (depth + 0.5) / self._grid.shape[2] * (field.shape[-1] - 1)
        below = min(max(int(place), 0), field.shape[-1] - 2)
        share = place - below
        return first @ ((1 - share) * field[..., below] + share * field[..., below + 1]) @ second.T

    def bend(self, depth: float, centre: np.ndarray) -> np.ndarray:
        """By how many mm the plane's points are moved, (3, X, Y); the point at voxel `centre` stays."""
        places = (centre + 0.5) / self._grid.shape * (np.array(self._bend.shape[1:]) - 1)
        still = [map_coordinates(field, places[:, None], order=1) for field in self._bend]
        return self.plane(self._bend, depth) - np.array(still)[..., None]

    def grain(self, depth: float) -> np.ndarray:
        """Noise of mean 0 and deviation 1 that varies over some mm."""
        return self.plane(self._grain, depth)

    def coil(self, rng: np.random.Generator, kind: str) -> np.ndarray:
        """Logarithm of a coil's bias field, at knots; its strength differs from case to case."""
        noise = self._noise(rng, 25.0)
        places = [
            np.linspace(-0.5, 0.5, size) * box for size, box in zip(noise.shape, self._box, strict=True)
        ]
        across, along, depth = np.meshgrid(*places, indexing="ij")
        side, height = rng.choice([-1, 1]), rng.uniform(-25, 25)
        if kind == "loop":
            field = -np.sqrt((across - 75 * side) ** 2 + (along - height) ** 2 + depth**2) / 60
        else:
            field = (across - 8 * side) ** 2 / 55**2 - ((along - height) / 70) ** 2 + (depth / 90) ** 2
        field += rng.uniform(0.05, 0.12) * noise
        low, middle, high = np.quantile(field[np.abs(across) < 50], (0.05, 0.5, 0.95))
        field = (field - middle) * (np.log(rng.uniform(1.5, 2.5)) / (high - low))
        return np.zeros_like(noise) if kind == "none" else field.astype(np.float32)


@cache
def _weights(size: int, knots: int) -> np.ndarray:
    """(size, knots) weights that put pixels between knots; both fill one length, knots from end to end."""
    places = (np.arange(size) + 0.5) / size * (knots - 1)
    return np.stack([np.interp(places, np.arange(knots), row) for row in np.eye(knots)], 1).astype(np.float32)


@dataclass(frozen=True)
class _Quality:
    """What the scanner adds: blur, uneven tissue, noise, scale, outliers.

    Attributes:
        blur: deviation of the blur in pixels of each axis of the plane.
        patches: relative variation of the tissue in bone and elsewhere.
        noise: deviation of the noise where fat is 1.
        level: brightness of fat.
        outliers: number of voxels or small spots that are far brighter than fat.
    """

    blur: tuple[float, float]
    patches: tuple[float, float]
    noise: float
    level: float
    outliers: int

    @classmethod
    def draw(cls, rng: np.random.Generator, grid: Grid) -> _Quality:
        """Draw one examination."""
        blur = rng.uniform(0.25, 0.45)
        return cls(
            blur=tuple(blur / edge for edge in grid.spacing[:2]),
            patches=(rng.uniform(0.08, 0.14), rng.uniform(0.03, 0.06)),
            noise=rng.uniform(0.025, 0.05),
            level=grid.fat * float(np.clip(rng.normal(1, 0.06), 0.85, 1.15)),
            outliers=int(rng.integers(3, 40)) if rng.random() < 0.75 else 0,
        )

    def acquire(
        self, rng: np.random.Generator, tissue: np.ndarray, bone: np.ndarray, bias: np.ndarray
    ) -> np.ndarray:
        """One slice as the scanner stores it, from its brightness, its share of bone, and the coil's field."""
        grain = rng.standard_normal(tissue.shape, dtype=np.float32)
        grain = gaussian_filter(grain, 1.2 * np.array(self.blur))
        strength = self.patches[1] + (self.patches[0] - self.patches[1]) * bone.astype(np.float32)
        image = gaussian_filter(tissue * (1 + strength * grain / grain.std()), self.blur) * bias
        first, second = self.noise * rng.standard_normal((2, *tissue.shape), dtype=np.float32)
        return np.minimum(self.level * np.hypot(image + first, second), 32767).astype(np.int16)

    def add_outliers(self, rng: np.random.Generator, image: np.ndarray) -> None:
        """Brighten single voxels and small spots of one slice, in place, to some times the level of fat."""
        for _ in range(self.outliers):
            place = [int(rng.integers(size // 5, size - size // 5)) for size in image.shape]
            edge = int(rng.integers(1, 4))
            spot = (*(slice(p, p + edge) for p in place[:2]), place[2])
            image[spot] = min(self.level * rng.uniform(5, 20), 32767)
