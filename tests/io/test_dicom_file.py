"""One grey DICOM file is read whole, or refused with a sentence."""

from __future__ import annotations

import logging
import threading
import warnings

import numpy as np
import pytest
from pydicom import config, dcmread
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import JPEG2000Lossless, JPEGExtended12Bit, JPEGLSLossless
from radiograph_files import radiograph, ramp, save, write

from monai_tasks.io import jpeg_extended
from monai_tasks.io.dicom_file import decode, read_grey, read_header, unchecked_values
from monai_tasks.io.errors import InputError


@pytest.mark.parametrize("syntax", [None, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("kind", [np.uint16, np.int16])
def test_stored_values_come_back(tmp_path, syntax, kind):
    stored = ramp(low=-900 if kind == np.int16 else 3, high=1500, kind=kind)
    path = write(tmp_path / "image.dcm", np.stack([stored, stored[::-1]]), syntax=syntax)
    np.testing.assert_array_equal(decode(path, read_grey(path)), [stored, stored[::-1]])


@pytest.mark.parametrize("syntax", [JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("share", [0.3, 0.9])
def test_a_stream_that_ends_early_in_a_complete_file_is_refused(tmp_path, syntax, share):
    dataset = radiograph(np.random.default_rng(0).integers(0, 4096, (90, 80)).astype(np.uint16))
    dataset.compress(syntax)
    stream = next(generate_frames(dataset.PixelData, number_of_frames=1))
    dataset.PixelData = encapsulate([stream[: int(len(stream) * share) // 2 * 2]])
    path = save(dataset, tmp_path / "image.dcm")
    with pytest.raises(InputError, match=r"pixels that cannot be decoded \(JPEG"):
        decode(path, read_grey(path))


def test_a_header_is_read_without_its_pixels(tmp_path):
    path = write(tmp_path / "image.dcm", ramp(), BodyPartExamined="HAND")
    header = read_header(path)
    assert (header.BodyPartExamined, "PixelData" in header) == ("HAND", False)
    (tmp_path / "text.dcm").write_text("no header")
    with pytest.raises(InputError, match="a file without the DICOM marker"):
        read_header(tmp_path / "text.dcm")


def test_values_that_are_not_as_dicom_has_them_raise_no_warning(tmp_path, caplog):
    """pydicom's warnings tell the value, which may be a name."""
    with unchecked_values():
        path = write(tmp_path / "image.dcm", ramp(), StudyInstanceUID="1.2.Somebody")

    def read():
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert dcmread(path).StudyInstanceUID == "1.2.Somebody"
        return [str(warning.message) for warning in caught]

    before = config.settings.reading_validation_mode
    assert any("Somebody" in message for message in read())
    caplog.clear()
    with unchecked_values():
        assert read() == []
    assert caplog.text == ""
    assert config.settings.reading_validation_mode == before


def test_threads_that_read_at_a_time_end_with_the_settings_as_they_were(caplog):
    before = config.settings.reading_validation_mode, warnings.filters[:], logging.getLogger("pydicom").level
    inside, leave = threading.Event(), threading.Event()

    def other():
        with unchecked_values():
            inside.set()
            leave.wait(30)

    thread = threading.Thread(target=other)
    with unchecked_values():
        thread.start()
        assert inside.wait(30)
    # The other one still reads.
    assert config.settings.reading_validation_mode == config.IGNORE
    logging.getLogger("pydicom").warning("Somebody")
    assert caplog.text == ""
    leave.set()
    thread.join()
    after = config.settings.reading_validation_mode, warnings.filters[:], logging.getLogger("pydicom").level
    assert after == before


@pytest.mark.parametrize("problem", ["", "python-gdcm is not installed"])
def test_a_file_that_needs_a_decoder_that_is_not_there_says_so(tmp_path, monkeypatch, problem):
    monkeypatch.setattr(jpeg_extended, "PROBLEM", problem)
    dataset = radiograph(ramp())
    dataset.PixelData = encapsulate([b"no stream"])
    dataset.file_meta.TransferSyntaxUID = JPEGExtended12Bit
    path = save(dataset, tmp_path / "image.dcm")
    with pytest.raises(InputError) as caught:
        decode(path, read_grey(path))
    assert caught.value.reason.endswith(
        "not installed; expected python-gdcm, whose decoder they need"
        if problem
        else "; expected complete pixels"
    )
