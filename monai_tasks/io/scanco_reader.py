"""A MONAI image reader for Scanco's volumes in a unit of one's choice."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_tasks.io.errors import InputError
from monai_tasks.io.formats import is_scanco_name
from monai_tasks.io.scanco import open_scanco
from monai_tasks.io.scanco_units import check_unit
from monai_tasks.io.volume_reader import VolumeReader


class ScancoReader(VolumeReader):
    """Read ISQ and AIM volumes whole, for `LoadImaged`. `VolumeReader` reads them, too, in mg HA/ccm.

    In a bundle's config, within `LoadImaged`: `"reader": "monai_tasks.io.scanco_reader.ScancoReader", "unit": "hu"`.

    Args:
        unit: `native`, `attenuation` (1/cm), `density` (mg HA/ccm) or `hu`.
        allow_constant: take volumes whose voxels are all equal.

    Raises:
        ValueError: if there is no such unit.
    """

    def __init__(self, unit: str = "density", allow_constant: bool = False) -> None:
        super().__init__(allow_constant)
        check_unit(unit)
        self.unit = unit

    def _decode(self, path: Path, allow_channels: bool) -> tuple[np.ndarray, np.ndarray]:
        if not is_scanco_name(path):
            raise InputError(path, "a file of another kind", "an ISQ or AIM file")
        scan = open_scanco(path, self.unit)
        return scan.read(range(scan.shape[2])), scan.affine
