"""The picture of a segmentation is upright, to scale, and shows the labels where they are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_tasks.report.preview import COLOURS, GAP, LEGEND, PANEL, grey, overlay

NAMES = {1: "head", 2: "tail"}


def _drawn(path: Path) -> np.ndarray:
    return np.asarray(Image.open(path).convert("RGB")).astype(int)


def _near(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    return np.abs(pixels - colour).sum(axis=-1) == 0


def test_the_same_image_on_other_grids_gives_the_same_picture(grids: dict, tmp_path: Path) -> None:
    for name in ("RAS", "LAS", "LPS"):
        grid = grids[name]
        overlay(
            grid.array,
            (grid.array > 120).astype(np.uint8),
            NAMES,
            tmp_path / f"{name}.png",
            affine=grid.affine,
        )
    first = _drawn(tmp_path / "RAS.png")
    for name in ("LAS", "LPS"):
        np.testing.assert_array_equal(_drawn(tmp_path / f"{name}.png"), first)


def test_axes_that_are_swapped_are_put_right(grids: dict, tmp_path: Path) -> None:
    grid = grids["RAS"]
    labels = (grid.array > 120).astype(np.uint8)
    swap = np.eye(4)[[2, 0, 1, 3]]  # new axes: z, x, y
    overlay(grid.array, labels, NAMES, tmp_path / "a.png", affine=grid.affine)
    moved = (np.ascontiguousarray(array.transpose(2, 0, 1)) for array in (grid.array, labels))
    overlay(*moved, NAMES, tmp_path / "b.png", affine=grid.affine @ swap.T)
    np.testing.assert_array_equal(_drawn(tmp_path / "a.png"), _drawn(tmp_path / "b.png"))


def test_right_front_and_top_are_where_radiology_has_them(tmp_path: Path) -> None:
    image, labels = np.zeros((40, 40, 40), np.float32), np.zeros((40, 40, 40), np.uint8)
    labels[32:36, 33:37, 34:38] = 1  # right, anterior, superior in RAS
    overlay(image, labels, NAMES, tmp_path / "a.png")
    pixels = _drawn(tmp_path / "a.png")
    panels = [pixels[GAP : GAP + PANEL, GAP + number * (PANEL + GAP) :][:, :PANEL] for number in range(3)]
    for panel in panels:
        rows, columns = np.nonzero(_near(panel, COLOURS[0]))
        # Anterior of the sagittal plane and the right of the others are on the left; superior and anterior on top.
        assert rows.max() < PANEL / 2
        assert columns.max() < PANEL / 2
        assert len(rows) > 50


def test_panels_are_to_scale_in_millimetres(tmp_path: Path) -> None:
    shape, spacing = (20, 30, 10), (2.0, 1.0, 4.5)  # 40 x 30 x 45 mm
    image = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    overlay(image, np.zeros(shape, np.uint8), NAMES, tmp_path / "a.png", affine=np.diag([*spacing, 1.0]))
    pixels = _drawn(tmp_path / "a.png")
    scale = PANEL / 45
    widths = [round(30 * scale), round(40 * scale), round(40 * scale)]
    assert pixels.shape[1] == sum(widths) + 4 * GAP
    assert pixels.shape[0] == PANEL + LEGEND + GAP
    axial = pixels[GAP : GAP + PANEL, -GAP - widths[2] : -GAP].sum(axis=(1, 2)) > 0
    assert axial.sum() == round(30 * scale)


def test_planes_go_through_the_widest_place_of_the_largest_label(tmp_path: Path) -> None:
    image, labels = np.zeros((30, 30, 30), np.float32), np.zeros((30, 30, 30), np.uint8)
    labels[2:5, 2:5, 2:5] = 1
    labels[20:26, 20:26, 20:26] = 2
    labels[22, 18:28, 18:28] = 2
    image[22] = 100.0
    overlay(image, labels, NAMES, tmp_path / "a.png")
    pixels = _drawn(tmp_path / "a.png")
    assert _near(pixels[: PANEL + GAP], COLOURS[1]).any()
    assert not _near(pixels[: PANEL + GAP], COLOURS[0]).any()
    # The sagittal plane is the bright one.
    assert pixels[GAP + 40, GAP + 40].min() > 200


def test_the_legend_names_every_label_and_the_reference(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(size=(20, 20, 20)).astype(np.float32)
    labels = np.zeros(image.shape, np.uint8)
    overlay(image, labels, NAMES, tmp_path / "a.png")
    overlay(image, labels, NAMES, tmp_path / "b.png", reference=labels)
    for name, colours in (("a.png", COLOURS[:2]), ("b.png", [*COLOURS[:2], (255, 255, 255)])):
        legend = _drawn(tmp_path / name)[-LEGEND:]
        assert all(_near(legend, colour).sum() >= 100 for colour in colours)
    assert _near(_drawn(tmp_path / "a.png")[-LEGEND:], (255, 255, 255)).sum() < 20


def test_the_reference_is_drawn_in_white_and_leads_the_planes(tmp_path: Path) -> None:
    image = np.zeros((30, 30, 30), np.float32)
    labels, reference = np.zeros((2, 30, 30, 30), np.uint8)
    labels[3:6, 3:6, 3:6] = 1
    reference[20:26, 20:26, 20:26] = 1
    overlay(image, labels, NAMES, tmp_path / "a.png", reference=reference)
    panels = _drawn(tmp_path / "a.png")[: PANEL + GAP]
    assert _near(panels, (255, 255, 255)).sum() > 300
    assert not _near(panels, COLOURS[0]).any()


def test_takes_the_affine_of_the_image_and_its_first_channel(grids: dict, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    from monai.data import MetaTensor

    grid = grids["LPS"]
    labels = (grid.array > 120).astype(np.uint8)
    channels = MetaTensor(torch.as_tensor(np.stack([grid.array, -grid.array])), affine=grid.affine)
    overlay(channels, labels, NAMES, tmp_path / "a.png")
    overlay(grid.array, labels, NAMES, tmp_path / "b.png", affine=grid.affine)
    np.testing.assert_array_equal(_drawn(tmp_path / "a.png"), _drawn(tmp_path / "b.png"))


def test_eight_bits_of_an_image_draw_the_same(grids: dict, tmp_path: Path) -> None:
    grid = grids["RAS"]
    labels = np.zeros(grid.array.shape, np.uint8)
    overlay(grid.array, labels, NAMES, tmp_path / "a.png")
    overlay(grey(grid.array), labels, NAMES, tmp_path / "b.png")
    assert np.abs(_drawn(tmp_path / "a.png") - _drawn(tmp_path / "b.png")).max() <= 6


def test_an_image_of_one_value_can_be_drawn(tmp_path: Path) -> None:
    overlay(np.full((5, 6, 7), 3.0), np.zeros((5, 6, 7), np.uint8), NAMES, tmp_path / "a.png")
    assert (tmp_path / "a.png").exists()


def test_refuses_labels_of_another_shape(tmp_path: Path) -> None:
    image = np.zeros((5, 6, 7))
    with pytest.raises(ValueError, match=r"shape \(5, 6, 6\); expected the image's \(5, 6, 7\)"):
        overlay(image, np.zeros((5, 6, 6), np.uint8), NAMES, tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"shape \(7, 6, 5\)"):
        overlay(image, np.zeros((5, 6, 7)), NAMES, tmp_path / "a.png", reference=np.zeros((7, 6, 5)))
    assert not list(tmp_path.iterdir())
