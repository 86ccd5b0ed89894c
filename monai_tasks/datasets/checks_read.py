"""Read the images and labels of a case for the checks, with the readers that training has."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import NamedTuple

import nibabel as nib
import numpy as np

from monai_tasks.io.dicom_file import unchecked_values
from monai_tasks.io.dicom_series import search_header
from monai_tasks.io.errors import InputError
from monai_tasks.io.formats import volume_suffix
from monai_tasks.io.picture import PICTURE_SUFFIXES
from monai_tasks.io.radiograph_frames import split_frame
from monai_tasks.io.radiograph_kind import no_radiograph
from monai_tasks.io.radiograph_reader import RadiographReader
from monai_tasks.io.scan import open_scan
from monai_tasks.io.volume_reader import VolumeReader

SLICES = 5  # of a volume that is classified; a whole HR-pQCT scan has gigabytes


class Image(NamedTuple):
    """One channel or view.

    Args:
        array: (H, W), float32, of a radiograph; (X, Y, Z) of a volume, with its axes towards the right, the front and
            the top as nearly as they go. Of a volume that is classified some slices only.
        shape: of the whole image, in the order of `array`.
        affine: (4, 4), indices of the whole image to RAS+ millimetres; None for a radiograph.
        orientation: where the axes of the file itself go, such as `LPS`; empty for a radiograph.
    """

    array: np.ndarray
    shape: tuple[int, ...]
    affine: np.ndarray | None = None
    orientation: str = ""


class LabelMap(NamedTuple):
    """The labels of a case.

    Args:
        masks: label value to (X, Y, Z), bool, with the axes of `Image`. Of several files, or the channels of one, the
            value is their place from 1.
        shape: (X, Y, Z) of the masks.
        affine: (4, 4), indices to RAS+ millimetres.
    """

    masks: dict[int, np.ndarray]
    shape: tuple[int, ...]
    affine: np.ndarray


def read_channels(paths: Sequence[Path]) -> list[Image]:
    """The channels of a case that is segmented.

    Args:
        paths: a file each; one file may hold all of them.

    Raises:
        InputError: as `VolumeReader` does.
    """
    reader = VolumeReader(allow_channels=True)
    array, metadata = reader.get_data(reader.read(paths))
    affine = np.asarray(metadata["affine"])
    return [_upright(channel, affine) for channel in (array if array.ndim == 4 else [array])]


def read_classified(path: Path) -> Image:
    """A radiograph, or some slices of a volume.

    Args:
        path: of a picture, a frame of a DICOM file, a volume or a folder with a DICOM series.

    Raises:
        InputError: if it cannot be read, or all that is looked at is equal.
    """
    if _is_radiograph(path):
        reader = RadiographReader()
        array, _ = reader.get_data(reader.read(path))
        return Image(_varied(path, array), array.shape)
    scan = open_scan(path)
    depth = scan.shape[2]
    # Not the first and the last, which are blank in many a scan.
    indices = np.unique(np.linspace(0, depth - 1, SLICES + 2).round().astype(int)[1:-1])
    return _upright(_varied(path, scan.read(indices.tolist())), scan.affine, scan.shape)


def _varied(path: Path, array: np.ndarray) -> np.ndarray:
    """The array, which must not be of one value: that has no contrast to be measured."""
    if array.min() == array.max():
        raise InputError(path, f"all voxels looked at equal ({array.flat[0]:g})", "an image")
    return array


def read_label(paths: Sequence[Path], values: Collection[int] | None = None) -> LabelMap:
    """The labels of a case that is segmented.

    Args:
        paths: a label map, a file of several channels, or a file a label. In a channel, or where there are several
            files, all above 0 is inside.
        values: the label values to keep; None for all but 0.

    Raises:
        InputError: as `VolumeReader` does, and if a label map has values that are no whole numbers.
    """
    reader = VolumeReader(allow_constant=True, allow_channels=True)
    array, metadata = reader.get_data(reader.read(paths))
    affine = np.asarray(metadata["affine"])
    if array.ndim == 4:
        masks = {place: channel > 0 for place, channel in enumerate(array, start=1)}
    else:
        found = np.unique(array)
        if (found != np.round(found)).any():
            raise InputError(
                paths[0], f"label values such as {found[found != np.round(found)][0]:.4g}", "whole numbers"
            )
        masks = {int(value): array == value for value in found if value}
    kept = {value: mask for value, mask in masks.items() if values is None or value in values}
    empty = _upright(np.zeros(array.shape[-3:], bool), affine)
    return LabelMap(
        {value: _upright(mask, affine).array for value, mask in kept.items()}, empty.shape, empty.affine
    )


def _is_radiograph(path: Path) -> bool:
    """Whether a file is a single image; of DICOM files the header says it."""
    file, frame = split_frame(path)
    if frame is not None or file.suffix.lower() in PICTURE_SUFFIXES:
        return True
    if file.is_dir() or volume_suffix(file):
        return False
    with unchecked_values():  # their warnings would show what the header says
        return not no_radiograph(search_header(file))


def _upright(array: np.ndarray, affine: np.ndarray, shape: tuple[int, ...] | None = None) -> Image:
    """A volume with its axes in the order right, front, top, each as near as an axis of the file comes."""
    orientation = nib.io_orientation(affine)
    turned = nib.apply_orientation(array, orientation)
    whole = array.shape if shape is None else shape
    own = affine @ nib.orientations.inv_ornt_aff(orientation, whole)
    order = np.argsort(orientation[:, 0])
    codes = "".join(nib.orientations.ornt2axcodes(orientation))
    return Image(turned, tuple(whole[axis] for axis in order), own, codes)
