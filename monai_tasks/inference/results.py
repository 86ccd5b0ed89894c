"""The results of a batch as they come: a journal for the next run and a table for people."""

from __future__ import annotations

import csv
import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TextIO

from monai_tasks.io.files import atomic_path

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

JOURNAL, RESULTS = "journal.jsonl", "results.csv"
DONE, FAILED, SKIPPED = "done", "failed", "skipped"
COLUMNS = ("case", "input", "status", "reason", "note", "seconds")


class BusyError(ValueError):
    """Another run is writing to the folder."""


class Journal:
    """One line for each finished case, appended the moment it is finished.

    A run that is killed loses none of them, in whatever order cases end. The file is locked while it is open, so
    that two runs cannot write to one folder.

    Args:
        folder: the output folder; made if missing.

    Raises:
        BusyError: if another process holds the journal.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._stream = (folder / JOURNAL).open("a+b")
        if not _locked(self._stream):
            self._stream.close()
            raise BusyError(f"{folder}: another run is writing here; expected a folder of its own")
        self._records = self._read()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def row(self, case: str, run: str, image: str) -> dict[str, Any] | None:
        """The row of a finished case, if it was made in the same way from the same image.

        Args:
            case: its name.
            run: the fingerprint of the run, see `Identity`.
            image: the stamp of its files, see `stamp`.
        """
        record = self._records.get(case)
        return record["row"] if record and (record["run"], record["image"]) == (run, image) else None

    def add(self, case: str, run: str, image: str, row: Mapping[str, Any]) -> None:
        """Record a finished case. Safe to call from several threads."""
        self._append({"case": case, "run": run, "image": image, "row": dict(row)})

    def forget(self, case: str) -> None:
        """Strike out the record of a case that is about to be made anew.

        A kill between writing its files and recording them would leave the new files under the old record.
        """
        if self._records.pop(case, None):
            self._append({"case": case, "run": None, "image": None, "row": None})

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record) + "\n"
        with self._lock:
            self._stream.write(line.encode("ascii"))
            self._stream.flush()

    def _read(self) -> dict[str, dict[str, Any]]:
        """The last record of each case. A line that a kill cut off is left out, and ended for the next one."""
        records, line = {}, b""
        self._stream.seek(0)
        for line in self._stream:
            try:
                record = json.loads(line)
                records[record["case"]] = record
            except (ValueError, KeyError, TypeError):
                continue
        if line and not line.endswith(b"\n"):
            self._stream.write(b"\n")
        return records


def _locked(stream: BinaryIO) -> bool:
    """Lock a file until it is closed or the process ends; False if another process has it."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:  # some network file systems have no locks; there the run goes on without one
        return True
    return True


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
