"""Inverts the images in which bone is dark, so that it is bright in all of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from monai_tasks.radiographs.colour_evidence import score
from monai_tasks.radiographs.foreground import Overview
from monai_tasks.radiographs.study import Image, Study

CORNER = 100 / 255  # of the full range
PRIOR = 0.5  # logarithm of the odds before an image is looked at: files mostly say rightly how they are to be shown


def is_inverted(pixels: np.ndarray, overview: Overview | None = None) -> tuple[bool, float]:
    """Whether bone is dark.

    Told by what lies inside frames and shutters, see `colour_evidence`. The evidence of the inverted image is always
    just the opposite; where it is weak, both count as not inverted.

    Args:
        pixels: (H, W), uint16.
        overview: of these pixels; made where not given.

    Returns:
        inverted: whether bone is dark; False where the image is even.
        confidence: 0.5 to 1, the estimated probability that the answer is right.
    """
    overview = overview or Overview(pixels)
    value = score(overview.small, overview.field) + PRIOR
    return value < 0, float(1 / (1 + np.exp(-abs(value))))


def corner_rule(pixels: np.ndarray) -> bool:
    """The rule of old that this is measured by: inverted if the four corners are, on average, 100 of 255 or brighter.

    Args:
        pixels: (H, W), uint16.
    """
    return (
        float(np.mean(pixels[:: max(pixels.shape[0] - 1, 1), :: max(pixels.shape[1] - 1, 1)]))
        >= CORNER * 65535
    )


@dataclass(frozen=True)
class ColourInversion:
    """Invert the images in which bone is dark, and write into the column `colour_inverted` what was done: yes or no.

    An image that has the column filled has been looked at before and is left as it is.
    """

    name = "colour_inversion"

    def __call__(self, study: Study) -> Study:
        return study.with_images([self._bright(image) for image in study.images])

    def _bright(self, image: Image) -> Image:
        if image.row["colour_inverted"]:
            return image
        inverted, _ = is_inverted(image.pixels, image.overview)
        if inverted:
            return image.with_pixels(np.iinfo(np.uint16).max - image.pixels, colour_inverted="yes")
        return image.with_columns(colour_inverted="no")
