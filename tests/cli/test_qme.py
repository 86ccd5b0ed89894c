"""The command `qme`."""

from __future__ import annotations

import numpy as np
from click.testing import CliRunner

from monai_tasks.cli import main
from monai_tasks.io.scanco_writer import write_rsq


def write_views(path) -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(900, 1000, (751, 2, 8)).astype(np.uint16)
    frames = (np.full((2, 8), value, np.uint16) for value in (10, 2000))
    write_rsq(path, counts, 0.24, *frames)


def test_files_and_folders_give_figures_and_a_page(tmp_path):
    write_views(tmp_path / "scans" / "a.RSQ")
    write_views(tmp_path / "b.rsq")
    words = ["qme", str(tmp_path / "scans"), str(tmp_path / "b.rsq"), "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(main, words)
    assert done.exit_code == 0, done.output
    assert done.output.count("QME_SSD") == 2
    assert "2 scans, 0 failed" in done.output
    assert (tmp_path / "out" / "report.html").is_file()


def test_a_bad_file_is_named_and_the_status_is_1(tmp_path):
    (tmp_path / "a.RSQ").write_bytes(b"nothing")
    done = CliRunner().invoke(main, ["qme", str(tmp_path / "a.RSQ"), "-o", str(tmp_path / "out"), "-q"])
    assert done.exit_code == 1
    assert f"failed: {tmp_path / 'a.RSQ'}" in done.output


def test_an_empty_folder_is_a_short_message(tmp_path):
    done = CliRunner().invoke(main, ["qme", str(tmp_path), "-o", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert "no projections" in done.output
    assert "Traceback" not in done.output
