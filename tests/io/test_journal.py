"""The journal survives a kill, and one run at a time writes it."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from monai_tasks.io.journal import JOURNAL, BusyError, Journal


def test_finds_a_case_made_in_the_same_way_from_the_same_image(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add("a", "run image", {"seconds": 1.5})
    with Journal(tmp_path) as journal:
        assert journal.content("a", "run image") == {"seconds": 1.5}
        assert journal.content("a", "other run image") is None
        assert journal.content("a", "run other image") is None
        assert journal.content("b", "run image") is None


def test_the_last_record_of_a_case_holds(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add("a", "run image", {"seconds": 1})
        journal.add("a", "new run image", {"seconds": 2})
    with Journal(tmp_path) as journal:
        assert journal.content("a", "run image") is None
        assert journal.content("a", "new run image") == {"seconds": 2}


@pytest.mark.parametrize("kept", [1, 20, -1])
def test_a_line_that_was_cut_off_costs_itself_only(tmp_path: Path, kept: int) -> None:
    with Journal(tmp_path) as journal:
        journal.add("a", "run image", {"seconds": 1})
        journal.add("b", "run image", {"seconds": 2})
    first, second = (tmp_path / JOURNAL).read_bytes().splitlines(keepends=True)
    (tmp_path / JOURNAL).write_bytes(first + second[:kept])
    with Journal(tmp_path) as journal:
        journal.add("c", "run image", {"seconds": 3})
    with Journal(tmp_path) as journal:
        found = [journal.content(name, "run image") for name in "abc"]
    # Without the newline at its end a line is still complete.
    assert found == [{"seconds": 1}, {"seconds": 2} if kept == -1 else None, {"seconds": 3}]


def test_a_line_is_on_disk_as_soon_as_it_is_added(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add("a", "run image", {})
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


def test_a_record_that_was_struck_out_is_gone_for_later_runs_too(tmp_path: Path) -> None:
    with Journal(tmp_path) as journal:
        journal.add("a", "run image", {"seconds": 1})
        journal.add("b", "run image", {"seconds": 2})
    with Journal(tmp_path) as journal:
        journal.forget("a")
        journal.forget("never recorded")
        assert journal.content("a", "run image") is None
    with Journal(tmp_path) as journal:
        assert journal.content("a", "run image") is None
        assert journal.content("b", "run image") == {"seconds": 2}
        journal.add("a", "run image", {"seconds": 3})
    with Journal(tmp_path) as journal:
        assert journal.content("a", "run image") == {"seconds": 3}
