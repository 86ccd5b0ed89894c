"""Splits an image that shows several arms into one image an arm.

Side by side arms, and two films that were joined after they were scanned. Fingers are no arms, and neither are
markers and labels.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
from scipy import ndimage

from monai_tasks.radiographs.foreground import Overview, convex_hull, largest_component
from monai_tasks.radiographs.study import Image, Study

Box = tuple[slice, slice]
ALL = (slice(None), slice(None))

SEAM = 0.06  # of the width of the image; a seam is narrower
EVEN = 0.06  # of the range of intensities; along a seam they vary by less
EXTREME = 0.08  # of the range, from black or white, within which a seam lies
CONTRAST = (
    0.12  # of the range, by which a seam differs from most pixels beside it; a gap between fingers does not
)
INNER = 0.12  # of the image beside its edges in which no seam is looked for
MARGIN = 0.03  # of the image that is kept around a part
WORN = (0.2, 0.35, 0.5)  # of the half width of a limb, that is worn off to see whether it is two
ALIKE = 0.4  # share of the larger's pixels that the smaller of two arms has, at least
STEP = 8.0  # times the difference of columns farther away, that those on both sides of a joint without a seam have
STEEP = 0.03  # of the range, by which most pixels differ there
MIDDLE = (0.3, 0.7)  # of the image, in which such a joint lies
MOST = 4  # parts; an image that seems to show more shows no arms
LENGTH = 0.4  # of the image's length along a limb, that a limb has at least
LONG = (1.2, 8.0)  # length by width of a limb
SOLID = 0.6  # share of its convex hull that a limb with its fingers fills, at least
SIDE_BY_SIDE = 0.5  # share of the narrower piece's width beside the other, from which both are parts


def split_parts(
    pixels: np.ndarray, smallest: float = 0.02, relative: float = 0.2, overview: Overview | None = None
) -> list[Box]:
    """Find the parts that an image shows.

    Otsu's threshold on a reduced copy gives the connected pieces of the body. Pieces are parts of their own when
    they lie beside each other, seen along the limb: what lies in the limb's continuation, as fingers and their bones
    do, belongs to it. An even, black or white line through the whole image is a seam between two films, and nothing
    is joined across it. Films that meet without such a line are told by the step between them, where both show a limb.
    Noise and patterns are no bodies: a piece too short, too thin or too ragged for a limb is no part, and where there
    seem to be more than four, there are none.

    Args:
        pixels: (H, W), white where the body is dense.
        smallest: share of the image's pixels that a part fills, at least.
        relative: share of the pixels of the largest part, likewise.
        overview: of these pixels; made where not given.

    Returns:
        Rows and columns of each part, from left to right, then from top to bottom. One box with the whole image where
        there are not two parts.
    """
    height, width = pixels.shape
    whole = (slice(0, height), slice(0, width))
    overview = overview or Overview(pixels)
    films = []
    for film in _films(pixels):
        seen = overview if film == whole else Overview(pixels[film])
        films.append((film, _pieces(pixels[film].shape, seen, smallest, relative)))
    if len(films) > 1 and not all(pieces for _, pieces in films):
        films = [(whole, _pieces(pixels.shape, overview, smallest, relative))]
    if len(films) == 1 and len(films[0][1]) < 2:
        halves = [
            (film, Overview(pixels[film])) for film in _halves(overview.small, overview.edge, pixels.shape)
        ]
        if all(_shows_limb(seen) for _, seen in halves):
            films = [(film, []) for film, _ in halves] or films
    boxes = [_within(film, box) for film, pieces in films for box in (pieces if len(pieces) > 1 else [ALL])]
    if not 1 < len(boxes) <= MOST:
        return [whole]
    return sorted(boxes, key=lambda box: (box[1].start, box[0].start))


def _within(outer: Box, inner: Box) -> Box:
    """A box in a box, in the coordinates of the outer one."""
    return tuple(
        slice(*(place + large.start for place in small.indices(large.stop - large.start)[:2]))
        for large, small in zip(outer, inner, strict=True)
    )


def _films(pixels: np.ndarray) -> list[Box]:
    """The films on both sides of a seam across the image or down it; the image itself without one."""
    height, width = pixels.shape
    columns = _seam(pixels)
    if columns:
        return [(slice(0, height), slice(0, columns[0])), (slice(0, height), slice(columns[1], width))]
    rows = _seam(pixels.T)
    if rows:
        return [(slice(0, rows[0]), slice(0, width)), (slice(rows[1], height), slice(0, width))]
    return [(slice(0, height), slice(0, width))]


def _seam(pixels: np.ndarray) -> tuple[int, int] | None:
    """First and one past the last column of an even line from top to bottom, or nothing.

    The line may be a few pixels wide, so that columns are looked at one by one, and rows in steps.
    """
    height, width = pixels.shape
    sample = pixels[:: max(1, height // 256)].astype(np.float32)
    low, high = np.percentile(sample[:, :: max(1, width // 256)], (0.5, 99.5))
    if high <= low:
        return None
    sample = (sample - low) / (high - low)
    even, middle = _even_columns(sample)
    # Apart: a white seam often lies beside an even black background.
    dark, count = ndimage.label(even & (middle < EXTREME))
    runs, bright = ndimage.label(even & (middle > 1 - EXTREME))
    runs, count = np.where(dark, dark, runs + count * (runs > 0)), count + bright
    beside = max(2, round(0.01 * width))
    best = None
    for number in range(1, count + 1):
        places = np.flatnonzero(runs == number)
        first, last = int(places[0]), int(places[-1]) + 1
        if last - first > SEAM * width or first < INNER * width or last > (1 - INNER) * width:
            continue
        line = middle[first:last].mean()
        contrast = min(
            np.median(abs(sample[:, neighbour] - line))
            for neighbour in (max(first - beside, 0), min(last + beside, width - 1))
        )
        if contrast > CONTRAST and (best is None or contrast > best[0]):
            # Its soft edges go with it.
            best = contrast, max(first - 1, 0), min(last + 1, width)
    return best[1:] if best else None


def _halves(small: np.ndarray, edge: int, shape: tuple[int, int]) -> list[Box]:
    """The films on both sides of a joint without a seam in the middle of the image; none without one."""
    height, width = shape
    column, row = _step(small), _step(small.T)
    if column:
        return [(slice(0, height), part) for part in (slice(0, column * edge), slice(column * edge, width))]
    if row:
        return [(part, slice(0, width)) for part in (slice(0, row * edge), slice(row * edge, height))]
    return []


def _step(small: np.ndarray) -> int | None:
    """The column at which nearly all rows step, as no body does; nothing without one."""
    smooth = ndimage.uniform_filter1d(small, 5, axis=0)
    steps = abs(smooth[:, 2:] - smooth[:, :-2])
    usual = np.median(steps, axis=0)
    ratio = usual / (ndimage.median_filter(usual, size=21) + 0.004)
    first, last = (int(share * small.shape[1]) for share in MIDDLE)
    if last - first < 3:
        return None
    place = first + int(ratio[first : last - 2].argmax())
    if ratio[place] < STEP or np.quantile(steps[:, place], 0.3) < STEEP:
        return None
    return place + 1


def _shows_limb(overview: Overview) -> bool:
    """Whether the largest piece of the body is a limb."""
    largest = largest_component(overview.body)
    return bool(largest.any()) and _is_limb(largest, largest)


def _even_columns(sample: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Which columns vary little, but for the highest and lowest hundredth, and the median of those that do."""
    # Most columns vary more already in some of their rows, of which no more than `beyond` are in either hundredth.
    beyond = int(0.01 * (len(sample) - 1)) + 1
    some = np.sort(sample[:: max(1, len(sample) // 32)], axis=0)
    even = np.ones(sample.shape[1], bool)
    if len(some) > 2 * beyond:
        even = some[-1 - beyond] - some[beyond] < EVEN + 1e-3
    middle = np.zeros(sample.shape[1])
    bottom, middle[even], top = np.percentile(sample[:, even], (1, 50, 99), axis=0)
    even[even] = top - bottom < EVEN
    return even, middle


def _pieces(shape: tuple[int, int], overview: Overview, smallest: float, relative: float) -> list[Box]:
    """The box of each part of one film; nothing where it shows no body."""
    small = overview.small
    labels, count = ndimage.label(overview.body)
    labels, count = _untangled(labels, count, smallest * small.size)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    if not count or sizes.max() < smallest * small.size:
        return []
    large = [n + 1 for n in range(count) if sizes[n] >= max(smallest * small.size, relative * sizes.max())]
    large = sorted(large, key=lambda number: -sizes[number - 1])
    parts = _joined(labels, large)
    _add_small(labels, parts, [n + 1 for n in range(count) if n + 1 not in large], sizes)
    masks = [np.isin(labels, part) for part in parts]
    limbs = [mask for mask in masks if _is_limb(mask, labels == large[0])]
    # Films are told apart by their seam; one that shows no limb shows a body all the same.
    masks = limbs if len(limbs) > 1 else masks[:1]
    return [_full_size(_box(mask, masks), overview.edge, small.shape, shape) for mask in masks]


def _untangled(labels: np.ndarray, count: int, smallest: float) -> tuple[np.ndarray, int]:
    """The pieces, with the largest divided where it is two arms that touch, such as at the thumbs.

    Worn off from its edge, a limb becomes a thinner limb, and what touches it comes off. What comes off counts as an
    arm if it is about as large as the other and lies beside it.
    """
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    if not count or sizes.max() < smallest:
        return labels, count
    piece = labels == sizes.argmax() + 1
    # A limb that the image cuts does not end there.
    inside = ndimage.distance_transform_edt(np.pad(piece, 1, mode="edge"))[1:-1, 1:-1]
    for share in WORN:
        cores, number = ndimage.label(inside > share * inside.max())
        areas = np.bincount(cores.ravel(), minlength=number + 1)[1:]
        large = [n + 1 for n in range(number) if areas[n] > ALIKE * areas.max()]
        if len(large) > 1 and len(_joined(cores, sorted(large, key=lambda n: -areas[n - 1]))) > 1:
            cores = np.where(np.isin(cores, large), cores, 0)
            nearest = ndimage.distance_transform_edt(cores == 0, return_distances=False, return_indices=True)
            labels = np.where(piece, cores[tuple(nearest)] + count, labels)
            names, labels = np.unique(labels, return_inverse=True)
            return labels.reshape(piece.shape), len(names) - 1
    return labels, count


def _joined(labels: np.ndarray, large: list[int]) -> list[list[int]]:
    """Large pieces, with those joined that lie behind each other along the limb."""
    across = _across(labels == large[0])
    places = {number: np.argwhere(labels == number) @ across for number in large}
    spans = {number: np.percentile(place, (2, 98)) for number, place in places.items()}
    parts: list[list[int]] = []
    for number in large:
        first, last = spans[number]
        for part in parts:
            start, stop = min(spans[n][0] for n in part), max(spans[n][1] for n in part)
            beside = max(0.0, start - first) + max(0.0, last - stop)
            if beside < SIDE_BY_SIDE * min(last - first, stop - start):
                part.append(number)
                break
        else:
            parts.append([number])
    return parts


def _across(mask: np.ndarray) -> np.ndarray:
    """The direction across the limb, a unit vector of rows and columns."""
    places = np.argwhere(mask)
    return np.linalg.eigh(np.cov((places - places.mean(0)).T))[1][:, 0]


def _is_limb(mask: np.ndarray, largest: np.ndarray) -> bool:
    """Whether a mask has the length and the shape of a limb that lies along the largest piece."""
    across = _across(largest)
    along = np.array([across[1], -across[0]])
    places = np.argwhere(mask)
    length, width = (np.ptp(np.percentile(places @ way, (2, 98))) for way in (along, across))
    # Of a line through the whole image.
    longest = min(side / max(abs(part), 1e-6) for side, part in zip(mask.shape, along, strict=True))
    return bool(
        length > LENGTH * longest
        and LONG[0] * width < length < LONG[1] * width
        and mask.sum() > SOLID * convex_hull(mask).sum()
    )


def _add_small(labels: np.ndarray, parts: list[list[int]], small: list[int], sizes: np.ndarray) -> None:
    """Give small pieces that are no specks, such as fingers, to the part that is nearest."""
    if len(parts) < 2:
        return
    away = [ndimage.distance_transform_edt(~np.isin(labels, part)) for part in parts]
    reach = 0.1 * max(labels.shape)
    for number in small:
        if sizes[number - 1] < 0.002 * labels.size:
            continue
        distances = [distance[labels == number].min() for distance in away]
        if min(distances) < reach:
            parts[int(np.argmin(distances))].append(number)


def _box(mask: np.ndarray, masks: list[np.ndarray]) -> Box:
    """Rows and columns of a part with a margin, that ends halfway to its neighbours."""
    margin = round(MARGIN * max(mask.shape))
    spans = [_spans(other) for other in masks if other is not mask]
    box = []
    for axis, (first, last) in enumerate(_spans(mask)):
        start, stop = max(first - margin, 0), min(last + margin, mask.shape[axis])
        for other in spans:
            if other[axis][1] <= first:
                start = max(start, (other[axis][1] + first + 1) // 2)
            if other[axis][0] >= last:
                stop = min(stop, (other[axis][0] + last) // 2)
        box.append(slice(start, stop))
    return tuple(box)


def _spans(mask: np.ndarray) -> list[tuple[int, int]]:
    """First and one past the last row and column of a mask."""
    return [
        (int(used[0]), int(used[-1]) + 1) for used in (np.flatnonzero(mask.any(1 - axis)) for axis in (0, 1))
    ]


def _full_size(box: Box, edge: int, small: tuple[int, int], full: tuple[int, int]) -> Box:
    """A box of the reduced copy in pixels of the image; up to the image's end where it reaches the copy's."""
    return tuple(
        slice(side.start * edge, length if side.stop == blocks else side.stop * edge)
        for side, blocks, length in zip(box, small, full, strict=True)
    )


@dataclass(frozen=True)
class PartSplitter:
    """Make an image a part of what shows several arms, with a row and a file name for each.

    The column `part` counts from 1; it stays empty where an image shows one arm. An image that has it came from a
    split and is not split again. File names get `_P` and the part.

    Args:
        smallest: share of the image's pixels that a part fills, at least.
        relative: share of the pixels of the largest part, likewise.

    Raises:
        ValueError: if a share is not above 0 and below 1.
    """

    smallest: float = 0.02
    relative: float = 0.2

    name = "parts"

    def __post_init__(self) -> None:
        for argument in ("smallest", "relative"):
            if not 0 < getattr(self, argument) < 1:
                raise ValueError(f"{argument} {getattr(self, argument)}; expected above 0 and below 1")

    def __call__(self, study: Study) -> Study:
        return study.with_images([part for image in study.images for part in self._split(image)])

    def _split(self, image: Image) -> list[Image]:
        if image.row["part"]:
            return [image]
        boxes = split_parts(image.pixels, self.smallest, self.relative, image.overview)
        if len(boxes) == 1:
            return [image]
        path = PurePosixPath(image.row["image"])
        return [
            image.with_pixels(
                image.pixels[box],
                part=str(number),
                image=str(path.with_name(f"{path.stem}_P{number}{path.suffix}")),
            )
            for number, box in enumerate(boxes, 1)
        ]
