"""JPEG Extended of 12 bits is decoded, and a damaged stream is not taken for an image."""

from __future__ import annotations

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames
from pydicom.uid import JPEGExtended12Bit

from monai_tasks.io import jpeg_extended
from monai_tasks.io.dicom_file import decode, read_grey
from monai_tasks.io.jpeg_extended import decode_frame


@pytest.fixture
def hip(shared_data):
    return shared_data / "dicom" / "radiographs" / "RG2_JPLY_fixed.dcm"


@pytest.fixture
def stream(hip):
    return next(generate_frames(dcmread(hip).PixelData, number_of_frames=1))


def runner(**changes):
    fields = {"samples_per_pixel": 1, "bits_allocated": 16, "bits_stored": 10, "pixel_representation": 0}
    fields |= {"rows": 2140, "columns": 1760, "photometric_interpretation": "MONOCHROME2"}
    return SimpleNamespace(**{**fields, **changes})


def test_the_values_are_those_of_another_decoder(hip):
    """libjpeg of the JPEG committee gave these, with differences of 1 at most where rounding differs."""
    stored = decode(hip, read_grey(hip))[0]
    assert (stored.shape, stored.dtype, stored.min(), stored.max()) == ((2140, 1760), np.uint16, 0, 960)
    assert stored.mean() == pytest.approx(450.9, abs=0.05)


def test_a_stream_that_ends_early_is_refused(stream):
    with pytest.raises(ValueError, match="ends early"):
        decode_frame(stream[: len(stream) // 2], runner())


def test_a_scan_that_leaves_coefficients_out_is_refused(stream):
    damaged = bytearray(stream)
    place = stream.index(b"\xff\xda")
    damaged[place + 8] = 0
    with pytest.raises(ValueError, match="without all coefficients"):
        decode_frame(bytes(damaged), runner())
    with pytest.raises(ValueError, match="without a scan"):
        decode_frame(stream[:place] + b"\xff\xd9", runner())


@pytest.mark.parametrize("change", [{"samples_per_pixel": 3}, {"bits_allocated": 8}])
def test_other_pixels_are_left_to_other_decoders(stream, change):
    with pytest.raises(ValueError, match="other pixels than grey"):
        decode_frame(stream, runner(**change))


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (None, "python-gdcm is not installed"),
        (
            "import gdcm_part_that_is_not_there",
            "cannot be loaded (No module named 'gdcm_part_that_is_not_there')",
        ),
        (
            "raise ImportError('/home/x/libgdcm.so: wrong ELF class')",
            "cannot be loaded (libgdcm.so: wrong ELF class)",
        ),
    ],
)
def test_a_decoder_that_is_missing_is_told_from_a_broken_one(tmp_path, monkeypatch, content, problem):
    if content is None:
        monkeypatch.setitem(sys.modules, "gdcm", None)
    else:
        (tmp_path / "gdcm.py").write_text(content)
        monkeypatch.delitem(sys.modules, "gdcm")
        monkeypatch.syspath_prepend(tmp_path)
    spec = importlib.util.spec_from_file_location("jpeg_extended_again", jpeg_extended.__file__)
    again = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(again)
    assert again.PROBLEM.endswith(problem)
    assert not again.is_available(JPEGExtended12Bit)
    assert jpeg_extended.PROBLEM == ""
    assert jpeg_extended.is_available(JPEGExtended12Bit)
