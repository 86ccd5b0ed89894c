"""The table of results of a batch, as its rows come."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, TextIO

from monai_tasks.io.files import atomic_path

RESULTS = "results.csv"
DONE, FAILED, SKIPPED = "done", "failed", "skipped"
COLUMNS = ("case", "input", "status", "reason", "note", "seconds")


class ResultsTable:
    """`results.csv`, in the order of the cases, whatever the order the rows come in.

    The table of an earlier run stays until this one ends, well or not; then this one takes its place.

    Args:
        folder: the output folder.
        measures: names of the columns after the common ones.
    """

    def __init__(self, folder: Path, measures: Sequence[str]) -> None:
        self._file = ExitStack()
        path = self._file.enter_context(atomic_path(folder / RESULTS))
        # An input's name need not be UTF-8.
        self._stream: TextIO = path.open("w", encoding="utf-8", errors="surrogateescape", newline="")
        self._writer = csv.DictWriter(
            self._stream, [*COLUMNS, *measures], restval="", extrasaction="ignore", lineterminator="\n"
        )
        self._writer.writeheader()
        self._next = 0
        self._early: dict[int, Mapping[str, Any]] = {}

    def __enter__(self) -> ResultsTable:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what still waits for an earlier case too: the run ends here."""
        # The error of the run is no error of the table, and does not go into these.
        with self._file, self._stream:
            for index in sorted(self._early):
                self._writer.writerow(self._early[index])

    def add(self, index: int, row: Mapping[str, Any]) -> None:
        """Take the row of the case with a number, counted from 0."""
        self._early[index] = row
        while self._next in self._early:
            self._writer.writerow(self._early.pop(self._next))
            self._next += 1
