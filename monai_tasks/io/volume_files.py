"""Volumes in single files (NIfTI, MGH, MetaImage, NRRD, ISQ, AIM) to arrays in RAS+ millimetres."""

from __future__ import annotations

import codecs
import gzip
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
from nibabel.filebasedimages import ImageFileError
from nibabel.spatialimages import HeaderDataError

from monai_tasks.io.errors import InputError
from monai_tasks.io.files import check_content
from monai_tasks.io.formats import FORMATS, LPS_TO_RAS, NIBABEL_SUFFIXES, is_scanco_name, volume_suffix
from monai_tasks.io.scanco import open_scanco

# What a decoder may raise on damaged bytes; anything else is a fault of the program and goes through.
DECODING_ERRORS = (OSError, ValueError, TypeError, OverflowError, MemoryError, RuntimeError, struct.error)


def read_volume_file(path: Path, allow_channels: bool = False) -> tuple[np.ndarray, np.ndarray]:
    """Read one file as a volume of one value a voxel, or of several where these are allowed.

    Args:
        path: a file with one of VOLUME_SUFFIXES.
        allow_channels: take several values a voxel, or a fourth axis, as the channels of one volume.

    Returns:
        The voxels (X, Y, Z), or (C, X, Y, Z) where there are several channels, in the file's own type and order,
        and the (4, 4) matrix from voxel indices to RAS+ millimetres. ISQ and AIM files are in mg HA/ccm.

    Raises:
        InputError: if the file is missing, empty, of another kind, damaged, or not such a volume.
    """
    suffix = volume_suffix(path)
    check_content(path, FORMATS)
    if not suffix:
        found = f"a {path.suffix} file" if path.suffix else "a file without a suffix"
        raise InputError(path, _text_or(path, found), FORMATS)
    if is_scanco_name(path):
        scan = open_scanco(path)
        return scan.read(range(scan.shape[2])), scan.affine
    read = _read_nibabel if suffix in NIBABEL_SUFFIXES else _read_itk
    return read(path, allow_channels)


def load_nibabel(path: Path) -> nib.spatialimages.SpatialImage:
    """Open a file with one of NIBABEL_SUFFIXES; its voxels are not read yet.

    Args:
        path: the file.

    Returns:
        The image. It keeps the file open once voxels have been read, so that slices of a packed file that are
        read in their order unpack it once.

    Raises:
        InputError: if it has no header of such an image, or colour voxels.
    """
    try:
        if path.name.lower().endswith("gz"):
            # nibabel takes a file that ends within the header for one of another kind.
            with gzip.open(path) as stream:
                stream.read(1024)
        image = nib.load(path, keep_file_open=True)
    except EOFError as cause:
        raise InputError(path, "a truncated gzip file", "a complete file") from cause
    except gzip.BadGzipFile as cause:
        raise InputError(path, _text_or(path, "not compressed by gzip"), "a gzip file") from cause
    except (ImageFileError, HeaderDataError, zlib.error, *DECODING_ERRORS) as cause:
        found = _text_or(path, "a header that cannot be read")
        raise InputError(path, found, f"a {volume_suffix(path)} volume") from cause
    if image.header.get_data_dtype().fields is not None:
        raise InputError(path, "colour voxels", "one value a voxel")
    return image


def itk_reader(path: Path) -> sitk.ImageFileReader:
    """Read the header of a file with one of ITK_SUFFIXES.

    Args:
        path: the file.

    Returns:
        SimpleITK's reader, which has read the header.

    Raises:
        InputError: if it has no header of such an image.
    """
    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as cause:
        found = _text_or(path, "a header that cannot be read")
        raise InputError(path, found, f"a {volume_suffix(path)} volume") from cause
    return reader


def itk_affine(image: sitk.Image | sitk.ImageFileReader) -> np.ndarray:
    """The matrix from voxel indices to millimetres of what SimpleITK has read.

    Args:
        image: of three dimensions or more; those after the third are left out. A reader that has read the header
            will do.

    Returns:
        (4, 4), RAS+.
    """
    dimensions = image.GetDimension()
    affine = np.eye(4)
    direction = np.reshape(image.GetDirection(), (dimensions, dimensions))[:3, :3]
    affine[:3, :3] = direction * image.GetSpacing()[:3]
    affine[:3, 3] = image.GetOrigin()[:3]
    return LPS_TO_RAS @ affine


def _read_nibabel(path: Path, allow_channels: bool) -> tuple[np.ndarray, np.ndarray]:
    image = load_nibabel(path)
    shape, channels = shape_and_channels(path, image.shape, allow_channels)
    try:
        if path.name.lower().endswith("gz"):
            # Decoding all at once checks the checksum at the file's end, which reading piece by piece skips.
            image = type(image).from_bytes(gzip.decompress(path.read_bytes()))
        array = np.asanyarray(image.dataobj).reshape((*shape, channels))
    except EOFError as cause:
        raise InputError(path, "a truncated gzip file", "a complete file") from cause
    except (zlib.error, gzip.BadGzipFile) as cause:
        raise InputError(path, "a damaged gzip file", "a file that passes gzip's own check") from cause
    except (ImageFileError, HeaderDataError, *DECODING_ERRORS) as cause:
        raise InputError(path, "damaged or incomplete voxels", _bytes_of(image, shape)) from cause
    array = array[..., 0] if channels == 1 else np.moveaxis(array, -1, 0)
    return array, np.array(image.affine, dtype=np.float64)


def _read_itk(path: Path, allow_channels: bool) -> tuple[np.ndarray, np.ndarray]:
    reader = itk_reader(path)
    components = reader.GetNumberOfComponents()
    if components != 1 and not allow_channels:
        raise InputError(path, f"{components} values a voxel", "one value a voxel")
    # Where a voxel has several values, a fourth axis is one too many.
    shape, volumes = shape_and_channels(path, reader.GetSize(), allow_channels and components == 1)
    try:
        image = reader.Execute()
    except DECODING_ERRORS as cause:
        found = "damaged or incomplete voxels"
        raise InputError(
            path, found, "a complete file, with its data file beside it where it has one"
        ) from cause
    # Of several values a voxel SimpleITK's array has the values last, and so they come first here.
    array = sitk.GetArrayFromImage(image).T
    if components != 1:
        return array.reshape((components, *shape)), itk_affine(image)
    array = array.reshape((*shape, volumes))
    return array[..., 0] if volumes == 1 else np.moveaxis(array, -1, 0), itk_affine(image)


def shape_and_channels(
    path: Path, shape: Sequence[int], allow_channels: bool
) -> tuple[tuple[int, int, int], int]:
    """The three sizes of a volume and the number of its volumes, without axes of one voxel after the third.

    Args:
        path: the file, for the error.
        shape: the sizes of all axes.
        allow_channels: take a fourth axis.

    Returns:
        (X, Y, Z) and the size of the fourth axis.

    Raises:
        InputError: if it is no volume of several slices, or several volumes.
    """
    sizes = tuple(int(size) for size in shape)
    text = " x ".join(map(str, sizes))
    if any(size < 1 for size in sizes):
        raise InputError(path, f"an axis without voxels ({text})", "voxels along each axis")
    while len(sizes) > 2 and sizes[-1] == 1:
        sizes = sizes[:-1]
    if len(sizes) < 3:
        raise InputError(path, f"one plane ({text})", "a volume of several slices")
    more = [size for size in sizes[3:] if size > 1]
    volumes = int(np.prod(more))
    if len(more) > int(allow_channels):
        expected = "one volume, 3 dimensions" + (", and one of channels" if allow_channels else "")
        raise InputError(path, f"{len(sizes)} dimensions, {volumes} volumes ({text})", expected)
    if min(sizes[:3]) < 2:
        raise InputError(path, f"one plane ({text})", "a volume of several slices")
    return sizes[:3], volumes


def _bytes_of(image: nib.spatialimages.SpatialImage, shape: tuple[int, int, int]) -> str:
    text = " x ".join(map(str, shape))
    return f"the {text} voxels ({image.header.get_data_dtype()}) that its header tells of"


def _text_or(path: Path, otherwise: str) -> str:
    """`a text file` where a file's beginning is text and no image header, else the other words."""
    with path.open("rb") as stream:
        start = stream.read(512)
    try:
        # Incremental, because the last character may be cut in two.
        codecs.getincrementaldecoder("utf-8")().decode(start)
    except UnicodeDecodeError:
        return otherwise
    is_image = b"\0" in start or start.startswith((b"NRRD", b"ObjectType", b"NDims"))
    return otherwise if is_image else "a text file"
