"""Bone is bright after the step, whatever frames, shutters, noise and labels surround it."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.io.radiograph import read_radiograph
from monai_tasks.phantoms.radiograph_frames import framed, presented, with_text
from monai_tasks.radiographs import colour_inversion
from monai_tasks.radiographs.colour_evidence import score
from monai_tasks.radiographs.colour_inversion import PRIOR, ColourInversion, corner_rule, is_inverted
from monai_tasks.radiographs.foreground import Overview
from monai_tasks.radiographs.study import Image, Step, Study

WHITE = 65535


@pytest.fixture(scope="module")
def cases():
    """Generated images of all kinds: pixels, and whether bone is dark."""
    seeds = range(20)
    return [case[1:] for seed in seeds for case in presented(np.random.default_rng([44, seed]), (320, 213))]


def test_generated_images_of_all_kinds(cases):
    right = np.mean([is_inverted(pixels)[0] == inverted for pixels, inverted in cases])
    assert len(cases) == 140
    assert right >= 0.99


def test_the_corner_rule_fails_on_them(cases):
    assert 0.5 < np.mean([corner_rule(pixels) == inverted for pixels, inverted in cases]) < 0.9


def test_the_inverted_image_has_just_the_opposite_evidence(cases):
    for pixels, _ in cases[::5]:
        one, other = Overview(pixels), Overview(WHITE - pixels)
        assert score(other.small, other.field) == pytest.approx(-score(one.small, one.field), abs=0.02)


def test_weak_evidence_leaves_an_image_as_it_is(monkeypatch):
    pixels = np.zeros((30, 20), np.uint16)
    for odds, inverted in ((-0.9 * PRIOR, False), (-1.1 * PRIOR, True)):
        monkeypatch.setattr(colour_inversion, "score", lambda small, field, odds=odds: odds)
        assert is_inverted(pixels) == (inverted, pytest.approx(1 / (1 + np.exp(-0.1 * PRIOR))))


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (90, 60)])
def test_an_even_image_is_not_inverted(shape):
    assert not is_inverted(np.full(shape, 60000, np.uint16))[0]


def test_the_corner_rule_is_the_mean_of_four_corners():
    pixels = np.full((30, 40), WHITE, np.uint16)
    pixels[[0, 0, -1, -1], [0, -1, 0, -1]] = [0, 0, 51400, 51400]  # on average 25700, which is 100 of 255
    assert corner_rule(pixels)
    pixels[0, 0] = 0
    pixels[-1, -1] = 51396
    assert not corner_rule(pixels)


NAMES = ("966_fixed.dcm", "RG2_JPLY_fixed.dcm", "RG3_J2KR.dcm")  # a chest, a hip, a lower leg


def test_real_images(shared_data):
    """Wrists, and radiographs of other parts of the body, as they are and inverted; limbs in frames with text."""
    files = sorted((shared_data / "wrist_xray" / "images").glob("*.png"))
    files += [shared_data / "dicom" / "radiographs" / name for name in NAMES]
    assert len(files) == 5
    rng = np.random.default_rng(8)
    for file in files:
        pixels = read_radiograph(file).pixels
        for inverted, colours in ((False, pixels), (True, WHITE - pixels)):
            assert is_inverted(colours)[0] == inverted, file.name
            small = np.ascontiguousarray(colours[::3, ::3])
            for _ in range(0 if file.name in NAMES[:2] else 3):
                assert is_inverted(framed(rng, with_text(rng, small)))[0] == inverted, file.name


def test_real_chests_that_fill_the_field(shared_data):
    """Of 20 chests at most one is told wrong, as it is or inverted."""
    files = sorted((shared_data / "chest_xray_pneumonia" / "images").glob("*.jpeg"))[::25][:20]
    assert len(files) == 20
    images = [read_radiograph(file).pixels for file in files]
    assert sum(is_inverted(pixels)[0] for pixels in images) <= 1
    assert sum(not is_inverted(WHITE - pixels)[0] for pixels in images) <= 1


@pytest.fixture
def study():
    rng = np.random.default_rng([45, 0])
    _, pixels, inverted = next(iter(presented(rng, (320, 213), ("framed",))))
    bright = WHITE - pixels if inverted else pixels
    row = {"image": "broken/s/S1_I1.png", "colour_inverted": "", "rows": "0", "columns": "0"}
    return Study(
        "s", "broken", (Image(row, bright), Image({**row, "image": "broken/s/S1_I2.png"}, WHITE - bright))
    )


def test_the_step_makes_bone_bright_in_both(study):
    step = ColourInversion()
    assert isinstance(step, Step)
    bright, dark = step(study).images
    assert bright.row["colour_inverted"] == "no"
    assert bright.pixels is study.images[0].pixels
    assert dark.row["colour_inverted"] == "yes"
    np.testing.assert_array_equal(dark.pixels, bright.pixels)
    assert study.images[1].row["colour_inverted"] == ""


def test_a_second_run_changes_nothing(study):
    once = ColourInversion()(study)
    twice = ColourInversion()(once)
    assert all(one is other for one, other in zip(once.images, twice.images, strict=True))
    # Not only since the column says so.
    assert not any(is_inverted(image.pixels)[0] for image in once.images)
