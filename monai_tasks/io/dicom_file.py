"""One DICOM file with grey pixels: read it, decode it, and say in words what is wrong with it."""

from __future__ import annotations

import logging
import struct
import threading
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import numpy as np
from pydicom import config, dcmread
from pydicom.dataset import FileDataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import JPEG2000, JPEG2000Lossless, JPEGExtended12Bit, JPEGLSLossless, JPEGLSNearLossless

from monai_tasks.io import jpeg_extended
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import check_content

try:
    from pydicom.pixels import get_decoder
except ImportError:  # pydicom 2, which MONAI Label needs, takes no decoders
    pass
else:
    get_decoder(JPEGExtended12Bit).add_plugin("monai_tasks", (jpeg_extended.__name__, "decode_frame"))

# They log a traceback for each decoder that does not take a file; `decode` says in words when none does.
for _name in ("pydicom.pixels", "openjpeg"):
    logging.getLogger(_name).setLevel(logging.CRITICAL)

PIXELS = ("PixelData", "FloatPixelData", "DoubleFloatPixelData")

# Of several decoders pydicom takes GDCM first, which takes half as long again.
_FASTEST = dict.fromkeys((JPEGLSLossless, JPEGLSNearLossless), "pyjpegls")
_FASTEST |= dict.fromkeys((JPEG2000Lossless, JPEG2000), "pylibjpeg")

# What pydicom and its decoders raise on damaged bytes; anything else is a fault of the program.
DECODING_ERRORS = (
    AttributeError,
    EOFError,
    KeyError,
    IndexError,
    NotImplementedError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
)


def read_grey(path: Path) -> FileDataset:
    """Read a file that holds grey pixels in a compression in use; the pixels are not decoded yet.

    Args:
        path: a DICOM file.

    Returns:
        Its content.

    Raises:
        InputError: if it is missing, empty, damaged or no DICOM, or if it has no pixels, colour pixels or pixels
            in a retired compression.
    """
    check_content(path, "a DICOM file")
    try:
        dataset = dcmread(path)
        syntax = dataset.file_meta.TransferSyntaxUID
    except InvalidDicomError as cause:
        raise InputError(path, "a file without the DICOM marker", "a DICOM file") from cause
    except DECODING_ERRORS as cause:
        raise InputError(path, "a DICOM header that cannot be read", "a complete DICOM file") from cause
    if not any(keyword in dataset for keyword in PIXELS):
        raise InputError(path, "a DICOM file without pixels", "a slice with pixels")
    if dataset.get("SamplesPerPixel", 1) != 1 or not _is_grey(dataset):
        raise InputError(path, "colour pixels", "one grey value a pixel")
    if syntax.is_compressed and syntax.is_retired:
        raise InputError(path, f"pixels in a retired compression ({syntax.name})", "a compression in use")
    return dataset


def read_header(path: Path) -> FileDataset:
    """Read a file up to its pixels.

    Args:
        path: a DICOM file.

    Returns:
        Its header.

    Raises:
        InputError: if it is missing, empty, damaged or no DICOM.
    """
    check_content(path, "a DICOM file")
    try:
        return dcmread(path, stop_before_pixels=True)
    except InvalidDicomError as cause:
        raise InputError(path, "a file without the DICOM marker", "a DICOM file") from cause
    except DECODING_ERRORS as cause:
        raise InputError(path, "a DICOM header that cannot be read", "a complete DICOM file") from cause


class _Unchecked:
    """Keeps pydicom from warning for as long as any thread asks for it: its settings are those of the process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._users = 0
        self._undo = ExitStack()

    def enter(self) -> None:
        with self._lock:
            self._users += 1
            if self._users > 1:
                return
            mode, level = config.settings.reading_validation_mode, _pydicom.level
            self._undo.callback(setattr, config.settings, "reading_validation_mode", mode)
            self._undo.callback(_pydicom.setLevel, level)
            self._undo.enter_context(warnings.catch_warnings())
            config.settings.reading_validation_mode = config.IGNORE
            _pydicom.setLevel(logging.CRITICAL)
            warnings.filterwarnings("ignore", module=r"pydicom\b")

    def leave(self) -> None:
        with self._lock:
            self._users -= 1
            if not self._users:
                self._undo.close()


_pydicom, _unchecked = logging.getLogger("pydicom"), _Unchecked()


@contextmanager
def unchecked_values() -> Iterator[None]:
    """Read headers without warnings of values that are not as DICOM has them: they hold the values themselves.

    Several threads may be in such a block at a time.
    """
    _unchecked.enter()
    try:
        yield
    finally:
        _unchecked.leave()


def _is_grey(dataset: FileDataset) -> bool:
    return str(dataset.get("PhotometricInterpretation", "MONOCHROME2")).startswith("MONOCHROME")


def decode(path: Path, dataset: FileDataset, frame: int | None = None) -> np.ndarray:
    """Decode the pixels of a file.

    Args:
        path: the file, for the error.
        dataset: what `read_grey` gave.
        frame: which image of a file with several, from 0; None for all.

    Returns:
        The stored values, (frames, rows, columns).

    Raises:
        InputError: if the pixels are incomplete or damaged, or no decoder takes them.
    """
    try:
        stored = np.reshape(_pixels(dataset, frame), (-1, dataset.Rows, dataset.Columns))
        return stored if frame is None or len(stored) == 1 else stored[frame : frame + 1]
    except DECODING_ERRORS as cause:
        syntax = dataset.file_meta.TransferSyntaxUID
        found, expected = f"pixels that cannot be decoded ({syntax.name})", "complete pixels"
        if syntax == JPEGExtended12Bit and jpeg_extended.PROBLEM:
            found, expected = f"{found}: {jpeg_extended.PROBLEM}", "python-gdcm, whose decoder they need"
        raise InputError(path, found, expected) from cause


def _pixels(dataset: FileDataset, frame: int | None) -> np.ndarray:
    """The pixels by the decoder that takes the least time, and by the others where it does not take them."""
    if not hasattr(dataset, "pixel_array_options"):  # pydicom 2 has no choice, and decodes all frames
        return dataset.pixel_array
    fastest = _FASTEST.get(dataset.file_meta.TransferSyntaxUID)
    if fastest:
        try:
            dataset.pixel_array_options(index=frame, decoding_plugin=fastest)
            return dataset.pixel_array
        except DECODING_ERRORS:
            pass
    dataset.pixel_array_options(index=frame)
    return dataset.pixel_array
