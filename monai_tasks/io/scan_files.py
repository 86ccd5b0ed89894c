"""Scans in NIfTI, MGH, MetaImage and NRRD files, read slice by slice."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import SimpleITK as sitk

from monai_tasks.io.errors import InputError
from monai_tasks.io.formats import NIBABEL_SUFFIXES, volume_suffix
from monai_tasks.io.scan_base import Scan
from monai_tasks.io.volume_files import (
    DECODING_ERRORS,
    itk_affine,
    itk_reader,
    load_nibabel,
    shape_and_channels,
)

# Formats of which SimpleITK reads a region; it reads others whole, however small the region.
_REGION_SUFFIXES = (".mha", ".mhd")


@dataclass(frozen=True, eq=False)
class NibabelScan(Scan):
    """A NIfTI or MGH file. A packed one is unpacked up to the last slice that is asked for."""

    def _slices(self, indices: list[int]) -> np.ndarray:
        image = load_nibabel(self.path)
        last = (0,) * (len(image.shape) - 3)
        try:
            slices = [np.asarray(image.dataobj[(..., index, *last)], dtype=np.float32) for index in indices]
        except (EOFError, zlib.error, gzip.BadGzipFile, *DECODING_ERRORS) as cause:
            raise _damaged(self.path) from cause
        return np.stack(slices, axis=2)


@dataclass(frozen=True, eq=False)
class ItkScan(Scan):
    """A MetaImage or NRRD file. Of the latter all is read and the slices are kept."""

    def _slices(self, indices: list[int]) -> np.ndarray:
        reader = itk_reader(self.path)
        try:
            if volume_suffix(self.path) in _REGION_SUFFIXES:
                slices = [_region(reader, index) for index in indices]
            else:
                # Kept by a name: the view is of the image's own memory.
                image = reader.Execute()
                array = sitk.GetArrayViewFromImage(image).reshape(self.shape[::-1])
                slices = [array[index].copy() for index in indices]
        except DECODING_ERRORS as cause:
            raise _damaged(self.path) from cause
        return np.stack([part.T.astype(np.float32) for part in slices], axis=2)


def open_file(path: Path, unit: str) -> Scan:
    """Open a file with one of NIBABEL_SUFFIXES or ITK_SUFFIXES; only its header is read.

    Args:
        path: the file.
        unit: what its values are in.

    Returns:
        The scan.

    Raises:
        InputError: if it has no header of a volume of one real number a voxel.
    """
    if volume_suffix(path) in NIBABEL_SUFFIXES:
        image = load_nibabel(path)
        kind, sizes = image.header.get_data_dtype(), image.shape
        if kind.kind not in "biuf":
            raise InputError(path, f"voxels of type {kind}", "real numbers")
        return NibabelScan(path, shape_and_channels(path, sizes, False)[0], np.array(image.affine), unit)
    reader = itk_reader(path)
    if reader.GetNumberOfComponents() != 1:
        raise InputError(path, f"{reader.GetNumberOfComponents()} values a voxel", "one value a voxel")
    return ItkScan(path, shape_and_channels(path, reader.GetSize(), False)[0], itk_affine(reader), unit)


def _region(reader: sitk.ImageFileReader, index: int) -> np.ndarray:
    """One slice, (Y, X), without the rest of the file."""
    sizes = reader.GetSize()
    reader.SetExtractIndex([0, 0, index, *[0] * (len(sizes) - 3)])
    reader.SetExtractSize([*sizes[:2], *[1] * (len(sizes) - 2)])
    return sitk.GetArrayFromImage(reader.Execute()).reshape(sizes[1::-1])


def _damaged(path: Path) -> InputError:
    return InputError(path, "damaged or incomplete voxels", "a complete file, with its data beside it")
