"""Fingers point up after the step, nothing of the limb is lost, and what is upright stays as it is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from monai_tasks.datasets.radiographs import COLUMNS
from monai_tasks.phantoms.wrist import wrist
from monai_tasks.radiographs.alignment import RotationAlignment, align, rotation, turned_spacing
from monai_tasks.radiographs.study import Image, Step, Study


def turned(seed, degrees):
    """A generated wrist that leans by some degrees to the right of fingers up."""
    rng = np.random.default_rng([43, seed])
    return wrist(rng, ("pa", "lateral")[seed % 2], (384, 320), rotation_degrees=degrees).pixels


def apart(one, other):
    return abs((one - other + 180) % 360 - 180)


@pytest.fixture(scope="module")
def found():
    """Degrees that 24 wrists were turned by, and what is found."""
    degrees = np.random.default_rng(6).uniform(-180, 180, 24)
    return [(degree, rotation(turned(seed, degree))) for seed, degree in enumerate(degrees)]


def test_the_axis_of_generated_wrists(found):
    errors = [min(apart(degree, turn.degrees), apart(degree + 180, turn.degrees)) for degree, turn in found]
    assert np.median(errors) < 4
    assert np.mean(np.array(errors) < 10) > 0.9


def test_fingers_point_up(found):
    sure = [apart(degree, turn.degrees) < 90 for degree, turn in found if turn.sure]
    assert len(sure) > 0.7 * len(found)
    assert np.mean(sure) > 0.9


def test_a_turn_not_known_to_end_with_fingers_up_is_the_smaller_one(found):
    assert all(abs(turn.degrees) <= 90 for _, turn in found if not turn.sure)


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_quarter_turns_change_no_pixel(quarters):
    upright = turned(2, 0.0)
    back, turn = align(np.rot90(upright, -quarters))
    assert apart(turn.degrees, 90 * quarters) == 0
    np.testing.assert_array_equal(back, upright)


def test_an_upright_image_stays_as_it_is():
    upright = turned(2, 0.0)
    same, turn = align(upright)
    assert turn.degrees == 0
    np.testing.assert_array_equal(same, upright)


def limb(degrees, ground=9000):
    """A limb with three fingers, that leans to the right, drawn on a wide even ground, and where it is."""
    mask = np.zeros((600, 600))
    mask[300:480, 260:340] = 1
    for left in (262, 290, 318):
        mask[180:300, left : left + 20] = 1
    # Joints of the fingers and of the wrist.
    shade = mask.copy()
    for row in (215, 250, 300, 320):
        shade[row : row + 6] *= 0.75
    mask, shade = (ndimage.rotate(image, -degrees, reshape=False, order=1) for image in (mask, shade))
    return np.round(ground + 40000 * np.clip(shade, 0, 1)).astype(np.uint16), mask > 0.5


@pytest.mark.parametrize("degrees", [25.0, 140.0, -60.0])
def test_the_turned_image_holds_the_limb_on_its_background(degrees):
    pixels, mask = limb(degrees)
    result, turn = align(pixels)
    assert apart(turn.degrees, degrees) < 3
    assert result.dtype == np.uint16
    # The ground reaches into the corners that the canvas adds.
    assert result.min() == pytest.approx(9000, abs=1)
    bright = result > 24000
    assert bright.sum() == pytest.approx(mask.sum(), rel=0.02)
    assert not np.concatenate([bright[[0, -1]].ravel(), bright[:, [0, -1]].ravel()]).any()
    # Fingers up: the upper half of the limb is less than the lower.
    rows = np.flatnonzero(bright.any(1))
    assert bright[: rows.mean().astype(int)].sum() < bright[rows.mean().astype(int) :].sum()
    assert result.size < pixels.size


def test_an_even_image_is_not_turned():
    turn = rotation(np.full((60, 40), 5, np.uint16))
    assert turn.degrees == 0
    assert not turn.sure


def test_real_wrists_stay_upright(shared_data):
    from monai_tasks.io.radiograph import read_radiograph

    files = sorted((shared_data / "wrist_xray" / "images").glob("*.png"))
    assert files
    for file in files:
        pixels = read_radiograph(file).pixels
        assert apart(rotation(pixels).degrees, 0) < 8
        assert apart(rotation(np.rot90(pixels)).degrees, -90) < 8


@pytest.fixture
def study():
    row = dict.fromkeys(COLUMNS, "") | {"image": "broken/s/S1_I1.png", "rows": "600", "columns": "600"}
    return Study(
        "s",
        "broken",
        (Image(row, limb(25.0)[0]), Image({**row, "image": "broken/s/S1_I2.png"}, limb(0.0)[0])),
    )


def test_the_step_writes_the_turn(study):
    step = RotationAlignment()
    assert isinstance(step, Step)
    after = step(study)
    leaning, upright = after.images
    assert float(leaning.row["rotation_degrees"]) == pytest.approx(25, abs=3)
    assert (int(leaning.row["rows"]), int(leaning.row["columns"])) == leaning.pixels.shape
    assert upright.row["rotation_degrees"] == "0"
    assert upright.pixels is study.images[1].pixels
    assert study.images[0].row["rotation_degrees"] == ""


def test_a_doubt_has_a_column_of_its_own():
    # A bar looks the same from both ends.
    bar = np.zeros((300, 300), np.uint16)
    bar[60:240, 120:180] = 40000
    row = dict.fromkeys(COLUMNS, "") | {"image": "broken/s/S1_I1.png"}
    fingers = limb(0.0)[0]
    images = RotationAlignment()(
        Study("s", "broken", (Image(row, np.rot90(bar)), Image(row, fingers)))
    ).images
    assert [abs(float(image.row["rotation_degrees"])) for image in images] == [90, 0]
    assert [image.row["alignment_note"] for image in images] == ["direction unknown", ""]


def test_a_second_run_changes_nothing(study):
    once = RotationAlignment()(study)
    twice = RotationAlignment()(once)
    assert all(one is other for one, other in zip(once.images, twice.images, strict=True))
    # Not only since the column says so: what was turned is upright.
    assert all(rotation(image.pixels).degrees == 0 for image in once.images)


def test_a_tolerance_that_makes_no_sense_is_refused():
    with pytest.raises(ValueError, match="expected degrees above 0"):
        RotationAlignment(tolerance=0)


@pytest.mark.parametrize(
    ("degrees", "spacing"), [(90, "0.2 x 0.1"), (-90, "0.2 x 0.1"), (180, "0.1 x 0.2"), (12.5, "")]
)
def test_the_distances_of_pixels_turn_with_them(degrees, spacing):
    assert turned_spacing("0.1 x 0.2", degrees) == spacing
    assert turned_spacing("0.15", degrees) == "0.15"
    assert turned_spacing("", degrees) == ""
