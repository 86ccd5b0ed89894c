"""Motion of a limb during a scan, simulated from physics: parallel rays, rigid motion between views, reconstruction.

A view at angle t collects the integrals along the rays u cos(t) + v sin(t) = s, where u runs along the first axis of a
slice and v along the second, both from its middle. A limb that is turned by f and then shifted by d when the view is
taken is seen as the resting limb is seen at angle t - f, with all rays displaced by d's part along (cos(t), sin(t)).
A scan with motion is therefore read off the projections of the resting limb.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import ceil

import numpy as np
import torch
from scipy.sparse import csr_array
from torch.nn.functional import grid_sample, pad

ENTRIES = 6_000_000  # of a matrix at most, 48 MB
VARIANTS = 4  # of an image: turned by 90 degrees or not, transposed or not


@dataclass(frozen=True)
class Motion:
    """Where a limb is when each view is taken.

    Args:
        shift_mm: (views, 2), along the two axes of the slices.
        rotation_degrees: (views,), about the middle of the slices, from the first axis towards the second; before the
            shift.

    Raises:
        ValueError: when the two are not of as many views.
    """

    shift_mm: np.ndarray
    rotation_degrees: np.ndarray

    def __post_init__(self) -> None:
        if np.shape(self.shift_mm) != (len(self.rotation_degrees), 2) or np.ndim(self.rotation_degrees) != 1:
            raise ValueError(
                f"shifts of shape {np.shape(self.shift_mm)} and rotations of shape {np.shape(self.rotation_degrees)}; "
                "expected (views, 2) and (views,)"
            )

    def __len__(self) -> int:
        return len(self.rotation_degrees)

    @classmethod
    def none(cls, views: int) -> Motion:
        """Rest."""
        return cls(np.zeros((views, 2)), np.zeros(views))

    def scaled(self, factor: float) -> Motion:
        """The same course, so many times as far."""
        return Motion(factor * self.shift_mm, factor * self.rotation_degrees)

    def every(self, step: int) -> Motion:
        """The motion of a scan that takes each `step`-th view."""
        return Motion(self.shift_mm[::step], self.rotation_degrees[::step])

    def spread_mm(self, radius_mm: float) -> float:
        """How far points at some distance from the middle are from their mean place, as a root mean square.

        A limb that lies elsewhere than in the middle, but at rest, has no spread.

        Args:
            radius_mm: of the points from the middle.
        """
        arc = radius_mm * np.radians(self.rotation_degrees)
        return float(np.sqrt(np.var(self.shift_mm, axis=0).sum() + np.var(arc)))


def half_turn(views: int) -> np.ndarray:
    """Angles in degrees of so many views, equally spaced from 0 to below 180."""
    return np.arange(views) * (180.0 / views)


def project(image: torch.Tensor, angles_degrees: np.ndarray, bins: int | None = None) -> torch.Tensor:
    """Project slices along parallel rays, by Joseph's method [Joseph1982].

    Args:
        image: (C, H, W).
        angles_degrees: (views,).
        bins: rays of a view, one pixel apart and centred; the longer side of the image if not given, which leaves its
            corners out of the views that are askew.

    Returns:
        (C, views, bins) float32 on the CPU, the integrals in values times pixels.

    Raises:
        ValueError: when the image has other axes.
    """
    if image.ndim != 3:
        raise ValueError(f"image: shape {tuple(image.shape)}; expected (C, H, W)")
    shape = tuple(image.shape[1:])
    bins = max(shape) if bins is None else bins
    folded = _Folded.of(angles_degrees, square=shape[0] == shape[1])
    variants = folded.variants(image.detach().to("cpu", torch.float32))
    pixels = np.ascontiguousarray(variants.reshape(-1, variants.shape[-1] * variants.shape[-2]).T)
    views = [
        (_rays(shape, part, bins) @ pixels).reshape(len(part), bins, len(variants), -1)
        for part in _parts(folded.angles, 2 * bins * max(shape))
    ]
    found = np.concatenate(views)[folded.which, :, folded.variant]
    return torch.from_numpy(np.ascontiguousarray(folded.flip(found).transpose(2, 0, 1)))


def move(
    sinogram: torch.Tensor, motion: Motion, spacing_mm: float, angles_degrees: np.ndarray | None = None
) -> torch.Tensor:
    """The projections of a moving limb, from those of the limb at rest.

    Args:
        sinogram: (C, N, bins), at rest, at the angles `half_turn(N)`.
        motion: at the views that are asked for.
        spacing_mm: distance of the rays, the edge of a pixel.
        angles_degrees: (views,) of the views that are asked for, any; the sinogram's if not given.

    Returns:
        (C, views, bins). Rays that would lie beside the sinogram are 0.

    Raises:
        ValueError: when motion and angles are not of as many views.
    """
    count, bins = sinogram.shape[1:]
    angles = half_turn(count) if angles_degrees is None else np.asarray(angles_degrees, np.float64)
    if len(motion) != len(angles):
        raise ValueError(f"a motion of {len(motion)} views; expected {len(angles)}, one an angle")
    radians = np.radians(angles)
    along = motion.shift_mm[:, 0] * np.cos(radians) + motion.shift_mm[:, 1] * np.sin(radians)
    places = (np.arange(bins) - (bins - 1) / 2) - along[:, None] / spacing_mm
    # From the other side, rays come in the opposite order.
    turns, rest = np.divmod(angles - motion.rotation_degrees, 180.0)
    places = np.where(turns[:, None] % 2 == 0, places, -places)
    # Two more views at each end, for the interpolation.
    around = torch.cat([sinogram[:, -2:].flip(-1), sinogram, sinogram[:, :2].flip(-1)], 1)
    rows = np.broadcast_to(rest[:, None] * (count / 180.0) + 2, places.shape)
    grid = np.stack([places / (bins / 2), (2 * rows + 1) / (count + 4) - 1], -1)
    found = grid_sample(
        around[None], torch.from_numpy(grid[None]).to(around), mode="bicubic", align_corners=False
    )
    return found[0]


def reconstruct(sinogram: torch.Tensor, angles_degrees: np.ndarray, size: int | None = None) -> torch.Tensor:
    """Filtered back-projection with the ramp filter [Kak1988].

    Args:
        sinogram: (C, views, bins).
        angles_degrees: (views,), equally spaced over 180 degrees.
        size: edge of the slices in pixels; as many as bins if not given.

    Returns:
        (C, size, size) float32 on the CPU. Pixels beyond the rays of some views are not right.

    Raises:
        ValueError: when the angles are not those of a half turn.
    """
    angles = np.asarray(angles_degrees, np.float64)
    bins = sinogram.shape[-1]
    if sinogram.shape[1] != len(angles) or not np.allclose(angles - angles[0], half_turn(len(angles))):
        raise ValueError(
            f"{sinogram.shape[1]} views at {len(angles)} angles; expected as many, equally spaced over 180 degrees"
        )
    size = bins if size is None else size
    filtered = _ramp_filtered(sinogram.detach().to("cpu", torch.float32)).numpy().transpose(1, 2, 0)
    folded = _Folded.of(angles, square=True)
    views = np.zeros((len(folded.angles), bins, VARIANTS, len(sinogram)), np.float32)
    np.add.at(views, (folded.which, slice(None), folded.variant), folded.flip(filtered))
    views = views.reshape(len(folded.angles), bins, -1)
    pixels = np.zeros((size * size, views.shape[-1]), np.float32)
    start = 0
    for part in _parts(folded.angles, 2 * size * size):
        pixels += _spread(size, part, bins) @ views[start : start + len(part)].reshape(-1, views.shape[-1])
        start += len(part)
    image = _unfolded(torch.from_numpy(pixels.T.reshape(VARIANTS, -1, size, size)))
    return image * float(np.pi / len(angles))


@dataclass(frozen=True)
class _Folded:
    """Angles as angles from 0 to 45 degrees of images that are turned by 90 degrees and transposed.

    One matrix serves up to four views then, and most of the time goes into making matrices.

    Args:
        angles: (N,), in degrees.
        which: (views,), the index of each view's angle among these.
        variant: (views,), the index of its image among the variants.
        flipped: (views,), bool, whether its rays come in the opposite order.
    """

    angles: np.ndarray
    which: np.ndarray
    variant: np.ndarray
    flipped: np.ndarray

    @classmethod
    def of(cls, angles_degrees: np.ndarray, square: bool) -> _Folded:
        angles = np.asarray(angles_degrees, np.float64)
        if not square:
            none = np.zeros(len(angles), int)
            return cls(angles, np.arange(len(angles)), none, none.astype(bool))
        turns, rest = np.divmod(angles, 180.0)
        is_turned = rest >= 90
        rest = rest - 90 * is_turned
        is_transposed = rest > 45
        # Angles that differ by less than an image shows are one.
        rest = np.round(np.where(is_transposed, 90 - rest, rest), 6)
        found, which = np.unique(rest, return_inverse=True)
        return cls(found, which, 2 * is_turned + is_transposed, turns % 2 == 1)

    def variants(self, image: torch.Tensor) -> np.ndarray:
        """The images (V, C, H, W) that `variant` counts, of one (C, H, W)."""
        if not self.variant.any():
            return image[None].numpy()
        turned = image.flip(1).mT
        return torch.stack([image, image.mT, turned, turned.mT]).numpy()

    def flip(self, views: np.ndarray) -> np.ndarray:
        """Views (views, bins, C), the flipped ones the other way round."""
        return np.where(self.flipped[:, None, None], views[:, ::-1], views)


def _unfolded(variants: torch.Tensor) -> torch.Tensor:
    """The sum (C, H, W) of the four variants (4, C, H, W), each turned back."""
    as_is, transposed, turned, both = variants
    return as_is + transposed.mT + (turned + both.mT).mT.flip(1)


def _parts(angles: np.ndarray, entries: int) -> Iterator[np.ndarray]:
    """Angles, in parts for which a matrix of so many entries an angle is small."""
    angles = np.asarray(angles, np.float64)
    yield from np.array_split(angles, ceil(len(angles) * entries / ENTRIES))


def _rays(shape: tuple[int, int], angles: np.ndarray, bins: int) -> csr_array:
    """The matrix (views x bins, pixels) of the rays' integrals.

    A ray is sampled once in each line of pixels that it crosses more than it follows, between two pixels.
    """
    rays = np.arange(bins, dtype=np.float32) - np.float32((bins - 1) / 2)
    steps = max(shape)
    columns = np.zeros((len(angles), bins, steps, 2), np.int32)
    weights = np.zeros((len(angles), bins, steps, 2), np.float32)
    for view, angle in enumerate(np.radians(angles)):
        normal = np.float32(np.cos(angle)), np.float32(np.sin(angle))
        # `crossed`: the axis along which samples follow each other; `between`: that of the interpolation.
        crossed = int(abs(normal[0]) >= abs(normal[1]))
        between = 1 - crossed
        lines = np.arange(shape[crossed], dtype=np.float32) - np.float32((shape[crossed] - 1) / 2)
        place = (rays[:, None] - lines * normal[crossed]) / normal[between]
        place += np.float32((shape[between] - 1) / 2)
        first = np.floor(place)
        share = place - first
        first = first.astype(np.int32)
        strides = shape[1], 1
        for side, weight in ((0, 1 - share), (1, share)):
            pixel = first + side
            inside = (pixel >= 0) & (pixel < shape[between])
            weights[view, :, : len(lines), side] = np.where(inside, weight / abs(normal[between]), 0)
            columns[view, :, : len(lines), side] = np.where(
                inside, pixel * strides[between] + np.arange(len(lines)) * strides[crossed], 0
            )
    ends = np.arange(len(angles) * bins + 1) * (2 * steps)
    return csr_array((weights.ravel(), columns.ravel(), ends), (len(angles) * bins, shape[0] * shape[1]))


def _spread(size: int, angles: np.ndarray, bins: int) -> csr_array:
    """The matrix (pixels, views x bins) of back-projection, linear between two rays."""
    middle = (np.arange(size, dtype=np.float32) - (size - 1) / 2).astype(np.float32)
    along, across = (axis.ravel()[:, None] for axis in np.meshgrid(middle, middle, indexing="ij"))
    radians = np.radians(angles).astype(np.float32)
    place = along * np.cos(radians) + across * np.sin(radians) + np.float32((bins - 1) / 2)
    first = np.floor(place).astype(np.int32)
    share = place - first
    columns = np.stack([first, first + 1], -1)
    weights = np.stack([1 - share, share], -1)
    weights[(columns < 0) | (columns >= bins)] = 0
    columns = np.clip(columns, 0, bins - 1) + (np.arange(len(angles), dtype=np.int32) * bins)[:, None]
    ends = np.arange(size * size + 1) * (2 * len(angles))
    return csr_array((weights.ravel(), columns.ravel(), ends), (size * size, len(angles) * bins))


def _ramp_filtered(sinogram: torch.Tensor) -> torch.Tensor:
    """Each view, convolved with the band-limited ramp; padded, so that its ends do not meet."""
    bins = sinogram.shape[-1]
    length = 2 ** ceil(np.log2(2 * bins))
    distance = torch.fft.fftfreq(length, 1 / length)
    kernel = torch.where(distance % 2 == 1, -1 / (np.pi * distance) ** 2, torch.zeros(()))
    kernel[0] = 0.25
    spectrum = torch.fft.rfft(pad(sinogram, (0, length - bins))) * torch.fft.rfft(kernel).real
    return torch.fft.irfft(spectrum, length)[..., :bins]
