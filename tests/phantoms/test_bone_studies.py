"""Each region shows its limb; what is abnormal is in the field of its images."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_tasks.datasets.mura import REGIONS
from monai_tasks.phantoms.bone_studies import BoneStudy
from monai_tasks.phantoms.wrist import project
from monai_tasks.phantoms.wrist_anatomy import VIEWS

SIZE = (80, 64)


def draw(region, abnormal, number=0):
    return BoneStudy.draw(
        np.random.default_rng([7, number]), region, abnormal, np.random.default_rng([8, number])
    )


@pytest.mark.parametrize("region", REGIONS)
def test_fracture_and_metal_are_seen(region):
    seen = 0
    for number in range(4):
        study = draw(region, True, number)
        assert study.abnormal
        normal = replace(study, fracture=None, metal=None)
        assert not normal.abnormal
        for index, view in enumerate(VIEWS):
            rng = np.random.default_rng([9, number, index])
            grid = study._grid(rng, view, SIZE)
            absorption, mask, metal = project(
                np.random.default_rng(1), study.person, view, grid, study.fracture, study.metal
            )
            plain, _, _ = project(np.random.default_rng(1), study.person, view, grid)
            assert mask.any() <= (study.fracture is not None)
            assert metal <= (study.metal is not None)
            seen += np.abs(absorption - plain).max() > 0.25
    # Out of eight images; a fracture may hide in a view.
    assert seen >= 7


def test_normal_studies_show_neither():
    assert not any(draw(region, False, number).abnormal for region in REGIONS for number in range(5))


def test_abnormal_studies_show_a_fracture_metal_or_both():
    kinds = [
        (study.fracture is not None, study.metal is not None)
        for study in (draw("forearm", True, number) for number in range(40))
    ]
    assert set(kinds) == {(True, False), (False, True), (True, True)}


def test_images_lie_upright_or_across_and_do_not_depend_on_each_other():
    study = draw("hand", True, 1)
    shapes = {study.image(np.random.default_rng(n), "pa", SIZE).shape for n in range(25)}
    assert shapes == {SIZE, SIZE[::-1]}
    first, again = (study.image(np.random.default_rng(2), "lateral", SIZE) for _ in range(2))
    np.testing.assert_array_equal(first, again)
    assert first.dtype == np.uint16


def test_other_regions_and_views_are_refused():
    with pytest.raises(ValueError, match=r"a region of elbow, .* is needed, not 'knee'"):
        draw("knee", True)
    with pytest.raises(ValueError, match=r"a view of .* is needed, not 'ap'"):
        draw("hand", True).image(np.random.default_rng(0), "ap", SIZE)
