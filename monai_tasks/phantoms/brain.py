"""A generated block of the brain with both hippocampi, as T1, T2 and a FreeSurfer segmentation."""

from __future__ import annotations

import nibabel
import numpy as np

from monai_tasks.phantoms import scanner
from monai_tasks.phantoms.hippocampus import warped_points
from monai_tasks.phantoms.temporal_lobe import TemporalLobe, Tissue, ellipsoid

SIZE = (112.0, 104.0, 84.0)  # mm, towards right, front and top
SPACING = (0.9375, 0.9375, 1.2)  # mm, as IXI's images have it
HALF_DISTANCE = 27.0  # mm from the midline to the middle of each hippocampus
SURFACE = (52.0, 50.0, 40.0)  # mm, radii of the block's brain

# FreeSurfer's numbers for the left and the right side.
ASEG = {
    Tissue.AIR: (0, 0),
    Tissue.CSF: (24, 24),
    Tissue.CORTEX: (3, 42),
    Tissue.WHITE_MATTER: (2, 41),
    Tissue.DEEP_GREY: (10, 49),
    Tissue.BRAINSTEM: (16, 16),
    Tissue.AMYGDALA: (18, 54),
    Tissue.VESSEL: (30, 62),
    Tissue.HIPPOCAMPUS_ANTERIOR: (17, 53),
    Tissue.HIPPOCAMPUS_POSTERIOR: (17, 53),
}


def head(
    rng: np.random.Generator, size: tuple[float, float, float] = SIZE
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Draw one subject.

    Args:
        rng: source of randomness; the same state gives the same subject.
        size: of the block in mm, towards right, front and top.

    Returns:
        t1: (X, Y, Z) float32.
        t2: (X, Y, Z) float32, of the same tissue but with its own scale, bias and noise.
        aseg: (X, Y, Z) int32, FreeSurfer's numbers: left hippocampus 17, right 53, and others.
        affine: (4, 4), voxel to world in mm, RAS. The grid is stored front to back, top to bottom, left to
            right, as sagittal images are.
    """
    # Columns: the voxel axes point backwards, down and to the right.
    directions = np.array([[0, 0, 1], [-1, 0, 0], [0, -1, 0]], float)
    matrix = directions * SPACING
    shape = tuple(np.ceil(np.abs(np.linalg.inv(matrix)) @ size).astype(int).tolist())
    affine = nibabel.affines.from_matvec(matrix, -matrix @ (np.array(shape) - 1) / 2)
    points = warped_points(affine, shape, rng)
    tissue = _tissue(points, rng)
    t1, t2 = (
        scanner.acquire(tissue, np.array(SPACING), contrast, rng) for contrast in (scanner.T1, scanner.T2)
    )
    numbers = np.zeros((len(Tissue), 2), np.int32)
    for kind, sides in ASEG.items():
        numbers[kind] = sides
    return t1, t2, numbers[tissue, (points[0] > 0).astype(int)], affine


def _tissue(points: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Tissue at world points (3, X, Y, Z) in mm, each half of the head with an anatomy of its own."""
    x, y, z = points
    left = x <= 0
    tissue = np.empty(x.shape, np.uint8)
    for side in (left, ~left):
        towards_midline = HALF_DISTANCE - np.abs(x[side])
        tissue[side] = TemporalLobe.draw(rng).tissue(towards_midline, y[side], z[side])
    depth = -ellipsoid((x, y, z), (0, 0, 0), SURFACE)
    cortex = (depth < 3.0 + np.sin(x / 3) + np.sin(y / 3.5)) & (tissue == Tissue.WHITE_MATTER)
    tissue[cortex] = Tissue.CORTEX
    tissue[depth < 0] = Tissue.CSF
    tissue[depth < -3] = Tissue.AIR
    return tissue
