"""MONAI's reader of radiographs for the configs of bundles."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader
from monai.utils import MetaKeys, SpaceKeys

from monai_tasks.io.dicom_file import unchecked_values
from monai_tasks.io.errors import InputError
from monai_tasks.io.radiograph import read_radiograph
from monai_tasks.io.radiograph_frames import frame_path, split_frame


class RadiographReader(ImageReader):
    """Read one radiograph: a DICOM file of any name, or a PNG or JPEG file.

    Of a DICOM file with several frames the path names one, as `radiograph_frames.frame_path` makes it.

    `LoadImage` turns to other readers when `read` fails, and they would load what is refused here. So `read`
    only keeps the path; `get_data` decodes. Nothing of the header is kept: it may name a person.

    In a bundle's config: `"reader": "monai_tasks.io.radiograph_reader.RadiographReader"`.

    Example:
        >>> load = LoadImaged(keys="image", reader=RadiographReader, ensure_channel_first=True)
        >>> load({"image": "wrist.png"})["image"].shape
        torch.Size([1, 1024, 682])
    """

    def verify_suffix(self, filename: Sequence[str | os.PathLike[str]] | str | os.PathLike[str]) -> bool:
        """Take every path: one that cannot be read is refused with a reason, not left to another reader.

        Args:
            filename: the path.

        Returns:
            True.
        """
        return True

    def read(
        self, data: Sequence[str | os.PathLike[str]] | str | os.PathLike[str], **kwargs: Any
    ) -> tuple[Path, ...]:
        """Keep the path for `get_data`.

        Args:
            data: one path.
            kwargs: ignored; part of MONAI's interface.

        Returns:
            The path, in a tuple.
        """
        names = (data,) if isinstance(data, (str, os.PathLike)) else data
        return tuple(Path(name) for name in names)

    def get_data(self, img: Sequence[Path]) -> tuple[np.ndarray, dict[str, Any]]:
        """Decode what `read` gave.

        Args:
            img: the path.

        Returns:
            (H, W), float32 from 0 to 65535, rows from the top, white where the body is dense; and MONAI's
            metadata with an identity as `affine`: a radiograph lies nowhere in space.

        Raises:
            InputError: if there are several paths, or several frames and none is named, or the file cannot be read.
        """
        if len(img) != 1:
            raise InputError(img[0], f"{len(img)} files in one case", "one radiograph")
        file, frame = split_frame(img[0])
        try:
            with unchecked_values():  # their warnings would show what the header says
                radiograph = read_radiograph(file, (frame or 1) - 1)
        except InputError as error:
            if frame is None:
                raise
            raise InputError(img[0], *error.args[1:]) from error
        if frame is None and radiograph.frames != 1:
            expected = f"one, or the name of one of them, such as {frame_path(file, 1).name}"
            raise InputError(file, f"{radiograph.frames} frames", expected)
        array = radiograph.pixels.astype(np.float32)
        metadata = {
            MetaKeys.AFFINE: np.eye(4),
            MetaKeys.ORIGINAL_AFFINE: np.eye(4),
            MetaKeys.SPATIAL_SHAPE: np.asarray(array.shape),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.ORIGINAL_CHANNEL_DIM: float("nan"),
        }
        return array, {str(key.value): value for key, value in metadata.items()}
