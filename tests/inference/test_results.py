"""The journal survives a kill; the table is in the order of the inputs."""

from __future__ import annotations

import multiprocessing
from contextlib import nullcontext
from pathlib import Path

import pytest

from monai_tasks.inference.results import JOURNAL, RESULTS, BusyError, Journal, ResultsTable
from monai_tasks.io.tables import read_table


def test_finds_a_case_made_in_the_same_way_from_the_same_image(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add("a", "run", "image", {"seconds": 1.5})
    with Journal(tmp_path) as journal:
        assert journal.row("a", "run", "image") == {"seconds": 1.5}
        assert journal.row("a", "other run", "image") is None
        assert journal.row("a", "run", "other image") is None
        assert journal.row("b", "run", "image") is None


def test_the_last_record_of_a_case_holds(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add("a", "run", "image", {"seconds": 1})
        journal.add("a", "new run", "image", {"seconds": 2})
    with Journal(tmp_path) as journal:
        assert journal.row("a", "run", "image") is None
        assert journal.row("a", "new run", "image") == {"seconds": 2}


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_line_that_was_cut_off_costs_itself_only(tmp_path: Path, kept: int) -> None:
    with Journal(tmp_path) as journal:
        journal.add("a", "run", "image", {"seconds": 1})
        journal.add("b", "run", "image", {"seconds": 2})
    first, second = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(first + second[:kept])
    with Journal(tmp_path) as journal:
        journal.add("c", "run", "image", {"seconds": 3})
    with Journal(tmp_path) as journal:
        found = [journal.row(name, "run", "image") for name in "abc"]
    # Without the newline at its end a line is still complete.
    assert found == [{"seconds": 1}, {"seconds": 2} if kept == -1 else None, {"seconds": 3}]


def test_a_line_is_on_disk_as_soon_as_it_is_added(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add("a", "run", "image", {})
        assert (tmp_path / JOURNAL).read_bytes().endswith(b"\n")


def _open_journal(folder: Path, answers: multiprocessing.Queue) -> None:
    try:
        Journal(folder)
    except BusyError as error:
        answers.put(str(error))
    else:
        answers.put("opened")


def test_a_second_run_into_the_folder_is_refused(tmp_path: Path) -> None:
    context = multiprocessing.get_context("fork")
    answers = context.Queue()
    with Journal(tmp_path):
        process = context.Process(target=_open_journal, args=(tmp_path, answers))
        process.start()
        assert "another run is writing here" in answers.get(timeout=20)
        process.join()
    process = context.Process(target=_open_journal, args=(tmp_path, answers))
    process.start()
    assert answers.get(timeout=20) == "opened"
    process.join()


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


def test_a_record_that_was_struck_out_is_gone_for_later_runs_too(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add("a", "run", "image", {"seconds": 1})
        journal.add("b", "run", "image", {"seconds": 2})
    with Journal(tmp_path) as journal:
        journal.forget("a")
        journal.forget("never recorded")
        assert journal.row("a", "run", "image") is None
    with Journal(tmp_path) as journal:
        assert journal.row("a", "run", "image") is None
        assert journal.row("b", "run", "image") == {"seconds": 2}
        journal.add("a", "run", "image", {"seconds": 3})
    with Journal(tmp_path) as journal:
        assert journal.row("a", "run", "image") == {"seconds": 3}


def test_rows_behind_a_missing_one_are_kept_when_the_run_ends(tmp_path: Path) -> None:
    with ResultsTable(tmp_path, []) as table:
        for index in (3, 0, 2):
            table.add(index, _row("abcd"[index]))
    assert [row["case"] for row in read_table(tmp_path / RESULTS)] == ["a", "c", "d"]
