"""One reader for the volumes of all bundles, which refuses what a network cannot use."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import ImageReader
from monai.utils import MetaKeys, SpaceKeys

from monai_tasks.io.dicom_series import is_dicom_name, read_series, series_of
from monai_tasks.io.errors import InputError
from monai_tasks.io.grid import check_affine, farthest_corner, is_apart
from monai_tasks.io.volume_files import read_volume_file


class VolumeReader(ImageReader):
    """Read a volume, or several on one grid as the channels of one case.

    A path is a NIfTI (.nii, .nii.gz), MGH, MetaImage or NRRD file, an ISQ or AIM file, which is read in mg HA/ccm,
    a folder with one DICOM series, or a DICOM file, which stands for the series in its folder that it belongs to.

    `LoadImage` turns to other readers when `read` fails, and they would load what is refused here. So `read`
    only keeps the paths; `get_data` decodes and checks. Of the header only the geometry is kept: the other
    fields may name a person.

    In a bundle's config: `"reader": "monai_tasks.io.volume_reader.VolumeReader"`.

    Example:
        >>> load = LoadImaged(keys="image", reader=VolumeReader, ensure_channel_first=True)
        >>> load({"image": "case.nii.gz"})["image"].shape
        torch.Size([1, 34, 52, 35])

    Args:
        allow_constant: take volumes whose voxels are all equal. For labels, which may be empty.
        allow_channels: where a case is one file, take several values a voxel, or a fourth axis, as its channels.
            Without it such a file is refused.
    """

    def __init__(self, allow_constant: bool = False, allow_channels: bool = False) -> None:
        super().__init__()
        self.allow_constant = allow_constant
        self.allow_channels = allow_channels

    def verify_suffix(self, filename: Sequence[str | os.PathLike[str]] | str | os.PathLike[str]) -> bool:
        """Take every path: one that cannot be read is refused with a reason, not left to another reader.

        Args:
            filename: path or paths.

        Returns:
            True.
        """
        return True

    def read(
        self, data: Sequence[str | os.PathLike[str]] | str | os.PathLike[str], **kwargs: Any
    ) -> tuple[Path, ...]:
        """Keep the paths for `get_data`.

        Args:
            data: one path, or the paths of a case's channels in their order.
            kwargs: ignored; part of MONAI's interface.

        Returns:
            The paths.
        """
        names = (data,) if isinstance(data, (str, os.PathLike)) else data
        return tuple(Path(name) for name in names)

    def get_data(self, img: Sequence[Path]) -> tuple[np.ndarray, dict[str, Any]]:
        """Decode and check what `read` gave.

        Args:
            img: the paths of the channels.

        Returns:
            The voxels, (X, Y, Z) for one channel and (C, X, Y, Z) for several paths, or for the several channels
            of one file where these are allowed; and MONAI's metadata: `affine` and `original_affine` (voxel
            indices to RAS+ millimetres), `spatial_shape`, `space` and `original_channel_dim`.

        Raises:
            InputError: if a path cannot be read as such a volume, if its voxels are not finite or (unless
                allowed) all equal, or if the channels do not lie on one grid.
        """
        # Of several files each is one channel.
        volumes = [self._volume(path, self.allow_channels and len(img) == 1) for path in img]
        array, affine = volumes[0]
        for path, (other, other_affine) in zip(img[1:], volumes[1:], strict=True):
            _check_same_grid(path, other.shape, other_affine, img[0], array.shape, affine)
        stacked = array if len(volumes) == 1 else np.stack([volume for volume, _ in volumes])
        channel_dim = float("nan") if stacked.ndim == 3 else 0
        metadata = {
            MetaKeys.AFFINE: affine.copy(),
            MetaKeys.ORIGINAL_AFFINE: affine.copy(),
            MetaKeys.SPATIAL_SHAPE: np.asarray(stacked.shape[-3:]),
            MetaKeys.SPACE: SpaceKeys.RAS,
            MetaKeys.ORIGINAL_CHANNEL_DIM: channel_dim,
        }
        return stacked, {str(key.value): value for key, value in metadata.items()}

    def _volume(self, path: Path, allow_channels: bool) -> tuple[np.ndarray, np.ndarray]:
        array, affine = self._decode(path, allow_channels)
        check_affine(path, affine)
        for channel in array if array.ndim == 4 else [array]:
            _check_values(path, channel, self.allow_constant)
        return array, affine

    def _decode(self, path: Path, allow_channels: bool) -> tuple[np.ndarray, np.ndarray]:
        """The voxels of one path, whatever its format, and where they lie."""
        if path.is_dir() or is_dicom_name(path):
            array, affine = read_series(series_of(path).files)
            return array, affine
        return read_volume_file(path, allow_channels)


def _check_values(path: Path, array: np.ndarray, allow_constant: bool) -> None:
    """Refuse voxels that are not finite numbers in float32, or that hold no image."""
    if array.dtype.kind not in "biuf":
        raise InputError(path, f"voxels of type {array.dtype}", "real numbers")
    # NaN passes through min and max, so that two reductions see every kind of bad voxel.
    low, high = array.min(), array.max()
    if array.dtype.kind == "f":
        if not (np.isfinite(low) and np.isfinite(high)):
            nans, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
            raise InputError(path, f"{nans} NaN and {infinite} infinite voxels", "finite voxels")
        limit = np.finfo(np.float32).max
        if max(-low, high) > limit:
            raise InputError(
                path, f"voxels from {low:.4g} to {high:.4g}", f"at most {limit:.4g}, float32's range"
            )
    if low == high and not allow_constant:
        raise InputError(path, f"all voxels equal ({low})", "an image with differing voxels")


def _check_same_grid(
    path: Path,
    shape: tuple[int, ...],
    affine: np.ndarray,
    first: Path,
    first_shape: tuple[int, ...],
    first_affine: np.ndarray,
) -> None:
    """Refuse a channel whose voxels do not lie where the first channel's lie."""
    if shape != first_shape:
        text, expected = (" x ".join(map(str, sizes)) for sizes in (shape, first_shape))
        raise InputError(path, f"{text} voxels", f"{expected} as in {first.name}")
    apart = farthest_corner(shape, affine, first_affine)
    if is_apart(apart, first_affine):
        raise InputError(
            path, f"a grid {apart:.3g} mm away from that of {first.name}", "channels on one grid"
        )
