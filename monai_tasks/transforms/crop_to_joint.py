"""Crop a coronal knee image around the place where femur and tibia meet."""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from itertools import product
from pathlib import PurePath
from typing import Any

import nibabel
import numpy as np
import torch
from monai.config import KeysCollection
from monai.data import MetaTensor
from monai.data.meta_obj import get_track_meta
from monai.transforms import Cropd, CropForeground
from monai.utils import ImageMetaKey, MetaKeys, convert_to_numpy, ensure_tuple
from nibabel import orientations

from monai_tasks.transforms.joint import Joint, find_joint
from monai_tasks.transforms.plane import acquisition_plane

logger = logging.getLogger(__name__)

AXES = "RSA"  # of an array that carries no affine
OFF = 0.1  # of a voxel, by which a label may lie beside its image
NOT_FOUND = "joint not found: centred on the leg instead"


class CropToJoint(CropForeground):
    """Crop a window around the knee joint, which is found from the image alone; all slices are kept.

    Where the window passes the border of the image, the rest of it is 0. Where the joint is not found with
    enough confidence, the window is centred on the leg; that is logged, and said in the image's
    `meta["notes"]`. `meta["joint"]` keeps what was found: `position` (RAS, mm, in the middle slice),
    `confidence` and `found`.

    The inverse puts a window back on the image's own grid, with 0 outside the window.

    Args:
        size: of the window in voxels: across the leg (left-right), and along it (up-down).
        threshold: least confidence of a joint that counts as found; None for that of `find_joint`.
        spacing: voxel edges in mm of arrays that carry no affine; their axes are taken as (C, right, superior,
            anterior). Other arrays may have their axes in any order and direction.
        lazy: as for MONAI's croppings; the joint itself is always sought in an image without pending operations.

    Raises:
        ValueError: when a size is not positive.
    """

    def __init__(
        self,
        size: Sequence[int] = (224, 224),
        threshold: float | None = None,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        lazy: bool = False,
    ) -> None:
        super().__init__(lazy=lazy)
        if len(size) != 2 or min(size) < 1:
            raise ValueError(f"size: got {list(size)}; expected two positive numbers of voxels")
        self.size = tuple(size)
        self.options = {} if threshold is None else {"threshold": threshold}
        self.spacing = tuple(spacing)

    @property
    def requires_current_data(self) -> bool:
        """Whether pending operations must be carried out before: the joint is found from the voxels."""
        return True

    def locate(self, image: torch.Tensor) -> tuple[Joint, np.ndarray]:
        """Find the joint of an image.

        Args:
            image: (C, X, Y, Z), of which the first channel is searched.

        Returns:
            What was found, its index counted towards right and superior, and the voxel in the middle of the window,
            (3,), counted along the axes of the image.

        Raises:
            ValueError: when the image has not three spatial axes, is not coronal, or holds values that are not
                finite.
        """
        if image.ndim != 4:
            raise ValueError(f"an image of shape {tuple(image.shape)}; expected (C, X, Y, Z)")
        affine = self.affine_of(image)
        _check_coronal(affine)
        if isinstance(image, MetaTensor) and MetaKeys.ORIGINAL_AFFINE in image.meta:
            # Thick slices that run another way may have been resampled to thin ones before.
            _check_coronal(convert_to_numpy(image.meta[MetaKeys.ORIGINAL_AFFINE]))
        turned = _to_axes(affine)
        voxels = orientations.apply_orientation(convert_to_numpy(image[0]), turned)
        back = orientations.inv_ornt_aff(turned, image.shape[1:])
        spacing = nibabel.affines.voxel_sizes(affine @ back)
        joint = find_joint(voxels, spacing, **self.options)
        middle = nibabel.affines.apply_affine(back, (*joint.index, (voxels.shape[2] - 1) / 2))
        return joint, middle

    def box(
        self, shape: Sequence[int], affine: np.ndarray, middle: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """The window's first voxel and the voxel after its last one; both may lie outside the image.

        Args:
            shape: (X, Y, Z) of the image.
            affine: (4, 4) of the image.
            middle: (3,), the voxel in the middle of the window.
        """
        start, stop = np.zeros(3, int), np.array(shape)
        for axis, role in enumerate(_to_axes(affine)[:, 0].astype(int)):
            if role < 2:
                start[axis] = round(middle[axis] - (self.size[role] - 1) / 2)
                stop[axis] = start[axis] + self.size[role]
        return start, stop

    def compute_bounding_box(self, img: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
        """The window of an image, as MONAI's croppings to the foreground give theirs."""
        return self.box(img.shape[1:], self.affine_of(img), self.locate(img)[1])

    def __call__(self, img: torch.Tensor, lazy: bool | None = None) -> torch.Tensor:  # type: ignore[override]
        """Crop one image.

        Args:
            img: (C, X, Y, Z), voxels of any type.
            lazy: in place of the transform's own setting.

        Returns:
            (C, *size, slices) in the order of the image's axes; a MetaTensor unless metadata is switched off.

        Raises:
            ValueError: as `locate` does.
        """
        joint, middle = self.locate(img)
        start, stop = self.box(img.shape[1:], self.affine_of(img), middle)
        result = self.crop_pad(img, start, stop, lazy=self.lazy if lazy is None else lazy)
        self.report(img, result, joint, middle)
        return result

    def report(self, image: torch.Tensor, result: torch.Tensor, joint: Joint, middle: np.ndarray) -> None:
        """Write into the result's metadata what was found, and log where nothing was."""
        meta = image.meta if isinstance(image, MetaTensor) else {}
        if not joint.found:
            name = PurePath(str(ensure_tuple(meta.get(ImageMetaKey.FILENAME_OR_OBJ, "image"))[0])).name
            logger.warning("%s: %s (confidence %.2f)", name, NOT_FOUND, joint.confidence)
        if not (get_track_meta() and isinstance(result, MetaTensor)):
            return
        position = nibabel.affines.apply_affine(self.affine_of(image), middle)
        result.meta["joint"] = {
            "position": [round(float(value), 2) for value in position],
            "confidence": round(joint.confidence, 4),
            "found": joint.found,
        }
        if not joint.found:
            result.meta["notes"] = [*meta.get("notes", ()), NOT_FOUND]

    def affine_of(self, image: torch.Tensor) -> np.ndarray:
        """(4, 4), voxels to RAS mm, also of an array that carries none."""
        if isinstance(image, MetaTensor):
            return convert_to_numpy(image.affine).astype(float)
        axes = orientations.inv_ornt_aff(orientations.axcodes2ornt(AXES), (1, 1, 1))[:3, :3]
        return nibabel.affines.from_matvec(axes * self.spacing)


class CropToJointd(Cropd):
    """Dictionary form of `CropToJoint`, which finds the joint in one image and crops all keys there.

    Args:
        keys: keys of the arrays to crop, all on the grid of the source.
        source_key: which of the keys holds the image in which the joint is sought.
        size: as for `CropToJoint`.
        threshold: as for `CropToJoint`.
        spacing: as for `CropToJoint`.
        allow_missing_keys: do not fail where a key is absent.
        lazy: as for `CropToJoint`.

    Raises:
        ValueError: when the source is not among the keys, or as for `CropToJoint`.
    """

    def __init__(
        self,
        keys: KeysCollection,
        source_key: str = "image",
        size: Sequence[int] = (224, 224),
        threshold: float | None = None,
        spacing: Sequence[float] = (1.0, 1.0, 1.0),
        allow_missing_keys: bool = False,
        lazy: bool = False,
    ) -> None:
        super().__init__(keys, CropToJoint(size, threshold, spacing), allow_missing_keys, lazy)
        if source_key not in self.keys:
            raise ValueError(f"source_key: got {source_key!r}; expected one of the keys {list(self.keys)}")
        self.source_key = source_key

    @property
    def requires_current_data(self) -> bool:
        """Whether pending operations must be carried out before: the joint is found from the voxels."""
        return True

    def __call__(self, data: Mapping[Hashable, Any], lazy: bool | None = None) -> dict[Hashable, Any]:
        """Crop a case.

        Raises:
            KeyError: when the source or, unless allowed, another key is missing.
            ValueError: as `CropToJoint.locate` does, and when a key does not lie on the source's grid.
        """
        result = dict(data)
        source = result[self.source_key]
        joint, middle = self.cropper.locate(source)
        affine = self.cropper.affine_of(source)
        start, stop = self.cropper.box(source.shape[1:], affine, middle)
        lazy = self.lazy if lazy is None else lazy
        for key in self.key_iterator(result):
            _check_same_grid(key, result[key], source)
            result[key] = self.cropper.crop_pad(result[key], start, stop, lazy=lazy)
        self.cropper.report(source, result[self.source_key], joint, middle)
        return result


CropToJointD = CropToJointDict = CropToJointd


def _to_axes(affine: np.ndarray) -> np.ndarray:
    """How to turn an array's axes to right, superior, anterior, as nibabel writes it."""
    return orientations.ornt_transform(orientations.io_orientation(affine), orientations.axcodes2ornt(AXES))


def _check_coronal(affine: np.ndarray) -> None:
    """Refuse thick slices that are not stacked from back to front."""
    plane = acquisition_plane(affine)
    if plane not in (None, "coronal"):
        text = " x ".join(f"{edge:.3g}" for edge in nibabel.affines.voxel_sizes(affine))
        raise ValueError(f"{plane} slices (voxels of {text} mm); expected coronal slices")


def _check_same_grid(key: Hashable, array: torch.Tensor, source: torch.Tensor) -> None:
    """Refuse an array that the source's window would cut elsewhere."""
    if array.shape[1:] != source.shape[1:]:
        sizes = (" x ".join(map(str, one.shape[1:])) for one in (array, source))
        raise ValueError("{}: {} voxels; expected {} as in the image".format(key, *sizes))
    if isinstance(array, MetaTensor) and isinstance(source, MetaTensor):
        affines = [convert_to_numpy(one.affine).astype(float) for one in (array, source)]
        codes = ["".join(nibabel.aff2axcodes(affine)) for affine in affines]
        if codes[0] != codes[1]:
            raise ValueError("{}: axes {}; expected {} as in the image".format(key, *codes))
        corners = list(product(*((0, size - 1) for size in source.shape[1:])))
        there, here = (nibabel.affines.apply_affine(affine, corners) for affine in affines)
        apart = float(np.linalg.norm(there - here, axis=1).max())
        if apart > OFF * nibabel.affines.voxel_sizes(affines[1]).min():
            raise ValueError(f"{key}: lies up to {apart:.3g} mm beside the image; expected the image's grid")
