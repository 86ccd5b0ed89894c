"""How far from the joint CropToJoint centres its window, on generated knees, beside two simple centres.

The baselines, measured in the same run on the same images, are the centre of mass of the leg (what lies above Otsu's
threshold) and the centre of the image. Distances are in the plane of the slices. Then each knee is cut 30 mm below and
above its joint: there the joint cannot be found, and the share of images is printed for which that is said.

    python benchmarks/joint_localisation.py
    python benchmarks/joint_localisation.py --cases 200 --pixel 0.5
"""

from __future__ import annotations

import argparse
import logging
import os
import statistics
import time

import nibabel
import numpy as np
import SimpleITK as sitk
import torch
from monai.data import MetaTensor
from monai.transforms import Orientation
from scipy import ndimage

from monai_tasks.phantoms.knee import GRIDS, knee
from monai_tasks.transforms.crop_to_joint import CropToJoint

CUT = 30.0  # mm


def centre_of_leg(image: np.ndarray) -> np.ndarray:
    """Index (x, y) of the centre of mass of what is bright."""
    otsu = sitk.OtsuThresholdImageFilter()
    otsu.Execute(sitk.GetImageFromArray(image))
    return np.array(ndimage.center_of_mass(image > otsu.GetThreshold())[:2])


def cut(image: MetaTensor, y: float, pixel: float) -> dict[str, MetaTensor]:
    """The image without the joint: what lies at least 30 mm below it and above it."""
    return {
        "shin": image[:, :, : max(int(y - CUT / pixel), 1)],
        "thigh": image[:, :, min(int(y + CUT / pixel) + 1, image.shape[2] - 1) :],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=40, help="knees, of both sources in turn")
    parser.add_argument("--pixel", type=float, default=1.0, help="edge of a pixel in mm")
    parser.add_argument("--seed", type=int, default=2026)
    options = parser.parse_args()
    logging.getLogger("monai_tasks").setLevel(logging.ERROR)  # misses are counted below
    torch.set_num_threads(1)

    crop, turn = CropToJoint(), Orientation("RSA", labels=None)
    errors: dict[str, list[float]] = {"CropToJoint": [], "centre of the leg": [], "centre of the image": []}
    fallbacks, said, seconds = 0, {"shin": 0, "thigh": 0}, []
    for number in range(options.cases):
        grid = list(GRIDS.values())[number % len(GRIDS)].reduced(options.pixel)
        array, _, affine, joint = knee(np.random.default_rng([options.seed, number]), grid)
        image = turn(
            MetaTensor(torch.from_numpy(array.astype(np.float32))[None], affine=torch.from_numpy(affine))
        )
        to_index = np.linalg.inv(image.affine.numpy())
        spacing = nibabel.affines.voxel_sizes(image.affine.numpy())
        index = nibabel.affines.apply_affine(to_index, joint)[:2]

        begun = time.perf_counter()
        found = crop(image).meta["joint"]
        seconds.append(time.perf_counter() - begun)
        fallbacks += not found["found"]
        centres = {
            "CropToJoint": nibabel.affines.apply_affine(to_index, found["position"])[:2],
            "centre of the leg": centre_of_leg(image.numpy()[0]),
            "centre of the image": (np.array(image.shape[1:3]) - 1) / 2,
        }
        for name, centre in centres.items():
            errors[name].append(float(np.linalg.norm((centre - index) * spacing[:2])))
        for name, part in cut(image, index[1], spacing[1]).items():
            said[name] += not crop(part).meta["joint"]["found"]

    print(
        f"{options.cases} generated knees of {' and '.join(GRIDS)}, {options.pixel} mm pixels, seed {options.seed}"
    )
    print(f"{os.cpu_count()} cores; one thread; {statistics.median(seconds):.2f} s an image (median)\n")
    print(f"{'distance in mm':<22}{'mean':>8}{'median':>8}{'95 %':>8}{'max':>8}")
    for name, values in errors.items():
        row = (np.mean(values), np.median(values), np.percentile(values, 95), np.max(values))
        print(f"{name:<22}" + "".join(f"{value:8.2f}" for value in row))
    print(f"\nknees with the joint, centred on the leg instead: {fallbacks} of {options.cases}")
    for name, count in said.items():
        print(f"joint said to be missing, where only the {name} is shown: {count} of {options.cases}")


if __name__ == "__main__":
    main()
