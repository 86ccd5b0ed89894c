"""DICOM series: find them in a folder and read one as a volume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.filereader import read_partial
from pydicom.misc import is_dicom
from pydicom.tag import Tag

from monai_tasks.io.dicom_file import DECODING_ERRORS, decode, read_grey
from monai_tasks.io.dicom_planes import Plane, planes_of, stack_planes
from monai_tasks.io.errors import InputError
from monai_tasks.io.formats import DICOM_SUFFIXES, LPS_TO_RAS

# Objects with pixels that are no images of a body: segmentations and dose maps.
_DERIVED_MODALITIES = ("SEG", "RTDOSE")
# The fields that tell series apart come before this one, and so does nothing large.
_LAST_SEARCHED = Tag("Columns")


@dataclass(frozen=True)
class Series:
    """The files of one DICOM series in one folder.

    Args:
        uid: its Series Instance UID; empty where no header could be read.
        folder: the folder it lies in.
        files: its files, sorted by name. An enhanced multi-frame file is a series of its own.
    """

    uid: str
    folder: Path
    files: tuple[Path, ...]


class SeriesVolume(NamedTuple):
    """A series as a volume.

    Args:
        array: (X, Y, Z), that is columns, rows, slices, with rescale slope and intercept applied: float32, or
            the stored integers where nothing is rescaled.
        affine: (4, 4), voxel indices to RAS+ millimetres.
    """

    array: np.ndarray
    affine: np.ndarray


def is_dicom_name(path: Path) -> bool:
    """Whether a file is to be read as DICOM.

    Args:
        path: a file.

    Returns:
        True for the suffixes .dcm, .dicom and .ima, and for files without a suffix, or with a number in its
        place as names made of UIDs have, that carry the DICOM marker.
    """
    suffix = path.suffix.lower()
    if suffix in DICOM_SUFFIXES:
        return True
    return (not suffix or suffix[1:].isdecimal()) and path.is_file() and is_dicom(path)


def find_series(folder: Path) -> list[Series]:
    """List the image series in one folder, without its subfolders and without reading pixels.

    Objects that hold no images (reports, segmentations, presentation states) are left out. A DICOM file whose
    header cannot be read counts as a slice of the folder's series where there is one series, so that it is
    refused and not overlooked, and as a series of its own elsewhere.

    Args:
        folder: the folder.

    Returns:
        The series, sorted by the name of their first file.
    """
    return list(_scan(folder, folder.stat().st_mtime_ns))


@lru_cache(maxsize=16)
def _scan(folder: Path, changed: int) -> tuple[Series, ...]:
    """`find_series`, remembered until the folder changes: each case of a folder asks again."""
    groups: dict[tuple[str, str], list[Path]] = {}
    unreadable: list[Path] = []
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or not path.is_file() or not is_dicom_name(path):
            continue
        try:
            header = search_header(path)
        except InputError:
            unreadable.append(path)
            continue
        if "Rows" in header and header.get("Modality") not in _DERIVED_MODALITIES:
            alone = path.name if int(header.get("NumberOfFrames") or 1) > 1 else ""
            groups.setdefault((str(header.get("SeriesInstanceUID", "")), alone), []).append(path)
    if len(groups) == 1:
        ((uid, _), files), *_ = groups.items()
        return (Series(uid, folder, tuple(sorted(files + unreadable))),)
    series = [Series(uid, folder, tuple(files)) for (uid, _), files in groups.items()]
    series += [Series("", folder, (path,)) for path in unreadable]
    return tuple(sorted(series, key=lambda found: found.files[0]))


def search_header(path: Path) -> FileDataset:
    """The first fields of a DICOM file, which tell what it is and what it belongs to: up to `Columns`.

    Args:
        path: the file.

    Raises:
        InputError: if it has no header that can be read.
    """
    try:
        with path.open("rb") as stream:
            return read_partial(stream, stop_when=lambda tag, vr, length: tag > _LAST_SEARCHED)
    except (InvalidDicomError, *DECODING_ERRORS) as cause:
        raise InputError(path, "a DICOM header that cannot be read", "a complete DICOM file") from cause


def series_of(path: Path) -> Series:
    """The one series of a folder, or the series in its folder that a file belongs to.

    Args:
        path: a folder or a DICOM file.

    Returns:
        The series.

    Raises:
        InputError: if there is no such path, no series, or more than one in the folder.
    """
    if not path.exists():
        raise InputError(path, "no such file or folder", "a DICOM series")
    if path.is_file():
        for series in find_series(path.parent):
            if path in series.files:
                return series
        raise InputError(path, "a DICOM file without an image", "a slice of a series")
    found = find_series(path)
    if not found:
        raise InputError(path, "a folder without DICOM images", "the slices of one series")
    if len(found) > 1:
        raise InputError(path, f"{len(found)} DICOM series", "one series, or the path of a file of one")
    return found[0]


def read_series(files: Sequence[Path]) -> SeriesVolume:
    """Read the slices of one series as a volume.

    Args:
        files: single-frame files, or one enhanced multi-frame file, in any order.

    Returns:
        The voxels and the affine; nothing else of the headers.

    Raises:
        InputError: if a file cannot be read or decoded, or if the slices do not make one complete volume (see
            `stack_planes`).
    """
    datasets = {path: read_grey(path) for path in files}
    planes = [plane for path, dataset in datasets.items() for plane in planes_of(path, dataset)]
    source = files[0] if len(files) == 1 else files[0].parent
    planes, affine = stack_planes(source, planes)
    return SeriesVolume(_voxels(datasets, planes), LPS_TO_RAS @ affine)


def _voxels(datasets: dict[Path, FileDataset], planes: Sequence[Plane]) -> np.ndarray:
    """Decode the planes into one (X, Y, Z) array."""
    frames = {path: decode(path, dataset) for path, dataset in datasets.items()}
    array = np.stack([frames[plane.path][plane.frame] for plane in planes])
    slopes = np.array([plane.slope for plane in planes], dtype=np.float32)[:, None, None]
    intercepts = np.array([plane.intercept for plane in planes], dtype=np.float32)[:, None, None]
    if (slopes != 1).any() or (intercepts != 0).any():
        array = array.astype(np.float32) * slopes + intercepts
    return array.transpose(2, 1, 0)
