"""Small radiographs as DICOM files."""

from __future__ import annotations

import itertools

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

COMPUTED_RADIOGRAPHY = "1.2.840.10008.5.1.4.1.1.1"
ROOT = "1.2.826.0.1.3680043.8.498"
_numbers = itertools.count(1)


def uid(text=None):
    """A new identifier, or that which belongs to a text."""
    return f"{ROOT}.{next(_numbers)}" if text is None else f"{ROOT}.9.{int.from_bytes(text.encode(), 'big')}"


def ramp(shape=(40, 34), low=0, high=4095, kind=np.uint16):
    """Values that rise from the first pixel to the last, with a bright box off the centre."""
    values = np.linspace(low, high, shape[0] * shape[1]).reshape(shape).round()
    values[5:9, 3:8] = high
    return values.astype(kind)


def item(**fields):
    """An item of a sequence."""
    dataset = Dataset()
    for keyword, value in fields.items():
        setattr(dataset, keyword, value)
    return dataset


def lut(entries, first=0, bits=16):
    """An item of a LUT sequence with entries of up to 16 bits."""
    found = item(LUTDescriptor=[len(entries) % 65536, first, bits])
    found.add_new("LUTData", "OW", np.asarray(entries, "<u2").tobytes())
    return found


def radiograph(stored, bits=12, **fields):
    """A dataset of computed radiography, MONOCHROME2 unless fields say otherwise.

    Args:
        stored: (rows, columns) or (frames, rows, columns), integers.
        bits: bits stored.
        fields: more fields by keyword; None leaves one out.
    """
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = COMPUTED_RADIOGRAPHY
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID, dataset.Modality = uid(), uid(), "CR"
    dataset.Rows, dataset.Columns = stored.shape[-2:]
    if stored.ndim == 3:
        dataset.NumberOfFrames = len(stored)
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated = 8 * stored.itemsize
    dataset.BitsStored, dataset.HighBit = bits, bits - 1
    dataset.PixelRepresentation = int(stored.dtype.kind == "i")
    for keyword, value in fields.items():
        if value is not None:
            setattr(dataset, keyword, value)
        elif keyword in dataset:
            delattr(dataset, keyword)
    pixels = stored.astype(stored.dtype.newbyteorder("<")).tobytes()
    dataset.add_new("PixelData", "OW" if stored.itemsize > 1 else "OB", pixels + b"\0" * (len(pixels) % 2))
    return dataset


def save(dataset, path, syntax=None):
    """Write a dataset, compressed if asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if syntax:
        dataset.compress(syntax)
    dataset.save_as(path, enforce_file_format=True)
    return path


def write(path, stored, bits=12, syntax=None, **fields):
    """Write a radiograph; see `radiograph`."""
    return save(radiograph(stored, bits, **fields), path, syntax)
