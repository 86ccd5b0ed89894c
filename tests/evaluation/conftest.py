"""Label maps on disk, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

SHAPE = (12, 14, 10)
AFFINE = np.diag([-1.0, 1.0, 2.0, 1.0])


def boxes(shift: int = 0) -> np.ndarray:
    """A box of label 1 beside one of label 2, both four voxels wide and moved along the first axis."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[2 + shift : 6 + shift, 3:7, 2:8] = 1
    labels[2 + shift : 6 + shift, 7:11, 2:8] = 2
    return labels


@pytest.fixture(name="boxes")
def boxes_fixture() -> Callable[[int], np.ndarray]:
    """Makes a label map; two of them that are shifted by n against each other have a Dice of 1 - n / 4."""
    return boxes


@pytest.fixture
def save(tmp_path) -> Callable[..., Path]:
    """Writes a volume, by default label maps without a shift, under a path in the test's folder."""

    def save(name: str, values: np.ndarray | None = None, affine: np.ndarray = AFFINE) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        nib.save(nib.Nifti1Image(boxes() if values is None else values, affine), path)
        return path

    return save
