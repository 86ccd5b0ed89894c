"""A generated chest shows what it is said to show, where it is said to, and no two are alike."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.phantoms.chest import VIEWS, Chest, chest, project
from monai_tasks.phantoms.chest_findings import Findings
from monai_tasks.phantoms.wrist import Grid

SIZE = (128, 112)
GRID = Grid(shape=(128, 128), spacing=2.8, centre=(0.0, 0.0), turn=0.0, mirrored=False)


def rng(*numbers):
    return np.random.default_rng([11, *numbers])


def shot(findings=(), number=0, view="PA"):
    """Absorption and air of one person with and without findings, on one grid."""
    person = Chest.draw(rng(number))
    return project(rng(number, 1), person, GRID, view, Findings.draw(rng(number, 2), findings))


@pytest.mark.parametrize("number", range(4))
def test_air_beside_the_lung_is_dark_and_lies_on_one_side(number):
    whole, none = shot(number=number)
    collapsed, air = shot(["Pneumothorax"], number)
    assert not none.any()
    assert air.sum() * GRID.spacing**2 > 300
    # A few pixels are the edge of the lung itself; the rest lets more through than a lung does.
    assert np.mean(collapsed[air] < whole[air]) > 0.8
    columns = np.flatnonzero(air.any(0))
    assert (columns < 64).all() or (columns >= 64).all()


def test_the_rest_of_a_collapsed_lung_is_denser():
    whole, _ = shot(number=5)
    collapsed, air = shot(["Pneumothorax"], 5)
    side = slice(0, 64) if air[:, :64].any() else slice(64, None)
    change = (collapsed - whole)[:, side]
    inside = (change != 0) & ~air[:, side]
    assert np.mean(change[inside]) > 0


@pytest.mark.parametrize("finding", ["Cardiomegaly", "Effusion", "Infiltration", "Mass", "Nodule"])
def test_other_findings_are_dense(finding):
    whole, _ = shot(number=2)
    found, air = shot([finding], 2)
    assert not air.any()
    change = found - whole
    assert change.max() > 0.1
    assert change.sum() > 0
    if finding == "Nodule":
        assert (change > 0.05).sum() * GRID.spacing**2 < 600
    if finding == "Effusion":
        assert np.flatnonzero((change > 0.1).any(1)).min() > 60


def test_blown_up_lungs_let_more_through():
    assert shot(["Emphysema"], 3)[0].mean() < shot(number=3)[0].mean()


def test_the_heart_is_larger_from_the_front():
    assert (shot(number=1, view="AP")[0] - shot(number=1)[0]).mean() > 0.005


def test_an_image_depends_on_the_state_and_shows_the_same_person_again():
    first, again, other = (chest(rng(number), SIZE) for number in (1, 1, 2))
    np.testing.assert_array_equal(first.pixels, again.pixels)
    assert first.pixels.shape == SIZE
    assert first.pixels.dtype == np.uint16
    assert not np.array_equal(first.pixels, other.pixels)
    assert {chest(rng(number), (16, 16)).view for number in range(20)} == set(VIEWS)
    person = Chest.draw(rng(9))
    assert not np.array_equal(
        chest(rng(1), SIZE, person=person).pixels, chest(rng(2), SIZE, person=person).pixels
    )


def test_an_unknown_finding_is_refused():
    with pytest.raises(ValueError, match=r"findings of Cardiomegaly, .* are needed, not 'Fracture'"):
        chest(rng(), SIZE, ["Mass", "Fracture"])
