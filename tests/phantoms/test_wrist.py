"""A wrist's image shows what it says, where it says; a fracture changes its own place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from monai_tasks.phantoms.radiography import Look
from monai_tasks.phantoms.wrist import Grid, draw_grid, project, wrist
from monai_tasks.phantoms.wrist_anatomy import VIEWS, Person
from monai_tasks.phantoms.wrist_fractures import BONES, Fracture
from monai_tasks.phantoms.wrist_metal import Metal

SIZE = (256, 170)


@pytest.fixture(scope="module")
def person():
    return Person.draw(np.random.default_rng(7), age=35.0)


@pytest.fixture(scope="module")
def look():
    """Sharp, even and open to all sides."""
    drawn = Look.draw(np.random.default_rng(0))
    return replace(
        drawn,
        collimation=None,
        marker=None,
        initials=None,
        background=0.0,
        photons=400.0,
        heel=(0.0, 0.0),
        grid=(0, 4),
    )


def taken(person, look, number=0, **options):
    return wrist(np.random.default_rng([3, number]), size=SIZE, person=person, look=look, **options)


def absorbed(person, view="pa", grid=None, **options):
    grid = grid or Grid(SIZE, 0.6, (-5.0, 10.0), 0.0, False)
    return project(np.random.default_rng(0), person, view, grid, **options), grid


def pixel(grid, side, up):
    """Row and column of a point of the view, in a grid that is neither turned nor mirrored."""
    row = (grid.centre[1] - up) / grid.spacing + (grid.shape[0] - 1) / 2
    return round(row), round((side - grid.centre[0]) / grid.spacing + (grid.shape[1] - 1) / 2)


def test_arrays(person, look):
    for view in VIEWS:
        image = taken(person, look, view=view, side="L")
        assert (image.pixels.shape, image.pixels.dtype) == (SIZE, np.uint16)
        assert (image.fracture.shape, image.fracture.dtype) == (SIZE, bool)
        assert (image.view, image.side, image.metal) == (view, "L", False)
        assert not image.fracture.any()


@pytest.mark.parametrize("options", [{"view": "oblique"}, {"side": "left"}])
def test_other_views_and_sides_are_refused(person, options):
    with pytest.raises(ValueError, match=r"oblique|left"):
        wrist(np.random.default_rng(0), size=SIZE, person=person, **options)


def test_the_same_seed_gives_the_same_image():
    first, second, other = (wrist(np.random.default_rng(seed), size=SIZE).pixels for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, second)
    assert not np.array_equal(first, other)


def test_bone_absorbs_more_than_flesh_and_flesh_more_than_air(person):
    (absorption, _, _), grid = absorbed(person)
    size = person.size
    radius = absorption[pixel(grid, 2 * size, -50 * size)]
    between = absorption[pixel(grid, -12.5 * size, -50 * size)]
    air = absorption[pixel(grid, 44, 0)]
    assert air == 0
    assert radius > 1.2 * between > 0.3
    # The shaft's wall is seen from its edge.
    shaft = absorption[pixel(grid, 0, -50 * size)[0]]
    low, high = (pixel(grid, side * size, 0)[1] for side in (-8, 10))
    edges = shaft[low : high + 1]
    assert edges.max() > 1.1 * edges[len(edges) // 2]


def test_a_mirrored_grid_mirrors_the_wrist(person, look):
    grid = Grid(SIZE, 0.6, (0.0, 10.0), 0.0, False)
    (plain, *_), _ = absorbed(replace(person, coarseness=0.0), grid=grid)
    (mirrored, *_), _ = absorbed(replace(person, coarseness=0.0), grid=replace(grid, mirrored=True))
    np.testing.assert_allclose(mirrored, plain[:, ::-1], atol=1e-3)
    # From above, the thumb of a right hand is on the left.
    right = draw_grid(np.random.default_rng(0), person, "pa", SIZE, "R")
    assert right.points()[0][0, 0] > right.points()[0][0, -1]


@pytest.mark.parametrize("turn", [0, 90, 180, 270])
def test_fingers_point_where_the_turn_says(person, turn):
    grid = draw_grid(np.random.default_rng(0), person, "pa", (200, 200), "R", float(turn))
    _, up = grid.points()
    row, column = np.unravel_index(np.argmax(up), up.shape)
    fingers = {0: row == 0, 90: column == 199, 180: row == 199, 270: column == 0}
    assert fingers[turn]


def test_a_turned_grid_shows_the_turned_image(person):
    grid = Grid((200, 200), 0.6, (0.0, 10.0), 0.0, False)
    (plain, *_), _ = absorbed(replace(person, coarseness=0.0), grid=grid)
    (turned, *_), _ = absorbed(replace(person, coarseness=0.0), grid=replace(grid, turn=90.0))
    np.testing.assert_allclose(turned, np.rot90(plain, -1), atol=1e-3)


def test_a_window_holds_its_points(person):
    for turn in (0.0, 37.0):
        grid = draw_grid(np.random.default_rng(1), person, "pa", SIZE, "L", turn)
        window = grid.window(person.bone("pa", "lunate").box(), 0.0)
        side, up = grid.points()
        dense, spongy = person.bone("pa", "lunate").thickness(side, up)
        outside = dense + spongy
        assert outside[window].max() > 5
        outside[window] = 0
        assert outside.max() == 0
        assert grid.window(np.array([[900.0, 900.0]]), 1.0)[0].stop in (0, SIZE[0])


@pytest.mark.parametrize("bone", BONES)
@pytest.mark.parametrize("view", VIEWS)
def test_a_fracture_changes_its_own_place(person, look, bone, view):
    fracture = Fracture.draw(np.random.default_rng(4), person, bone, severity=0.1)
    twin, broken = (taken(person, look, view=view, fracture=f) for f in (None, fracture))
    assert broken.fracture.sum() > 10
    change = np.abs(broken.pixels.astype(float) - twin.pixels)
    assert change[broken.fracture].mean() > 3 * np.median(change)
    # The mask lies in the bone.
    (_, mask, _), grid = absorbed(person, view, fracture=fracture)
    dense, spongy = person.bone(view, bone).thickness(*grid.points())
    inside = (dense + spongy > 0)[mask]
    assert inside.mean() > 0.8


def test_a_view_that_does_not_show_the_fracture_is_that_of_the_whole_bone(person, look):
    fracture = Fracture.draw(np.random.default_rng(4), person, "radius", severity=1.0)
    twin, hidden = (taken(person, look, fracture=f, visible=False) for f in (None, fracture))
    np.testing.assert_array_equal(hidden.pixels, twin.pixels)
    assert not hidden.fracture.any()


def test_the_hand_goes_with_the_fragment(person):
    drawn = Fracture.draw(np.random.default_rng(4), person, "radius", severity=1.0)
    moved = replace(drawn, shift=(6.0, 0.0, 0.0), turn={"pa": 0.0, "lateral": 0.0})
    smooth = replace(person, coarseness=0.0)
    (plain, *_), grid = absorbed(smooth)
    (shifted, *_), _ = absorbed(smooth, fracture=moved)
    row = pixel(grid, 0, 60 * person.size)[0]
    profiles = [image[row] - image[row].mean() for image in (plain, shifted)]
    lags = np.arange(-15, 16)
    best = lags[np.argmax([np.sum(profiles[1] * np.roll(profiles[0], lag)) for lag in lags])]
    assert best * grid.spacing == pytest.approx(6, abs=0.7)
    # The shaft stays; the skin is swollen.
    low, high = (pixel(grid, side, 0)[1] for side in (-20, 20))
    np.testing.assert_allclose(shifted[-10:, low:high], plain[-10:, low:high], atol=0.05)


def test_metal_lies_in_the_image_and_is_told(person, look):
    for kind in ("plate", "wires"):
        metal = Metal.draw(np.random.default_rng(0), person, kind)
        for view in VIEWS:
            (plain, _, without), grid = absorbed(person, view)
            (shown, _, told), _ = absorbed(person, view, grid=grid, metal=metal)
            assert (without, told) == (False, True)
            added = shown - plain
            assert added.min() >= 0
            assert (added > 0.3).sum() > 50
            assert taken(person, look, view=view, metal=metal).metal


def test_inverted_is_dark_where_bone_is(person, look):
    plain, inverted = (taken(person, look, inverted=value).pixels for value in (False, True))
    np.testing.assert_allclose(plain.astype(int) + inverted, 65535, atol=2)


def test_size_and_look_may_be_left_to_chance():
    image = wrist(np.random.default_rng(5), metal=True)
    assert image.pixels.shape == (1024, 682)
    assert np.ptp(image.pixels) > 30000
