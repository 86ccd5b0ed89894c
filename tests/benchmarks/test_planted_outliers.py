"""The benchmark of suspicious cases plants the mistakes that it names, and leaves all other cases as they are."""

from __future__ import annotations

import importlib.util
from collections import Counter
from pathlib import Path
from types import ModuleType

import nibabel
import numpy as np
import pytest
from PIL import Image

from monai_tasks.io.files import sha256


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "benchmarks" / "planted_outliers.py"
    spec = importlib.util.spec_from_file_location("planted_outliers", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def label() -> np.ndarray:
    """Two boxes, one behind the other, to the left of the middle."""
    array = np.zeros((24, 40, 20), np.uint8)
    array[6:12, 18:30, 6:14] = 1
    array[6:12, 8:18, 6:14] = 2
    return array


def centre(label: np.ndarray) -> np.ndarray:
    return np.argwhere(label > 0).mean(axis=0)


@pytest.mark.parametrize("seed", range(6))
def test_a_shifted_label_is_the_same_some_millimetres_away(benchmark, label, seed):
    made = benchmark.shifted(label, np.random.default_rng(seed))
    moved = centre(made) - centre(label)
    assert np.count_nonzero(np.abs(moved) > 0.01) == 1
    assert 3 <= np.abs(moved).max() <= 6
    assert Counter(made.ravel().tolist()) == Counter(label.ravel().tolist())


@pytest.mark.parametrize("seed", range(6))
def test_a_cropped_label_lacks_a_third_to_a_half_on_one_side(benchmark, label, seed):
    made = benchmark.cropped(label, np.random.default_rng(seed))
    assert made.dtype == label.dtype
    assert made.shape == label.shape
    kept = made > 0
    assert (made[kept] == label[kept]).all()
    assert 0.45 <= kept.sum() / (label > 0).sum() <= 0.75
    gone = np.argwhere((label > 0) & ~kept)
    left = np.argwhere(kept)
    apart = [
        gone[:, axis].max() < left[:, axis].min() or gone[:, axis].min() > left[:, axis].max()
        for axis in range(3)
    ]
    assert sum(apart) == 1


def test_the_other_changes(benchmark, label):
    rng = np.random.default_rng(0)
    assert (benchmark.swapped(label, rng) == np.where(label > 0, 3 - label, 0)).all()
    assert (benchmark.mirrored(label, rng) == label[::-1]).all()
    other = np.ones((10, 50, 20), np.uint8)
    made = benchmark.foreign(label, other)
    assert made.shape == label.shape
    assert (made[7:17] == 1).all()
    assert made.sum() == 10 * 40 * 20


def test_a_tenth_of_the_labels_is_changed_and_no_other(benchmark, label, tmp_path):
    paths = [tmp_path / f"case_{number:02d}.nii.gz" for number in range(50)]
    for number, path in enumerate(paths):
        own = label.copy()
        own[6:12, 8, 6 : 6 + number // 10 + 1] = 0  # no two of different tens are alike
        own[6, 9 + number % 10, 6] = 0
        nibabel.save(nibabel.Nifti1Image(own, np.eye(4)), path)
    before = {path: sha256(path) for path in paths}
    kinds = benchmark.plant_labels(paths, 3)
    assert Counter(kinds.values()) == dict.fromkeys(benchmark.LABEL_KINDS, 1)
    assert {path.name.removesuffix(".nii.gz") for path in paths if sha256(path) != before[path]} == set(kinds)


def test_a_tenth_of_the_images_is_changed_and_copies_are_of_other_subjects(benchmark, tmp_path):
    rng, items = np.random.default_rng(1), []
    for number in range(60):
        path = tmp_path / f"chest_{number:02d}.png"
        Image.fromarray(np.kron(rng.integers(40, 200, (12, 12)), np.ones((12, 12))).astype(np.uint8)).save(
            path
        )
        items.append({"image": str(path), "label": number % 2, "subject": f"s{number // 2}"})
    before = {item["image"]: (sha256(item["image"]), item["label"]) for item in items}
    pixels = {item["image"]: np.asarray(Image.open(item["image"]), float) for item in items}
    kinds = benchmark.plant_images(items, 2)
    assert Counter(kinds.values()) == dict.fromkeys(benchmark.IMAGE_KINDS, 2)
    subjects = {item["image"]: item["subject"] for item in items}
    for item in items:
        kind = kinds.get(Path(item["image"]).stem)
        file, cls = before[item["image"]]
        assert (sha256(item["image"]) != file) == (kind in (benchmark.OTHER_PART, benchmark.COPY))
        if kind in (None, benchmark.OTHER_PART):
            assert item["label"] == cls
        elif kind == benchmark.WRONG:
            assert item["label"] == 1 - cls
        else:
            now = np.asarray(Image.open(item["image"]), float).ravel()
            alike = {
                image: max(np.corrcoef(now, turned.ravel())[0, 1] for turned in (other, np.fliplr(other)))
                for image, other in pixels.items()
            }
            source = max(alike, key=alike.__getitem__)
            assert alike[source] > 0.9
            assert subjects[source] != item["subject"]
            assert item["label"] == before[source][1]


def test_the_first_tenth_is_counted_as_it_is_said(benchmark):
    rows = [{"case": str(n), "rank": str(n + 1), "loss": "" if n == 4 else str(n)} for n in range(10)]
    remarks = [
        {"case": "7", "check": "label", "strength": "0.5"},
        {"case": "7", "check": "label", "strength": "0.2"},
        {"case": "7", "check": "sides", "strength": "0.5"},
        {"case": "2", "check": "sides", "strength": "0.7"},
    ]
    ways = benchmark.orders(rows, remarks)
    assert benchmark.found_in(ways["outliers"], 0.2) == {0, 1}
    assert benchmark.found_in(ways["loss alone"], 0.2) == {4, 9}  # without a prediction, and the highest loss
    assert benchmark.found_in(ways["checks alone"], 0.1) == {7}  # 0.75, not 0.7
