"""Pictures of 8 bits are read back as radiographs, grey or with equal colours."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from monai_tasks.io.radiograph import read_radiograph
from monai_tasks.phantoms.picture import write_picture


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA"])
def test_pictures_are_read_back(tmp_path, mode):
    pixels = (np.arange(12, dtype=np.uint16) * 5000).reshape(3, 4)
    path = tmp_path / "a" / "b.png"
    write_picture(path, pixels, mode)
    with Image.open(path) as picture:
        assert (picture.mode, picture.size) == (mode, (4, 3))
    np.testing.assert_array_equal(read_radiograph(path).pixels, (pixels >> 8) * 257)
    assert [file.name for file in path.parent.iterdir()] == ["b.png"]
