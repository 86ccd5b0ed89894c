"""Pictures of 8 bits, as published data sets of radiographs hold them: grey, or with equal colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from monai_tasks.io.files import atomic_path


def write_picture(path: Path, pixels: np.ndarray, mode: str = "L") -> None:
    """Write the upper 8 bits of an image as PNG, complete or not at all.

    Args:
        path: the file; its folder is made if missing.
        pixels: (H, W) uint16.
        mode: "L" for grey, "RGB" or "RGBA" for equal colours.
    """
    with atomic_path(path) as temporary:
        Image.fromarray((pixels >> 8).astype(np.uint8)).convert(mode).save(temporary)
