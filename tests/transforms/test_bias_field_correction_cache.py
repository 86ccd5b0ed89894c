"""Fields are kept, found again bit for bit, and fitted again where they must be."""

from __future__ import annotations

import logging
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import MetaTensor

from monai_tasks.transforms import bias_field_correction
from monai_tasks.transforms.bias_field_correction import BiasFieldCorrection

AFFINE = torch.tensor(np.diag([-1.5, 1.5, 6.0, 1.0]))
CONTAINERS = {
    "numpy": np.asarray,
    "torch": torch.as_tensor,
    "MetaTensor": lambda array: MetaTensor(torch.as_tensor(array), affine=AFFINE),
}
QUICK = {"shrink": (4, 4, 1), "fitting_levels": 2, "iterations": 5}


@pytest.fixture
def image():
    """(1, 64, 56, 8) with a round leg of two tissues in air, brighter at one side."""
    across, along, _ = np.meshgrid(*(np.linspace(-1, 1, size) for size in (64, 56, 8)), indexing="ij")
    tissue = np.select([np.hypot(across, along) < 0.5, np.hypot(across, along) < 0.85], [200.0, 450.0], 5.0)
    noise = np.random.default_rng(0).normal(0, 3, tissue.shape)
    return np.abs(tissue * np.exp(0.5 * across) + noise).astype(np.float32)[None]


@pytest.fixture
def fits(monkeypatch):
    """How often N4 has run."""
    runs = []
    original = BiasFieldCorrection._fit

    def counted(self, *arguments):
        runs.append(1)
        return original(self, *arguments)

    monkeypatch.setattr(BiasFieldCorrection, "_fit", counted)
    return runs


@pytest.mark.parametrize("container", CONTAINERS)
def test_a_kept_field_gives_the_same_bits(tmp_path, fits, container, image):
    image = CONTAINERS[container](image)
    first = BiasFieldCorrection(**QUICK, cache_dir=tmp_path / "new" / "folder")(image)
    again = BiasFieldCorrection(**QUICK, cache_dir=str(tmp_path / "new" / "folder"))(image)
    plain = BiasFieldCorrection(**QUICK)(image)
    assert len(fits) == 2  # the first and the one without a cache
    assert np.asarray(first).tobytes() == np.asarray(again).tobytes() == np.asarray(plain).tobytes()


def test_the_file_holds_the_coarse_field_and_nothing_of_the_image(tmp_path, image):
    BiasFieldCorrection(shrink=(4, 4, 1), cache_dir=tmp_path)(image)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size == 32 + 4 * 16 * 14 * 8
    samples = np.frombuffer(file.read_bytes()[32:], "<f4").reshape(16, 14, 8)
    assert np.ptp(samples) > 0.3
    assert np.abs(np.diff(samples, axis=0)).max() < 0.2  # the image's logarithm jumps by 0.8 at edges


def other_voxel(image: np.ndarray) -> np.ndarray:
    image = image.copy()
    image[0, 30, 30, 4] += 1
    return image


@pytest.mark.parametrize(
    ("change", "settings"),
    [
        (other_voxel, {}),
        (lambda image: image.reshape(1, 56, 64, 8), {}),
        (lambda image: MetaTensor(torch.as_tensor(image), affine=AFFINE), {}),
        (lambda image: image, {"shrink": (4, 8, 1)}),
        (lambda image: image, {"fitting_levels": 3}),
        (lambda image: image, {"iterations": 11}),
        (lambda image: image, {"spline_distance": 20}),
        (lambda image: image, {"clip": 99}),
        (lambda image: image, {"mask": None}),
        (lambda image: image, {"mask": lambda volume: volume > 90}),
    ],
)
def test_another_image_spacing_or_setting_is_fitted(tmp_path, fits, change, settings, image):
    BiasFieldCorrection(**QUICK, cache_dir=tmp_path)(image)
    BiasFieldCorrection(**{**QUICK, **settings}, cache_dir=tmp_path)(change(image))
    assert len(fits) == 2
    assert len(list(tmp_path.iterdir())) == 2


def test_masks_by_functions_are_told_apart_by_what_they_give(tmp_path, fits, image):
    for level in (80, 80, 300):
        BiasFieldCorrection(**QUICK, mask=lambda volume, level=level: volume > level, cache_dir=tmp_path)(
            image
        )
    assert len(fits) == 2


def test_another_version_of_simpleitk_is_fitted(tmp_path, fits, monkeypatch, image):
    correct = BiasFieldCorrection(**QUICK, cache_dir=tmp_path)
    correct(image)
    monkeypatch.setattr(sitk.Version, "VersionString", staticmethod(lambda: "99.0"))
    correct(image)
    assert len(fits) == 2


@pytest.mark.parametrize(
    "damage",
    [lambda content: b"", lambda content: content[:-8], lambda content: content[:99] + b"\0" + content[100:]],
)
def test_a_damaged_file_is_replaced_and_said(tmp_path, fits, caplog, damage, image):
    correct = BiasFieldCorrection(**QUICK, cache_dir=tmp_path)
    first = correct(image)
    (file,) = tmp_path.iterdir()
    sound = file.read_bytes()
    file.write_bytes(damage(sound))
    with caplog.at_level(logging.WARNING):
        np.testing.assert_array_equal(correct(image), first)
    assert "damaged" in caplog.text
    assert file.read_bytes() == sound
    correct(image)
    assert len(fits) == 2


def test_threads_share_a_folder_and_leave_no_temporary_files(tmp_path, image):
    correct = BiasFieldCorrection(**QUICK, cache_dir=tmp_path)
    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(correct, [image] * 6))
    assert len({result.tobytes() for result in results}) == 1
    assert [file.suffix for file in tmp_path.iterdir()] == [".n4"]


def test_a_write_that_fails_leaves_nothing_behind(tmp_path, monkeypatch, image):
    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr(bias_field_correction.os, "replace", full)
    with pytest.raises(OSError, match="no space"):
        BiasFieldCorrection(**QUICK, cache_dir=tmp_path)(image)
    assert list(tmp_path.iterdir()) == []
