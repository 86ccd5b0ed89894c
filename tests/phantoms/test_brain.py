"""A head has hippocampi with FreeSurfer's numbers on their sides, and two images of the same tissue."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from monai_tasks.phantoms.brain import head


@pytest.fixture(scope="module")
def drawn():
    return head(np.random.default_rng(0), size=(100, 70, 50))


def test_sides(drawn):
    *_, aseg, affine = drawn
    for value, left in ((17, True), (53, False)):
        world = nibabel.affines.apply_affine(affine, np.argwhere(aseg == value))
        volume = len(world) * abs(np.linalg.det(affine))
        assert 2000 < volume < 6000
        assert ((world[:, 0] < 0) == left).all()


def test_grid(drawn):
    t1, t2, aseg, affine = drawn
    assert t1.shape == t2.shape == aseg.shape == (75, 54, 84)
    assert nibabel.aff2axcodes(affine) == ("P", "I", "R")
    assert t1.dtype == t2.dtype == np.float32
    assert aseg.dtype == np.int32
    # Voxel axes run backwards, down and to the right; the sagittal slices are 1.2 mm thick.
    np.testing.assert_allclose(nibabel.affines.voxel_sizes(affine), [0.9375, 0.9375, 1.2])


def test_contrasts_are_opposite(drawn):
    t1, t2, aseg, _ = drawn
    white, fluid, hippocampus = (np.isin(aseg, values) for values in ((2, 41), (24,), (17, 53)))
    assert t1[white].mean() > 1.3 * t1[hippocampus].mean() > 2 * t1[fluid].mean()
    assert t2[fluid].mean() > 1.3 * t2[hippocampus].mean() > 1.3 * t2[white].mean()


def test_the_two_sides_differ(drawn):
    *_, aseg, _ = drawn
    mirrored = aseg[:, :, ::-1]
    assert 0.2 < ((aseg == 17) & (mirrored == 53)).sum() / (aseg == 17).sum() < 0.97
