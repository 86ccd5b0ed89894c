"""What the tests of files have in common."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk


@pytest.fixture(autouse=True, scope="session")
def _itk_asks_no_scanco_reader() -> None:
    """Keep itk-ioscanco, with which the tests of ISQ files compare, out of ITK's search for a reader.

    Asked for a file of another kind it raises an error instead of saying that it is none of its own.
    """
    if find_spec("itk") is None:
        return
    from itk.support import base

    scanco = base.itk_base_global_module_data.get("IOScanco")
    if scanco is not None:
        scanco._factories = ()


def _write(path: Path, array: np.ndarray, affine: np.ndarray, **options: object) -> Path:
    """Write a volume with nibabel or with SimpleITK, which counts in LPS+ and has its axes reversed in numpy."""
    if ".nii" in path.name or path.suffix in (".mgh", ".mgz"):
        nib.save((nib.MGHImage if "mg" in path.suffix else nib.Nifti1Image)(array, affine), path)
        return path
    image, lps = sitk.GetImageFromArray(array.T), np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(image, str(path), **options)
    return path


@pytest.fixture(scope="session")
def write_volume() -> Callable[..., Path]:
    """Writes (X, Y, Z) voxels and their RAS+ affine to a file, in the format that its name says."""
    return _write
