"""A study of radiographs in memory, and what a step of the pipeline is."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

if TYPE_CHECKING:
    from monai_tasks.radiographs.foreground import Overview


class Image:
    """One radiograph: its row of the metadata, and its pixels, which are read when they are first asked for.

    An image is not changed in place. `with_pixels` and `with_columns` give a changed one, so that what no step
    touched is known, and its file is taken over as it is.

    Args:
        row: column to text, see `monai_tasks.datasets.radiographs.COLUMNS`.
        pixels: (H, W), uint16, rows from the top and columns from the left, white where the body is dense.
        file: the PNG file that holds just these pixels. One of `pixels` and `file` is needed.

    Raises:
        ValueError: if both pixels and file are missing, or the pixels are not a 2D array of uint16.
    """

    def __init__(
        self, row: dict[str, str], pixels: np.ndarray | None = None, file: Path | None = None
    ) -> None:
        if pixels is None and file is None:
            raise ValueError("an image without pixels and without a file; expected one of them")
        if pixels is not None and (pixels.ndim != 2 or pixels.dtype != np.uint16):
            raise ValueError(f"pixels of shape {pixels.shape} and {pixels.dtype}; expected (H, W) and uint16")
        self.row = dict(row)
        self.file = file
        self._pixels = pixels
        self._overview: Overview | None = None

    @property
    def pixels(self) -> np.ndarray:
        """(H, W), uint16. Read from the file the first time; not to be written to.

        Raises:
            InputError: if the file cannot be read.
        """
        if self._pixels is None:
            from monai_tasks.io.picture import read_picture

            self._pixels, _ = read_picture(self.file)
        return self._pixels

    @property
    def overview(self) -> Overview:
        """What the steps see of the pixels: made once for all images that have the same pixels.

        Raises:
            InputError: if the pixels cannot be read from the file.
        """
        if self._overview is None:
            from monai_tasks.radiographs.foreground import Overview

            self._overview = Overview(self.pixels)
        return self._overview

    def with_columns(self, **columns: str) -> Image:
        """The same pixels with some columns of the row set."""
        image = Image({**self.row, **columns}, self._pixels, self.file)
        image._overview = self._overview
        return image

    def with_pixels(self, pixels: np.ndarray, **columns: str) -> Image:
        """Other pixels, (H, W) and uint16, with some columns set; `rows` and `columns` follow the pixels."""
        height, width = pixels.shape
        row = {**self.row, "rows": str(height), "columns": str(width), **columns}
        return Image(row, np.ascontiguousarray(pixels))


@dataclass(frozen=True)
class Study:
    """The images of one study on their way through the pipeline.

    Args:
        name: the study's pseudonym, which is its folder.
        label: `broken`, `not_broken` or `unlabelled`.
        images: in the order of the metadata.
        rejected: images that steps left out: `file`, `study` and `reason`.
        tallies: by the name of a step what it counts over the whole data set.
    """

    name: str
    label: str
    images: Sequence[Image]
    rejected: Sequence[dict[str, str]] = ()
    tallies: dict[str, Counter[str]] = field(default_factory=dict)

    def with_images(self, images: Sequence[Image]) -> Study:
        """The study with other images, such as more, fewer or changed ones."""
        return replace(self, images=tuple(images))

    def without(self, image: Image, reason: str) -> Study:
        """The study without one of its images, which is listed as rejected."""
        row = {"file": image.row["image"], "study": self.name, "reason": reason}
        kept = tuple(other for other in self.images if other is not image)
        return replace(self, images=kept, rejected=(*self.rejected, row))

    def counted(self, step: str, counts: Counter[str]) -> Study:
        """The study with what a step counted in it."""
        return replace(self, tallies={**self.tallies, step: counts})


@runtime_checkable
class Step(Protocol):
    """One step of the pipeline: a frozen dataclass of its parameters, built by the config, and called.

    A second run on a step's own output must change nothing. A step that counts over the whole data set, by
    `Study.counted`, has a method `finish(counts, folder)` too, which writes what came of it.
    """

    name: str

    def __call__(self, study: Study) -> Study:
        """The study after the step; what it was given stays as it was.

        Args:
            study: with at least one image.

        Raises:
            InputError: if an image cannot be used; the study then fails as a whole.
        """
        ...
