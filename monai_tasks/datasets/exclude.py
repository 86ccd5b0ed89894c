"""Take the cases that a person rejected out of a datalist: what `--exclude FILE` does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_tasks.datasets.cases import Found, unique_names
from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.datasets.splits import PARTS
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import sha256
from monai_tasks.io.formats import volume_suffix
from monai_tasks.io.tables import read_table

DECISION, KEEP, EXCLUDE = "decision", "keep", "exclude"
TEST = "test"
EXPECTED = "a review.csv as `monai-tasks outliers` writes it, or a list with a case or an image a line"


@dataclass(frozen=True)
class Exclusion:
    """What a list took out.

    Args:
        sha256: checksum of the list.
        taken: how many items it took out of each part but the test part.
        in_test: the rows that stand for items of the test part, which stay there.
    """

    sha256: str
    taken: Mapping[str, int]
    in_test: tuple[str, ...]

    def facts(self) -> dict[str, Any]:
        """What a run's description keeps of it."""
        return {"sha256": self.sha256, **self.taken, "left_in_test": len(self.in_test)}


@dataclass(frozen=True)
class _Row:
    """A line of a list.

    Args:
        text: what names it in messages.
        names: each must stand for an item: paths of images, or the name of a case or study.
    """

    text: str
    names: tuple[str, ...]


def read_parts(datalist: str | Path) -> dict[str, list[dict[str, Any]]]:
    """The items of all parts of a datalist, with absolute paths; a part that it lacks is empty.

    Args:
        datalist: the file.

    Raises:
        InputError: when it is missing, no datalist, or has no part `training`.
    """
    parts = {PARTS[0]: read_part(datalist, PARTS[0])}
    content = json.loads(Path(datalist).read_text(encoding="utf-8"))
    return parts | {part: read_part(datalist, part) if content.get(part) else [] for part in PARTS[1:]}


def take_out(
    parts: Mapping[str, Sequence[dict[str, Any]]], file: str | Path, datalist: str | Path
) -> tuple[dict[str, list[dict[str, Any]]], Exclusion]:
    """Take the cases of a list out of all parts but the test part.

    A row of a list is the path of an image as the datalist has it, absolute, or relative to the list; or a case by the
    name that `infer` gives it where all of the datalist is its input; or a study, which stands for all of its images.
    Of an item with several images one that is named takes the whole item out.

    Args:
        parts: part to items with absolute paths, as `read_parts` gives them.
        file: a review.csv, of which the rows with the decision `exclude` count, or a plain list, in which empty lines
            and those that begin with # do not count.
        datalist: the file that the items are from; relative paths may be relative to its folder.

    Returns:
        The items that are left in each part, in their order, and what was taken out.

    Raises:
        InputError: when the list is missing or no such list, has a decision of another kind or none at all, or a row
            that stands for no item.
    """
    file, items = Path(file), [(part, item) for part, own in parts.items() for item in own]
    rows = _read(file)
    index = _index([item for _, item in items])
    folders = (Path(datalist).parent, file.parent)
    chosen: set[int] = set()
    in_test = []
    for row in rows:
        found = _found(row, index, folders, file)
        if any(items[number][0] == TEST for number in found):
            in_test.append(row.text)
        chosen |= {number for number in found if items[number][0] != TEST}
    left: dict[str, list[dict[str, Any]]] = {part: [] for part in parts}
    taken = {part: 0 for part in parts if part != TEST}
    for number, (part, item) in enumerate(items):
        if number in chosen:
            taken[part] += 1
        else:
            left[part].append(item)
    return left, Exclusion(sha256(file), taken, tuple(in_test))


def _read(file: Path) -> list[_Row]:
    """The rows of a list that take something out."""
    if not file.is_file():
        raise InputError(file, "no such file", EXPECTED)
    if file.suffix.lower() == ".csv":
        return list(_reviewed(file))
    try:
        lines = file.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
    except OSError as cause:
        raise InputError(file, f"not readable ({cause})", EXPECTED) from cause
    texts = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    if not texts:
        raise InputError(file, "an empty list", EXPECTED)
    return [_Row(text, (text,)) for text in texts]


def _reviewed(file: Path) -> Iterator[_Row]:
    rows = read_table(file)
    lacking = [name for name in ("case", "image", DECISION) if rows and name not in rows[0]]
    if lacking or not rows:
        raise InputError(file, f"no column {lacking[0]!r}" if lacking else "no rows", EXPECTED)
    decisions = [row[DECISION].strip().lower() for row in rows]
    if not any(decisions):
        raise InputError(
            file, "no row with a decision", f"{KEEP!r} or {EXCLUDE!r} where a person has decided"
        )
    for row, decision in zip(rows, decisions, strict=True):
        if decision not in ("", KEEP, EXCLUDE):
            found = f"the decision {row[DECISION]!r} on {row['case']}"
            raise InputError(file, found, f"{KEEP!r}, {EXCLUDE!r} or nothing")
        if decision == EXCLUDE:
            yield _Row(row["case"] or row["image"], tuple(row["image"].split(";")))


def _index(items: Sequence[Mapping[str, Any]]) -> dict[str, set[int]]:
    """The numbers of the items that a path or a name stands for."""
    index: dict[str, set[int]] = {}
    paths = [[Path(os.path.abspath(path)) for path in _images(item)] for item in items]
    for number, own in enumerate(paths):
        for path in own:
            index.setdefault(str(path), set()).add(number)
    found = [Found(own[0], _stem(own[0]), own[0].parent) for own in paths]
    for number, name in enumerate(unique_names(found)):
        index.setdefault(name, set()).add(number)
    for number, item in enumerate(items):
        if item.get("study"):
            index.setdefault(str(item["study"]), set()).add(number)
    return index


def _images(item: Mapping[str, Any]) -> list[str]:
    image = item["image"]
    return list(image) if isinstance(image, list | tuple) else [image]


def _stem(path: Path) -> str:
    suffix = volume_suffix(path)
    return path.name[: -len(suffix)] if suffix else path.stem


def _found(row: _Row, index: Mapping[str, set[int]], folders: Sequence[Path], file: Path) -> set[int]:
    """The numbers of the items that a row stands for."""
    found: set[int] = set()
    for name in row.names:
        candidates = [name, *(os.path.abspath(folder / name) for folder in folders)]
        own = next((index[candidate] for candidate in candidates if candidate in index), None)
        if own is None:
            which = row.text if row.text == name else f"{row.text} ({name})"
            raise InputError(
                file, f"{which}, which the datalist does not have", "cases or images of the datalist"
            )
        found |= own
    return found
