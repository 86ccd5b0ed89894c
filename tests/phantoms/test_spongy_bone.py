"""Texture of spongy bone, drawn and from a micro-CT image."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK as sitk

from monai_tasks.io.errors import InputError
from monai_tasks.phantoms.spongy_bone import drawn_texture, real_texture

SHAPE, SPACING = (96, 96, 4), (0.2, 0.2, 1.1)


@pytest.mark.parametrize("volume", [0.1, 0.2, 0.3])
def test_the_share_of_bone_is_the_one_asked_for(volume):
    found = drawn_texture(np.random.default_rng(0), SHAPE, SPACING, 1.4, volume)
    assert found.shape == SHAPE
    assert found.dtype == np.float32
    assert found.min() >= 0
    assert found.max() <= 1
    assert found.mean() == pytest.approx(volume, rel=0.15)


def crossings(texture: np.ndarray) -> int:
    return np.count_nonzero(np.diff(texture > 0.5, axis=0))


def test_struts_that_are_farther_apart_are_fewer():
    near, far = (
        drawn_texture(np.random.default_rng(0), SHAPE, SPACING, distance, 0.25) for distance in (1.2, 2.0)
    )
    assert crossings(near) > 1.3 * crossings(far)


def test_struts_run_along_the_limb():
    fine = drawn_texture(np.random.default_rng(0), (48, 48, 48), (0.2, 0.2, 0.2), 1.4, 0.25)
    along, across = np.abs(np.diff(fine, axis=2)).mean(), np.abs(np.diff(fine, axis=0)).mean()
    assert along < 0.8 * across


@pytest.fixture
def micro_ct(tmp_path):
    """Bars along z, 0.2 mm thick and 0.8 mm apart, of voxels of 0.02 mm."""
    values = np.zeros((60, 80, 80), np.uint8)
    values[:, :, 10:20] = values[:, :, 50:60] = 255
    image = sitk.GetImageFromArray(values)
    image.SetSpacing((0.02, 0.02, 0.02))
    path = tmp_path / "bone.nrrd"
    sitk.WriteImage(image, str(path))
    return path


def test_a_real_texture_keeps_its_share_of_bone_and_its_scale(micro_ct):
    found = real_texture(np.random.default_rng(0), SHAPE, SPACING, micro_ct)
    assert found.shape == SHAPE
    assert found.mean() == pytest.approx(0.25, abs=0.05)
    wide = real_texture(np.random.default_rng(0), SHAPE, SPACING, micro_ct, scale=3.0)
    assert crossings(wide) < 0.6 * crossings(found)
    assert not np.array_equal(found, real_texture(np.random.default_rng(1), SHAPE, SPACING, micro_ct))


def test_the_real_bone_is_a_network(shared_data):
    path = shared_data / "bone_microct" / "trabecular_200x200x110.nrrd"
    found = real_texture(np.random.default_rng(0), SHAPE, SPACING, path, scale=2.0)
    assert 0.1 < found.mean() < 0.35
    assert found.max() > 0.8


def test_no_image_is_an_error_that_names_the_file(tmp_path):
    path = tmp_path / "bone.nrrd"
    path.write_text("no image")
    with pytest.raises(InputError, match=r"bone\.nrrd"):
        real_texture(np.random.default_rng(0), SHAPE, SPACING, path)
