"""An image of two arms becomes two images; one arm stays whole, in however many pieces its bones lie."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from monai_tasks.phantoms.radiograph_scenes import two_arms
from monai_tasks.phantoms.wrist import wrist
from monai_tasks.radiographs.parts import PartSplitter, split_parts
from monai_tasks.radiographs.study import Image, Step, Study

WHITE = 65535


def rods(shape, rods, grey=0.6, ground=0.05):
    """An image of upright round rods, brightest in the middle: (top, bottom, left, right) each."""
    image = np.full(shape, ground)
    for top, bottom, left, right in rods:
        across = np.linspace(-1, 1, right - left)
        thick = ground + (grey - ground) * np.sqrt(1 - 0.9 * across**2)
        image[top:bottom, left:right] = np.maximum(image[top:bottom, left:right], thick)
    image = ndimage.gaussian_filter(image, 1.5) + np.random.default_rng(0).normal(0, 0.005, shape)
    return (np.clip(image, 0, 1) * WHITE).astype(np.uint16)


ARM = ((200, 600, 60, 160), (40, 200, 60, 75), (20, 200, 85, 100), (30, 200, 112, 127))
OTHER_ARM = tuple((top, bottom, left + 250, right + 250) for top, bottom, left, right in ARM)


def test_two_arms_side_by_side():
    boxes = split_parts(rods((600, 500), ARM + OTHER_ARM))
    assert len(boxes) == 2
    for (rows, columns), arm in zip(boxes, (ARM, OTHER_ARM), strict=True):
        assert rows.start <= 20
        assert rows.stop == 600
        assert columns.start <= min(rod[2] for rod in arm)
        assert columns.stop >= max(rod[3] for rod in arm)
    assert boxes[0][1].stop <= boxes[1][1].start


def test_arms_that_lie_across():
    boxes = split_parts(np.rot90(rods((600, 500), ARM + OTHER_ARM)))
    assert len(boxes) == 2
    assert boxes[0][0].stop <= boxes[1][0].start


def test_arms_that_touch():
    boxes = split_parts(rods((600, 500), (*ARM, *OTHER_ARM, (280, 296, 160, 310))))
    assert len(boxes) == 2


@pytest.mark.parametrize("line", [0, WHITE])
@pytest.mark.parametrize("width", [3, 12])
def test_films_with_a_seam_between_arms_that_reach_it(line, width):
    film = rods((600, 160), [(0, 600, 40, 160)], ground=0.2)
    seam = np.full((600, width), line, np.uint16)
    pixels = np.concatenate([film, seam, film[:, ::-1]], 1)
    boxes = split_parts(pixels)
    assert len(boxes) == 2
    assert 156 <= boxes[0][1].stop <= 160
    assert 160 + width <= boxes[1][1].start <= 164 + width


def test_films_one_above_the_other():
    film = rods((300, 400), [(0, 300, 150, 260)], ground=0.2)
    pixels = np.concatenate([film, np.full((8, 400), WHITE, np.uint16), film])
    boxes = split_parts(pixels)
    assert [box[0].start < 300 for box in boxes] == [True, False]


def test_fingers_in_pieces_belong_to_their_arm():
    pieces = [(200, 600, 60, 160)]
    for number, left in enumerate((62, 88, 114, 140)):
        pieces += [
            (150 + 3 * number, 188, left, left + 14),
            (90, 138, left, left + 14),
            (40, 78, left, left + 13),
        ]
    assert len(split_parts(rods((600, 250), pieces))) == 1


def test_a_marker_and_a_label_are_no_parts():
    pixels = rods((600, 500), (*ARM, (60, 120, 400, 440), (500, 520, 300, 420)), grey=0.6)
    assert split_parts(pixels) == [(slice(0, 600), slice(0, 500))]


def test_an_even_image_stays_whole():
    assert len(split_parts(np.full((50, 40), 9, np.uint16))) == 1


def test_films_that_meet_without_a_seam():
    """Hands that reach the joint on both sides, between films of different exposure."""
    for seed in (1, 3, 5, 7):
        found = two_arms(np.random.default_rng([72, seed, 1, 1]), (400, 400), joined=True)
        boxes = split_parts(found.pixels)
        assert len(boxes) == 2
        # Within a collimator's rim.
        assert abs(boxes[0][1].stop - found.border) < 20


def scenery(kind, seed):
    """An image that shows no body."""
    rng = np.random.default_rng([46, seed])
    if kind == "noise":
        return rng.integers(0, WHITE, (300, 400)).astype(np.uint16)
    if kind == "clouds":
        clouds = ndimage.gaussian_filter(rng.normal(size=(300, 400)), (3, 10, 25)[seed % 3])
        return (WHITE * (clouds - clouds.min()) / np.ptp(clouds)).astype(np.uint16)
    columns = np.indices((300, 400))[1] // 40 % 2
    return (30000 * columns + rng.normal(10000, 1000, (300, 400))).astype(np.uint16)


@pytest.mark.parametrize("kind", ["noise", "clouds", "stripes"])
def test_what_shows_no_body_stays_whole(kind):
    for seed in range(6):
        pixels = scenery(kind, seed)
        assert split_parts(pixels) == [(slice(0, 300), slice(0, 400))]


@pytest.mark.parametrize("joined", [False, True])
def test_generated_pairs(joined):
    """Films of very different exposure that meet without a seam may be missed."""
    divided = 0
    for seed in range(6):
        found = two_arms(np.random.default_rng([41, seed]), (360, 360), joined=joined, collimated=False)
        boxes = split_parts(found.pixels)
        assert len(boxes) <= 2
        if len(boxes) == 2:
            divided += (
                abs(boxes[0][1].stop - found.border) < 40 and abs(boxes[1][1].start - found.border) < 40
            )
    assert divided >= (5 if joined else 6)


@pytest.mark.parametrize("seed", range(8))
def test_generated_single_arms(seed):
    rng = np.random.default_rng([42, seed])
    pixels = wrist(
        rng, ("pa", "lateral")[seed % 2], (384, 256), rotation_degrees=float(rng.normal(0, 40))
    ).pixels
    assert len(split_parts(pixels)) == 1


def test_real_wrists_stay_whole(shared_data):
    from monai_tasks.io.radiograph import read_radiograph

    files = sorted((shared_data / "wrist_xray" / "images").glob("*.png"))
    assert files
    for file in files:
        assert len(split_parts(read_radiograph(file).pixels)) == 1


@pytest.fixture
def study():
    row = {"image": "broken/s/S1_I1.png", "part": "", "rows": "600", "columns": "500", "body_part": "WRIST"}
    both = Image(row, rods((600, 500), ARM + OTHER_ARM))
    one = Image({**row, "image": "broken/s/S1_I2.png"}, rods((600, 250), ARM))
    return Study("s", "broken", (both, one))


def test_the_step_makes_an_image_and_a_row_a_part(study):
    step = PartSplitter()
    assert isinstance(step, Step)
    after = step(study)
    first, second, whole = after.images
    assert [image.row["image"] for image in after.images] == [
        "broken/s/S1_I1_P1.png",
        "broken/s/S1_I1_P2.png",
        "broken/s/S1_I2.png",
    ]
    assert [image.row["part"] for image in after.images] == ["1", "2", ""]
    assert first.row["body_part"] == "WRIST"
    assert (int(second.row["rows"]), int(second.row["columns"])) == second.pixels.shape
    assert whole is study.images[1]
    assert len(study.images) == 2


def test_a_second_run_changes_nothing(study):
    once = PartSplitter()(study)
    twice = PartSplitter()(once)
    assert all(one is other for one, other in zip(once.images, twice.images, strict=True))
    # Not only since the column says so: each part shows one arm.
    assert all(len(split_parts(image.pixels)) == 1 for image in once.images)


@pytest.mark.parametrize("shares", [{"smallest": 0.0}, {"relative": 1.0}])
def test_shares_that_make_no_sense_are_refused(shares):
    with pytest.raises(ValueError, match="expected above 0 and below 1"):
        PartSplitter(**shares)
