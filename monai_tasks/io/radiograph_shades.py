"""What the stored values of a DICOM radiograph look like: from the decoder's numbers to shades of grey."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileDataset

from monai_tasks.io.dicom_file import DECODING_ERRORS
from monai_tasks.io.errors import InputError
from monai_tasks.io.picture import WHITE

try:
    from pydicom.pixels import apply_windowing
except ImportError:  # pydicom 2, which MONAI Label needs
    from pydicom.pixel_data_handlers import apply_windowing

# Integer pixels of up to so many different values go through a table of them, which is far faster.
_LARGEST_TABLE = 2**17
# Pixels that go through it at a time: what they need fits into a core's cache, which makes it twice as fast.
_BLOCK = 2**14
# Beyond every stored value, to learn which shades a window ends at.
_FAR = 1e9


def shades(path: Path, dataset: FileDataset, stored: np.ndarray) -> np.ndarray:
    """The shades of one frame, white where the body is dense.

    In this order:

    1. the modality LUT, or rescale slope and intercept;
    2. the first VOI LUT, or else the first window. A window that is empty, or narrower than one value, counts as
       none;
    3. the range of the LUT's entries or of the window, and without either the full range of the frame's values,
       becomes 0 to 65535;
    4. one inversion where the header says MONOCHROME1, or presentation LUT shape INVERSE, or both: they say the
       same thing twice;
    5. padding becomes black. It does not count for the range of step 3.

    Args:
        path: the file, for errors.
        dataset: its header.
        stored: (H, W), the decoded values of the frame.

    Returns:
        (H, W), uint16.

    Raises:
        InputError: if a LUT or window cannot be applied, or all pixels come out equal.
    """
    padding = _padding(dataset, stored.dtype)
    first, last = _range(stored, padding)
    if first == last:
        raise InputError(path, "all pixels equal", "an image with differing pixels")
    if not np.isfinite([first, last]).all():
        raise InputError(path, "pixels that are no finite numbers", "finite pixels")
    try:
        if stored.dtype.kind in "iu" and last - first < _LARGEST_TABLE:
            table = _displayed(dataset, np.arange(first, last + 1, dtype=np.float64))
            result = _looked_up(table, stored, first, padding)
        else:
            table = _displayed(dataset, np.clip(stored.astype(np.float64), first, last))
            result = table if padding is None else np.where(_is_within(stored, padding), np.uint16(0), table)
    except DECODING_ERRORS as cause:
        found = "a lookup table or window that cannot be applied"
        raise InputError(path, found, "tables and windows as DICOM has them") from cause
    if table.min() == table.max():
        raise InputError(path, "all pixels outside the window", "a window over the values of the pixels")
    return result


def _blocks(size: int) -> Iterator[slice]:
    return (slice(start, start + _BLOCK) for start in range(0, size, _BLOCK))


def _range(stored: np.ndarray, padding: tuple[int, int] | None) -> tuple[float, float]:
    """The lowest and highest value that is no padding; two equal numbers where all is padding."""
    if padding is None:
        return stored.min().item(), stored.max().item()
    values, limits = stored.reshape(-1), np.iinfo(stored.dtype)
    first, last = limits.max, limits.min
    for block in _blocks(values.size):
        part = values[block]
        kept = ~_is_within(part, padding)
        first = min(first, int(np.where(kept, part, limits.max).min()))
        last = max(last, int(np.where(kept, part, limits.min).max()))
    return min(first, last), last


def _is_within(values: np.ndarray, padding: tuple[int, int]) -> np.ndarray:
    return (values >= padding[0]) & (values <= padding[1])


def _looked_up(
    table: np.ndarray, stored: np.ndarray, first: int, padding: tuple[int, int] | None
) -> np.ndarray:
    """The entry of each stored value in a table that begins with the value `first`; 0 for padding."""
    # Beyond both ends lies padding and nothing else.
    table = np.pad(table, 1)
    if padding:
        inside = np.arange(first - 1, first - 1 + len(table))
        table[_is_within(inside, padding)] = 0
    result = np.empty(stored.shape, table.dtype)
    values, entries = stored.reshape(-1), result.reshape(-1)
    for block in _blocks(values.size):
        index = np.subtract(values[block], first - 1, dtype=np.intp)
        np.take(table, index, mode="clip", out=entries[block])
    return result


def _displayed(dataset: FileDataset, values: np.ndarray) -> np.ndarray:
    """Stored values, as float64 with the lowest and highest of the frame among them, to shades as uint16."""
    values = _rescaled(dataset, values)
    sequence = dataset.get("VOILUTSequence")
    if sequence and "LUTData" in sequence[0]:
        entries = _entries(dataset, sequence[0])
        values = _look_up(values, sequence[0], entries)
        low, high = float(entries.min()), float(entries.max())
    elif _has_window(dataset):
        if not dataset.get("VOILUTFunction", "LINEAR"):
            del dataset.VOILUTFunction  # empty, which pydicom takes for an unknown one
        # A window's shades lie between two that depend on the depth of the pixels: values far outside find them.
        with np.errstate(over="ignore"):
            windowed = apply_windowing(np.append(values.ravel(), (-_FAR, _FAR)), dataset)
        values, (low, high) = windowed[:-2].reshape(values.shape), windowed[-2:]
    else:
        low, high = values.min(), values.max()
    if low == high:
        return np.zeros(values.shape, np.uint16)
    shade = np.rint((values - low) * (WHITE / (high - low)))
    return (WHITE - shade if _is_inverted(dataset) else shade).astype(np.uint16)


def _rescaled(dataset: FileDataset, values: np.ndarray) -> np.ndarray:
    """Apply the modality LUT, or slope and intercept."""
    sequence = dataset.get("ModalityLUTSequence")
    if sequence:
        return _look_up(values, sequence[0], _entries(dataset, sequence[0])).astype(np.float64)
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    return values if slope is None or intercept is None else values * float(slope) + float(intercept)


def _entries(dataset: FileDataset, item: Dataset) -> np.ndarray:
    """The entries of a lookup table.

    Not by pydicom's `apply_voi`, which counts the entries of a table of 8 bits in 8 bits, nor by its
    `apply_modality_lut`, which takes no table of 10 to 15 bits.
    """
    count = int(item.LUTDescriptor[0]) or 2**16
    data = item["LUTData"].value
    if not isinstance(data, bytes):
        return np.atleast_1d(data).astype(np.int64)
    order = "<" if dataset.file_meta.TransferSyntaxUID.is_little_endian else ">"
    kind = "u1" if len(data) < 2 * count else f"{order}u2"
    return np.frombuffer(data, kind)[:count]


def _look_up(values: np.ndarray, item: Dataset, entries: np.ndarray) -> np.ndarray:
    """The entry of each value; values outside the table take its first or last entry."""
    index = np.rint(values).astype(np.int64) - int(item.LUTDescriptor[1])
    return np.take(entries, index, mode="clip")


def _has_window(dataset: FileDataset) -> bool:
    """Whether there is a window that can be used."""
    center, width = (_first(dataset.get(keyword)) for keyword in ("WindowCenter", "WindowWidth"))
    if center is None or width is None or not np.isfinite([center, width]).all():
        return False
    linear = str(dataset.get("VOILUTFunction") or "LINEAR").upper() == "LINEAR"
    return width >= 1 if linear else width > 0


def _first(value: object) -> float | None:
    """The first of one or several numbers."""
    if value is None or isinstance(value, str):
        return None
    numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
    return float(numbers[0]) if numbers.size else None


def _is_inverted(dataset: FileDataset) -> bool:
    """Whether low values are to be shown white."""
    inverse = str(dataset.get("PresentationLUTShape") or "").strip().upper() == "INVERSE"
    return inverse or dataset.PhotometricInterpretation == "MONOCHROME1"


def _padding(dataset: FileDataset, kind: np.dtype) -> tuple[int, int] | None:
    """The lowest and highest value that stands for no image; None where there is no such value."""
    value = dataset.get("PixelPaddingValue")
    if value is None or kind.kind not in "iu":
        return None
    limit = dataset.get("PixelPaddingRangeLimit")
    # Some files write a negative value as the unsigned number of the same bits.
    first, last = (int(np.array(one).astype(kind)) for one in (value, value if limit is None else limit))
    return min(first, last), max(first, last)
