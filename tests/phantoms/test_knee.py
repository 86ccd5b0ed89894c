"""Knees are like those of two scanners in size, place, contrast and faults, and their maps like drawn ones."""

from __future__ import annotations

from dataclasses import replace

import nibabel
import numpy as np
import pytest
from scipy.ndimage import binary_erosion, gaussian_filter

from monai_tasks.phantoms.knee import GRIDS, WINDOW, Grid, knee

PIXEL = 2.0  # mm


def drawn(number, source, pixel=PIXEL, **changes):
    return knee(np.random.default_rng([3, number]), replace(GRIDS[source].reduced(pixel), **changes))


@pytest.fixture(scope="module")
def cases():
    """Ten cases of both sources in turn, each after the name of its source."""
    return [(source, *drawn(number, source)) for number, source in enumerate(5 * list(GRIDS))]


def world(bone, affine, joint):
    """Voxels of a map in mm from the joint: to the right, to the front, up."""
    return nibabel.affines.apply_affine(affine, np.argwhere(bone)) - joint


def test_arrays(cases):
    for source, image, maps, affine, joint in cases:
        assert (image.dtype, maps.dtype) == (np.int16, np.uint8)
        assert image.shape == (80, 80, GRIDS[source].shape[2])
        assert maps.shape == (3, *image.shape)
        assert maps.max() == 1
        assert all(bone.any() for bone in maps)
        assert image.min() >= 0
        assert (affine.shape, joint.shape) == ((4, 4), (3,))
        np.testing.assert_allclose(
            nibabel.affines.voxel_sizes(affine), [PIXEL, PIXEL, GRIDS[source].spacing[2]]
        )


def test_grids_of_the_sources():
    assert GRIDS["epi"].shape == (800, 800, 41)
    assert GRIDS["jopp"].shape == (512, 512, 24)
    for grid in GRIDS.values():
        np.testing.assert_allclose(np.multiply(grid.shape, grid.spacing)[:2], 160)


def test_a_reduced_grid_has_the_same_field_and_slices():
    grid = GRIDS["epi"].reduced(0.5)
    assert grid.shape == (320, 320, 41)
    assert grid.spacing == pytest.approx((0.5, 0.5, 2.2))
    # 160 mm are not a whole number of pixels of 0.7 mm: the pixel gives way, not the field.
    grid = GRIDS["jopp"].reduced(0.7)
    assert grid.shape == (229, 229, 24)
    np.testing.assert_allclose(np.multiply(grid.shape, grid.spacing), (160, 160, 24 * 4.4))
    assert grid.coil == GRIDS["jopp"].coil
    assert grid.fat == GRIDS["jopp"].fat


@pytest.mark.parametrize("pixel", [0.1, -1.0, 0.0, float("nan")])
def test_a_reduced_grid_needs_larger_pixels(pixel):
    with pytest.raises(ValueError, match=r"at least 0\.2 mm"):
        GRIDS["epi"].reduced(pixel)


def test_an_unknown_coil_is_refused():
    with pytest.raises(ValueError, match="'birdcage'"):
        Grid((80, 80, 24), (2.0, 2.0, 4.4), coil="birdcage")


def test_a_reduced_grid_shows_the_same_knee(cases):
    _, _, maps, affine, joint = cases[1]
    *_, coarse, coarse_affine, coarse_joint = drawn(1, "jopp", 2 * PIXEL)
    np.testing.assert_allclose(coarse_joint, joint)
    corners = (nibabel.affines.apply_affine(matrix, [-0.5, -0.5, 3]) for matrix in (affine, coarse_affine))
    np.testing.assert_allclose(next(corners), next(corners), atol=1e-9)
    share = maps.reshape(3, 40, 2, 40, 2, 24).mean((2, 4))
    for fine, other in zip(share >= 0.5, coarse > 0, strict=True):
        assert 2 * (fine & other).sum() / (fine.sum() + other.sum()) > 0.85


def test_grids_vary_and_are_coronal(cases):
    turns = [affine[:3, :3] / nibabel.affines.voxel_sizes(affine) for *_, affine, _ in cases]
    for turn in turns:
        # Right, up and front along the first, second and third voxel axis, in either direction.
        assert (np.abs(turn[[0, 2, 1], [0, 1, 2]]) > 0.96).all()
        np.testing.assert_allclose(turn.T @ turn, np.eye(3), atol=1e-9)
    codes = {"".join(nibabel.aff2axcodes(affine)) for *_, affine, _ in cases}
    assert codes == {"RSA", "LSA", "LSP", "LIP"}
    straight = [np.abs(turn).max(0).min() > 1 - 1e-9 for turn in turns]
    assert 0 < sum(straight) < len(straight)


def test_shares_of_the_bones(cases):
    # In the source femur, tibia and fibula are 55.6, 41 and 3.4 % of what is drawn.
    shares = [maps.sum((1, 2, 3)) / maps.sum() * 100 for _, _, maps, *_ in cases]
    assert (np.abs(np.mean(shares, 0) - (55.6, 41, 3.4)) < (2, 2, 0.8)).all()
    assert np.std(shares, 0).min() > 0.1


def test_bones_do_not_overlap(cases):
    for *_, maps, _, _ in cases:
        assert maps.sum(0).max() == 1


def test_maps_stop_at_the_window(cases):
    edges = []
    for _, _, maps, affine, joint in cases:
        spacing = nibabel.affines.voxel_sizes(affine)
        centre = nibabel.affines.apply_affine(np.linalg.inv(affine), joint)
        place = (np.argwhere(maps.any(0)) - centre) * spacing
        along = np.array([place[:, 1].min() - PIXEL / 2, place[:, 1].max() + PIXEL / 2])
        # The shafts run through the window's upper and lower edge.
        assert np.abs(np.abs(along) - WINDOW / 2).max() <= 2 + PIXEL / 2
        assert np.abs(place[:, 0]).max() < WINDOW / 2 + 2
        edges.append(along)
    assert np.ptp(edges, 0).min() > 1


def test_the_shafts_go_on_beyond_the_window(cases):
    # Above the femur's map and below the tibia's the image shows bone all the same: marrow between dark shells.
    _, image, maps, affine, _ = cases[0]
    up = affine[2, 1] > 0
    for bone, forward in ((0, up), (1, not up)):
        rows = np.argwhere(maps[bone].any((0, 2)))[:, 0]
        row = int(rows.max()) if forward else int(rows.min())
        beyond = row + (5 if forward else -5)
        assert not maps[bone, :, beyond].any()
        shaft = binary_erosion(maps[bone, :, row], np.ones((3, 3)))
        assert np.median(image[:, beyond][shaft]) > 0.5 * np.median(image[:, row][shaft])


def test_the_joint_lies_between_the_bones(cases):
    for *_, maps, affine, joint in cases:
        femur, tibia = (world(bone, affine, joint) for bone in maps[:2])
        # Under the middle of each condyle the bones face each other.
        facing = [
            part[(np.abs(np.abs(part[:, 0]) - 20) < 6) & (np.abs(part[:, 1]) < 8), 2]
            for part in (femur, tibia)
        ]
        low, high = facing[0].min(), facing[1].max()
        assert abs(low + high) / 2 < 2
        assert 2 < low - high < 10
        both = np.concatenate([femur, tibia])
        both = both[np.abs(both[:, 2]) < 25, 0]
        assert abs(both.min() + both.max()) / 2 < 3
        assert 65 < np.ptp(both) < 90


def test_the_joint_moves_in_the_field(cases):
    centres = [
        nibabel.affines.apply_affine(affine, (np.array(image.shape) - 1) / 2)
        for _, image, _, affine, _ in cases
    ]
    shifts = np.array([joint for *_, joint in cases]) - centres
    assert (np.abs(shifts).max(0) <= (12, 6, 15)).all()
    assert (np.ptp(shifts, 0) > (12, 4, 15)).all()


def test_the_fibula_lies_on_the_right_behind_and_below(cases):
    for *_, maps, affine, joint in cases:
        femur, tibia, fibula = (world(bone, affine, joint) for bone in maps)
        assert fibula[:, 0].min() > 12
        assert fibula[:, 1].mean() < tibia[:, 1].mean() - 8
        assert -17 < fibula[:, 2].max() < -7
        # Only few slices cut it.
        assert np.ptp(fibula[:, 1]) < 0.5 * np.ptp(femur[:, 1])
        assert femur[:, 2].mean() > 15
        assert tibia[:, 2].mean() < -15


def test_condyles_part_behind_and_join_in_front(cases):
    for *_, maps, affine, joint in cases:
        femur = world(maps[0], affine, joint)
        middle = femur[(np.abs(femur[:, 0]) < 3) & (femur[:, 2] < 14)]
        assert (middle[:, 1] > 12).any()
        assert not (np.abs(middle[:, 1] + 16) < 4).any()
        assert (np.abs(femur[:, 1] + 16) < 4).any()


def best_threshold_dice(image, label):
    """The best Dice that any band of brightness reaches, chosen with the truth at hand."""
    levels = np.quantile(image, np.linspace(0, 1, 25))
    bands = [(image >= low) & (image <= high) for low in levels for high in levels if high > low]
    return max(2 * (band & label).sum() / (band.sum() + label.sum()) for band in bands)


def test_a_threshold_fails(cases):
    # Fat is as bright as marrow, and the cortex as dark as air.
    assert max(best_threshold_dice(image, maps.any(0)) for _, image, maps, *_ in cases[:3]) < 0.5


@pytest.mark.parametrize("number", range(4))
def test_coil_field_is_smooth_and_strong(cases, number):
    source, image, maps, *_ = cases[number]
    even, same_maps, *_ = drawn(number, source, coil="none")
    np.testing.assert_array_equal(maps, same_maps)
    bright = (even > 0.6 * GRIDS[source].fat) & (even < 1.5 * GRIDS[source].fat)
    field = np.log(np.where(bright, image, 1) / np.where(bright, even, 1))
    assert 1.35 < np.exp(np.ptp(np.quantile(field[bright], (0.05, 0.95)))) < 3
    # Near each other points have the same field: what is left without its smooth part is little.
    weight, smooth = (
        gaussian_filter(values.astype(float), (2, 2, 0)) for values in (bright, np.where(bright, field, 0))
    )
    rest = field[bright] - (smooth / np.maximum(weight, 1e-6))[bright]
    assert np.std(rest) < 0.3 * np.std(field[bright])


def test_noise_is_rician(cases):
    # Beside the leg there is no signal: a magnitude's mean is sqrt(pi / (4 - pi)) times its deviation.
    for source, image, *_ in cases:
        air = np.concatenate([image[:4].ravel(), image[-4:].ravel()]).astype(float)
        air = air[air < np.quantile(air, 0.5) * 4]
        assert air.mean() / air.std() == pytest.approx(np.sqrt(np.pi / (4 - np.pi)), rel=0.1)
        assert 0.015 < air.mean() / GRIDS[source].fat < 0.08


def test_outliers_far_above_fat(cases):
    highest = np.array([image.max() / GRIDS[source].fat for source, image, *_ in cases])
    assert 0.4 < (highest > 5).mean() < 1
    assert highest[highest > 5].max() > 15
    for source, image, *_ in cases:
        assert (image > 4 * GRIDS[source].fat).sum() < 400


def test_the_sources_differ_in_scale_and_their_cases_little(cases):
    levels = {
        source: [np.median(image[maps.any(0)]) for name, image, maps, *_ in cases if name == source]
        for source in GRIDS
    }
    epi, jopp = (np.mean(levels[source]) for source in GRIDS)
    assert 1.15 < jopp / epi < 1.5
    for values in levels.values():
        assert max(values) < 1.8 * min(values)


def test_slices_mix_what_lies_within_them():
    # A slice of 4.4 mm shows a part of what each of four slices of 1.1 mm shows, not what one of them shows.
    shape, spacing = GRIDS["jopp"].reduced(4.0).shape, GRIDS["jopp"].reduced(4.0).spacing
    thick, thin = (
        knee(np.random.default_rng([3, 1]), Grid((*shape[:2], number), (*spacing[:2], edge), coil="none"))[:2]
        for number, edge in ((24, 4.4), (96, 1.1))
    )
    share = thin[1].sum(0).reshape(40, 40, 24, 4).mean(-1)
    rim = (share > 0.3) & (share < 0.7)
    parts = np.minimum(thin[0], 1500).reshape(40, 40, 24, 4)[rim].astype(float)
    image = np.minimum(thick[0], 1500)[rim].astype(float)
    assert rim.sum() > 100
    assert np.linalg.lstsq(parts, image)[0].min() > 0.15


def test_seeded():
    grid = GRIDS["jopp"].reduced(4.0)
    first, second, third = (knee(np.random.default_rng(seed), grid) for seed in (5, 5, 6))
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(first[1], third[1])
