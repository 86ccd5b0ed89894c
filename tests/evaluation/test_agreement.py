"""The agreement of raters as files: a table, a summary, plots and a page."""

from __future__ import annotations

import csv
import json

import numpy as np
import pytest
from sklearn.metrics import cohen_kappa_score

from monai_tasks.evaluation.agreement import COLUMNS, PLOTS, measure_raters
from monai_tasks.io.tables import read_table

PNG = b"\x89PNG"


@pytest.fixture
def table(tmp_path):
    """Thirty subjects with both sites, three raters; the third leaves out every tenth scan."""
    rng = np.random.default_rng(3)
    path = tmp_path / "grades.csv"
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["image", "site", "subject", "rater_1", "rater_2", "rater_3"])
        for number in range(60):
            truth = rng.integers(1, 6)
            grades = np.clip(truth + rng.choice([-1, 0, 0, 1], 3), 1, 5).tolist()
            if number % 10 == 0:
                grades[2] = "not sure" if number else ""
            writer.writerow([f"{number}.ISQ", ("radius", "tibia")[number % 2], number // 2, *grades])
    return path


def test_what_is_written(table, tmp_path):
    summary = measure_raters(table, tmp_path / "out", resamples=200)
    rows = read_table(tmp_path / "out" / "agreement.csv")
    assert tuple(rows[0]) == COLUMNS
    assert {row["group"] for row in rows} == {"", "site=radius", "site=tibia"}
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found == json.loads(json.dumps(summary.statistics))
    assert found["missing"] == {"rater_1": 0, "rater_2": 0, "rater_3": 6}
    assert found["unreadable"]["rater_3"] == 5
    everything = found["groups"][0]
    assert (everything["scans"], everything["complete"], everything["subjects"]) == (60, 54, 30)
    for name in PLOTS.values():
        assert (tmp_path / "out" / name).read_bytes().startswith(PNG)
    page = summary.page.read_text()
    for word in ("Fleiss", "site=tibia", "Disagree on scanning again", *PLOTS.values()):
        assert word in page
    assert "not sure" not in page + json.dumps(found)


def test_pairs_and_groups_are_those_of_their_scans(table, tmp_path):
    groups = measure_raters(table, tmp_path / "out", resamples=100).statistics["groups"]
    scans = read_table(table)
    for group, site in zip(groups, (None, "radius", "tibia"), strict=True):
        own = [scan for scan in scans if site in (None, scan["site"])]
        first, second = ([int(scan[name]) for scan in own] for name in ("rater_1", "rater_2"))
        pair = next(pair for pair in group["pairs"] if pair["raters"] == ["rater_1", "rater_2"])
        expected = cohen_kappa_score(first, second, weights="quadratic")
        assert pair["metrics"]["quadratic_kappa"]["value"] == pytest.approx(expected)
        for a in range(1, 6):
            assert group["of_grade"]["rater_1"][a - 1] == first.count(a)
            for b in range(1, 6):
                both = sum(x == a and y == b for x, y in zip(first, second, strict=True))
                assert pair["confusion"][a - 1][b - 1] == both


def test_the_grade_to_scan_again_from(table, tmp_path):
    shares = {
        limit: measure_raters(table, tmp_path / str(limit), rescan_from=limit, resamples=100).statistics
        for limit in (1, 3, 4)
    }
    found = {
        limit: own["groups"][0]["metrics"]["rescan_disagreement"]["value"] for limit, own in shares.items()
    }
    scans = [row for row in read_table(table) if row["rater_3"].isdigit()]
    for limit, share in found.items():
        split = [len({int(row[f"rater_{k}"]) >= limit for k in (1, 2, 3)}) > 1 for row in scans]
        assert share == pytest.approx(np.mean(split))
    assert found[1] == 0 < found[3]


def test_two_experts_of_real_knees(shared_data, tmp_path):
    """They differ on so few images that chance explains nothing of it; grade 2 is where osteoarthritis begins."""
    table = shared_data / "knee_xray_kl" / "index.csv"
    found = measure_raters(
        table,
        tmp_path,
        raters=["kl_expert1", "kl_expert2"],
        subject="near_duplicate_group",
        rescan_from=2,
        resamples=300,
    ).statistics
    everything = found["groups"][0]
    assert found["scale"] == [0, 1, 2, 3, 4]
    assert len(found["groups"]) == 1
    rows = read_table(table)
    given = [(row["kl_expert1"], row["kl_expert2"]) for row in rows]
    both = [pair for pair in given if all(text.isdigit() for text in pair)]
    assert everything["complete"] == len(both)
    assert everything["metrics"]["consensus"]["value"] == pytest.approx(np.mean([a == b for a, b in both]))
    assert everything["metrics"]["mean_quadratic_kappa"]["value"] > 0.98
