"""Small files named and laid out as the knee layout wants them, and what the listing makes of them."""

from __future__ import annotations

import numpy as np
import SimpleITK as sitk

from monai_tasks.datasets import knee_mhd

BONES = ("femur", "tibia", "fibula")
SHAPE = (6, 7, 4)
# Voxel axes in LPS+: the columns are where i, j and k run to.
CORONAL = np.array([[1, 0, 0], [0, 0, 1], [0, -1, 0]], float)
SAGITTAL = np.array([[0, 0, 1], [1, 0, 0], [0, -1, 0]], float)
AXIAL = np.eye(3)
SPACING = (0.5, 0.5, 2.2)


def write(path, values=None, direction=CORONAL, spacing=SPACING, origin=(3.0, -8.0, 20.0)):
    """A random image, or values (X, Y, Z) or (X, Y, Z, C)."""
    if values is None:
        values = np.random.default_rng(0).integers(0, 900, SHAPE).astype(np.int16)
    path.parent.mkdir(parents=True, exist_ok=True)
    image = sitk.GetImageFromArray(
        values.transpose(2, 1, 0, *range(3, values.ndim)), isVector=values.ndim > 3
    )
    image.SetSpacing(spacing)
    image.SetDirection(direction.ravel().tolist())
    image.SetOrigin(origin)
    sitk.WriteImage(image, str(path))
    return path


def bones():
    """Three channels of 0 and 1, (X, Y, Z, 3)."""
    maps = np.zeros((*SHAPE, 3), np.uint8)
    maps[1:3, :, 1:3, 0] = maps[3:5, :, 1:3, 1] = maps[5, 2, 1:3, 2] = 1
    return maps


def write_knee(folder, name, maps="_{bone}", suffix=".mhd", **place):
    """An image with its maps, in three files, or in one where `maps` names no bone."""
    write(folder / f"{name}{suffix}", **place)
    if "{bone}" not in maps:
        write(folder / f"{name}{maps}{suffix}", bones(), **place)
        return
    for channel, bone in enumerate(BONES):
        write(folder / f"{name}{maps.format(bone=bone)}{suffix}", bones()[..., channel], **place)


def reasons(source):
    return {entry["subject"]: entry["reason"] for entry in knee_mhd.datalist(source)["rejected"]}


def used(source):
    result = knee_mhd.datalist(source)
    items = [item for part in ("training", "validation", "test") for item in result[part]]
    assert len({item["image"] for item in items}) == len(items)
    return {item["subject"]: item for item in items}
