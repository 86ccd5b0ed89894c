"""A study in memory: images are read when they are needed, and never changed in place."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_tasks.io.errors import InputError
from monai_tasks.io.picture import write_png
from monai_tasks.radiographs import foreground
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


def test_what_the_steps_see_is_found_once_for_the_same_pixels(monkeypatch):
    found = []
    monkeypatch.setattr(foreground, "exposed_field", lambda small: found.append(small) or small > 0.5)
    rng = np.random.default_rng(0)
    image = Image({"image": "a.png"}, rng.integers(0, 65535, (40, 30)).astype(np.uint16))
    named = image.with_columns(part="1")
    for _ in range(2):
        assert image.overview.field is image.overview.field
    assert image.with_columns(part="1").overview is image.overview
    assert len(found) == 1
    # Nothing of it is left to an image of other pixels.
    inverted = image.with_pixels(65535 - image.pixels)
    np.testing.assert_allclose(inverted.overview.small, 1 - image.overview.small, atol=1e-5)
    assert (inverted.overview.field != image.overview.field).any()
    assert len(found) == 2
    assert named.overview is not image.overview  # made before there was one
