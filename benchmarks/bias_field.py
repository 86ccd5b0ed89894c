"""Bias field correction beside SimpleITK's N4 with its defaults at full resolution, on generated knees.

Each image is a drawn knee of 224x224x24 voxels of 0.5x0.5x4.4 mm under a known field, with noise. Both get the same
foreground. Beside the seconds stand those of the processor, which other work on the machine changes less. What is
left of the field is the coefficient of variation of (true field / estimated field) over the leg.

    python benchmarks/bias_field.py               everything, for the table in the documentation
    python benchmarks/bias_field.py --cases 1
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import SimpleITK as sitk
from scipy.ndimage import gaussian_filter

from monai_tasks.phantoms.knee_anatomy import Knee
from monai_tasks.phantoms.scanner import smooth_noise
from monai_tasks.transforms.bias_field_correction import BiasFieldCorrection, otsu_foreground

SPACING = (0.5, 0.5, 4.4)  # mm: left-right, along the leg, front-back
DEPTHS = (-0.33, 0.0, 0.33)  # a slice is the mean of planes; in parts of its thickness
AIR = 0.15  # brightness, where fat is 1, that all tissue but cortical bone exceeds
NOISE = 0.03


@dataclass
class Result:
    """One way's work on one image: seconds, those of the processor, and the field that it divided by."""

    seconds: float
    processor: float
    field: np.ndarray


def generated(seed: int, shape: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw a case.

    Args:
        seed: of the case.
        shape: in voxels.

    Returns:
        image: float32.
        field: its true bias field.
        leg: where there is tissue that gives signal, bool.
    """
    rng = np.random.default_rng([23, seed])
    anatomy = Knee.draw(rng)
    places = [(np.arange(size) - (size - 1) / 2) * edge for size, edge in zip(shape, SPACING, strict=True)]
    right, up = (part.astype(np.float32) for part in np.meshgrid(*places[:2], indexing="ij"))
    grain = smooth_noise(rng, shape, np.array(SPACING), 1.5)
    tissue = np.zeros(shape)
    for number, front in enumerate(places[2]):
        planes = (np.full_like(right, front + part * SPACING[2]) for part in DEPTHS)
        drawn = [anatomy.plane(right, plane, up, grain[..., number], SPACING[0])[0] for plane in planes]
        tissue[..., number] = gaussian_filter(np.mean(drawn, 0), 0.7)
    field = coil(rng, places)
    noise = NOISE * rng.standard_normal((2, *shape))
    image = 1000 * np.hypot(tissue * field + noise[0], noise[1])
    return image.astype(np.float32), field, tissue > AIR


def coil(rng: np.random.Generator, places: list[np.ndarray]) -> np.ndarray:
    """The field of a loop at one side of the leg, uneven by smooth noise, whose bright parts are thrice the dark."""
    across, along, depth = np.meshgrid(*places, indexing="ij")
    side, height = rng.choice([-1, 1]), rng.uniform(-20, 20)
    log_field = -np.sqrt((across - 75 * side) ** 2 + (along - height) ** 2 + depth**2) / 60
    log_field += 0.1 * smooth_noise(rng, across.shape, np.array(SPACING), 25.0)
    low, high = np.quantile(log_field, (0.05, 0.95))
    log_field *= np.log(3) / (high - low)
    return np.exp(log_field - log_field.mean())


def timed(way: Callable[[], np.ndarray]) -> Result:
    seconds, processor = time.perf_counter(), time.process_time()
    field = way()
    return Result(time.perf_counter() - seconds, time.process_time() - processor, field)


def full_resolution(image: np.ndarray) -> np.ndarray:
    """SimpleITK's N4 as it is, with all cores."""
    volume = sitk.GetImageFromArray(image.T)
    volume.SetSpacing(SPACING)
    mask = sitk.GetImageFromArray(otsu_foreground(image).T.astype(np.uint8))
    mask.CopyInformation(volume)
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.Execute(volume, mask)
    return np.exp(sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(volume)).T)


def ours(image: np.ndarray, **settings: object) -> np.ndarray:
    """The transform's field, from what it made of the image; the noise keeps all values above 0."""
    return image / BiasFieldCorrection(**settings)(image[None])[0]


def left(field: np.ndarray, estimated: np.ndarray | float, leg: np.ndarray) -> float:
    ratio = (field / estimated)[leg]
    return ratio.std() / ratio.mean()


def show(name: str, result: Result, residual: float) -> None:
    print(f"  {name:<44}{result.seconds:9.2f} s{result.processor:9.2f} s{residual:10.4f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--cases", type=int, default=3)
    parser.add_argument("--shape", type=int, nargs=3, default=[224, 224, 24], help="in voxels")
    chosen = parser.parse_args()
    cores = os.cpu_count()
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(cores)
    print(
        f"{cores} cores, SimpleITK {sitk.Version.VersionString()}, {' x '.join(map(str, chosen.shape))} voxels"
    )
    names = {
        "baseline": f"SimpleITK, full resolution, {cores} threads",
        "ours": f"BiasFieldCorrection, {cores} threads",
        "single": "BiasFieldCorrection, 1 thread",
        "hit": "BiasFieldCorrection, field kept before",
    }
    results: dict[str, list[tuple[float, float, float]]] = {name: [] for name in names}
    uncorrected = []
    for case in range(chosen.cases):
        image, field, leg = generated(case, tuple(chosen.shape))
        uncorrected.append(left(field, 1.0, leg))
        print(f"\ncase {case + 1}, left of the field when nothing is done: {uncorrected[-1]:.4f}")
        print(f"  {'':<44}{'seconds':>11}{'processor':>11}{'left':>10}")
        with tempfile.TemporaryDirectory() as folder:
            ways = {
                "single": lambda image=image, folder=folder: ours(image, cache_dir=folder),
                "hit": lambda image=image, folder=folder: ours(image, cache_dir=folder),
                "ours": lambda image=image: ours(image, threads=cores),
                "baseline": lambda image=image: full_resolution(image),
            }
            for name, way in ways.items():
                result = timed(way)
                residual = left(field, result.field, leg)
                show(names[name], result, residual)
                results[name].append((result.seconds, result.processor, residual))
    means = {name: np.mean(values, 0) for name, values in results.items()}
    print(f"\nmean of {chosen.cases}, left when nothing is done: {np.mean(uncorrected):.4f}")
    for name, mean in means.items():
        show(names[name], Result(*mean[:2], np.empty(0)), mean[2])
    seconds, processor, residual = means["baseline"] / means["ours"]
    print(f"  {seconds:.1f}x faster with {cores} threads ({processor:.1f}x by the processor's seconds),")
    print(
        f"  {means['baseline'][0] / means['single'][0]:.1f}x with one; left of the field: {1 / residual:.3f}x"
    )


if __name__ == "__main__":
    main()
