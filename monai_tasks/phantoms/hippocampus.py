"""Generated T1 crops around one hippocampus, with the true label map.

They follow the crops of the Decathlon's hippocampus task in size and contrast: the label has an anterior (1)
and a posterior (2) part, amygdala and cortex beside it are as bright as it is, and a threshold does not find
it.
"""

from __future__ import annotations

import nibabel
import numpy as np

from monai_tasks.phantoms import scanner
from monai_tasks.phantoms.temporal_lobe import TemporalLobe, Tissue

LABELS = {"0": "background", "1": "Anterior", "2": "Posterior"}
FIELD_OF_VIEW = (
    46.0,
    66.0,
    56.0,
)  # mm; wide enough for the largest hippocampus that is drawn, tilted and turned
ORIENTATIONS = ("RAS", "LAS", "LPS", "RAS oblique")


def crop(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw one crop.

    Args:
        rng: source of randomness; the same state gives the same crop.

    Returns:
        image: (X, Y, Z) float32, about 35 x 50 x 35 voxels.
        label: (X, Y, Z) uint8, 0 background, 1 anterior, 2 posterior.
        affine: (4, 4), voxel to world in mm, RAS. Half of the grids are not RAS, and voxels are 0.95 to 1.1
            mm.
    """
    affine, shape = _grid(rng)
    spacing = nibabel.affines.voxel_sizes(affine)
    x, y, z = warped_points(affine, shape, rng)
    # All are left sides, as in the Decathlon's crops: the midline lies at the right, and so does the positive
    # x.
    tissue = TemporalLobe.draw(rng).tissue(x, y, z)
    image = scanner.acquire(tissue, spacing, scanner.T1, rng)
    label = np.zeros(shape, np.uint8)
    label[tissue == Tissue.HIPPOCAMPUS_ANTERIOR] = 1
    label[tissue == Tissue.HIPPOCAMPUS_POSTERIOR] = 2
    box = _box(label, rng)
    affine = affine.copy()
    affine[:3, 3] += affine[:3, :3] @ [part.start for part in box]
    return image[box], label[box], affine


def warped_points(
    affine: np.ndarray, shape: tuple[int, ...], rng: np.random.Generator, amplitude: float = 0.9
) -> np.ndarray:
    """World coordinates of all voxels, turned by some degrees and bent, so that no two shapes are alike.

    Args:
        affine: (4, 4), voxel to world in mm.
        shape: of the grid, in voxels.
        rng: source of randomness.
        amplitude: standard deviation of the bending, in mm.

    Returns:
        (3, X, Y, Z) in mm.
    """
    voxels = np.stack(np.meshgrid(*map(np.arange, shape), indexing="ij"))
    turn = nibabel.eulerangles.euler2mat(*np.radians(rng.normal(0, 3, 3)))
    matrix = turn @ affine[:3, :3]
    points = np.einsum("ij,jxyz->ixyz", matrix, voxels) + (turn @ affine[:3, 3])[:, None, None, None]
    spacing = nibabel.affines.voxel_sizes(affine)
    return points + amplitude * np.stack([scanner.smooth_noise(rng, shape, spacing, 6.0) for _ in range(3)])


def _grid(rng: np.random.Generator) -> tuple[np.ndarray, tuple[int, int, int]]:
    """Affine and shape of a grid with its middle at the world's origin, in one of several orientations."""
    spacing = rng.uniform(0.95, 1.1, 3) if rng.random() < 0.5 else np.ones(3)
    shape = tuple(np.ceil(np.array(FIELD_OF_VIEW) / spacing).astype(int).tolist())
    orientation = rng.choice(ORIENTATIONS)
    signs = {"LAS": (-1, 1, 1), "LPS": (-1, -1, 1)}.get(str(orientation), (1, 1, 1))
    matrix = np.diag(spacing * signs)
    if orientation.endswith("oblique"):
        matrix = nibabel.eulerangles.euler2mat(*np.radians(rng.uniform(-8, 8, 3))) @ matrix
    return nibabel.affines.from_matvec(matrix, -matrix @ (np.array(shape) - 1) / 2), shape


def _box(label: np.ndarray, rng: np.random.Generator) -> tuple[slice, ...]:
    """Voxels around the label, with 4 to 7 to spare on each side."""
    inside = np.argwhere(label)
    start = np.maximum(inside.min(0) - rng.integers(4, 8, 3), 0)
    stop = np.minimum(inside.max(0) + 1 + rng.integers(4, 8, 3), label.shape)
    return tuple(slice(int(a), int(b)) for a, b in zip(start, stop, strict=True))
