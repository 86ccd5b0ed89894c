"""Which studies are finished, for the next run into the same folder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from monai_tasks.io.errors import InputError

try:
    import fcntl
except ImportError:  # Windows has no such locks
    fcntl = None

JOURNAL = "journal.jsonl"


class Journal:
    """One line for each finished study, appended the moment it is finished; a killed run loses none.

    The file is locked while it is open, so that two runs do not write to one folder.

    Args:
        folder: the output folder; made if missing.

    Raises:
        InputError: if another process holds the journal.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._stream = (folder / JOURNAL).open("a+b")
        if not self._locked():
            self._stream.close()
            raise InputError(folder, "another run is writing here", "a folder of its own")
        self._records = self._read()

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stream.close()

    def result(self, study: str, stamp: str) -> dict[str, Any] | None:
        """What was recorded of a study, if it was made by the same pipeline of the same files."""
        record = self._records.get(study, {})
        return record.get("result") if record.get("stamp") == stamp else None

    def add(self, study: str, stamp: str, result: Mapping[str, Any]) -> None:
        """Record a finished study.

        Args:
            study: its key.
            stamp: of the pipeline and of its files.
            result: what JSON can hold.
        """
        self._append({"study": study, "stamp": stamp, "result": dict(result)})

    def forget(self, study: str) -> None:
        """Strike out the record of a study that is about to be made anew.

        A kill between writing its files and recording them would leave the new files under the old record.
        """
        if self._records.pop(study, None):
            self._append({"study": study, "stamp": None, "result": None})

    def _append(self, record: Mapping[str, Any]) -> None:
        self._stream.write((json.dumps(record) + "\n").encode("ascii"))
        self._stream.flush()

    def _read(self) -> dict[str, dict[str, Any]]:
        """The last record of each study. A line that a kill cut off is left out, and ended for the next one."""
        records, line = {}, b""
        self._stream.seek(0)
        for line in self._stream:
            try:
                record = json.loads(line)
                records[record["study"]] = record
            except (ValueError, KeyError, TypeError):
                continue
        if line and not line.endswith(b"\n"):
            self._stream.write(b"\n")
        return records

    def _locked(self) -> bool:
        if fcntl is None:
            return True
        try:
            fcntl.flock(self._stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:  # some network file systems have no locks; there the run goes on without one
            return True
        return True
