"""Files that are complete or absent, never half written."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai_tasks.io.errors import InputError

TEMPORARY_MARK = ".tmp"


@contextmanager
def atomic_path(path: str | os.PathLike[str]) -> Iterator[Path]:
    """Write a file under a temporary name and rename it when the block ends well.

    The temporary file lies in the same folder (renaming across file systems is not atomic), begins with a
    dot and ends with the suffixes of `path`, because writers choose the format by them.

    Args:
        path: the file to write. Its folder is made if missing; an older file is replaced.

    Yields:
        The temporary path to write to.

    Raises:
        FileNotFoundError: if the block ended without writing the temporary file.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    stem, *suffixes = path.name.split(".")
    # Two suffixes are enough for ".nii.gz"; more would be parts of the name, as in "sub.01.nii.gz".
    kept = "".join(f".{suffix}" for suffix in suffixes[-2:])
    temporary = path.with_name(f".{stem}.{os.getpid()}-{uuid.uuid4().hex[:8]}{TEMPORARY_MARK}{kept}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_leftovers(folders: Iterable[Path]) -> None:
    """Remove what a killed run left under temporary names; nobody else may be writing there.

    Args:
        folders: each is looked at, but not its subfolders; missing ones are passed over.
    """
    for folder in folders:
        for path in folder.glob(f".*{TEMPORARY_MARK}*"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Write UTF-8 text atomically.

    Args:
        path: the file to write.
        text: its content.
    """
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: str | os.PathLike[str], content: Any) -> None:
    """Write JSON atomically, indented, with a newline at the end.

    Args:
        path: the file to write.
        content: what `json.dumps` can write; NaN and infinity are refused, for they are not JSON.

    Raises:
        ValueError: if `content` holds NaN or infinity.
        TypeError: if `content` holds something that JSON has no form for.
    """
    text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # Lone surrogates, as a file name has that is not UTF-8, are escaped in the form that JSON has for them.
    write_text(path, text.encode("utf-8", "backslashreplace").decode("utf-8"))


def sha256(path: str | os.PathLike[str]) -> str:
    """The SHA-256 checksum of a file's content.

    Args:
        path: the file.

    Returns:
        64 hexadecimal digits.
    """
    with open(path, "rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def check_content(path: Path, expected: str) -> None:
    """Refuse a path that is no file with content.

    Args:
        path: the path to look at.
        expected: what should be there, for the error.

    Raises:
        InputError: if it does not exist, is a folder or a special file, or holds no bytes.
    """
    if not path.exists():
        raise InputError(path, "no such file", expected)
    if not path.is_file():
        raise InputError(path, "not a file", expected)
    if path.stat().st_size == 0:
        raise InputError(path, "an empty file (0 bytes)", expected)
