"""Crops are like real ones in size, label and contrast, differ from each other and defeat a threshold."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from monai_tasks.phantoms.hippocampus import crop, warped_points


@pytest.fixture(scope="module")
def crops():
    return [crop(np.random.default_rng([1, number])) for number in range(16)]


def best_threshold_dice(image, label):
    """The best Dice that any band of brightness reaches, chosen with the truth at hand."""
    levels = np.quantile(image, np.linspace(0, 1, 41))
    inside, size = np.sort(image[label > 0]), (label > 0).sum()
    whole = np.sort(image, axis=None)
    count = [np.searchsorted(values, levels, "left") for values in (inside, whole)]
    hits, chosen = (values[None, :] - values[:, None] for values in count)
    return (2 * hits / np.maximum(chosen + size, 1)).max()


def test_a_threshold_fails(crops):
    dice = [best_threshold_dice(image, label) for image, label, _ in crops]
    assert max(dice) < 0.5
    assert np.mean(dice) < 0.4


def test_the_threshold_helper_finds_what_is_there():
    image = np.random.default_rng(0).normal(0, 1, (20, 20, 20))
    label = np.zeros((20, 20, 20), np.uint8)
    label[5:10, 5:10, 5:10] = 1
    assert best_threshold_dice(image, label) < 0.1
    assert best_threshold_dice(image + 100 * label, label) > 0.75


def test_a_threshold_fails_on_real_crops_too(shared_data):
    paths = sorted((shared_data / "hippocampus" / "imagesTr").glob("*.nii.gz"))[::40]
    for path in paths:
        label = nibabel.load(path.parents[1] / "labelsTr" / path.name)
        assert best_threshold_dice(nibabel.load(path).get_fdata(), np.asarray(label.dataobj)) < 0.4


def test_arrays(crops):
    for image, label, affine in crops:
        assert (image.dtype, label.dtype) == (np.float32, np.uint8)
        assert image.shape == label.shape
        assert set(np.unique(label)) == {0, 1, 2}
        assert affine.shape == (4, 4)
        assert all(20 <= size <= 70 for size in image.shape)
        inside = np.argwhere(label)
        assert inside.min() >= 4
        assert (inside.max(0) <= np.array(label.shape) - 5).all()


def test_grids_vary(crops):
    codes = {"".join(nibabel.aff2axcodes(affine)) for *_, affine in crops}
    assert codes == {"RAS", "LAS", "LPS"}
    assert any(np.abs(affine[:3, :3] - np.diag(np.diag(affine[:3, :3]))).max() > 0.02 for *_, affine in crops)
    spacings = np.array([nibabel.affines.voxel_sizes(affine) for *_, affine in crops])
    assert spacings.min() < 0.98
    assert spacings.max() > 1.05
    assert len({image.shape for image, *_ in crops}) > 10


def test_intensity_scales_vary(crops):
    levels = [np.median(image) for image, *_ in crops]
    assert max(levels) > 50 * min(levels)


def test_space_is_kept_whatever_the_voxel_order(crops):
    # In the world the head lies in front of and below the tail; the uncus reaches towards the midline (+x).
    for _, label, affine in crops:
        anterior, posterior = (
            nibabel.affines.apply_affine(affine, np.argwhere(label == part)) for part in (1, 2)
        )
        assert anterior[:, 1].mean() > posterior[:, 1].mean() + 10
        assert anterior[:, 2].mean() < posterior[:, 2].mean() - 2
        assert anterior[:, 0].max() > posterior[:, 0].max()
        # The crop was cut out of a field around the world's origin.
        assert np.abs(np.concatenate([anterior, posterior]).mean(0)).max() < 8


def test_seeded():
    first, second, third = (crop(np.random.default_rng(seed)) for seed in (5, 5, 6))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert first[0].shape != third[0].shape or not np.array_equal(first[0], third[0])


def test_points_are_near_those_of_the_affine(grids):
    for grid in grids.values():
        shape = grid.array.shape
        rng = np.random.default_rng(0)
        points = warped_points(grid.affine, shape, rng, amplitude=0.0)
        plain = nibabel.affines.apply_affine(grid.affine, np.argwhere(np.ones(shape))).T.reshape(3, *shape)
        lengths = [np.linalg.norm(p, axis=0) for p in (points, plain)]
        np.testing.assert_allclose(*lengths, atol=1e-9)  # turned about the origin only
        assert 0 < np.abs(points - plain).max() < 0.3 * lengths[1].max()
