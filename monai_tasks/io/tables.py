"""Tables as CSV files: UTF-8, one header line, written atomically.

A file name need not be UTF-8; its bytes are kept as they are in both directions.
"""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tasks.io.errors import InputError
from monai_tasks.io.files import atomic_path


def write_table(
    path: str | os.PathLike[str], rows: Iterable[Mapping[str, Any]], columns: Sequence[str]
) -> None:
    """Write rows as CSV.

    Args:
        path: the file to write.
        rows: one mapping from column to value a row; None and a missing column become an empty field.
        columns: the columns in their order.

    Raises:
        ValueError: if a row has a column that is not in `columns`.
    """
    with (
        atomic_path(path) as temporary,
        temporary.open("w", encoding="utf-8", errors="surrogateescape", newline="") as stream,
    ):
        writer = csv.DictWriter(stream, fieldnames=list(columns), restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_table(path: str | os.PathLike[str], columns: Sequence[str] | None = None) -> list[dict[str, str]]:
    """Read a CSV file.

    Args:
        path: the file to read.
        columns: of a file without a header line; None where the first line names them.

    Returns:
        One dictionary from column to text a row.

    Raises:
        InputError: if the file is missing, no table, has no header, or a row does not fit the header.
    """
    path = Path(path)
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            reader = csv.DictReader(stream, columns, strict=True)
            found = reader.fieldnames or []
            rows = list(reader)
    except FileNotFoundError as cause:
        raise InputError(path, "no such file", "a CSV table") from cause
    except (OSError, csv.Error) as cause:
        raise InputError(path, f"not readable as a table ({cause})", "a CSV table in UTF-8") from cause
    if not found:
        raise InputError(path, "an empty file", "a CSV table with a header line")
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise InputError(path, f"row {number} does not fit the header", f"{len(found)} fields")
    return rows
