"""Whether uncertainty ranks errors: each measure against a slow restatement, and what a user reads of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr

from monai_tasks.evaluation.uncertainty import (
    measure_uncertainties,
    rank_errors,
    read_uncertainties,
    risk_coverage,
    sections,
)
from monai_tasks.io.errors import InputError


def _cases(seed: int, count: int = 14, ties: bool = True) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    uncertainty = rng.random(count)
    if ties:
        uncertainty = uncertainty.round(1)
    return uncertainty, (rng.random(count) < 0.3 + 0.4 * uncertainty).astype(float)


def _slow_risks(uncertainty: np.ndarray, errors: np.ndarray, pieces: int) -> list[float]:
    """The risk at each piece of each case; tied cases all have the mean of their errors."""
    total, count, risks = 0.0, 0.0, []
    for value in sorted(set(uncertainty)):
        tied = [errors[i] for i in range(len(errors)) if uncertainty[i] == value]
        for _ in range(pieces * len(tied)):
            total, count = total + sum(tied) / len(tied) / pieces, count + 1 / pieces
            risks.append(total / count)
    return risks


def test_risks_and_their_area_are_those_of_cases_in_small_pieces() -> None:
    uncertainty, errors = _cases(1)
    risks, area = risk_coverage(uncertainty, errors, np.ones((1, len(errors))))
    np.testing.assert_allclose(risks[0], _slow_risks(uncertainty, errors, 1))
    assert area[0] == pytest.approx(np.mean(_slow_risks(uncertainty, errors, 500)), abs=1e-3)


@pytest.mark.parametrize("seed", range(3))
def test_a_weight_is_a_number_of_copies(seed: int) -> None:
    uncertainty, errors = _cases(seed)
    copies = np.random.default_rng(seed).integers(0, 3, len(errors))
    _, weighted = risk_coverage(uncertainty, errors, copies[None].astype(float))
    repeated = [np.repeat(one, copies) for one in (uncertainty, errors)]
    _, plain = risk_coverage(*repeated, np.ones((1, copies.sum())))
    assert weighted[0] == pytest.approx(plain[0])


@pytest.mark.parametrize("seed", range(3))
def test_the_rank_correlation_is_spearmans(seed: int) -> None:
    uncertainty, errors = _cases(seed)
    found = rank_errors(uncertainty, errors, [str(i) for i in range(len(errors))], resamples=50)
    assert found["spearman"] == pytest.approx(spearmanr(uncertainty, errors).statistic)


def test_the_interval_is_that_of_drawn_subjects() -> None:
    uncertainty, errors = _cases(5, 30, ties=False)
    subjects = [f"s{i // 3}" for i in range(30)]
    found = rank_errors(uncertainty, errors, subjects, resamples=2000, seed=1)
    rng, drawn = np.random.default_rng(9), []
    for _ in range(2000):
        rows = [3 * one + k for one in rng.integers(10, size=10) for k in range(3)]
        drawn.append(spearmanr(uncertainty[rows], errors[rows]).statistic)
    low, high = np.nanpercentile(drawn, [2.5, 97.5])
    assert found["spearman_low"] == pytest.approx(low, abs=0.05)
    assert found["spearman_high"] == pytest.approx(high, abs=0.05)


def test_gain_is_one_at_best_and_below_zero_where_it_misleads() -> None:
    errors = np.array([0.0, 0.1, 0.2, 0.6, 0.9])
    subjects = list("abcde")
    assert rank_errors(errors, errors, subjects, resamples=20)["gain"] == pytest.approx(1)
    assert rank_errors(-errors, errors, subjects, resamples=20)["gain"] < 0
    assert rank_errors(np.ones(5), errors, subjects, resamples=20)["gain"] == pytest.approx(0)


def test_without_any_error_there_is_no_figure() -> None:
    found = rank_errors(np.arange(5.0), np.zeros(5), list("abcde"), resamples=20)
    assert found["gain"] is None
    assert found["spearman"] is None
    assert found["gain_low"] is None


def test_a_plot_of_an_earlier_run_goes_where_there_is_nothing_to_draw(tmp_path: Path) -> None:
    plot = tmp_path / "risk_coverage.png"
    table = tmp_path / "results.csv"
    table.write_text("case,entropy,disagreement\na,0.1,0\nb,0.5,0\nc,0.9,0\nd,,\n", encoding="utf-8")
    found = read_uncertainties(tmp_path)
    assert found["entropy"] == {"a": 0.1, "b": 0.5, "c": 0.9}
    errors = {"a": 0.0, "b": 0.0, "c": 1.0, "d": 1.0}
    rows = measure_uncertainties(found, errors, {}, plot, resamples=50)
    assert plot.is_file()
    assert [row["n"] for row in rows] == [3]
    assert rows[0]["aurc"] == pytest.approx((1 - 2 * np.log(1.5)) / 3)
    assert rows[0]["mean_error"] == pytest.approx(1 / 3)
    assert "0.866" in sections(rows)[0].rows[0]["spearman"]
    same = {"disagreement": dict.fromkeys("abc", 0.0)}
    assert measure_uncertainties(same, errors, {}, plot) == []
    assert not plot.exists()
    assert sections([]) == []


def test_where_nothing_was_found_is_the_most_uncertain(tmp_path: Path) -> None:
    table = tmp_path / "results.csv"
    lines = ["case,entropy,disagreement", "a,0.2,0.1", "b,0.3,0.2", "c,0.4,0.3", "missed,,0.0", "failed,,"]
    table.write_text("\n".join(lines), encoding="utf-8")
    found = read_uncertainties(table)
    errors = {"a": 0.1, "b": 0.2, "c": 0.3, "missed": 1.0}
    rows = measure_uncertainties(found, errors, {}, tmp_path / "plot.png", resamples=50)
    assert [row["n"] for row in rows] == [4, 4]
    assert [row["gain"] for row in rows] == pytest.approx([1, 1])
    assert [row["spearman"] for row in rows] == pytest.approx([1, 1])


def test_tables_of_other_tools_have_no_uncertainty_and_no_number_is_an_error(tmp_path: Path) -> None:
    table = tmp_path / "results.csv"
    table.write_text("input,entropy,disagreement\na.png,0.2,0.1\n", encoding="utf-8")
    assert read_uncertainties(table) == {}
    table.write_text("case,entropy,disagreement\na,n/a,0.1\n", encoding="utf-8")
    with pytest.raises(InputError, match="entropy 'n/a' of a; expected a number"):
        read_uncertainties(table)
