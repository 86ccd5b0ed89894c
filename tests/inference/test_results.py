"""The table is in the order of the inputs, and the last one stays until the next is whole."""

from __future__ import annotations

from contextlib import nullcontext
from pathlib import Path

import pytest

from monai_tasks.inference.results import RESULTS, ResultsTable
from monai_tasks.io.tables import read_table


def _row(name: str) -> dict[str, object]:
    return {"case": name, "input": f"{name}.nii", "status": "done", "seconds": 1.0, "volume_ml_x": 2.5}


def test_rows_are_in_the_order_of_the_cases(tmp_path: Path) -> None:
    with ResultsTable(tmp_path, ["volume_ml_x"]) as table:
        table.add(1, _row("b"))
        table.add(0, _row("a"))
        table.add(2, {"case": "c", "status": "failed", "reason": 'no "voxels", at all'})
    rows = read_table(tmp_path / RESULTS)
    assert [row["case"] for row in rows] == ["a", "b", "c"]
    assert list(rows[0]) == ["case", "input", "status", "reason", "note", "seconds", "volume_ml_x"]
    assert [row["volume_ml_x"] for row in rows] == ["2.5", "2.5", ""]
    assert rows[2]["reason"] == 'no "voxels", at all'


@pytest.mark.parametrize("error", [None, KeyboardInterrupt, ValueError])
def test_the_table_of_an_earlier_run_stays_until_this_one_ends(
    tmp_path: Path, error: type[BaseException] | None
) -> None:
    with ResultsTable(tmp_path, []) as table:
        table.add(0, _row("old"))
    with pytest.raises(error) if error else nullcontext(), ResultsTable(tmp_path, []) as table:
        table.add(0, _row("new"))
        assert [row["case"] for row in read_table(tmp_path / RESULTS)] == ["old"]
        if error:
            raise error
    assert [row["case"] for row in read_table(tmp_path / RESULTS)] == ["new"]
    assert [path.name for path in tmp_path.iterdir()] == [RESULTS]


def test_rows_behind_a_missing_one_are_kept_when_the_run_ends(tmp_path: Path) -> None:
    with ResultsTable(tmp_path, []) as table:
        for index in (3, 0, 2):
            table.add(index, _row("abcd"[index]))
    assert [row["case"] for row in read_table(tmp_path / RESULTS)] == ["a", "c", "d"]
