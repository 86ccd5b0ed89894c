"""A study in memory: images are read when they are needed, and never changed in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_tasks.io.errors import InputError
from monai_tasks.io.radiograph import write_png
from monai_tasks.radiographs.study import Image


def test_pixels_are_read_when_they_are_asked_for(tmp_path):
    file = tmp_path / "a.png"
    image = Image({"image": "a.png"}, file=file)
    with pytest.raises(InputError, match=r"a\.png: no such file"):
        _ = image.pixels
    pixels = np.arange(6, dtype=np.uint16).reshape(2, 3)
    write_png(file, pixels)
    np.testing.assert_array_equal(image.pixels, pixels)
    file.unlink()
    np.testing.assert_array_equal(image.pixels, pixels)  # once is enough


def test_a_changed_image_is_another_one():
    image = Image({"image": "a.png", "rows": "2"}, np.zeros((2, 3), np.uint16), Path("a.png"))
    named = image.with_columns(part="1")
    assert (named.row, named.file, named.pixels is image.pixels) == (
        {"image": "a.png", "rows": "2", "part": "1"},
        Path("a.png"),
        True,
    )
    turned = image.with_pixels(image.pixels.T, rotation_degrees="90")
    assert turned.file is None  # it no longer holds these pixels
    assert turned.row == {"image": "a.png", "rows": "3", "columns": "2", "rotation_degrees": "90"}
    assert turned.pixels.flags["C_CONTIGUOUS"]
    assert image.row == {"image": "a.png", "rows": "2"}


def test_what_is_no_image_is_refused():
    with pytest.raises(ValueError, match="without pixels and without a file"):
        Image({})
    for pixels in (np.zeros((2, 3)), np.zeros((1, 2, 3), np.uint16)):
        with pytest.raises(ValueError, match=r"expected \(H, W\) and uint16"):
            Image({}, pixels)
