"""Fixtures for the whole tree of tests."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, JPEG2000Lossless, JPEGLSLossless, RLELossless

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(autouse=True)
def _logging_as_at_the_start() -> None:
    """A command of an earlier test may have made logging quiet, in which the next one would find nothing said."""
    logging.disable(logging.NOTSET)
    logging.getLogger().setLevel(logging.WARNING)
    logging.getLogger("monai_tasks").setLevel(logging.NOTSET)


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


@pytest.fixture(scope="session")
def tiny_highresnet() -> dict[str, Any]:
    """MONAI's HighResNet with 4 features, as a config's `network_def`; it computes 500 times less."""
    layers = [
        {"name": "conv_0", "n_features": 4, "kernel_size": 3},
        {"name": "res_1", "n_features": 4, "kernels": [3, 3], "repeat": 1},
        {"name": "conv_1", "n_features": 4, "kernel_size": 1},
        {"name": "conv_2", "kernel_size": 1},
    ]
    network = {"_target_": "monai.networks.nets.HighResNet", "spatial_dims": 3, "layer_params": layers}
    return {**network, "in_channels": "@in_channels", "out_channels": "@out_channels"}


@pytest.fixture(scope="session")
def crops(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A Decathlon folder of six generated crops, with `datalist.json`: four train, one validates, one tests."""
    # Here, since torch comes with them and most tests need neither.
    from monai_tasks.datasets import decathlon
    from monai_tasks.phantoms.layouts import write_decathlon

    folder = write_decathlon(tmp_path_factory.mktemp("crops"), 6)
    (folder / "datalist.json").write_text(json.dumps(decathlon.datalist(folder)), encoding="utf-8")
    return folder


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


class DicomWriter:
    """Write a volume as a DICOM series, for tests that need one.

    The header holds what geometry and decoding need, and made-up identifiers.
    """

    def __init__(self) -> None:
        self._serial = 0

    def uid(self) -> str:
        """A new identifier."""
        self._serial += 1
        return f"1.2.826.0.1.3680043.8.498.{self._serial}"

    def series(
        self,
        folder: Path,
        grid: Grid,
        *,
        series_uid: str | None = None,
        syntax: str = ExplicitVRLittleEndian,
        edit: Callable[[Dataset, int], None] | None = None,
    ) -> list[Path]:
        """Write one file a slice.

        Args:
            folder: where to, made if missing.
            grid: the volume, of integers that fit 16 bits.
            series_uid: the series' identifier; a new one by default.
            syntax: transfer syntax; the pixels are compressed as it asks.
            edit: changes the dataset of a slice, given its number, before it is written.

        Returns:
            The files in the order of the slices.
        """
        folder.mkdir(parents=True, exist_ok=True)
        series_uid = series_uid or self.uid()
        paths = []
        for number in range(grid.array.shape[2]):
            dataset = self._image(grid.array[..., number].T, series_uid)
            position, orientation, spacing = _plane(grid.affine, number)
            dataset.ImagePositionPatient, dataset.ImageOrientationPatient = position, orientation
            dataset.PixelSpacing, dataset.InstanceNumber = spacing, number + 1
            if syntax in (RLELossless, JPEGLSLossless, JPEG2000Lossless):
                dataset.compress(syntax)
            dataset.file_meta.TransferSyntaxUID = syntax
            if edit:
                edit(dataset, number)
            paths.append(folder / f"slice_{number:03d}.dcm")
            dataset.save_as(paths[-1], enforce_file_format=True)
        return paths

    def enhanced(self, path: Path, grid: Grid, *, slopes: Sequence[float] | None = None) -> Path:
        """Write all slices as one enhanced multi-frame file.

        Args:
            path: the file.
            grid: the volume, of integers that fit 16 bits.
            slopes: the rescale slope of each frame.

        Returns:
            The path.
        """
        path.parent.mkdir(parents=True, exist_ok=True)
        dataset = self._image(grid.array.transpose(2, 1, 0), self.uid())
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4.1"
        dataset.NumberOfFrames = grid.array.shape[2]
        shared, frames = Dataset(), []
        for number in range(grid.array.shape[2]):
            position, orientation, spacing = _plane(grid.affine, number)
            frames.append(Dataset())
            frames[-1].PlanePositionSequence = [_item(ImagePositionPatient=position)]
            if slopes:
                rescale = _item(RescaleSlope=slopes[number], RescaleIntercept=0)
                frames[-1].PixelValueTransformationSequence = [rescale]
        shared.PlaneOrientationSequence = [_item(ImageOrientationPatient=orientation)]
        shared.PixelMeasuresSequence = [_item(PixelSpacing=spacing)]
        dataset.SharedFunctionalGroupsSequence = [shared]
        dataset.PerFrameFunctionalGroupsSequence = frames
        dataset.save_as(path, enforce_file_format=True)
        return path

    def _image(self, pixels: np.ndarray, series_uid: str) -> Dataset:
        """A dataset with pixels (..., rows, columns) and no geometry."""
        dataset = Dataset()
        dataset.file_meta = FileMetaDataset()
        dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
        dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = self.uid()
        dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        dataset.SeriesInstanceUID, dataset.Modality = series_uid, "MR"
        dataset.PatientName, dataset.PatientID = "Not^Kept", "not-kept"
        dataset.Rows, dataset.Columns = pixels.shape[-2:]
        dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
        dataset.BitsAllocated = dataset.BitsStored = 16
        dataset.HighBit, dataset.PixelRepresentation = 15, 1
        dataset.PixelData = np.ascontiguousarray(pixels).astype("<i2").tobytes()
        return dataset


def _item(**fields: object) -> Dataset:
    item = Dataset()
    for name, value in fields.items():
        setattr(item, name, value)
    return item


def _plane(affine: np.ndarray, number: int) -> tuple[list[float], list[float], list[float]]:
    """Position, orientation and pixel spacing of a slice in DICOM's terms (LPS+ mm)."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    edges = np.linalg.norm(lps[:3, :2], axis=0)
    position = lps @ (0, 0, number, 1)
    orientation = (lps[:3, :2] / edges).T.ravel()
    # A decimal string of DICOM has at most 16 characters.
    rounded = (
        [round(float(value), 9) for value in values] for values in (position[:3], orientation, edges[::-1])
    )
    return tuple(rounded)


@pytest.fixture
def dicom() -> DicomWriter:
    """Writes volumes as DICOM series or enhanced multi-frame files."""
    return DicomWriter()
