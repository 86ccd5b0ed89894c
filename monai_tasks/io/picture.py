"""Pictures of radiographs: PNG and JPEG files to grey pixels of 16 bits, and back to PNG.

Apart from DICOM, for what works on a data set of pictures starts sooner without its reader.
"""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps

from monai_tasks.io.errors import InputError
from monai_tasks.io.files import atomic_path, check_content

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
WHITE = 65535
_FORMATS = ("PNG", "JPEG")
_ZLIB = b"\x78\x01"  # begins a stream of the usual window
_NONE, _SUB = 0, 1  # filters of a line of a PNG
_STRIP = 64  # lines of a PNG that are compressed, or stored, together
_SAMPLED = 16  # one line in so many says which
_WORTH = 0.7  # share that is left of a strip at most, where it is compressed
# What Pillow raises on damaged bytes; anything else is a fault of the program.
_PICTURE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error)


def read_picture(path: str | os.PathLike[str]) -> tuple[np.ndarray, int]:
    """Read a PNG or JPEG file.

    Args:
        path: a file with grey pixels.

    Returns:
        (H, W), uint16, where pixels of 8 bits became 16 bits; and how many bits they had.

    Raises:
        InputError: if the file cannot be read or decoded, has colours, or all pixels are equal.
    """
    path = Path(path)
    check_content(path, "a radiograph")
    try:
        with Image.open(path, formats=_FORMATS) as picture:
            # Cameras and some exports store an image turned, with a note how.
            ImageOps.exif_transpose(picture, in_place=True)
            array = np.asarray(_without_palette(picture))
    except Image.DecompressionBombError as cause:
        raise InputError(path, "more pixels than any radiograph has", "a radiograph") from cause
    except _PICTURE_ERRORS as cause:
        raise InputError(path, "a picture that cannot be decoded", "a complete DICOM, PNG or JPEG") from cause
    if array.ndim == 3:
        array = _grey(path, array)
    if array.min() == array.max():
        raise InputError(path, f"all pixels equal ({array.flat[0]})", "an image with differing pixels")
    if array.dtype == np.uint8:
        return array.astype(np.uint16) * (WHITE // 255), 8
    if array.min() < 0 or array.max() > WHITE:
        raise InputError(path, f"pixels from {array.min()} to {array.max()}", f"0 to {WHITE}")
    return array.astype(np.uint16, copy=False), 16


def _without_palette(picture: Image.Image) -> Image.Image:
    if picture.mode == "1":
        return picture.convert("L")
    return picture.convert("RGB") if picture.mode in ("P", "PA", "CMYK", "YCbCr") else picture


def _grey(path: Path, array: np.ndarray) -> np.ndarray:
    """The one grey value of pixels (H, W, channels): grey and opacity, or three equal colours and opacity."""
    if array.shape[2] > 2 and not (
        np.array_equal(array[..., 0], array[..., 1]) and np.array_equal(array[..., 0], array[..., 2])
    ):
        raise InputError(path, "colour pixels", "one grey value a pixel")
    return np.ascontiguousarray(array[..., 0])


def write_png(path: str | os.PathLike[str], pixels: np.ndarray) -> None:
    """Write a grey image of 16 bits, complete or not at all; nothing but the pixels is in the file.

    Pillow weighs five filters for every line and takes four times as long. Here a line holds the differences of
    neighbours, which suits radiographs; what is mostly noise is stored as it is.

    Args:
        path: the file.
        pixels: (H, W), uint16.

    Raises:
        ValueError: if the pixels are anything else.
    """
    if pixels.ndim != 2 or pixels.dtype != np.uint16 or not pixels.size:
        raise ValueError(f"pixels of shape {pixels.shape} and {pixels.dtype}; expected (H, W) and uint16")
    height, width = pixels.shape
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        stream.write(b"\x89PNG\r\n\x1a\n")
        _write_chunk(stream, b"IHDR", struct.pack(">IIBBBBB", width, height, 16, 0, 0, 0, 0))
        for content in _compressed(pixels):
            _write_chunk(stream, b"IDAT", content)
        _write_chunk(stream, b"IEND", b"")


def _write_chunk(stream: BinaryIO, name: bytes, content: bytes) -> None:
    stream.write(struct.pack(">I", len(content)) + name)
    stream.write(content)
    stream.write(struct.pack(">I", zlib.crc32(content, zlib.crc32(name))))


def _compressed(pixels: np.ndarray) -> Iterator[bytes]:
    """The lines of a PNG, each with a byte before it that names its filter, in a stream of zlib's.

    A strip of lines of which compression would leave more than seven tenths is stored as it is: that is the noise of
    the lowest bits, on which compression spends most of its time. Pixels of 12 bits, without such noise, become far
    smaller everywhere.
    """
    height, width = pixels.shape
    lines = np.empty((min(height, _STRIP), 2 * width + 1), np.uint8)
    check = zlib.adler32(b"")
    yield _ZLIB
    for first in range(0, height, _STRIP):
        raw = pixels[first : first + _STRIP].astype(">u2", order="C").view(np.uint8)
        strip = lines[: len(raw)]
        worth = _share_left(_differences(raw[len(raw) // 2 :: _SAMPLED])) < _WORTH
        strip[:, 0] = _SUB if worth else _NONE
        strip[:, 1:] = _differences(raw) if worth else raw
        check = zlib.adler32(strip, check)
        packer = zlib.compressobj(int(worth), wbits=-zlib.MAX_WBITS, strategy=zlib.Z_RLE)
        end = zlib.Z_FINISH if first + _STRIP >= height else zlib.Z_SYNC_FLUSH
        yield packer.compress(strip) + packer.flush(end)
    yield struct.pack(">I", check)


def _differences(raw: np.ndarray) -> np.ndarray:
    """What each byte has more than the one of the pixel before it: the filter `Sub`."""
    result = raw.copy()
    result[:, 2:] -= raw[:, :-2]
    return result


def _share_left(values: np.ndarray) -> float:
    """The share of bytes that is left when each takes as many bits as its frequency allows."""
    shares = np.bincount(values.ravel()) / values.size
    shares = shares[shares > 0]
    return float(-(shares * np.log2(shares)).sum() / 8)
