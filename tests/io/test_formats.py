from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from monai.data.utils import orientation_ras_lps

from monai_tasks.io.formats import LPS_TO_RAS, is_scanco_name, volume_suffix


@pytest.mark.parametrize(
    ("name", "suffix"),
    [
        ("a.nii.gz", ".nii.gz"),
        ("A.NII.GZ", ".nii.gz"),
        ("a.b.nii", ".nii"),
        ("a.mhd", ".mhd"),
        ("A.ISQ", ".isq"),
        ("a.b.aim", ".aim"),
        ("C0001234.ISQ;1", ".isq;1"),
        ("C0001234_TRAB.AIM;12", ".aim;12"),
        ("a.nii;1", ""),
        ("a.ISQ;", ""),
        ("a.rsq", ""),
        ("a.raw", ""),
        ("a.gz", ""),
        ("nii", ""),
        ("a.dcm", ""),
    ],
)
def test_volume_suffix(name, suffix):
    assert volume_suffix(Path(name)) == suffix


def test_scanco_names():
    assert all(is_scanco_name(Path(name)) for name in ("a.isq", "A.AIM", "A.ISQ;1"))
    assert not any(is_scanco_name(Path(name)) for name in ("a.nii", "a.rsq", "isq", "a.dcm"))


def test_lps_to_ras_is_monai_s():
    affine = np.arange(16.0).reshape(4, 4)
    np.testing.assert_array_equal(LPS_TO_RAS @ affine, orientation_ras_lps(affine))
