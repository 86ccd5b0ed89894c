"""Motion estimates of files: table, page, and what cannot be used."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.evaluation.motion_estimates import estimate_motion, find_projections
from monai_tasks.io.errors import InputError
from monai_tasks.io.scanco_writer import write_rsq
from monai_tasks.io.tables import read_table
from monai_tasks.metrics.motion_estimate import motion_estimate

VIEWS = 751


def write_views(path, shift: int = 0, references: bool = True) -> np.ndarray:
    """Counts of a limb that is `shift` columns elsewhere at the end; gives the integrals along the rays."""
    rng = np.random.default_rng(4)
    columns = np.arange(32)
    integrals = 2 * np.exp(-(((columns - 15.5) / 6) ** 2)) * np.ones((VIEWS, 3, 1))
    integrals = integrals + rng.normal(0, 0.01, integrals.shape)
    integrals[-1] = np.roll(integrals[-1], shift, axis=-1)
    counts = np.rint(100 + 20_000 * np.exp(-integrals)).astype(np.uint16)
    frames = [np.full((3, 32), value, np.uint16) for value in (100, 20_100)]
    write_rsq(path, counts, 0.24, *(frames if references else (None, None)))
    return counts


def test_estimates_are_those_of_the_three_views(tmp_path):
    write_views(tmp_path / "scans" / "still.RSQ")
    counts = write_views(tmp_path / "scans" / "moved.rsq", shift=3)
    summary = estimate_motion([tmp_path / "scans"], tmp_path / "out")
    assert summary.failures == []
    moved, still = read_table(tmp_path / "out" / "qme.csv")
    integrals = -np.log((counts[[0, 1, 750]].astype(float) - 100) / 20_000)
    expected = motion_estimate(*integrals)
    assert float(moved["qme_ssd"]) == pytest.approx(expected.ssd, rel=1e-3)
    assert float(moved["qme_ncc"]) == pytest.approx(expected.ncc, rel=1e-4)
    assert float(moved["qme_ssd"]) > 20 * float(still["qme_ssd"])
    assert float(moved["qme_ncc"]) < float(still["qme_ncc"])
    assert (moved["views"], moved["step_degrees"]) == ("751", "0.24")
    page = summary.page.read_text()
    assert "moved.rsq" in page
    assert "2 of 2 scans" in page


def test_counts_serve_where_there_are_no_frames_beside_the_views(tmp_path):
    counts = write_views(tmp_path / "a.RSQ", shift=2, references=False)
    summary = estimate_motion([tmp_path / "a.RSQ"], tmp_path / "out")
    assert "without radiation" in summary.failures[0][1]
    summary = estimate_motion([tmp_path / "a.RSQ"], tmp_path / "out", values="counts")
    assert summary.rows[0]["qme_ssd"] == pytest.approx(motion_estimate(*counts[[0, 1, 750]]).ssd)


def test_a_file_that_cannot_be_used_has_its_reason_and_ends_nothing(tmp_path):
    write_views(tmp_path / "a.RSQ")
    (tmp_path / "b.RSQ").write_bytes(b"nothing")
    summary = estimate_motion([tmp_path], tmp_path / "out")
    assert [row["file"].rsplit("/", 1)[1] for row in summary.rows] == ["a.RSQ", "b.RSQ"]
    assert [bool(row["problem"]) for row in summary.rows] == [False, True]
    assert read_table(tmp_path / "out" / "qme.csv")[1]["qme_ssd"] == ""


def test_the_centre_of_rotation_and_the_views_may_be_told(tmp_path):
    write_views(tmp_path / "a.RSQ", shift=2)
    plain, shifted = (
        estimate_motion([tmp_path / "a.RSQ"], tmp_path / "out", centre=centre).rows[0]
        for centre in (None, 16.5)
    )
    # Mirrored at a centre that lies one column to the side, the view moves by two.
    assert shifted["qme_ssd"] < 0.2 * plain["qme_ssd"]
    summary = estimate_motion([tmp_path / "a.RSQ"], tmp_path / "out", step_degrees=0.1)
    assert "no view at 180 degrees" in summary.failures[0][1]


def test_files_are_found_once_and_in_order(tmp_path):
    for name in ("b.RSQ", "a.rsq", "c.ISQ", ".hidden.RSQ"):
        (tmp_path / name).touch()
    (tmp_path / "empty").mkdir()
    found = find_projections([tmp_path / "b.RSQ", tmp_path])
    assert [path.name for path in found] == ["b.RSQ", "a.rsq"]
    with pytest.raises(InputError, match="no projections"):
        find_projections([tmp_path / "empty"])
    with pytest.raises(ValueError, match="values: got 'grey'"):
        estimate_motion([tmp_path], tmp_path / "out", values="grey")
