"""JPEG Extended of 12 bits is decoded, and a damaged stream is not taken for an image."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from pydicom import dcmread
from pydicom.encaps import generate_frames

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
