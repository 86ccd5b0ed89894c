"""Scans of any format, of which single slices are read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_tasks.io.dicom_series import is_dicom_name
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import check_content
from monai_tasks.io.formats import FORMATS, is_scanco_name, volume_suffix
from monai_tasks.io.grid import check_affine
from monai_tasks.io.scan_base import Scan
from monai_tasks.io.scan_dicom import open_series
from monai_tasks.io.scan_files import open_file
from monai_tasks.io.scanco import open_scanco
from monai_tasks.io.scanco_units import check_unit

__all__ = ["OpenScand", "Scan", "open_scan"]


def open_scan(path: str | os.PathLike[str], unit: str = "density") -> Scan:
    """Open a scan; only headers are read.

    Example:
        >>> scan = open_scan("C0001234.ISQ")
        >>> scan.read([10, 20]).shape
        (2304, 2304, 2)

    Args:
        path: an ISQ, AIM, NIfTI, MGH, MetaImage or NRRD file, a folder with one DICOM series, or a DICOM file, which
            stands for the series in its folder that it belongs to.
        unit: `native` (as stored), `attenuation` (1/cm), `density` (mg HA/ccm) or `hu`. ISQ and AIM files are
            converted by their own calibration; the values of other files are taken to be in the unit already.

    Returns:
        The scan.

    Raises:
        ValueError: if there is no such unit.
        InputError: if there is no such path, if it is no volume of several slices, or if it cannot be given in
            the unit.
    """
    check_unit(unit)
    path = Path(path)
    if path.is_dir() or is_dicom_name(path):
        scan: Scan = open_series(path, unit)
    else:
        check_content(path, FORMATS)
        if not volume_suffix(path):
            found = f"a {path.suffix} file" if path.suffix else "a file without a suffix"
            raise InputError(path, found, FORMATS)
        scan = open_scanco(path, unit) if is_scanco_name(path) else open_file(path, unit)
    check_affine(path, scan.affine)
    return scan


class OpenScand(MapTransform):
    """Replace paths by their scans. It stands first in a bundle's chain, in the place of `LoadImaged`.

    In a bundle's config: `{"_target_": "monai_tasks.io.scan.OpenScand", "keys": "image"}`.

    Args:
        keys: of the paths.
        unit: see `open_scan`.
        allow_missing_keys: pass over keys that an item lacks.

    Raises:
        ValueError: if there is no such unit.
    """

    def __init__(self, keys: KeysCollection, unit: str = "density", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        check_unit(unit)
        self.unit = unit

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Open the scans.

        Args:
            data: with a path under each key.

        Returns:
            A copy with a `Scan` under each key.

        Raises:
            InputError: if a value is not one path, or if it cannot be opened.
        """
        opened = dict(data)
        for key in self.key_iterator(opened):
            path = opened[key]
            if not isinstance(path, (str, os.PathLike)):
                raise InputError(str(key), f"a {type(path).__name__}", "the path of one scan")
            opened[key] = open_scan(path, self.unit)
        return opened
