"""Radiographs are read from DICOM, PNG and JPEG."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image
from pydicom.uid import JPEG2000Lossless, JPEGLSLossless, RLELossless
from radiograph_files import radiograph, ramp, save, write

from monai_tasks.io.errors import InputError
from monai_tasks.io.radiograph import read_frames, read_radiograph


@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless])
@pytest.mark.parametrize("name", ["image.dcm", "IM0001", "1.2.840.5", "image.bin"])
def test_dicom_in_any_compression_and_of_any_name(tmp_path, syntax, name):
    read = read_radiograph(write(tmp_path / name, ramp(), syntax=syntax))
    expected = np.rint(ramp() * (65535 / 4095)).astype(np.uint16)
    np.testing.assert_array_equal(read.pixels, expected)
    assert (read.pixels.dtype, read.frames, read.header.bits_stored) == (np.uint16, 1, 12)


def test_frames_of_one_file(tmp_path):
    stored = np.stack([ramp(high=top) for top in (500, 900, 4000)])
    path = write(tmp_path / "image.dcm", stored, WindowCenter=2048, WindowWidth=4096)
    frames = list(read_frames(path))
    assert [frame.frames for frame in frames] == [3, 3, 3]
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(read_radiograph(path, number).pixels, frame.pixels)
        np.testing.assert_array_equal(frame.pixels, np.rint(stored[number] * (65535 / 4095)))
    with pytest.raises(InputError, match="3 frames; expected 4 at least"):
        read_radiograph(path, 3)


GREY = ramp(high=255, kind=np.uint8)


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "P"])
def test_grey_pictures_of_8_bits_become_16(tmp_path, mode):
    Image.fromarray(GREY).convert(mode).save(tmp_path / "image.png")
    read = read_radiograph(tmp_path / "image.png")
    np.testing.assert_array_equal(read.pixels, GREY.astype(np.uint16) * 257)
    assert (read.frames, read.header.bits_stored) == (1, 8)


def test_jpeg_lies_as_its_note_says(tmp_path):
    smooth = np.linspace(0, 255, 40 * 30).reshape(40, 30).astype(np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn to the right
    Image.fromarray(np.rot90(smooth)).save(tmp_path / "image.jpg", quality=100, exif=exif)
    pixels = read_radiograph(tmp_path / "image.jpg").pixels
    assert np.abs(pixels // 257 - smooth.astype(int)).max() <= 3


def test_colours_are_refused(tmp_path):
    colours = np.stack([GREY, GREY, GREY[::-1]], axis=-1)
    Image.fromarray(colours).save(tmp_path / "image.png")
    with pytest.raises(InputError, match="colour pixels; expected one grey value"):
        read_radiograph(tmp_path / "image.png")
    dataset = radiograph(GREY, bits=8, SamplesPerPixel=3, PhotometricInterpretation="RGB")
    dataset.PlanarConfiguration, dataset.PixelData = 0, np.stack([GREY] * 3, axis=-1).tobytes()
    with pytest.raises(InputError, match="colour pixels"):
        read_radiograph(save(dataset, tmp_path / "image.dcm"))


def test_pictures_without_an_image_are_refused(tmp_path):
    Image.fromarray(np.full((9, 9), 40, np.uint8)).save(tmp_path / "grey.png")
    with pytest.raises(InputError, match="all pixels equal"):
        read_radiograph(tmp_path / "grey.png")
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(InputError, match="a picture that cannot be decoded"):
        read_radiograph(tmp_path / "text.png")
    (tmp_path / "empty.png").touch()
    with pytest.raises(InputError, match="an empty file"):
        read_radiograph(tmp_path / "empty.png")
    with pytest.raises(InputError, match="no such file"):
        read_radiograph(tmp_path / "none.png")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9])
@pytest.mark.parametrize("syntax", [None, RLELossless, JPEGLSLossless, JPEG2000Lossless, "png", "jpg"])
def test_no_part_of_a_file_is_taken_for_the_whole(tmp_path, syntax, share):
    noise = np.random.default_rng(1).integers(0, 4096, (200, 150)).astype(np.uint16)
    if syntax in ("png", "jpg"):
        path = tmp_path / f"image.{syntax}"
        Image.fromarray((noise >> 4).astype(np.uint8)).save(path)
    else:
        path = write(tmp_path / "image.dcm", noise, syntax=syntax)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(InputError):
        read_radiograph(path)


@pytest.mark.parametrize("name", ["966_fixed.dcm", "RG2_JPLY_fixed.dcm", "RG3_J2KR.dcm"])
def test_real_radiographs_are_white_where_dense(shared_data, name):
    """Air beside the body is black: for these three it is in the darkest tenth, bone far above."""
    pixels = read_radiograph(shared_data / "dicom" / "radiographs" / name).pixels
    air, bone = {
        "966_fixed.dcm": ((slice(0, 150), slice(0, 500)), (slice(700, 1500), slice(850, 950))),
        "RG2_JPLY_fixed.dcm": ((slice(400, 800), slice(1210, 1230)), (slice(400, 800), slice(280, 320))),
        "RG3_J2KR.dcm": ((slice(800, 1000), slice(480, 620)), (slice(800, 1000), slice(800, 880))),
    }[name]
    assert np.median(pixels[bone]) > np.median(pixels[air]) + 10_000


def test_a_real_file_with_a_broken_stream_is_refused(shared_data):
    with pytest.raises(InputError, match="pixels that cannot be decoded \\(JPEG Extended"):
        read_radiograph(shared_data / "dicom" / "radiographs" / "RG2_JPLY.dcm")


def test_real_pngs_keep_their_values(shared_data):
    for path in sorted((shared_data / "wrist_xray" / "images").glob("*.png")):
        with Image.open(path) as picture:
            np.testing.assert_array_equal(read_radiograph(path).pixels, np.asarray(picture))
