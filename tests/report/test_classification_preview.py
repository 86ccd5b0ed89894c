"""The picture of a classification shows every view that is there, and its bars are as long as the probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_tasks.report.classification_preview import BAR, CHOSEN, FILL, draw, slices, views


def _image(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(4).random(shape, dtype=np.float32)


def _length(path: Path, colour: tuple[int, int, int]) -> int:
    """Of the longest row of a colour."""
    pixels = np.asarray(Image.open(path))
    return int((pixels == colour).all(-1).sum(1).max())


def test_bars_are_as_long_as_the_probabilities(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    draw(views(_image((1, 30, 20))), {"whole": 0.3, "broken": 0.7}, ["decision: broken"], path, "broken")
    assert _length(path, FILL) == pytest.approx(0.3 * BAR, abs=2)
    assert _length(path, CHOSEN) == pytest.approx(0.7 * BAR, abs=2)


def test_views_are_upright_side_by_side_and_absent_ones_left_out(tmp_path: Path) -> None:
    image = _image((3, 1, 30, 20))
    image[1] = np.nan
    planes = views(image)
    assert len(planes) == 2
    np.testing.assert_array_equal(planes[1], image[2, 0])
    top = np.zeros((1, 40, 40), np.float32)
    top[0, :20] = 1.0
    draw(views(top), {"x": 1.0}, [], tmp_path / "a.png")
    pixels = np.asarray(Image.open(tmp_path / "a.png")).mean(-1)
    assert pixels[20:190, 20:390].mean() > 200 > 50 > pixels[230:390, 20:390].mean()


def test_views_of_different_sizes_and_many_of_them(tmp_path: Path) -> None:
    planes = [_image((20, 10)), _image((10, 40)), _image((5, 5)), _image((30, 20)), _image((8, 9))]
    draw(planes, {"x": 0.0, "y": 1.0}, ["one", "two"], tmp_path / "a.png")
    width, height = Image.open(tmp_path / "a.png").size
    # Four in the first row, 200 + 400 + 400 + 267 pixels wide; the fifth in a row of its own.
    assert 1267 < width < 1350
    assert height > 2 * 350


def test_long_names_and_lines_stay_inside(tmp_path: Path) -> None:
    draw([_image((40, 4))], {"a very long name of a class indeed": 0.5}, ["x" * 80], tmp_path / "a.png")
    pixels = np.asarray(Image.open(tmp_path / "a.png"))
    # The plane is 40 pixels wide; no text is cut at the right edge.
    assert pixels.shape[1] > 500
    assert not pixels[:, -4:].any()
    assert pixels[-30:, -30:-4].any()


def test_slices_go_from_the_first_to_the_last() -> None:
    volume = _image((2, 6, 5, 30))
    found = slices(volume)
    assert [plane.shape for plane in found] == [(5, 6)] * 8
    np.testing.assert_array_equal(found[0], volume[0, :, :, 0].T)
    np.testing.assert_array_equal(found[-1], volume[0, :, :, -1].T)
    assert len(slices(volume[..., :3])) == 3


def test_nothing_to_draw(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no plane to draw"):
        draw(views(np.full((2, 1, 4, 4), np.nan, np.float32)), {"x": 1.0}, [], tmp_path / "a.png")


def test_captions_are_written_into_their_planes(tmp_path):
    planes = [np.ones((30, 40)), np.ones((30, 40))]
    draw(planes, {"a": 1.0}, [], tmp_path / "plain.png")
    draw(planes, {"a": 1.0}, [], tmp_path / "named.png", captions=["slice 3: grade 1", ""])
    plain, named = (np.asarray(Image.open(tmp_path / f"{name}.png")) for name in ("plain", "named"))
    changed = np.argwhere((plain != named).any(-1))
    assert len(changed) > 100
    # In the upper left corner of the first plane.
    assert changed[:, 0].max() < 50
    assert changed[:, 1].max() < 200
    with pytest.raises(ValueError, match="1 captions; expected one for each of 2 planes"):
        draw(planes, {"a": 1.0}, [], tmp_path / "none.png", captions=["one"])
    assert not (tmp_path / "none.png").exists()
