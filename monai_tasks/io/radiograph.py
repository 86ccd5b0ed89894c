"""Radiographs: DICOM, PNG and JPEG files to grey pixels with white where the body is dense, and back to PNG."""

from __future__ import annotations

import os
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image, ImageOps
from pydicom.misc import is_dicom

from monai_tasks.io.dicom_file import decode, read_grey
from monai_tasks.io.dicom_series import is_dicom_name
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import atomic_path, check_content
from monai_tasks.io.radiograph_frames import count_frames
from monai_tasks.io.radiograph_header import RadiographHeader, header_of
from monai_tasks.io.radiograph_shades import WHITE, shades

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg")
_FORMATS = ("PNG", "JPEG")
_ZLIB = b"\x78\x01"  # begins a stream of the usual window
_NONE, _SUB = 0, 1  # filters of a line of a PNG
_STRIP = 64  # lines of a PNG that are compressed, or stored, together
_SAMPLED = 16  # one line in so many says which
_WORTH = 0.7  # share that is left of a strip at most, where it is compressed
# What Pillow raises on damaged bytes; anything else is a fault of the program.
_PICTURE_ERRORS = (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error)


@dataclass(frozen=True)
class Radiograph:
    """One radiograph.

    Args:
        pixels: (H, W), uint16 from 0 to 65535, rows from the top and columns from the left, white where the body
            is dense.
        frames: how many images the file holds.
        header: what of the file's header may be kept.
    """

    pixels: np.ndarray
    frames: int
    header: RadiographHeader


def is_dicom_file(path: Path) -> bool:
    """Whether a file is to be read as DICOM: by its name, or by the DICOM marker, whatever its name is."""
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return False
    return is_dicom_name(path) or (path.is_file() and is_dicom(path))


def read_radiograph(path: str | os.PathLike[str], frame: int = 0) -> Radiograph:
    """Read one image of a file.

    Args:
        path: a DICOM file, or a PNG or JPEG file with grey pixels.
        frame: which image of the file, from 0.

    Returns:
        The radiograph. A DICOM file's modality LUT, then its VOI LUT or first window are applied (see
        `radiograph_shades.shades`); pixels of 8 bits become 16 bits.

    Raises:
        InputError: if the file cannot be read or decoded, has colours, has no such frame, or all pixels are equal.
    """
    path = Path(path)
    dataset = read_grey(path) if is_dicom_file(path) else None
    frames = 1 if dataset is None else count_frames(dataset)
    if not 0 <= frame < frames:
        raise InputError(path, f"{frames} frames" if frames > 1 else "1 frame", f"{frame + 1} at least")
    if dataset is None:
        return _of_picture(path)
    stored = decode(path, dataset, frame if frames > 1 else None)
    return Radiograph(shades(path, dataset, stored[0]), frames, header_of(dataset))


def read_frames(path: str | os.PathLike[str]) -> Iterator[Radiograph | InputError]:
    """Read the images of a file one by one; the file is decoded once.

    Args:
        path: as for `read_radiograph`.

    Yields:
        The radiographs in the order of the frames; in place of a frame that shows nothing, the error that says so.

    Raises:
        InputError: if the file cannot be read or decoded, or has colours.
    """
    path = Path(path)
    if not is_dicom_file(path):
        yield _of_picture(path)
        return
    dataset = read_grey(path)
    header = header_of(dataset)
    stored = decode(path, dataset)
    for values in stored:
        try:
            pixels = shades(path, dataset, values)
        except InputError as error:
            yield error
        else:
            yield Radiograph(pixels, len(stored), header)


def _of_picture(path: Path) -> Radiograph:
    pixels, bits = _read_picture(path)
    return Radiograph(pixels, 1, RadiographHeader(bits_stored=bits))


def _read_picture(path: Path) -> tuple[np.ndarray, int]:
    """The pixels of a PNG or JPEG file as uint16, and how many bits they had."""
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
