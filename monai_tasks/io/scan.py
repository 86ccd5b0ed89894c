"""Scans of any format, of which single slices are read when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from monai.config import KeysCollection
from monai.transforms import MapTransform

from monai_tasks.io.errors import InputError
from monai_tasks.io.formats import volume_suffix
from monai_tasks.io.scan_base import Scan
from monai_tasks.io.scanco import open_isq

__all__ = ["OpenScand", "Scan", "open_scan"]


def open_scan(path: str | os.PathLike[str], unit: str = "density") -> Scan:
    path = Path(path)
    if volume_suffix(path) == ".isq" or path.suffix.lower() == ".isq":
        return open_isq(path, unit)
    raise InputError(path, "another format", "an ISQ file")


class OpenScand(MapTransform):
    def __init__(self, keys: KeysCollection, unit: str = "density", allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.unit = unit

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        opened = dict(data)
        for key in self.key_iterator(opened):
            opened[key] = open_scan(opened[key], self.unit)
        return opened
