"""Motion as an augmentation, over NumPy arrays, tensors and MetaTensors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import MetaTensor

from monai_tasks.transforms.motion import Motion, half_turn, move, project, reconstruct
from monai_tasks.transforms.motion_kinds import draw_motion
from monai_tasks.transforms.rand_motion import RandMotion, RandMotiond

SIZE = 48


def ring(shape: tuple[int, int] = (SIZE, SIZE), air: float = 0.0) -> np.ndarray:
    """(1, X, Y): a bone in air."""
    along, across = np.meshgrid(*[np.arange(size) - (size - 1) / 2 for size in shape], indexing="ij")
    far = np.hypot(along - 2, across + 1)
    return (air + 100.0 * ((far < 15) & (far > 11)))[None].astype(np.float32)


def scan(slices: int = 3) -> MetaTensor:
    """(1, X, Y, S) with pixels of 0.5 mm, each slice twice as bright as the one before."""
    values = np.stack([2.0**number * ring() for number in range(slices)], -1)
    return MetaTensor(torch.from_numpy(values), affine=torch.diag(torch.tensor([0.5, 0.5, 1.0, 1.0])))


@pytest.mark.parametrize("container", [np.asarray, torch.as_tensor, MetaTensor])
def test_containers_are_kept_and_give_the_same(container):
    image = container(torch.from_numpy(ring()) if container is MetaTensor else ring())
    moved = RandMotion(prob=1.0, views=60, spacing_mm=0.5).set_random_state(1)(image)
    assert type(moved) is type(image)
    reference = RandMotion(prob=1.0, views=60, spacing_mm=0.5).set_random_state(1)(torch.from_numpy(ring()))
    np.testing.assert_array_equal(np.asarray(moved), reference.numpy())
    assert np.abs(np.asarray(moved) - ring()).max() > 5


def test_seeded_calls_are_equal_and_others_are_not():
    first, second, other = (RandMotion(prob=1.0, views=60).set_random_state(seed) for seed in (1, 1, 2))
    image = scan()
    for _ in range(2):
        moved = first(image)
        torch.testing.assert_close(moved, second(image), atol=0, rtol=0)
        assert not torch.equal(moved, other(image))


def test_it_adds_what_the_motion_changes_in_a_reconstruction():
    transform = RandMotion(prob=1.0, severity=(4, 4), kinds=["drift"], views=60, spacing_mm=0.5)
    moved = transform.set_random_state(4)(torch.from_numpy(ring()))
    kind, severity, seed = transform.drawn
    assert (kind, severity, transform.grade) == ("drift", 4.0, 4)
    motion = draw_motion(np.random.default_rng(seed), "drift", 4.0, 60, 0.25 * SIZE * 0.5)
    centred = Motion(
        motion.shift_mm - motion.shift_mm.mean(0), motion.rotation_degrees - motion.rotation_degrees.mean()
    )
    at_rest = project(torch.from_numpy(ring()), half_turn(60))
    slow = reconstruct(move(at_rest, centred, 0.5), half_turn(60)) - reconstruct(at_rest, half_turn(60))
    middle = slice(12, 36)
    torch.testing.assert_close(
        (moved - torch.from_numpy(ring()))[:, middle, middle], slow[:, middle, middle], atol=0.02, rtol=1e-3
    )


def test_slices_of_a_scan_move_together():
    moved = RandMotion(prob=1.0, views=60).set_random_state(1)(scan())
    assert moved.shape == (1, SIZE, SIZE, 3)
    torch.testing.assert_close(moved[..., 1], 2 * moved[..., 0], atol=1e-2, rtol=1e-4)
    torch.testing.assert_close(moved.affine, scan().affine)


def test_air_of_any_value_does_not_matter():
    settings = {"prob": 1.0, "views": 60, "spacing_mm": 0.5}
    change = RandMotion(**settings).set_random_state(1)(torch.from_numpy(ring())) - torch.from_numpy(ring())
    image = torch.from_numpy(ring(air=-1000.0))
    other = RandMotion(**settings).set_random_state(1)(image) - image
    torch.testing.assert_close(change, other, atol=0.01, rtol=0)


def test_images_that_are_not_square_are_moved_about_their_middle():
    settings = {"prob": 1.0, "views": 60, "spacing_mm": 0.5}
    wide = RandMotion(**settings).set_random_state(1)(torch.from_numpy(ring((SIZE, SIZE - 8))))
    square = RandMotion(**settings).set_random_state(1)(torch.from_numpy(ring()))
    assert wide.shape == (1, SIZE, SIZE - 8)
    torch.testing.assert_close(wide, square[:, :, 4:-4], atol=0.01, rtol=0)


def test_a_higher_severity_changes_more():
    image = scan()
    changes = []
    for severity in (0.5, 1.0, 2.0, 3.0, 4.0, 5.0):
        moved = RandMotion(prob=1.0, severity=(severity, severity), views=60).set_random_state(3)(image)
        changes.append(float((moved - image).pow(2).mean()))
    assert changes == sorted(changes)
    assert changes[0] < 1e-6


def test_without_motion_the_image_stays():
    transform = RandMotion(prob=0.0)
    torch.testing.assert_close(transform(scan()), scan(), atol=0, rtol=0)
    assert transform.grade is None


def test_the_dictionary_form_moves_images_alike_and_writes_the_grade():
    transform = RandMotiond(["image", "other"], prob=1.0, severity=(3, 3), views=60, grade_key="grade")
    found = transform.set_random_state(1)({"image": scan(), "other": 2 * scan(), "site": "radius"})
    torch.testing.assert_close(found["other"], 2 * found["image"], atol=1e-2, rtol=1e-4)
    assert (found["grade"], found["site"]) == (3, "radius")
    again = transform.set_random_state(1)({"image": scan(), "other": scan()})
    torch.testing.assert_close(again["image"], found["image"], atol=0, rtol=0)


def test_the_dictionary_form_leaves_the_grade_where_nothing_moves():
    found = RandMotiond("image", prob=0.0, grade_key="grade")({"image": scan(), "grade": 2})
    torch.testing.assert_close(found["image"], scan(), atol=0, rtol=0)
    assert found["grade"] == 2


def test_half_of_the_images_move_at_half_the_probability():
    transform = RandMotiond("image", prob=0.5, views=8, spacing_mm=0.5, grade_key="grade").set_random_state(0)
    small = torch.from_numpy(ring())[:, 16:32, 16:32]
    moved = ["grade" in transform({"image": small}) for _ in range(60)]
    assert 18 < sum(moved) < 42


def test_wrong_settings_and_images_are_refused():
    with pytest.raises(ValueError, match="severity: got"):
        RandMotion(severity=(1.0, 7.0))
    with pytest.raises(ValueError, match="kinds: got"):
        RandMotion(kinds=["sneeze"])
    with pytest.raises(ValueError, match="0 views"):
        RandMotion(views=0)
    with pytest.raises(ValueError, match="without an affine"):
        RandMotion(prob=1.0)(torch.from_numpy(ring()))
    with pytest.raises(ValueError, match=r"expected \(C, X, Y\) or"):
        RandMotion(prob=1.0, spacing_mm=1.0)(torch.zeros(4, 4))
    oblong = MetaTensor(torch.from_numpy(ring()), affine=torch.diag(torch.tensor([0.5, 0.8, 1.0, 1.0])))
    with pytest.raises(ValueError, match=r"pixels of 0\.5 x 0\.8 mm"):
        RandMotion(prob=1.0)(oblong)
