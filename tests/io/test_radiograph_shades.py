"""Stored values become shades in the order of the standard, with one inversion and black padding."""

from __future__ import annotations

import math

import numpy as np
import pytest
from pydicom.uid import ExplicitVRBigEndian
from radiograph_files import item, lut, radiograph, ramp, save, write

from monai_tasks.io.errors import InputError
from monai_tasks.io.radiograph import read_radiograph


def read(tmp_path, stored, **fields):
    return read_radiograph(write(tmp_path / "image.dcm", stored, **fields)).pixels


def by_formula(stored, shade):
    """Each pixel by itself: `shade` gives 0 (black) to 1 (white) of a stored value."""
    return np.array([[round(65535 * min(max(shade(int(one)), 0), 1)) for one in row] for row in stored])


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("shape", [None, "IDENTITY", "INVERSE"])
def test_one_inversion_at_most(tmp_path, photometric, shape):
    fields = {"PresentationLUTShape": shape} if shape else {}
    stored = ramp()
    pixels = read(tmp_path, stored, PhotometricInterpretation=photometric, **fields)
    inverted = photometric == "MONOCHROME1" or shape == "INVERSE"
    np.testing.assert_array_equal(
        pixels, by_formula(stored, lambda one: 1 - one / 4095 if inverted else one / 4095)
    )


@pytest.mark.parametrize(("bits", "kind"), [(8, np.uint8), (10, np.uint16), (15, np.uint16), (12, np.int16)])
def test_without_a_window_the_range_of_the_values_is_all_there_is(tmp_path, bits, kind):
    low, high = (-700, 1200) if kind == np.int16 else (30, 200)
    stored = ramp(low=low, high=high, kind=kind)
    pixels = read(tmp_path, stored, bits=bits)
    np.testing.assert_array_equal(pixels, by_formula(stored, lambda one: (one - low) / (high - low)))


def linear(value, center, width):
    return (value - (center - 0.5)) / (width - 1) + 0.5


def exact(value, center, width):
    return (value - center) / width + 0.5


def sigmoid(value, center, width):
    return 1 / (1 + math.exp(-4 * (value - center) / width))


@pytest.mark.parametrize(
    ("name", "formula"), [(None, linear), ("LINEAR", linear), ("LINEAR_EXACT", exact), ("SIGMOID", sigmoid)]
)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_windows_by_the_formulas_of_the_standard(tmp_path, name, formula, photometric):
    """Part 3, C.11.2.1.2 and C.11.2.1.3, of the values after slope and intercept."""
    fields = {"VOILUTFunction": name} if name else {}
    stored = ramp(low=-2000, high=2000, kind=np.int16)
    pixels = read(
        tmp_path,
        stored,
        WindowCenter=300,
        WindowWidth=1100,
        RescaleSlope=0.5,
        RescaleIntercept=-20,
        PhotometricInterpretation=photometric,
        **fields,
    )
    shown = by_formula(stored, lambda one: formula(0.5 * one - 20, 300, 1100))
    expected = 65535 - shown if photometric == "MONOCHROME1" else shown
    assert np.abs(pixels.astype(int) - expected).max() <= 1  # the last digit of a rounding


def test_the_first_of_several_windows(tmp_path):
    stored = ramp()
    several = read(tmp_path, stored, WindowCenter=[1000, 3000], WindowWidth=[500, 90])
    np.testing.assert_array_equal(several, read(tmp_path, stored, WindowCenter=1000, WindowWidth=500))


@pytest.mark.parametrize(
    "fields",
    [
        {"WindowCenter": 100, "WindowWidth": 0},
        {"WindowCenter": 100, "WindowWidth": -5},
        {"WindowCenter": 100, "WindowWidth": None},
        {"WindowCenter": "", "WindowWidth": ""},
    ],
)
def test_a_window_that_cannot_be_used_counts_as_none(tmp_path, fields):
    dataset = radiograph(ramp())
    for keyword, value in fields.items():
        if value is not None:
            setattr(dataset, keyword, value)
    pixels = read_radiograph(save(dataset, tmp_path / "image.dcm")).pixels
    np.testing.assert_array_equal(pixels, read(tmp_path, ramp()))


def test_an_empty_function_of_the_window_is_the_linear_one(tmp_path):
    fields = {"WindowCenter": 1000, "WindowWidth": 900}
    np.testing.assert_array_equal(
        read(tmp_path, ramp(), VOILUTFunction="", **fields), read(tmp_path, ramp(), **fields)
    )


@pytest.mark.parametrize("bits", [8, 10, 16])
def test_lookup_tables_go_before_windows_and_after_the_modality_table(tmp_path, bits):
    white = 2**bits - 1
    curve = [round(white * (one / 499) ** 2) for one in range(500)]
    modality = [2 * one for one in range(300)]
    stored = ramp(low=0, high=400)
    pixels = read(
        tmp_path,
        stored,
        ModalityLUTSequence=[lut(modality, first=50)],
        VOILUTSequence=[lut(curve, first=20, bits=bits), lut(curve[::-1])],
        WindowCenter=10,
        WindowWidth=3,
    )

    def shade(one):
        value = modality[min(max(one - 50, 0), 299)]
        return curve[min(max(value - 20, 0), 499)] / white

    np.testing.assert_array_equal(pixels, by_formula(stored, shade))


def test_a_lookup_table_with_one_byte_an_entry(tmp_path):
    table = item(LUTDescriptor=[256, 0, 8])
    table.add_new("LUTData", "OW", bytes(range(255, -1, -1)))
    pixels = read(
        tmp_path, ramp(high=255, kind=np.uint8), bits=8, VOILUTSequence=[table], WindowCenter=9, WindowWidth=4
    )
    np.testing.assert_array_equal(pixels, by_formula(ramp(high=255), lambda one: 1 - one / 255))


def test_a_lookup_table_of_a_big_endian_file(tmp_path):
    dataset = radiograph(ramp(), VOILUTSequence=[lut(range(4096), bits=12)])
    for holder, keyword in ((dataset, "PixelData"), (dataset.VOILUTSequence[0], "LUTData")):
        holder[keyword].value = np.frombuffer(holder[keyword].value, "<u2").astype(">u2").tobytes()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRBigEndian
    save(dataset, tmp_path / "big.dcm")
    np.testing.assert_array_equal(
        read_radiograph(tmp_path / "big.dcm").pixels, by_formula(ramp(), lambda one: one / 4095)
    )


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("padding", [(-2000, None), (-2000, -1900), (63536, None)])
def test_padding_is_black_and_not_in_the_range(tmp_path, photometric, padding):
    stored = ramp(low=0, high=1000, kind=np.int16)
    stored[:4] = -2000
    dataset = radiograph(stored, bits=16, PhotometricInterpretation=photometric)
    if padding[0] > 0:  # some write the unsigned number of the same bits
        dataset.add_new("PixelPaddingValue", "US", padding[0])
    else:
        dataset.PixelPaddingValue = padding[0]
    if padding[1] is not None:
        stored[4] = -1900
        dataset.PixelData = stored.tobytes()
        dataset.PixelPaddingRangeLimit = padding[1]
    pixels = read_radiograph(save(dataset, tmp_path / "image.dcm")).pixels
    body = stored > -1900
    assert (pixels[~body] == 0).all()
    low, high = stored[body].min(), stored[body].max()
    expected = by_formula(stored, lambda one: (one - low) / (high - low))
    shown = 65535 - expected if photometric == "MONOCHROME1" else expected
    np.testing.assert_array_equal(pixels[body], shown[body])


@pytest.mark.parametrize("scale", [1, 1000])
def test_padding_within_the_range_of_a_large_image(tmp_path, scale):
    """All pixels of an image are looked at in parts: one holds nothing but padding, others none."""
    stored = scale * np.tile(np.arange(-200, 200, dtype=np.int32), (200, 1))
    stored[60:120] = 7 * scale
    dataset = radiograph(stored, bits=32)
    dataset.add_new("PixelPaddingValue", "SL", 7 * scale)
    pixels = read_radiograph(save(dataset, tmp_path / "image.dcm")).pixels
    expected = np.rint((stored / scale + 200) * (65535 / 399)).astype(int)
    expected[stored == 7 * scale] = 0
    np.testing.assert_array_equal(pixels, expected)


def test_values_of_more_than_16_bits(tmp_path):
    stored = ramp(low=-900_000, high=2_000_000, kind=np.int32)
    pixels = read(tmp_path, stored, bits=32)
    np.testing.assert_array_equal(pixels, by_formula(stored, lambda one: (one + 900_000) / 2_900_000))


@pytest.mark.parametrize(
    ("stored", "fields", "found"),
    [
        (ramp(low=7, high=7), {}, "all pixels equal"),
        (ramp(low=7, high=7), {"PixelPaddingValue": 7}, "all pixels equal"),
        (ramp(high=900), {"WindowCenter": 3000, "WindowWidth": 50}, "all pixels outside the window"),
        (ramp(), {"RescaleSlope": 0, "RescaleIntercept": 1}, "all pixels outside the window"),
        (ramp(), {"VOILUTSequence": [lut([])]}, "a lookup table or window that cannot be applied"),
        (
            ramp(),
            {"VOILUTFunction": "CURVE", "WindowCenter": 9, "WindowWidth": 9},
            "a lookup table or window that cannot be applied",
        ),
    ],
)
def test_what_shows_nothing_is_refused(tmp_path, stored, fields, found):
    with pytest.raises(InputError, match=found):
        read(tmp_path, stored, **fields)
