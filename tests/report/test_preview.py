"""The picture of a segmentation is upright, to scale, and shows the labels where they are, slice by slice if thick."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from monai_tasks.report import preview
from monai_tasks.report.preview import COLOURS, GAP, LEGEND, PANEL, SLICE_PANEL, grey, overlay

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


THICK = np.diag([2.0, 2.0, 6.0, 1.0])  # axial slices three pixels apart
STEP = SLICE_PANEL + GAP


def _slices_apart(path: Path, count: int) -> list[np.ndarray]:
    """The panels of a sheet of square slices."""
    pixels = _drawn(path)
    assert pixels.shape[0] == -(-count // 4) * STEP + LEGEND
    assert pixels.shape[1] == min(count, 4) * STEP + GAP
    places = [(GAP + place // 4 * STEP, GAP + place % 4 * STEP) for place in range(count)]
    return [pixels[top : top + SLICE_PANEL, left : left + SLICE_PANEL] for top, left in places]


def _numbered(depth: int) -> np.ndarray:
    """(20, 20, depth): each slice has an intensity of its own."""
    return np.broadcast_to(np.arange(depth, dtype=np.float32), (20, 20, depth)).copy()


def _indices(panels: list[np.ndarray], depth: int) -> list[int]:
    """Which slices of `_numbered` these are; the window cuts 0.5 % off at both ends."""
    return [round(float(panel[128, 128].mean()) / 255 * (depth - 1)) for panel in panels]


@pytest.mark.parametrize(("first", "last"), [(3, 40), (0, 11), (7, 9), (5, 17), (49, 49)])
def test_thick_slices_are_drawn_evenly_between_the_outermost_labels(
    tmp_path: Path, first: int, last: int
) -> None:
    image, labels = _numbered(50), np.zeros((20, 20, 50), np.uint8)
    labels[2:4, 2:4, [first, last]] = 1
    overlay(image, labels, NAMES, tmp_path / "a.png", affine=THICK)
    count = min(12, last - first + 1)
    panels = _slices_apart(tmp_path / "a.png", count)
    found = _indices(panels, 50)
    assert (found[0], found[-1]) == (first, last)
    steps = np.diff(found)
    assert count == 1 or (steps.min() >= 1 and steps.max() - steps.min() <= 1)
    with_label = [bool(_near(panel, COLOURS[0]).any()) for panel in panels]
    assert with_label == [index in (first, last) for index in found]


def test_slices_of_the_reference_are_drawn_too(tmp_path: Path) -> None:
    labels, reference = np.zeros((2, 20, 20, 50), np.uint8)
    labels[5:9, 5:9, 20:25] = 1
    reference[5:9, 5:9, 18:22] = 1
    overlay(_numbered(50), labels, NAMES, tmp_path / "a.png", reference=reference, affine=THICK)
    panels = _slices_apart(tmp_path / "a.png", 7)
    assert _indices(panels, 50) == list(range(18, 25))
    assert [_near(panel, (255, 255, 255)).sum() > 100 for panel in panels] == [True] * 4 + [False] * 3


def test_all_slices_are_gone_through_where_nothing_is_labelled(tmp_path: Path) -> None:
    overlay(_numbered(23), np.zeros((20, 20, 23), np.uint8), NAMES, tmp_path / "a.png", affine=THICK)
    assert _indices(_slices_apart(tmp_path / "a.png", 12), 23) == list(range(0, 23, 2))


@pytest.mark.parametrize(("distance", "panels"), [(5.9, 3), (6.0, 4)])
def test_slices_are_thick_from_three_pixels_on(tmp_path: Path, distance: float, panels: int) -> None:
    affine = np.diag([1.0, 2.0, distance, 1.0])
    image = np.random.default_rng(0).normal(size=(20, 10, 12)).astype(np.float32)
    overlay(image, np.zeros(image.shape, np.uint8), NAMES, tmp_path / "a.png", affine=affine)
    columns = _drawn(tmp_path / "a.png")[GAP : GAP + 200].sum(axis=(0, 2)) > 0
    assert np.count_nonzero(np.diff(columns.astype(int)) == 1) == panels


def _coronal() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, labels and affine of a RAS+ grid, coronal slices of 5 mm, a label at the right and on top."""
    image = np.random.default_rng(1).normal(100.0, 10.0, (40, 9, 40)).astype(np.float32)
    labels = np.zeros(image.shape, np.uint8)
    labels[30:36, 2:8, 28:38] = 1
    labels[26:30, 3:6, 30:34] = 2
    return image, labels, np.diag([1.0, 5.0, 1.0, 1.0])


def test_slices_are_upright_with_the_right_of_the_body_on_the_left(tmp_path: Path) -> None:
    image, labels, affine = _coronal()
    overlay(image, labels, NAMES, tmp_path / "a.png", affine=affine)
    for panel in _slices_apart(tmp_path / "a.png", 6):
        rows, columns = np.nonzero(_near(panel, COLOURS[0]))
        assert rows.max() < SLICE_PANEL * 0.35
        assert columns.max() < SLICE_PANEL * 0.3


def _stored(
    arrays: tuple[np.ndarray, ...], affine: np.ndarray, flips: tuple[int, ...], order: list[int]
) -> tuple:
    """The same image in space with axes of the file flipped and then swapped."""
    flip = np.eye(4)
    for axis in flips:
        flip[axis, axis], flip[axis, 3] = -1.0, arrays[0].shape[axis] - 1
    swap = np.eye(4)[[*order, 3]]
    moved = (np.ascontiguousarray(np.flip(array, flips).transpose(order)) for array in arrays)
    return *moved, affine @ flip @ swap.T


@pytest.mark.parametrize(("flips", "order"), [((0,), [0, 1, 2]), ((0, 2), [0, 2, 1]), ((2,), [2, 0, 1])])
def test_slices_of_the_same_image_on_other_grids_are_the_same(
    tmp_path: Path, flips: tuple[int, ...], order: list[int]
) -> None:
    image, labels, affine = _coronal()
    overlay(image, labels, NAMES, tmp_path / "a.png", affine=affine)
    *arrays, other = _stored((image, labels), affine, flips, order)
    overlay(*arrays, NAMES, tmp_path / "b.png", affine=other)
    np.testing.assert_array_equal(_drawn(tmp_path / "a.png"), _drawn(tmp_path / "b.png"))


def test_slices_of_an_oblique_image_are_its_own(grids: dict, tmp_path: Path) -> None:
    image, labels, affine = _coronal()
    turn = grids["oblique"].affine @ np.linalg.inv(grids["RAS"].affine)
    overlay(image, labels, NAMES, tmp_path / "a.png", affine=affine)
    overlay(image, labels, NAMES, tmp_path / "b.png", affine=turn @ affine)
    np.testing.assert_array_equal(_drawn(tmp_path / "a.png"), _drawn(tmp_path / "b.png"))


@pytest.mark.parametrize(
    ("flips", "numbers"),
    [((), ["slice 3 of 9", "4", "5", "6", "7", "8"]), ((0, 1), ["slice 2 of 9", "3", "4", "5", "6", "7"])],
)
def test_slices_are_in_the_order_of_the_file_and_carry_its_numbers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, flips: tuple[int, ...], numbers: list[str]
) -> None:
    image, labels, affine = _coronal()
    overlay(image, labels, NAMES, tmp_path / "a.png", affine=affine)
    texts, write = [], preview._write

    def recorded(panel: Image.Image, text: str, *place: object) -> None:
        texts.append(text)
        write(panel, text, *place)

    monkeypatch.setattr(preview, "_write", recorded)
    *arrays, other = _stored((image, labels), affine, flips, [0, 1, 2])
    overlay(*arrays, NAMES, tmp_path / "b.png", affine=other)
    assert [text for text in texts if not text.isalpha()] == numbers
    assert [text for text in texts if text.isalpha()] == ["R", "L", "S", "I"]  # once
    first, second = (_slices_apart(tmp_path / f"{name}.png", 6) for name in "ab")
    second = second[::-1] if flips else second
    for one, other in zip(first, second, strict=True):
        # Inside of numbers and letters.
        np.testing.assert_array_equal(one[24:230, 24:230], other[24:230, 24:230])


def test_slices_are_to_scale_in_millimetres(tmp_path: Path) -> None:
    image = np.random.default_rng(0).normal(size=(4, 40, 60)).astype(np.float32)  # 40 x 30 mm a slice
    labels = np.zeros(image.shape, np.uint8)
    labels[1:3, 5, 5] = 1
    overlay(image, labels, NAMES, tmp_path / "a.png", affine=np.diag([4.0, 1.0, 0.5, 1.0]))
    pixels = _drawn(tmp_path / "a.png")
    assert pixels.shape[:2] == (round(SLICE_PANEL * 30 / 40) + GAP + LEGEND, 2 * STEP + GAP)


def test_the_legend_is_whole_under_a_single_slice(tmp_path: Path) -> None:
    names = {1: "femur of the right", 2: "tibia of the right", 3: "fibula of the right"}
    labels = np.zeros((20, 20, 5), np.uint8)
    labels[5, 5, 2] = 1
    overlay(_numbered(5), labels, names, tmp_path / "a.png", reference=labels, affine=THICK)
    pixels = _drawn(tmp_path / "a.png")
    for colour in (*COLOURS[:3], (255, 255, 255)):
        assert _near(pixels[-LEGEND:], colour).sum() >= 100
    # The last name ends before the edge.
    assert not pixels[-LEGEND:, -8:].any()
