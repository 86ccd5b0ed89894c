"""Take the slow change of brightness that a receive coil leaves out of an image, with N4 [Tustison2010].

N4 is SimpleITK's. Around it stand what makes it quick enough for a chain of transforms: it fits on a small image whose
voxels are means of the foreground, and its result is kept in a folder, so that no image is fitted twice.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import threading
import uuid
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk
import torch
from monai.config import KeysCollection, NdarrayOrTensor
from monai.data import MetaTensor
from monai.data.utils import affine_to_spacing
from monai.transforms import MapTransform, Transform
from monai.utils import convert_to_dst_type, convert_to_numpy
from scipy.interpolate import make_interp_spline

logger = logging.getLogger(__name__)

Mask = Callable[[np.ndarray], np.ndarray]

METHOD = 1  # of this file; a higher number makes every kept field be fitted again
FEWEST = 4  # samples that an axis keeps when the image is made smaller
ORDER = 3  # of N4's splines
COVER = 0.5  # share of a block's voxels that must be foreground for N4 to use the block
DIGEST = hashlib.sha256().digest_size


class BiasFieldCorrection(Transform):
    """Divide an image by its bias field.

    1. Values above a high percentile are cut to it, for the fit only, so that a few very bright voxels do not pull
       the field.
    2. The foreground is found, and the image made smaller: a sample is the mean of the foreground of its block.
    3. N4 fits the logarithm of the field to the samples.
    4. The field between the samples is their cubic spline, and the image is divided by it at its full resolution.

    The field is scaled so that the mean of the foreground (cut as for the fit) stays what it was: means and
    deviations over many images keep their meaning. Values outside the foreground are divided as well, so that air
    stays air.

    The field alone is kept in `cache_dir`, never the image: one file an image, its name the SHA-256 of the voxels,
    their spacing, the settings and SimpleITK's version. It holds the SHA-256 of the samples (32 bytes), then the
    samples (little-endian float32). The first call and all later ones give the same result bit for bit.

    Args:
        shrink: edges of a block in voxels, for each axis of the array. Thick slices should not be merged. A factor that
            leaves fewer than 4 samples on its axis is made smaller.
        fitting_levels: how often N4 fits; each time its lattice has cells half as wide. More levels than needed follow
            the anatomy.
        iterations: at most, at each level.
        spline_distance: edge in mm of the lattice's cells at the first level; `None` makes one cell span the image.
        mask: foreground. "otsu": above Otsu's threshold of the square root of the values. `None`: all values above 0. A
            function gets the values (X, Y, Z), or (X, Y), without axes of length 1, and gives bool of the same shape.
        clip: percentile of the values above 0 that the fit cuts at; 100 cuts nothing.
        threads: that SimpleITK may use.
        cache_dir: folder for fields, made when needed; any number of processes may share it. `None` keeps none.

    Raises:
        ValueError: when a setting is out of its range.
    """

    def __init__(
        self,
        shrink: Sequence[int] = (8, 8, 1),
        fitting_levels: int = 3,
        iterations: int = 50,
        spline_distance: float | None = None,
        mask: str | Mask | None = "otsu",
        clip: float = 99.5,
        threads: int = 1,
        cache_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        counts = {"fitting_levels": [fitting_levels], "iterations": [iterations], "threads": [threads]}
        for name, values in {"shrink": list(shrink), **counts}.items():
            if not values or any(value != int(value) or value < 1 for value in values):
                raise ValueError(f"{name}: got {values}; expected whole numbers of at least 1")
        if spline_distance is not None and not spline_distance > 0:
            raise ValueError(f"spline_distance: got {spline_distance}; expected mm above 0, or None")
        if not 0 < clip <= 100:
            raise ValueError(f"clip: got {clip}; expected a percentile above 0 and up to 100")
        if mask is not None and mask != "otsu" and not callable(mask):
            raise ValueError(f"mask: got {mask!r}; expected 'otsu', None or a function")
        self.shrink = tuple(int(factor) for factor in shrink)
        self.fitting_levels = int(fitting_levels)
        self.iterations = int(iterations)
        self.spline_distance = None if spline_distance is None else float(spline_distance)
        self.mask = mask
        self.clip = float(clip)
        self.threads = int(threads)
        self.cache_dir = None if cache_dir is None else Path(cache_dir)

    def __call__(self, image: NdarrayOrTensor) -> NdarrayOrTensor:
        """Correct one image, each channel by itself.

        Args:
            image: (C, X, Y, Z) or (C, X, Y). The spacing comes from a MetaTensor's affine; without one it is 1 mm.

        Returns:
            Same shape and container, float32.

        Raises:
            ValueError: when the image has values that are not finite, too little foreground, a foreground of one
                value, or fewer than two axes of 4 voxels.
        """
        values = convert_to_numpy(image, dtype=np.float32)
        if not 2 <= values.ndim - 1 <= len(self.shrink):
            raise ValueError(
                f"bias field correction: got an image of shape {values.shape} and shrink {self.shrink}; "
                "expected a channel axis, two or three axes of space, and a factor for each of these"
            )
        spacing = np.ones(values.ndim - 1)
        if isinstance(image, MetaTensor):
            spacing = convert_to_numpy(affine_to_spacing(image.affine, values.ndim - 1), dtype=float)
        result = np.stack([self._correct(channel, spacing) for channel in values])
        return convert_to_dst_type(result, image, dtype=torch.float32)[0]

    def _correct(self, channel: np.ndarray, spacing: np.ndarray) -> np.ndarray:
        wide = [axis for axis, size in enumerate(channel.shape) if size > 1]
        volume = np.ascontiguousarray(channel.squeeze())
        if sum(size >= FEWEST for size in volume.shape) < 2:
            raise ValueError(
                f"bias field correction: got {channel.shape} voxels; expected two axes of at least {FEWEST}"
            )
        if not np.isfinite(volume).all():
            raise ValueError("bias field correction: got NaN or infinite values; expected finite ones")
        shrink = [
            max(1, min(self.shrink[axis], size // FEWEST))
            for axis, size in zip(wide, volume.shape, strict=True)
        ]
        samples = self._samples(volume, shrink, spacing[wide])
        field = np.exp(_spread(samples, shrink, volume.shape))
        return (volume / field).reshape(channel.shape)

    def _samples(self, volume: np.ndarray, shrink: Sequence[int], spacing: np.ndarray) -> np.ndarray:
        """Logarithm of the field at the blocks' centres, from the cache where it is there."""
        mask = self._called_mask(volume) if callable(self.mask) else None
        if self.cache_dir is None:
            return self._fit(volume, mask, shrink, spacing)
        path = self.cache_dir / f"{self._key(volume, mask, shrink, spacing)}.n4"
        samples = _read(path, tuple(len(_starts(*pair)) for pair in zip(volume.shape, shrink, strict=True)))
        if samples is None:
            samples = self._fit(volume, mask, shrink, spacing)
            _write(path, samples)
        return samples

    def _key(
        self, volume: np.ndarray, mask: np.ndarray | None, shrink: Sequence[int], spacing: np.ndarray
    ) -> str:
        """Everything that the field depends on; threads change the rounding at most."""
        facts = {
            "method": METHOD,
            "simpleitk": sitk.Version.VersionString(),
            "shape": volume.shape,
            "spacing": spacing.tolist(),
            "shrink": list(shrink),
            "levels": self.fitting_levels,
            "iterations": self.iterations,
            "spline_distance": self.spline_distance,
            "clip": self.clip,
            "mask": self.mask if mask is None else "function",
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
        digest.update(volume)
        if mask is not None:  # what the function gave counts, for its code may change
            digest.update(mask)
        return digest.hexdigest()

    def _called_mask(self, volume: np.ndarray) -> np.ndarray:
        mask = np.ascontiguousarray(convert_to_numpy(self.mask(volume.copy())), dtype=bool)
        if mask.shape != volume.shape:
            raise ValueError(f"mask: got shape {mask.shape}; expected that of the volume, {volume.shape}")
        return mask

    def _fit(
        self, volume: np.ndarray, mask: np.ndarray | None, shrink: Sequence[int], spacing: np.ndarray
    ) -> np.ndarray:
        """Logarithm of the field at the blocks' centres, by N4; float32."""
        if not (volume > 0).any():
            raise ValueError("bias field correction: got no value above 0; expected an image with foreground")
        capped = np.clip(volume, 0, np.percentile(volume[volume > 0], self.clip))
        with limited_threads(self.threads):
            if mask is None:
                mask = otsu_foreground(capped) if self.mask == "otsu" else volume > 0
            mask = mask & (capped > 0)
            log_field = self._run_n4(*_blocks(capped, mask, shrink), shrink, volume.shape, spacing)
        field = np.exp(_spread(log_field, shrink, volume.shape))
        before, after = (part[mask].mean(dtype=np.float64) for part in (capped, capped / field))
        return (log_field + np.log(after / before)).astype(np.float32)

    def _run_n4(
        self,
        means: np.ndarray,
        used: np.ndarray,
        shrink: Sequence[int],
        shape: Sequence[int],
        spacing: np.ndarray,
    ) -> np.ndarray:
        fewest = FEWEST**means.ndim
        if used.sum() < fewest or np.ptp(means[used]) == 0:
            raise ValueError(
                f"bias field correction: got {used.sum()} samples of foreground, "
                f"{len(np.unique(means[used]))} different; expected at least {fewest} that differ"
            )
        cells = np.ones(means.ndim, int)
        if self.spline_distance is not None:
            cells = np.maximum(1, np.round(np.array(shape) * spacing / self.spline_distance)).astype(int)
        # Arrays give SimpleITK their axes from last to first.
        small = sitk.GetImageFromArray((means / means[used].mean()).astype(np.float32))
        small.SetSpacing((np.array(shrink) * spacing)[::-1].tolist())
        inside = sitk.GetImageFromArray(used.astype(np.uint8))
        inside.CopyInformation(small)
        n4 = sitk.N4BiasFieldCorrectionImageFilter()
        n4.SetNumberOfThreads(self.threads)
        n4.SetSplineOrder(ORDER)
        n4.SetNumberOfControlPoints((cells + ORDER)[::-1].tolist())
        n4.SetMaximumNumberOfIterations([self.iterations] * self.fitting_levels)
        n4.Execute(small, inside)
        log_field = sitk.GetArrayFromImage(n4.GetLogBiasFieldAsImage(small))
        if not np.isfinite(log_field).all():
            raise ValueError("bias field correction: N4 gave a field that is not finite for this image")
        return log_field


class BiasFieldCorrectiond(MapTransform):
    """Dictionary form of `BiasFieldCorrection`.

    Args:
        keys: keys of the images.
        allow_missing_keys: do not fail where a key is absent.
        settings: as for `BiasFieldCorrection`.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False, **settings: Any) -> None:
        super().__init__(keys, allow_missing_keys)
        self.correct = BiasFieldCorrection(**settings)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = self.correct(result[key])
        return result


BiasFieldCorrectionD = BiasFieldCorrectionDict = BiasFieldCorrectiond


def _starts(size: int, factor: int) -> np.ndarray:
    """First voxel of each block of an axis; the last block may be a shorter one."""
    return np.arange(0, size, factor)


def _blocks(volume: np.ndarray, mask: np.ndarray, shrink: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """Mean of each block's foreground, and which blocks have enough of it."""

    def summed(array: np.ndarray) -> np.ndarray:
        for axis, factor in enumerate(shrink):
            array = np.add.reduceat(array, _starts(array.shape[axis], factor), axis, dtype=np.float32)
        return array

    inside, total = summed(mask), summed(np.ones(volume.shape, bool))
    return summed(volume * mask) / np.maximum(inside, 1), inside >= COVER * total


def _spread(samples: np.ndarray, shrink: Sequence[int], shape: Sequence[int]) -> np.ndarray:
    """From the blocks' centres to all voxels, by a cubic spline along each axis; float32.

    `einsum` adds in the same order each time, and with one thread, as a library of linear algebra need not.
    """
    axes = list(range(samples.ndim))
    for axis, (factor, size) in enumerate(zip(shrink, shape, strict=True)):
        if factor > 1:
            starts = _starts(size, factor)
            centres = (starts + np.minimum(starts + factor, size) - 1) / 2
            weights = make_interp_spline(centres, np.eye(len(centres)), k=3)(np.arange(size))
            spread = [*axes[:axis], samples.ndim, *axes[axis + 1 :]]
            samples = np.einsum(weights, [samples.ndim, axis], samples, axes, spread)
    return samples.astype(np.float32)


def otsu_foreground(volume: np.ndarray) -> np.ndarray:
    """Where values lie above Otsu's threshold of their square roots.

    The root brings muscle nearer to fat than to air; without it the threshold would lie between muscle and fat.

    Args:
        volume: (X, Y[, Z]) float32, zero or above, without outliers.

    Returns:
        bool, same shape.
    """
    image = sitk.GetImageFromArray(np.sqrt(volume))
    return sitk.GetArrayFromImage(sitk.OtsuThreshold(image, 0, 1, 200)).astype(bool)


def _read(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    """Samples from a file; nothing where there is none, or, with a warning, where it is damaged."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    digest, values = content[:DIGEST], content[DIGEST:]
    if len(values) != 4 * np.prod(shape) or hashlib.sha256(values).digest() != digest:
        logger.warning("%s is damaged: its field is fitted again", path)
        return None
    return np.frombuffer(values, "<f4").reshape(shape)


def _write(path: Path, samples: np.ndarray) -> None:
    """Write samples under a temporary name and rename it, for others may read or write the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    values = samples.astype("<f4").tobytes()
    temporary = path.with_name(f".{path.stem}.{os.getpid()}-{uuid.uuid4().hex[:8]}.tmp")
    try:
        temporary.write_bytes(hashlib.sha256(values).digest() + values)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class _Limits:
    """Fits under way in this process, and the number of threads that was set before the first of them."""

    lock = threading.Lock()
    running = 0
    before = 0


@contextmanager
def limited_threads(threads: int) -> Iterator[None]:
    """Let SimpleITK's filters use so many threads inside the block.

    N4's own `SetNumberOfThreads` does not reach the filters that it builds inside, which do most of the work and take
    the process's default. So the default is changed, and put back when the last of several blocks that run at the same
    time has ended. Where these ask for different numbers, the one that began last counts.

    Args:
        threads: one or more.
    """
    default = sitk.ProcessObject
    with _Limits.lock:
        if not _Limits.running:
            _Limits.before = default.GetGlobalDefaultNumberOfThreads()
        _Limits.running += 1
        default.SetGlobalDefaultNumberOfThreads(threads)
    try:
        yield
    finally:
        with _Limits.lock:
            _Limits.running -= 1
            if not _Limits.running:
                default.SetGlobalDefaultNumberOfThreads(_Limits.before)
