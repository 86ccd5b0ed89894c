"""What a run has finished, one line a piece, for the next run into the same folder."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

from monai_tasks.io.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

JOURNAL = "journal.jsonl"


class BusyError(InputError):
    """Another run is writing to the folder."""


class Journal:
    """One line for each finished case or study, appended the moment it is finished.

    A run that is killed loses none of them, in whatever order they end. The file is locked while it is open, so that
    two runs cannot write to one folder.

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
            raise BusyError(folder, "another run is writing here", "a folder of its own")
        self._records = self._read()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def content(self, name: str, stamp: str) -> dict[str, Any] | None:
        """What was recorded of something finished, if it was made in the same way from the same files.

        Args:
            name: of the case or study.
            stamp: tells the way and the files.
        """
        record = self._records.get(name, {})
        return record.get("content") if record.get("stamp") == stamp else None

    def add(self, name: str, stamp: str, content: Mapping[str, Any]) -> None:
        """Record something finished. Safe to call from several threads.

        Args:
            name: of the case or study.
            stamp: tells the way that it was made, and the files.
            content: what JSON can hold.
        """
        self._append({"name": name, "stamp": stamp, "content": dict(content)})

    def forget(self, name: str) -> None:
        """Strike out the record of what is about to be made anew.

        A kill between writing its files and recording them would leave the new files under the old record.
        """
        if self._records.pop(name, None):
            self._append({"name": name, "stamp": None, "content": None})

    def _append(self, record: Mapping[str, Any]) -> None:
        line = json.dumps(record) + "\n"
        with self._lock:
            self._stream.write(line.encode("ascii"))
            self._stream.flush()

    def _read(self) -> dict[str, dict[str, Any]]:
        """The last record of each name. A line that a kill cut off is left out, and ended for the next one."""
        records, line = {}, b""
        self._stream.seek(0)
        for line in self._stream:
            try:
                record = json.loads(line)
                records[record["name"]] = record
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
