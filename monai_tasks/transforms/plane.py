"""The plane in which an image was acquired, by its voxels."""

from __future__ import annotations

import nibabel
import numpy as np

PLANES = {"R": "sagittal", "L": "sagittal", "A": "coronal", "P": "coronal", "S": "axial", "I": "axial"}
# How many times as far apart slices are at least as the pixels within them; where less, any plane may be cut.
THICK = 2.0


def acquisition_plane(affine: np.ndarray) -> str | None:
    """The plane of thick slices: `sagittal`, `coronal` or `axial`, by the direction in which they are stacked.

    Args:
        affine: (4, 4), voxels to RAS mm.

    Returns:
        The plane that is nearest, or None where no voxel edge is at least twice as long as each of the others.
    """
    spacing = nibabel.affines.voxel_sizes(affine)
    thick = int(spacing.argmax())
    if not np.isfinite(spacing).all() or spacing[thick] < THICK * np.delete(spacing, thick).max():
        return None
    return PLANES[nibabel.aff2axcodes(affine)[thick]]
