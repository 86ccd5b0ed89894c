"""Fixtures for the whole tree of tests."""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


class Grid(NamedTuple):
    """A volume and where it lies.

    Args:
        array: (X, Y, Z), float32.
        affine: (4, 4), voxel indices to RAS+ millimetres.
    """

    array: np.ndarray
    affine: np.ndarray


def _ras() -> Grid:
    """Two overlapping ramps, a bright box off the centre and noise: no flip or turn maps it onto itself."""
    shape = (14, 18, 11)
    x, y, z = np.meshgrid(*map(np.arange, shape), indexing="ij")
    array = 3.0 * x + 1.5 * y + 7.0 * z + np.random.default_rng(7).normal(0.0, 1.0, shape)
    array[2:6, 9:15, 6:9] += 120.0
    affine = np.diag([1.0, 0.8, 1.5, 1.0])
    affine[:3, 3] = (-6.0, 11.0, -4.5)
    return Grid(array.astype(np.float32), affine)


def _flipped(grid: Grid, axes: tuple[int, ...]) -> Grid:
    """The same image in space with some voxel axes running the other way."""
    flip = np.eye(4)
    for axis in axes:
        flip[axis, axis] = -1.0
        flip[axis, 3] = grid.array.shape[axis] - 1
    return Grid(np.ascontiguousarray(np.flip(grid.array, axes)), grid.affine @ flip)


def _rotation(degrees: tuple[float, float, float]) -> np.ndarray:
    """A (4, 4) rotation about x, then y, then z."""
    matrix = np.eye(4)
    for axis, angle in enumerate(np.deg2rad(degrees)):
        first, second = (axis + 1) % 3, (axis + 2) % 3
        turn = np.eye(4)
        turn[[first, second], [first, second]] = np.cos(angle)
        turn[second, first], turn[first, second] = np.sin(angle), -np.sin(angle)
        matrix = turn @ matrix
    return matrix


@pytest.fixture
def grids() -> dict[str, Grid]:
    """One image on four grids: `RAS`, `LAS`, `LPS` and `oblique`.

    The first three describe the same image in space, voxel for voxel. The oblique one has the voxels of the
    first and is turned in space by (14, -9, 21) degrees, as a tilted acquisition is.
    """
    ras = _ras()
    return {
        "RAS": ras,
        "LAS": _flipped(ras, (0,)),
        "LPS": _flipped(ras, (0, 1)),
        "oblique": Grid(ras.array.copy(), _rotation((14.0, -9.0, 21.0)) @ ras.affine),
    }


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of openly licensed real images, beside the repository; the test is skipped without it."""
    if not SHARED_DATA.is_dir():
        pytest.skip("no real images: ../shared/data is not beside this repository")
    return SHARED_DATA


EXAMPLE_METADATA = {
    "version": "1.2.0",
    "changelog": {"1.2.0": "Train on more images", "1.0.0": "First release"},
    "task": "Segment the example organ",
    "description": "Finds the example organ in generated images.",
    "intended_use": "Tests only.",
    "data_source": "Generated.",
    "network_data_format": {
        "inputs": {
            "image": {
                "type": "image",
                "modality": "MR",
                "num_channels": 1,
                "spatial_shape": [8, 8, 8],
                "value_range": [],
                "channel_def": {"0": "T1"},
            }
        },
        "outputs": {"pred": {"channel_def": {"0": "background", "1": "anterior", "2": "posterior"}}},
    },
}


@pytest.fixture
def example_bundle(tmp_path: Path) -> Path:
    """The folder of a bundle with the files that the catalogue reads; no test need lean on a shipped one."""
    root = tmp_path / "organ_mri_segmentation"
    texts = {
        "LICENSE": "\n   Apache License\n   Version 2.0\n",
        "docs/data_license.txt": "Data: CC BY-SA 4.0\nMore lines.\n",
        "configs/metadata.json": json.dumps(EXAMPLE_METADATA),
        "configs/train.json": "{}",
        "configs/inference.json": "{}",
        "models/model.pt": "weights",
    }
    for file, text in texts.items():
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(text, encoding="utf-8")
    return root
