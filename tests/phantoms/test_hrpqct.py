"""Generated HR-pQCT data sets: files, grades, raters and persons."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from monai_tasks.datasets.hrpqct import datalist
from monai_tasks.io.scan import open_scan
from monai_tasks.io.scanco_projections import read_projections
from monai_tasks.io.tables import read_table
from monai_tasks.metrics.motion_estimate import find_views, motion_estimate
from monai_tasks.phantoms.hrpqct import (
    BIAS,
    REAL,
    grade_shares,
    plan_scan,
    read_grades,
    write_hrpqct,
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    return write_hrpqct(tmp_path_factory.mktemp("hrpqct"), 6, seed=3, size=48, slices=9)


def test_the_layout_reads_what_is_written(folder):
    listed = datalist(folder)
    items = [item for part in ("training", "validation", "test") for item in listed[part]]
    assert len(items) == 6
    assert listed["rejected"] == []
    assert {len(item["raters"]) for item in items} == {3}
    assert {item["site"] for item in items} == {"radius", "tibia"}


def test_scans_are_readable_and_calibrated(folder):
    row = read_table(folder / "grades.csv")[0]
    scan = open_scan(folder / row["image"])
    assert scan.shape == (48, 48, 9)
    np.testing.assert_allclose(scan.affine[2, 2], 9.02 / 9, rtol=1e-3)
    values = scan.read([4])
    # Air is where the limb is not, dense bone is as dense as bone is.
    assert np.median(values[:4, :4]) == pytest.approx(-391, abs=1)
    assert 500 < values.max() < 1500


def test_tables_fit_together(folder):
    grades, truth = read_table(folder / "grades.csv"), read_table(folder / "truth.csv")
    for seen, known in zip(grades, truth, strict=True):
        assert [seen[key] for key in ("image", "site", "subject")] == [
            known[key] for key in ("image", "site", "subject")
        ]
        assert abs(float(known["severity"]) - int(known["grade"])) <= 0.5
        assert all(abs(int(seen[f"rater_{number}"]) - int(known["grade"])) <= 2 for number in (1, 2, 3))


def test_a_scan_depends_on_seed_and_number_alone(folder, tmp_path):
    more = write_hrpqct(tmp_path / "more", 7, seed=3, size=48, slices=9, jobs=2)
    name = read_table(folder / "grades.csv")[5]["image"]
    assert (folder / name).read_bytes() == (more / name).read_bytes()
    assert read_table(more / "grades.csv")[:6] == read_table(folder / "grades.csv")
    other = write_hrpqct(tmp_path / "other", 1, seed=4, size=48, slices=9)
    scans = [next(place.glob("scans/S00001*")) for place in (folder, other)]
    assert scans[0].read_bytes() != scans[1].read_bytes()


def test_pairs_are_the_two_sites_of_one_person():
    plans = [plan_scan(number) for number in range(1, 401)]
    pairs = list(zip(plans[::2], plans[1::2], strict=True))
    both = [pair for pair in pairs if pair[0].person.number == pair[1].person.number]
    assert 70 < len(both) < 130
    assert all(first.site != second.site and first.person == second.person for first, second in both)
    numbers = [plan.person.number for plan in plans]
    assert max(numbers.count(number) for number in numbers) == 2
    alone = [pair for pair in pairs if pair not in both]
    assert all(first.person != second.person for first, second in alone)


@pytest.mark.parametrize("site", REAL)
def test_grades_occur_as_often_as_asked_for(site):
    for shares in ("real", "mixed", "even", {"radius": (0, 1, 0, 0, 3), "tibia": (2, 2, 0, 0, 0)}):
        plans = (plan_scan(number, 1, shares) for number in range(1, 1201))
        grades = [plan.grade for plan in plans if plan.site == site]
        found = np.bincount(grades, minlength=6)[1:] / len(grades)
        np.testing.assert_allclose(found, grade_shares(site, shares), atol=0.06)
    assert grade_shares(site, "real")[0] == REAL[site][0] / sum(REAL[site])


def test_raters_agree_about_as_often_as_in_a_clinic():
    rng = np.random.default_rng(0)
    biases = rng.normal(0, BIAS, 3)
    plans = [plan_scan(number, 2, "real") for number in range(1, 2001)]
    grades = np.array([read_grades(plan.severity, 3, rng, biases) for plan in plans])
    agreed = (grades == grades[:, :1]).all(1)
    share = {site: agreed[[plan.site == site for plan in plans]].mean() for site in REAL}
    # Three experts: 45.2 % of 500 radii, 57 % of 500 tibiae.
    assert share["radius"] == pytest.approx(0.452, abs=0.06)
    assert share["tibia"] == pytest.approx(0.57, abs=0.06)
    consensus = np.floor(grades.mean(1) + 0.5)
    assert np.mean(np.abs(consensus - [plan.grade for plan in plans]) <= 1) > 0.99


def test_projections_tell_of_motion(tmp_path):
    weights = {"radius": (1, 0, 0, 0, 1), "tibia": (1, 0, 0, 0, 1)}
    folder = write_hrpqct(tmp_path, 4, seed=1, size=48, slices=2, shares=weights, projections=True)
    for row in read_table(folder / "truth.csv"):
        projections = read_projections(folder / "projections" / f"{Path(row['image']).stem}.RSQ")
        assert projections.values.shape == (751, 2, 48)
        views = projections.attenuation(list(find_views(projections.angles_degrees)))
        assert 0.5 < views.max() < 8
        estimate = motion_estimate(*views)
        if row["grade"] == "1":
            assert estimate.ssd < 1.5


def test_wrong_settings_are_refused(tmp_path):
    with pytest.raises(ValueError, match="shares: got 'odd'"):
        write_hrpqct(tmp_path, 1, shares="odd")
    with pytest.raises(ValueError, match="five weights"):
        write_hrpqct(tmp_path, 1, shares={"radius": (1, 1), "tibia": (1, 1, 1, 1, 1)})
    with pytest.raises(ValueError, match="0 scans"):
        write_hrpqct(tmp_path, 0)
    assert not list(tmp_path.iterdir())
