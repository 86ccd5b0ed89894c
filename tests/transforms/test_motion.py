"""Projection, moved projections and reconstruction, against slow restatements and what geometry says."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.ndimage import affine_transform, gaussian_filter, rotate

from monai_tasks.transforms.motion import Motion, half_turn, move, project, reconstruct

SIZE, VIEWS = 64, 96


@pytest.fixture(scope="module")
def image() -> torch.Tensor:
    """Two slices with a few smooth discs that stay within the circle which all views see."""
    rng = np.random.default_rng(3)
    along, across = np.meshgrid(*[np.arange(SIZE) - (SIZE - 1) / 2] * 2, indexing="ij")
    slices = np.zeros((2, SIZE, SIZE))
    for number in range(2):
        for _ in range(6):
            middle, radius = rng.uniform(-13, 13, 2), rng.uniform(2, 8)
            slices[number] += np.hypot(along - middle[0], across - middle[1]) < radius
    return torch.from_numpy(gaussian_filter(slices, (0, 1.5, 1.5)).astype(np.float32))


@pytest.fixture(scope="module")
def sinogram(image) -> torch.Tensor:
    return project(image, half_turn(VIEWS))


def moved(image: torch.Tensor, shift: tuple[float, float], degrees: float) -> torch.Tensor:
    """The slow way: the image itself, turned about its middle and then shifted, by cubic splines."""
    angle, middle = np.radians(degrees), np.full(2, (SIZE - 1) / 2)
    back = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    offset = middle - back @ (middle + shift)
    return torch.stack([torch.from_numpy(affine_transform(part.numpy(), back, offset)) for part in image])


def seen(image: torch.Tensor) -> torch.Tensor:
    """The pixels that all views see."""
    along, across = torch.meshgrid(*[torch.arange(SIZE) - (SIZE - 1) / 2] * 2, indexing="ij")
    return image[:, torch.hypot(along, across) < SIZE / 2 - 1]


def rms(values: torch.Tensor) -> float:
    return float(values.pow(2).mean().sqrt())


def test_a_projection_is_the_sum_of_the_turned_image(image):
    angles = np.array([0.0, 17.0, 45.0, 62.0, 90.0, 101.0, 133.0, 180.0, 250.0, 305.0])
    found = project(image, angles)
    for view, angle in enumerate(angles):
        # SciPy turns the second axis towards the first; the rays at an angle then run along the second axis.
        slow = np.stack([rotate(part, -angle, reshape=False, order=3).sum(1) for part in image.numpy()])
        error = np.sqrt(np.mean((found[:, view].numpy() - slow) ** 2))
        assert error < 0.02 * slow.std(), angle


def test_rays_go_where_the_geometry_says():
    image = torch.zeros(1, 21, 21)
    image[0, 14, 7] = 1.0  # 4 along the first axis and -3 along the second, from the middle
    views = project(image, np.array([0.0, 90.0, 180.0]))[0]
    assert [int(view.argmax()) for view in views] == [14, 7, 6]
    blob = torch.from_numpy(gaussian_filter(image.numpy(), (0, 1, 1)))
    view = project(blob, np.array([30.0]))[0, 0]
    middle = (view * torch.arange(21)).sum() / view.sum() - 10
    assert float(middle) == pytest.approx(4 * np.cos(np.pi / 6) - 3 * np.sin(np.pi / 6), abs=0.02)


def test_images_that_are_not_square_keep_their_middle():
    image = torch.zeros(1, 11, 21)
    image[0, 7, 10] = 1.0
    views = project(image, np.array([0.0, 90.0]))
    assert views.shape == (1, 2, 21)
    assert [int(view.argmax()) for view in views[0]] == [12, 10]


def test_more_bins_see_the_corners():
    image = torch.zeros(1, 16, 16)
    image[0, 0, 0] = 1.0
    assert project(image, np.array([45.0])).sum() == 0
    # The weights of one pixel on rays a pixel apart sum up to about 1.
    assert float(project(image, np.array([45.0]), bins=24).sum()) == pytest.approx(1.0, abs=0.35)


def test_an_unmoved_scan_is_reconstructed(image, sinogram):
    found = reconstruct(sinogram, half_turn(VIEWS))
    assert rms(seen(found - image)) < 0.02 * float(image.std())


def test_a_moved_image_has_the_moved_projections(image, sinogram):
    spacing = 0.5
    shift_mm, degrees = (1.6, -0.9), 8.3
    motion = Motion(np.tile(shift_mm, (VIEWS, 1)), np.full(VIEWS, degrees))
    shift = tuple(value / spacing for value in shift_mm)
    slow = project(moved(image, shift, degrees), half_turn(VIEWS))
    found = move(sinogram, motion, spacing)
    assert rms(found - slow) < 0.01 * float(slow.std())
    # And it is no small motion that any projections would pass.
    assert rms(sinogram - slow) > 0.1 * float(slow.std())


def test_each_view_has_its_own_motion(image, sinogram):
    shifts = np.zeros((VIEWS, 2))
    shifts[40] = 2.0, 1.0
    found = move(sinogram, Motion(shifts, np.zeros(VIEWS)), 1.0)
    slow = project(moved(image, (2.0, 1.0), 0.0), half_turn(VIEWS)[40:41])[:, 0]
    assert rms(found[:, 40] - slow) < 0.01 * float(slow.std())
    rest = [view for view in range(VIEWS) if view != 40]
    torch.testing.assert_close(found[:, rest], sinogram[:, rest], atol=1e-3, rtol=0)


def test_views_from_all_around_are_asked_for(image, sinogram):
    angles = np.array([-10.0, 0.0, 179.9, 180.0, 225.0, 361.0, 540.0])
    found = move(sinogram, Motion.none(len(angles)), 1.0, angles)
    slow = project(image, angles)
    assert rms(found - slow) < 0.01 * float(slow.std())


def test_a_rotation_past_the_first_view_comes_from_the_other_side(image, sinogram):
    motion = Motion(np.zeros((VIEWS, 2)), np.full(VIEWS, 25.0))
    slow = project(moved(image, (0.0, 0.0), 25.0), half_turn(VIEWS))
    assert rms(move(sinogram, motion, 1.0) - slow) < 0.01 * float(slow.std())


def test_a_limb_that_lies_elsewhere_is_reconstructed_there(image, sinogram):
    motion = Motion(np.tile((3.0, -2.0), (VIEWS, 1)), np.full(VIEWS, -12.0))
    found = reconstruct(move(sinogram, motion, 1.0), half_turn(VIEWS))
    assert rms(seen(found - moved(image, (3.0, -2.0), -12.0))) < 0.04 * float(image.std())
    assert motion.spread_mm(10.0) == pytest.approx(0.0, abs=1e-9)


def test_more_motion_does_more_harm(image, sinogram):
    course = np.outer(np.linspace(-1, 1, VIEWS), (0.8, 0.6))
    errors = []
    for far in (0.0, 0.2, 0.5, 1.0, 2.0):
        motion = Motion(far * course, np.zeros(VIEWS))
        errors.append(rms(seen(reconstruct(move(sinogram, motion, 1.0), half_turn(VIEWS)) - image)))
    assert errors == sorted(errors)
    assert errors[-1] > 10 * errors[0]


def test_the_spread_is_that_of_points_on_a_circle():
    rng = np.random.default_rng(0)
    motion = Motion(rng.normal(size=(50, 2)), rng.normal(size=50))
    around = np.linspace(0, 2 * np.pi, 360, endpoint=False)
    points = 7.0 * np.stack([np.cos(around), np.sin(around)])
    normals = 7.0 * np.stack([-np.sin(around), np.cos(around)])
    places = (
        points + motion.shift_mm[:, :, None] + np.radians(motion.rotation_degrees)[:, None, None] * normals
    )
    slow = np.sqrt(((places - places.mean(0)) ** 2).sum(1).mean())
    assert motion.spread_mm(7.0) == pytest.approx(slow)
    assert motion.scaled(3.0).spread_mm(7.0) == pytest.approx(3 * slow)
    assert len(motion.every(2)) == 25


def test_what_does_not_fit_is_refused(image, sinogram):
    with pytest.raises(ValueError, match=r"expected \(C, H, W\)"):
        project(image[0], half_turn(4))
    with pytest.raises(ValueError, match="5 views; expected 96"):
        move(sinogram, Motion.none(5), 1.0)
    with pytest.raises(ValueError, match="equally spaced over 180 degrees"):
        reconstruct(sinogram, np.linspace(0, 180, VIEWS))
    with pytest.raises(ValueError, match=r"expected \(views, 2\)"):
        Motion(np.zeros((3, 2)), np.zeros(4))
