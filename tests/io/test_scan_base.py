from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_tasks.io.errors import InputError
from monai_tasks.io.scan_base import Scan


class Counted(Scan):
    """Slice i is full of i, and each reading is noted."""

    def _slices(self, indices):
        READINGS.append(indices)
        voxels = np.ones((2, 3, 1), np.float32) * np.array(indices, np.float32)
        return np.where(voxels == 7, np.nan, voxels)


READINGS: list[list[int]] = []


@pytest.fixture
def scan():
    READINGS.clear()
    return Counted(Path("a.ISQ"), (2, 3, 9), np.eye(4), "density")


@pytest.mark.parametrize("indices", [[0, 4, 8], [5, 2], [3, 3, 1], np.array([6, 0]), range(5, 0, -2)])
def test_slices_come_in_the_asked_order(scan, indices):
    voxels = scan.read(indices)
    assert voxels.shape == (2, 3, len(indices))
    assert voxels.dtype == np.float32
    assert voxels[1, 2].tolist() == list(indices)


def test_each_slice_is_read_once_and_in_order(scan):
    scan.read([4, 1, 4, 0])
    assert READINGS == [[0, 1, 4]]


@pytest.mark.parametrize("index", [-1, 9])
def test_no_such_slice(scan, index):
    with pytest.raises(InputError, match=f"a.ISQ: no slice {index}; expected one of 0 to 8"):
        scan.read([0, index])


def test_no_slices(scan):
    with pytest.raises(ValueError, match="expected one index at least"):
        scan.read([])


def test_voxels_that_are_not_finite(scan):
    assert scan.read([6, 8]).any()
    with pytest.raises(InputError, match="voxels that are not finite"):
        scan.read([6, 7])
