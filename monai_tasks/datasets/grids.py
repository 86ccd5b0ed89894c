"""Compare the voxel grids of image files by their headers, without reading pixel data."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import nibabel
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from monai_tasks.io.formats import ITK_SUFFIXES, volume_suffix
from monai_tasks.io.grid import farthest_corner, is_apart
from monai_tasks.io.volume_files import itk_affine


class Header(NamedTuple):
    """What a header says about space.

    Args:
        shape: spatial, (X, Y, Z).
        affine: (4, 4), voxel to world in mm, RAS.
        channels: values a voxel, or volumes in the file.
    """

    shape: tuple[int, ...]
    affine: np.ndarray
    channels: int


def header_of(path: Path) -> Header:
    """Read the header of a NIfTI, FreeSurfer, MetaImage or NRRD file.

    Args:
        path: file that nibabel or SimpleITK reads, such as .nii.gz, .mgz, .mhd.

    Returns:
        The header.

    Raises:
        ValueError: if the file cannot be read or is no volume; the message starts with its folder and name.
    """
    if not path.is_file():
        raise ValueError(f"{short_name(path)}: no such file")
    itk = volume_suffix(path) in ITK_SUFFIXES
    try:
        image = _itk_reader(path) if itk else nibabel.load(path)
    except (RuntimeError, ImageFileError, HeaderDataError, OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{short_name(path)}: unreadable, damaged or no image") from error
    sizes = image.GetSize() if itk else image.shape
    if len(sizes) < 3:
        raise ValueError(f"{short_name(path)}: {len(sizes)} dimensions, not 3")
    components = image.GetNumberOfComponents() if itk else 1
    affine = itk_affine(image) if itk else image.affine
    return Header(tuple(sizes[:3]), affine, components * math.prod(sizes[3:]))


def _itk_reader(path: Path) -> sitk.ImageFileReader:
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    reader.ReadImageInformation()
    return reader


def difference(first: Path, second: Path, channels: Sequence[int] = (1,)) -> str | None:
    """Say how the grids of two files differ.

    Grids agree when their shapes are equal and every corner of the one lies where it lies in the other, to a
    hundredth of a voxel.

    Args:
        first: image file of one volume.
        second: image file.
        channels: how many volumes, or values a voxel, the second may have.

    Returns:
        A reason for a person, or None if the grids agree.
    """
    try:
        headers = header_of(first), header_of(second)
    except ValueError as error:
        return str(error)
    for path, header, expected in zip((first, second), headers, ((1,), channels), strict=True):
        if header.channels not in expected:
            count = f"{header.channels} volume{'s' if header.channels > 1 else ''}"
            return f"{short_name(path)}: {count} in one file, not {' or '.join(map(str, expected))}"
    (shape, affine, _), (other_shape, other_affine, _) = headers
    if shape != other_shape:
        return f"grids differ: {short_name(first)} has shape {_by(shape)}, {short_name(second)} {_by(other_shape)}"
    distance = farthest_corner(shape, affine, other_affine)
    if is_apart(distance, affine):
        return f"grids differ: {short_name(first)} and {short_name(second)} lie up to {distance:.3g} mm apart"
    return None


def short_name(path: Path) -> str:
    """Folder and name: image and label often have the same name.

    Args:
        path: a file.
    """
    return f"{path.parent.name}/{path.name}"


def _by(shape: tuple[int, ...]) -> str:
    return "x".join(map(str, shape))
