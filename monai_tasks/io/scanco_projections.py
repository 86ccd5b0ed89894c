"""Projections of Scanco's scanners as RSQ files keep them, before reconstruction."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from monai_tasks.io.errors import InputError
from monai_tasks.io.scanco_header import SHAPE, check_size, first_block, integers

# Byte offsets of 32-bit fields: the angle of all views in thousandths of a degree, and their number.
ANGLE, OBJECT_VIEWS = 60, 260
# One frame without radiation and one without an object.
_REFERENCES = 2


@dataclass(frozen=True, eq=False)
class Projections:
    """The views of one scan, mapped into memory: only what is used is read.

    Args:
        path: the file.
        values: (views, rows, columns), uint16, counts of the detector.
        angles_degrees: (views,), from 0.
        dark: (rows, columns), uint16, counts without radiation; None where the file has no such frame.
        bright: (rows, columns), uint16, counts without an object; None where the file has no such frame.
    """

    path: Path
    values: np.ndarray
    angles_degrees: np.ndarray
    dark: np.ndarray | None
    bright: np.ndarray | None

    def attenuation(self, views: Sequence[int] | slice) -> np.ndarray:
        """The integral of linear attenuation along each ray: `-log((counts - dark) / (bright - dark))`.

        Args:
            views: which views.

        Returns:
            (number of views, rows, columns), float32. Counts at or below the dark ones are taken as one above them.

        Raises:
            InputError: if the file has no dark and bright frames.
        """
        if self.dark is None or self.bright is None:
            expected = "one frame without radiation and one without an object"
            raise InputError(self.path, "no frames beside the views", expected)
        dark = self.dark.astype(np.float32)
        full = np.maximum(self.bright - dark, 1.0)
        return -np.log(np.maximum(self.values[views] - dark, 1.0) / full)


def read_projections(
    path: str | os.PathLike[str], views: int | None = None, step_degrees: float | None = None
) -> Projections:
    """Open an RSQ file.

    The file keeps its frames row by row of the detector. Where it has two frames more than views, the first is the
    one without radiation and the second the one without an object.

    Args:
        path: the file.
        views: how many views show the object, where the header does not tell it.
        step_degrees: the angle between two views, where the header does not tell it.

    Returns:
        The projections.

    Raises:
        InputError: if the file is no complete RSQ file, or if its views and their angle are not known.
    """
    path = Path(path)
    block = first_block(path)
    columns, frames, rows = integers(block, SHAPE, 3)
    offset = check_size(path, block, (columns, frames, rows))
    count = integers(block, OBJECT_VIEWS)[0] if views is None else views
    if count < 1 or frames - count not in (0, _REFERENCES):
        found = f"{frames} frames, {count} of them views of the object"
        raise InputError(path, found, f"as many frames as views, or {_REFERENCES} more")
    step = integers(block, ANGLE)[0] / 1000.0 / count if step_degrees is None else step_degrees
    if step <= 0:
        raise InputError(path, "no angle of its views in the header", "one, or a step in degrees beside it")
    stored = np.memmap(path, "<u2", "r", offset, (rows, frames, columns)).transpose(1, 0, 2)
    dark, bright = stored[:_REFERENCES] if frames > count else (None, None)
    return Projections(path, stored[frames - count :], np.arange(count) * step, dark, bright)
