"""DICOM files keep what was drawn, whatever way they store it, and bear what must not leak."""

from __future__ import annotations

import io

import numpy as np
import pytest
from pydicom import dcmread

from monai_tasks.phantoms.radiograph_dicom import (
    CLASSES,
    LEAK,
    SHADES,
    SYNTAXES,
    WORDS,
    Storage,
    add_body_part,
    add_pixels,
    body_part_text,
    header,
)
from monai_tasks.phantoms.radiography import enlarge

NUMBERS = {"seed": 5, "patient": 2, "study": 3, "series": 1, "instance": 4}


@pytest.fixture(scope="module")
def pixels():
    field = np.random.default_rng(0).random((6, 5)).astype(np.float32)
    return (enlarge(field, (60, 50)) * 65535).astype(np.uint16)


def written(dataset):
    stream = io.BytesIO()
    dataset.save_as(stream, enforce_file_format=True)
    stream.seek(0)
    return dcmread(stream), stream.getvalue()


def file_of(pixels, storage):
    dataset = header(NUMBERS, storage.modality, CLASSES[storage.modality])
    add_pixels(dataset, pixels, storage)
    return written(dataset)


@pytest.mark.parametrize("syntax", SYNTAXES, ids=lambda uid: uid.name)
@pytest.mark.parametrize("shades", SHADES)
@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
def test_pixels_come_back(pixels, syntax, shades, photometric):
    read, _ = file_of(pixels, Storage(12, photometric, shades, syntax, "DX"))
    assert read.file_meta.TransferSyntaxUID == syntax
    assert (read.BitsStored, read.PhotometricInterpretation, read.Modality) == (12, photometric, "DX")
    values = read.pixel_array.astype(float)
    assert values.max() < 4096
    # The standard's own formulas, restated.
    if shades == "window":
        low = read.WindowCenter - 0.5 - (read.WindowWidth - 1) / 2
        values = np.clip((values - low) / (read.WindowWidth - 1), 0, 1)
    elif shades == "lut":
        table = np.frombuffer(read.VOILUTSequence[0].LUTData, "<u2")
        values = table[values.astype(int)] / 65535
    else:
        values = values / 4095
    values = 1 - values if photometric == "MONOCHROME1" else values
    np.testing.assert_allclose(values, pixels / 65535, atol=0.01)


@pytest.mark.parametrize("bits", [10, 13, 15])
def test_bits_and_frames(pixels, bits):
    frames = np.stack([pixels, pixels[::-1]])
    read, _ = file_of(frames, Storage(bits, "MONOCHROME2", "none", SYNTAXES[2], "CR"))
    assert (read.NumberOfFrames, read.BitsStored, read.HighBit) == (2, bits, bits - 1)
    top = 2**bits - 1
    np.testing.assert_array_equal(read.pixel_array, np.rint(frames / 65535 * top))


def test_draws_differ_in_everything():
    drawn = [Storage.draw(np.random.default_rng(seed)) for seed in range(120)]
    assert {one.bits for one in drawn} == {10, 11, 12, 13, 14, 15}
    assert {one.photometric for one in drawn} == {"MONOCHROME1", "MONOCHROME2"}
    assert {one.shades for one in drawn} == set(SHADES)
    assert {one.syntax for one in drawn} == set(SYNTAXES)
    assert {one.modality for one in drawn} == {"CR", "DX"}


def test_personal_fields_bear_the_mark(pixels):
    read, content = file_of(pixels, Storage(12, "MONOCHROME2", "none", SYNTAXES[0], "DX"))
    for keyword in (
        "PatientName",
        "PatientID",
        "AccessionNumber",
        "InstitutionName",
        "OperatorsName",
        "StudyDescription",
    ):
        assert LEAK in str(read[keyword].value)
    assert content.count(LEAK.encode()) > 10
    assert LEAK not in read.StudyInstanceUID
    assert read.SOPInstanceUID.startswith(read.SeriesInstanceUID)
    assert read.SeriesInstanceUID.startswith(read.StudyInstanceUID)


@pytest.mark.parametrize("text", ["WRIST", "Handgelenk re.", "MUÑECA", "MuÃ±eca", "MU?ECA"])
def test_any_text_may_be_a_body_part(text):
    dataset = header(NUMBERS, "DX", CLASSES["DX"])
    add_body_part(dataset, text)
    read, content = written(dataset)
    assert text.encode() in content
    assert read.BodyPartExamined.encode("latin-1").decode().strip() == text


def test_texts_are_of_many_spellings_and_some_damaged():
    drawn = [body_part_text(np.random.default_rng(seed), "wrist") for seed in range(300)]
    assert len({text for text, _ in drawn}) > 25
    damaged = {text for text, hurt in drawn if hurt}
    assert any("?" in text for text in damaged)
    assert any("Ã" in text for text in damaged)
    assert any(not text.isascii() for text, hurt in drawn if not hurt)
    assert {word.isupper() for word, _ in drawn} == {True, False}
    assert all(words for words in WORDS.values())
