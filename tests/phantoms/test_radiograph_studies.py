"""Studies are drawn with the shares asked for, one by one, and one patient is one person."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.phantoms.radiograph_studies import TRUTH_COLUMNS, draw_image, plan_study, truth_row


def plans(n=250, **options):
    return [plan_study(number, seed=3, **options) for number in range(1, n + 1)]


@pytest.fixture(scope="module")
def drawn():
    return plans()


def test_shares_are_those_of_the_defaults(drawn):
    broken = [plan for plan in drawn if plan.fracture is not None]
    assert len(broken) / len(drawn) == pytest.approx(0.31, abs=0.07)
    assert {plan.label for plan in broken} == {"broken"}
    several = [plan for plan in broken if len(plan.views) > 1]
    assert np.mean([all(plan.visible) for plan in several]) == pytest.approx(0.81, abs=0.12)
    assert all(any(plan.visible) for plan in broken)
    assert not any(any(plan.visible) for plan in drawn if plan.fracture is None)
    counts = [len(plan.views) for plan in drawn]
    assert set(counts) == {1, 2, 3, 4}
    assert np.mean(np.array(counts) == 2) > 0.6
    assert all(plan.metal is None for plan in drawn)


def test_metal_goes_with_the_label_or_not():
    shares = {}
    for kind in ("correlated", "uncorrelated"):
        found = plans(150, metal=kind, broken_share=0.5)
        shares[kind] = [
            np.mean([plan.metal is not None for plan in found if (plan.fracture is not None) == broken])
            for broken in (False, True)
        ]
    assert shares["correlated"][1] > 5 * shares["correlated"][0]
    assert shares["uncorrelated"][1] == pytest.approx(shares["uncorrelated"][0], abs=0.15)


def test_options_change_nothing_else(drawn):
    other = plan_study(7, seed=3, metal="always", visible_share=0.0)
    assert (other.person.size, other.side, other.views) == (
        drawn[6].person.size,
        drawn[6].side,
        drawn[6].views,
    )
    assert other.label == drawn[6].label


def test_every_fifth_study_is_a_second_one_of_a_patient(drawn):
    assert len({plan.patient for plan in drawn}) == 200
    assert (drawn[4].patient, drawn[3].patient) == (4, 4)
    assert drawn[4].person.size == drawn[3].person.size != drawn[2].person.size


@pytest.mark.parametrize("options", [{"metal": "gold"}, {"views": ()}, {"views": (2, 9)}])
def test_unknown_options_are_refused(options):
    with pytest.raises(ValueError, match=r"gold|views"):
        plan_study(1, **options)


def test_the_truth_of_an_image(drawn):
    plan = next(plan for plan in drawn if plan.fracture is not None and len(plan.views) == 2)
    image = draw_image(plan, 0, 3, (192, 128))
    row = {"image": "a.png", **truth_row(plan, 0, image)}
    assert set(row) <= set(TRUTH_COLUMNS)
    rows, columns = np.nonzero(image.fracture)
    assert row["visible"] == ("yes" if rows.size else "no")
    if rows.size:
        box = (rows.min(), rows.max() + 1, columns.min(), columns.max() + 1)
        assert tuple(row[name] for name in ("rows0", "rows1", "cols0", "cols1")) == box
    np.testing.assert_array_equal(draw_image(plan, 0, 3, (192, 128)).pixels, image.pixels)
    assert not np.array_equal(draw_image(plan, 0, 4, (192, 128)).pixels, image.pixels)
