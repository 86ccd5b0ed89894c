"""Findings are drawn apart: what is not asked for is not there, and the rest does not depend on it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from monai_tasks.phantoms.chest_findings import FINDINGS, Findings


def draw(*findings, seed=4):
    return Findings.draw(np.random.default_rng(seed), findings)


def test_nothing_is_found_where_nothing_is_asked_for():
    nothing = draw()
    assert (nothing.collapsed, nothing.flat, nothing.fluid) == (0, 0.0, (0.0, 0.0))
    assert nothing.lumps == nothing.clouds == ()
    assert 0.9 < nothing.large_heart < 1.1


def test_one_finding_does_not_change_another():
    everything = draw(*FINDINGS)
    alone = draw("Pneumothorax")
    assert (alone.collapsed, alone.size, alone.gap_apex, alone.gap_wall) == (
        everything.collapsed,
        everything.size,
        everything.gap_apex,
        everything.gap_wall,
    )
    assert draw("Effusion").fluid == everything.fluid
    assert draw("Mass").lumps + draw("Nodule").lumps == everything.lumps
    assert replace(draw("Infiltration"), clouds=()) == draw()


def test_the_gap_widens_to_the_apex_and_narrows_to_the_heart():
    found = replace(draw("Pneumothorax"), gap_apex=30.0, gap_wall=10.0)
    heights = np.array([-100.0, 0.0, 60.0, 110.0])
    gaps = found.gap(np.full(4, 0.9), heights, -100.0, 110.0)
    assert (np.diff(gaps) > 0).all()
    assert gaps[-1] == 30.0
    assert found.gap(np.array(0.1), np.array(-50.0), -100.0, 110.0) < gaps[0]


def test_fluid_lies_low_and_climbs_at_the_wall():
    found = replace(draw(), fluid=(40.0, 0.0))
    x = np.array([-60.0, -60.0, -125.0, 60.0])
    y = np.array([-90.0, -20.0, -65.0, -90.0])
    low, high, wall, other = found.wet(130.0, (-100.0, -110.0), x, y)
    assert low > 0.9
    assert high < 0.1
    assert wall > 0.5
    assert other == 0
