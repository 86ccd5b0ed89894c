"""What the pixel steps share: a reduced copy of a radiograph, its exposed field, and the body in it."""

from __future__ import annotations

from functools import cached_property

import numpy as np
import SimpleITK as sitk
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

LONGEST = 256  # pixels, of the longer side of the reduced copy

FRAMES = 3  # nested frames and collimators that are taken off, at most
SAME = 0.04  # of the range of intensities; a frame varies by less
CONVEX = 0.9  # share of its convex hull that the field inside a frame fills, at least
THICK = 0.06  # of the longer side; half the width of what counts as a piece of the field
SMALLEST_FIELD = 0.1  # of the image; what is smaller is no field
RECTANGLE = 0.91  # share of the rectangle around it that a mask fills, at least, to be one
ROUGHLY = 0.85  # likewise, for the field in a frame, of which a corner may be as dark as the frame
TWO_HEAPS = 0.8  # share of the variance of dark pixels that two classes explain, at least, to be two
ONE_HEAP = 0.7  # share at which two classes are one heap: all that the frame leaves is body
SMALLEST_HEAP = 0.08  # of the dark pixels
THIN = 0.45  # of the way from the background to Otsu's threshold, at least, that the body is brighter
NOISE = 4.0  # of the background's robust deviation, likewise
NEAR = 1e-6  # pixels, to both sides of an edge on which pixels lie
STEEP = 3  # pixels of the reduced copy beside a frame in which its edge still shows


class Overview:
    """What the pixel steps see of one radiograph. Each part is found when it is first asked for, and then kept.

    Args:
        pixels: (H, W), of the radiograph; not to be changed afterwards.
    """

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels

    @cached_property
    def _reduced(self) -> tuple[np.ndarray, int]:
        return reduced(self._pixels)

    @property
    def small(self) -> np.ndarray:
        """(H // edge, W // edge), float32, 0..1: the reduced copy, see `reduced`."""
        return self._reduced[0]

    @property
    def edge(self) -> int:
        """Of a block of the reduced copy, in pixels."""
        return self._reduced[1]

    @cached_property
    def field(self) -> np.ndarray:
        """Where the reduced copy shows an exposure, see `exposed_field`."""
        return exposed_field(self.small)

    @cached_property
    def body(self) -> np.ndarray:
        """Where the body is in the reduced copy, see `body`."""
        return body(self.small, self.field)

    def background(self) -> int:
        """The grey value of the background, see `background`."""
        return background(self._pixels, self.edge, self.field, self.body)


def reduced(pixels: np.ndarray, longest: int = LONGEST) -> tuple[np.ndarray, int]:
    """The image in means over square blocks, so that its longer side has at most `longest` pixels.

    Args:
        pixels: (H, W), any real kind.
        longest: in pixels.

    Returns:
        small: (H // edge, W // edge), float32, scaled to 0..1 by the 0.5th and the 99.5th percentile and cut off
            there. All 0 where the image is even.
        edge: of a block, in pixels. Rows and columns that fill no block are left out.
    """
    height, width = pixels.shape
    edge = min(-(-max(height, width) // longest), height, width)
    rows, columns = height // edge, width // edge
    # Whole rows first: they lie one after the other in memory, so that this reads the image once, at full speed.
    kind = np.uint32 if pixels.dtype == np.uint16 else np.float64
    sums = np.add.reduce(pixels[: rows * edge].reshape(rows, edge, width), axis=1, dtype=kind)
    small = np.add.reduce(sums[:, : columns * edge].reshape(rows, columns, edge), axis=2, dtype=np.float64)
    low, high = np.percentile(small, (0.5, 99.5))
    if high <= low:
        low, high = small.min(), small.max()
    if high <= low:
        return np.zeros(small.shape, np.float32), edge
    return np.clip((small - low) / (high - low), 0, 1).astype(np.float32), edge


def exposed_field(small: np.ndarray) -> np.ndarray:
    """Where the image shows an exposure: without frames and without what the collimator covers.

    An even region at the border of the image is a frame if what it leaves is convex, as the rectangle inside a
    frame or a collimator is, turned or not. The even background around a hand leaves the hand, which is not.
    Around a bare forearm it may count as a frame; the field is then the forearm. Black and white frames are taken
    off alike, also one inside another.

    Args:
        small: (H, W), 0..1.

    Returns:
        Mask (H, W), bool; never empty.
    """
    # Two colours that the eye takes for one differ by little, and the noise of a plate by more: the median keeps
    # the edges of the field.
    even = ndimage.median_filter(small, 3)
    field = np.ones(small.shape, bool)
    for _ in range(FRAMES):
        inside = _inside_frame(even, field)
        if inside is None:
            break
        field = inside
        # In a frame lies a rectangle. What is none is the body, of which nothing is taken off.
        if not is_rectangle(field):
            break
    if field.all():
        return field
    inner = ndimage.binary_erosion(field, iterations=STEEP)
    return inner if inner.sum() > SMALLEST_FIELD * inner.size else field


def _inside_frame(even: np.ndarray, field: np.ndarray) -> np.ndarray | None:
    """The field without an even region at its border; nothing where no such region is a frame."""
    # Beside a frame that was taken off lie pixels that mix both sides of its edge.
    rim = field if field.all() else ndimage.binary_erosion(field, iterations=2)
    rim = rim & ~ndimage.binary_erosion(rim, border_value=0)
    counts, edges = np.histogram(even[rim], bins=24, range=(0, 1))
    for number in np.argsort(counts)[::-1][:3]:
        if counts[number] < 0.08 * counts.sum():
            break
        values = even[rim & (even >= edges[number]) & (even <= edges[number + 1])]
        region = field & (abs(even - np.median(values)) < SAME)
        labels, _ = ndimage.label(region)
        region = np.isin(labels, np.unique(labels[rim & region]))
        left = field & ~region
        pieces = _thick(left)
        inside = convex_hull(pieces) & field
        if not SMALLEST_FIELD * field.size < inside.sum() < field.sum() - 0.02 * field.size:
            continue
        if pieces.sum() > CONVEX * inside.sum():
            return inside
        # A limb as dark or as bright as the frame goes with it where they touch, which leaves the background on both
        # sides of it. Within their hull the limb is back.
        if ndimage.label(pieces)[1] > 1 and is_rectangle(inside, ROUGHLY):
            return inside
    return None


def _thick(mask: np.ndarray) -> np.ndarray:
    """The largest piece of a mask, and others that are no thin strips, as between two frames, and no letters."""
    labels, count = ndimage.label(ndimage.binary_opening(mask, iterations=2))
    if count < 2:
        return labels > 0
    largest = np.bincount(labels.ravel())[1:].argmax() + 1
    least = THICK * max(mask.shape)
    # Half the width is at most the shorter side of the box around a piece, unless the piece ends at two borders.
    if all(
        number == largest or min(_sides(box, mask.shape)) <= least
        for number, box in enumerate(ndimage.find_objects(labels), 1)
    ):
        return labels == largest
    half = np.zeros(count + 1)
    np.maximum.at(half, labels.ravel(), ndimage.distance_transform_edt(labels > 0).ravel())
    return np.isin(labels, [largest, *np.flatnonzero(half > least)])


def _sides(box: tuple[slice, slice], shape: tuple[int, int]) -> list[float]:
    """Height and width of a box; infinite where it reaches from one border of the image to the other."""
    lengths = (side.stop - side.start for side in box)
    return [length if length < whole else np.inf for length, whole in zip(lengths, shape, strict=True)]


def convex_hull(mask: np.ndarray) -> np.ndarray:
    """The pixels of the convex hull of a mask.

    Args:
        mask: (H, W), bool.

    Returns:
        Mask (H, W), bool; the mask given where its hull has no area.
    """
    corners = _ends(mask)
    if len(corners) < 3:
        return mask
    try:
        hull = corners[ConvexHull(corners).vertices]
    except QhullError:
        return mask
    drawn = Image.new("1", mask.shape[::-1])
    # The ends of a row lie on the outer edges of its pixels.
    ImageDraw.Draw(drawn).polygon([(float(x) - 0.5, float(y) - 0.5) for y, x in hull], fill=1)
    return np.asarray(drawn) | mask


def _ends(mask: np.ndarray) -> np.ndarray:
    """Corners (N, 2) of the first and the last pixel of each row, rows and columns: only they can lie on a hull."""
    rows = np.flatnonzero(mask.any(1))
    first, last = mask[rows].argmax(1), mask.shape[1] - mask[rows, ::-1].argmax(1)
    return np.concatenate([np.stack([rows + down, side], 1) for down in (0, 1) for side in (first, last)])


def largest_component(mask: np.ndarray) -> np.ndarray:
    """The largest connected part of a mask; empty where the mask is."""
    labels, count = ndimage.label(mask)
    if count < 2:
        return mask
    return labels == np.bincount(labels.ravel())[1:].argmax() + 1


def otsu(values: np.ndarray) -> tuple[float, float]:
    """Otsu's threshold [Otsu1979], by SimpleITK.

    Args:
        values: any shape, not empty.

    Returns:
        threshold: values above it are the brighter class.
        explained: share of the variance that the two classes explain. Even values have 0.75, a normal
            distribution has 0.64, two heaps have more.
    """
    values = np.asarray(values, np.float32).ravel()
    spread = values.var()
    if spread == 0:
        return float(values[0]), 0.0
    otsu_filter = sitk.OtsuThresholdImageFilter()
    otsu_filter.Execute(sitk.GetImageFromArray(values[None]))
    threshold = otsu_filter.GetThreshold()
    bright = values > threshold
    share = bright.mean()
    if not 0 < share < 1:
        return threshold, 0.0
    apart = values[bright].mean() - values[~bright].mean()
    return threshold, float(share * (1 - share) * apart**2 / spread)


def body(small: np.ndarray, field: np.ndarray | None = None) -> np.ndarray:
    """Where the body is, in a radiograph in which it is brighter than the background.

    Otsu's threshold [Otsu1979]; where bone is so bright that it falls between soft tissue and bone, the darker
    class is divided once more; then lowered to what the background's spread allows, for the sake of thin fingers.
    Opened, closed and its holes filled.

    Args:
        small: (H, W), 0..1.
        field: the exposed field; found if not given.

    Returns:
        Mask (H, W), bool; all False where the image is even.
    """
    if field is None:
        field = exposed_field(small)
    # A field that is no rectangle is the body itself; what lies around it is then background, not frame.
    framed = is_rectangle(field)
    dark = np.percentile(small[field], 2)
    outside = dark if framed else np.minimum(small, dark)
    level = ndimage.gaussian_filter(np.where(field, small, outside), 1.0)
    values = level[field] if framed else level
    threshold, explained = otsu(values)
    if not explained:
        return np.zeros(small.shape, bool)
    if framed and explained < ONE_HEAP and not field.all():
        return field
    below = values[values <= threshold]
    lower, two_heaps = otsu(below)
    if two_heaps > TWO_HEAPS and (below > lower).mean() > SMALLEST_HEAP:
        threshold = lower
        below = below[below <= lower]
    # Otsu's threshold lies in the middle, above thin fingers. Down to where the background's own spread ends.
    middle = np.median(below)
    spread = 1.5 * np.median(abs(below - middle))
    threshold = min(threshold, middle + max(NOISE * spread, THIN * (threshold - middle)))
    mask = (level > threshold) & (field | (not framed))
    mask = ndimage.binary_opening(mask, iterations=2)
    # The border must not erode what it cuts.
    wide = np.pad(mask, 3, mode="edge")
    mask = ndimage.binary_closing(wide, iterations=3)[3:-3, 3:-3]
    return ndimage.binary_fill_holes(mask)


def is_rectangle(mask: np.ndarray, filled: float = RECTANGLE) -> bool:
    """Whether a mask is a rectangle, turned or not, as far as the image shows it.

    Args:
        mask: (H, W), bool; not empty.
        filled: share of the rectangle around it that it fills, at least.
    """
    if mask.all():
        return True
    rows = np.flatnonzero(mask.any(1))
    ends = mask[rows].argmax(1), mask.shape[1] - 1 - mask[rows, ::-1].argmax(1)
    places = np.concatenate([np.stack([rows, side], 1) for side in ends])
    hull = places[ConvexHull(places).vertices]
    sides = np.roll(hull, -1, 0) - hull
    total, best = mask.sum(), np.inf
    for angle in np.unique(np.round(np.arctan2(sides[:, 0], sides[:, 1]) % (np.pi / 2), 2)):
        turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        low, high = (hull @ turn.T).min(0), (hull @ turn.T).max(0)
        if np.prod(high - low) < 1.3 * total or np.isinf(best):
            best = min(best, _pixels_between(mask.shape, turn, low, high))
    return bool(total > filled * best)


def _pixels_between(shape: tuple[int, int], turn: np.ndarray, low: np.ndarray, high: np.ndarray) -> int:
    """How many pixels of an image a turned rectangle holds.

    Args:
        shape: of the image.
        turn: (2, 2), from rows and columns to the axes of the rectangle.
        low: the least of both coordinates along these axes.
        high: the largest.
    """
    rows = np.arange(shape[0])
    left, right = np.zeros(shape[0]), np.full(shape[0], shape[1] - 1.0)
    for (down, across), least, most in zip(turn, low - NEAR, high + NEAR, strict=True):
        if across:
            # Where each row enters the strip between two sides, and where it leaves it.
            ends = np.sort([(least - down * rows) / across, (most - down * rows) / across], axis=0)
            left, right = np.maximum(left, ends[0]), np.minimum(right, ends[1])
        else:
            right[(down * rows < least) | (down * rows > most)] = -1
    return int(np.maximum(np.floor(right) - np.ceil(left) + 1, 0).sum())


def background(pixels: np.ndarray, edge: int, field: np.ndarray, mask: np.ndarray) -> int:
    """The grey value of the background: the median of the field outside the body.

    Args:
        pixels: (H, W), of the image in its full size.
        edge: of the blocks of the reduced copy, see `reduced`.
        field: the exposed field, of the reduced copy.
        mask: the body, of the reduced copy.
    """
    rows, columns = mask.shape
    sample = pixels[edge // 2 :: edge, edge // 2 :: edge][:rows, :columns]
    around = field & ~ndimage.binary_dilation(mask, iterations=2)
    if around.mean() < 0.01:
        return int(np.percentile(sample[field], 2))
    return int(np.median(sample[around]))
