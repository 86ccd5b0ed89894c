"""Radiographs: DICOM, PNG and JPEG files to grey pixels with white where the body is dense."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydicom.misc import is_dicom

from monai_tasks.io.dicom_file import decode, read_grey
from monai_tasks.io.dicom_series import is_dicom_name
from monai_tasks.io.errors import InputError
from monai_tasks.io.picture import PICTURE_SUFFIXES, read_picture
from monai_tasks.io.radiograph_frames import count_frames
from monai_tasks.io.radiograph_header import RadiographHeader, header_of
from monai_tasks.io.radiograph_shades import shades


@dataclass(frozen=True)
class Radiograph:
    """One radiograph.

    Args:
        pixels: (H, W), uint16 from 0 to 65535, rows from the top and columns from the left, white where the body
            is dense.
        frames: how many images the file holds.
        header: what of the file's header may be kept.
    """

    pixels: np.ndarray
    frames: int
    header: RadiographHeader


def is_dicom_file(path: Path) -> bool:
    """Whether a file is to be read as DICOM: by its name, or by the DICOM marker, whatever its name is."""
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return False
    return is_dicom_name(path) or (path.is_file() and is_dicom(path))


def read_radiograph(path: str | os.PathLike[str], frame: int = 0) -> Radiograph:
    """Read one image of a file.

    Args:
        path: a DICOM file, or a PNG or JPEG file with grey pixels.
        frame: which image of the file, from 0.

    Returns:
        The radiograph. A DICOM file's modality LUT, then its VOI LUT or first window are applied (see
        `radiograph_shades.shades`); pixels of 8 bits become 16 bits.

    Raises:
        InputError: if the file cannot be read or decoded, has colours, has no such frame, or all pixels are equal.
    """
    path = Path(path)
    dataset = read_grey(path) if is_dicom_file(path) else None
    frames = 1 if dataset is None else count_frames(dataset)
    if not 0 <= frame < frames:
        raise InputError(path, f"{frames} frames" if frames > 1 else "1 frame", f"{frame + 1} at least")
    if dataset is None:
        return _of_picture(path)
    stored = decode(path, dataset, frame if frames > 1 else None)
    return Radiograph(shades(path, dataset, stored[0]), frames, header_of(dataset))


def read_frames(path: str | os.PathLike[str]) -> Iterator[Radiograph | InputError]:
    """Read the images of a file one by one; the file is decoded once.

    Args:
        path: as for `read_radiograph`.

    Yields:
        The radiographs in the order of the frames; in place of a frame that shows nothing, the error that says so.

    Raises:
        InputError: if the file cannot be read or decoded, or has colours.
    """
    path = Path(path)
    if not is_dicom_file(path):
        yield _of_picture(path)
        return
    dataset = read_grey(path)
    header = header_of(dataset)
    stored = decode(path, dataset)
    for values in stored:
        try:
            pixels = shades(path, dataset, values)
        except InputError as error:
            yield error
        else:
            yield Radiograph(pixels, len(stored), header)


def _of_picture(path: Path) -> Radiograph:
    pixels, bits = read_picture(path)
    return Radiograph(pixels, 1, RadiographHeader(bits_stored=bits))
