"""Radiographs are written as PNG of 16 bits that any reader takes, without what takes long and saves little."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from monai_tasks.io.picture import read_picture, write_png


def test_the_largest_values_of_16_bits_survive_a_png(tmp_path):
    pixels = np.random.default_rng(3).integers(0, 65536, (61, 47), dtype=np.uint16)
    pixels[0, :3] = 0, 65535, 256
    write_png(tmp_path / "new" / "image.png", pixels)
    with Image.open(tmp_path / "new" / "image.png") as picture:
        assert (picture.size, picture.mode, picture.info) == ((47, 61), "I;16", {})
        np.testing.assert_array_equal(np.asarray(picture), pixels)
    np.testing.assert_array_equal(read_picture(tmp_path / "new" / "image.png")[0], pixels)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["image.png"]


def test_a_png_stores_noise_and_compresses_the_rest(tmp_path):
    rng = np.random.default_rng(5)
    noise = rng.integers(0, 65536, (300, 200), dtype=np.uint16)
    twelve_bits = 16 * rng.normal(2000, 3, (300, 200)).astype(np.uint16)
    even = np.full((300, 200), 9999, np.uint16)
    sizes = []
    for number, pixels in enumerate((noise, twelve_bits, even, np.concatenate([noise, even, twelve_bits]))):
        path = tmp_path / f"{number}.png"
        write_png(path, pixels)
        with Image.open(path) as picture:
            np.testing.assert_array_equal(np.asarray(picture), pixels)
        sizes.append(path.stat().st_size)
    write_png(tmp_path / "turned.png", noise.T)  # does not lie in memory line by line
    np.testing.assert_array_equal(read_picture(tmp_path / "turned.png")[0], noise.T)
    assert noise.nbytes < sizes[0] < 1.01 * noise.nbytes
    assert sizes[1] < 0.5 * twelve_bits.nbytes
    assert sizes[2] < 0.02 * even.nbytes
    assert sizes[3] < 1.1 * sum(sizes[:3])


def test_a_png_of_one_pixel(tmp_path):
    write_png(tmp_path / "image.png", np.array([[4711]], np.uint16))
    with Image.open(tmp_path / "image.png") as picture:
        assert np.asarray(picture).tolist() == [[4711]]


@pytest.mark.parametrize(
    "pixels", [np.zeros((3, 4)), np.zeros((3, 4, 1), np.uint16), np.zeros((0, 4), np.uint16)]
)
def test_write_png_takes_16_bits_only(tmp_path, pixels):
    with pytest.raises(ValueError, match="expected \\(H, W\\) and uint16"):
        write_png(tmp_path / "image.png", pixels)
    assert list(tmp_path.iterdir()) == []


def test_the_work_on_a_data_set_loads_no_reader_of_dicom():
    """It takes as long to load as all else that a process of the pipeline needs before its first image."""
    code = "import sys, monai_tasks.radiographs.work, monai_tasks.io.picture; print('pydicom' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
