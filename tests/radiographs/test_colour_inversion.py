"""Bone is bright after the step, whatever frames, shutters, noise and labels surround it."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.io.radiograph import read_radiograph
from monai_tasks.phantoms.radiograph_frames import framed, presented, with_text
from monai_tasks.radiographs.colour_inversion import ColourInversion, corner_rule, is_inverted
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


def test_the_inverted_image_gets_the_opposite_answer(cases):
    for pixels, _ in cases[::5]:
        answer, confidence = is_inverted(pixels)
        opposite, same = is_inverted(WHITE - pixels)
        assert opposite is not answer
        assert same == pytest.approx(confidence, abs=1e-3)
        assert 0.5 <= confidence <= 1


@pytest.mark.parametrize("shape", [(1, 1), (3, 200), (90, 60)])
def test_an_even_image_is_not_inverted(shape):
    assert is_inverted(np.full(shape, 60000, np.uint16)) == (False, 0.5)


def test_the_corner_rule_is_the_mean_of_four_corners():
    pixels = np.full((30, 40), WHITE, np.uint16)
    pixels[[0, 0, -1, -1], [0, -1, 0, -1]] = [0, 0, 51400, 51400]  # on average 25700, which is 100 of 255
    assert corner_rule(pixels)
    pixels[0, 0] = 0
    pixels[-1, -1] = 51396
    assert not corner_rule(pixels)


def real(shared_data):
    files = sorted((shared_data / "wrist_xray" / "images").glob("*.png"))
    files += [shared_data / "dicom" / "radiographs" / name for name in ("RG2_JPLY_fixed.dcm", "RG3_J2KR.dcm")]
    return {file.name: read_radiograph(file).pixels for file in files}


def test_real_images(shared_data):
    """Limbs and a hip, as they are and inverted, and each in frames and with text. A chest is not told rightly."""
    images = real(shared_data)
    assert len(images) == 4
    rng = np.random.default_rng(8)
    for name, pixels in images.items():
        for colours in (pixels, WHITE - pixels):
            inverted = colours is not pixels
            assert is_inverted(colours)[0] == inverted, name
            small = np.ascontiguousarray(colours[::3, ::3])
            for _ in range(3):
                assert is_inverted(framed(rng, with_text(rng, small)))[0] == inverted, name


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
