"""`monai-tasks agreement` prints what the raters come to, and fails with a sentence."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from monai_tasks.cli import main


def run(*words):
    return CliRunner().invoke(main, ["agreement", *map(str, words)])


@pytest.fixture
def table(tmp_path):
    rows = "".join(f"{n // 2},{n % 5 + 1},{min(n % 5 + 1 + n % 2, 5)},{n % 3}\n" for n in range(20))
    (tmp_path / "grades.csv").write_text(f"who,rater_1,rater_2,group\n{rows}20,2,,0\n")
    return tmp_path / "grades.csv"


def test_figures_are_printed_and_written(table, tmp_path):
    result = run(table, "-o", tmp_path / "out", "--subject", "who", "--resamples", 100, "--seed", 3)
    assert result.exit_code == 0, result.output
    assert result.stderr == "rater_2: 1 grades not given, 0 of them unreadable\n"
    first, page = result.stdout.splitlines()
    assert first.startswith("20 of 21 scans graded by all: consensus 0.600 (0.")
    assert page == str(tmp_path / "out" / "report.html")
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found["rescan_from"] == 4
    assert found["interval"]["method"] == "percentile, by who"
    assert (found["interval"]["resamples"], found["interval"]["seed"]) == (100, 3)


def test_raters_groups_and_the_limit_can_be_named(table, tmp_path):
    words = ["--rater", "rater_2", "--rater", "group", "--by", "rater_1", "--rescan-from", 2, "-q"]
    result = run(table, "-o", tmp_path / "out", "--subject", "who", "--resamples", 100, *words)
    assert result.exit_code == 0, result.output
    assert result.output == ""
    found = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert found["raters"] == ["rater_2", "group"]
    assert [group["group"] for group in found["groups"]] == ["", *(f"rater_1={k}" for k in range(1, 6))]
    assert found["rescan_from"] == 2


def test_a_table_of_no_use_fails_with_a_sentence(table, tmp_path):
    result = run(table, "-o", tmp_path / "out")
    assert result.exit_code == 1
    assert "Error: " in result.stderr
    assert "no column subject; expected one that tells whom each scan is of" in result.stderr
    assert not (tmp_path / "out").exists()
    assert run(tmp_path / "none.csv", "-o", tmp_path / "out").exit_code == 2
    assert run(table, "-o", tmp_path / "out", "--resamples", 5).exit_code == 2
