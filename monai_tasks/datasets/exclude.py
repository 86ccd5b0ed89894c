"""Take the cases that a person rejected out of a datalist: what `--exclude FILE` does."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_tasks.datasets.cases import Found, of_item, safe_name, unique_names, unnumbered_names
from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.datasets.radiograph_cases import of_radiograph
from monai_tasks.datasets.splits import PARTS
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import sha256
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
        text: of a plain list the line, of a review the name of the case.
        paths: of a review, the images of the case; nothing of a plain list.
        subject: whose case it is, where a review says so.
    """

    text: str
    paths: tuple[str, ...] = ()
    subject: str = ""


@dataclass(frozen=True)
class _Index:
    """What items, which are known by their numbers, can be called.

    Args:
        paths: absolute path of an image to the items that have it.
        names: name of a case or study to all that it can stand for, of which each is a set of items.
    """

    paths: dict[str, set[int]] = field(default_factory=dict)
    names: dict[str, set[frozenset[int]]] = field(default_factory=dict)


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

    A line of a plain list is the path of an image as the datalist has it, absolute, or relative to the list; or a case
    by the name that `infer` gives it where all of the datalist is its input; or a study, which stands for all of its
    images. Names that `infer` had to number are refused, for the numbers depend on the order of the datalist. Of an
    item with several images one that is named takes the whole item out.

    A row of a review stands for the images in it. Where the datalist has none of them, since the data moved, it is the
    case of this name whose files have the same names, and whose subject is the same.

    Args:
        parts: part to items with absolute paths, as `read_parts` gives them.
        file: a review.csv, of which the rows with the decision `exclude` count, or a plain list, in which empty lines
            and those that begin with # do not count.
        datalist: the file that the items are from; relative paths may be relative to its folder.

    Returns:
        The items that are left in each part, in their order, and what was taken out.

    Raises:
        InputError: when the list is missing or no such list, has a decision of another kind or none at all, or a row
            that stands for no item or for one of several.
    """
    file, items = Path(file), [(part, item) for part, own in parts.items() for item in own]
    rows = _read(file)
    index = _index([item for _, item in items])
    folders = (Path(datalist).parent, file.parent)
    chosen: set[int] = set()
    in_test = []
    for row in rows:
        if row.paths:
            found = _reviewed_items(row, index, folders, file, [item for _, item in items])
        else:
            found = _listed(row, index, folders, file)
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
    return [_Row(text) for text in texts]


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
            yield _Row(
                row["case"] or row["image"],
                tuple(filter(None, row["image"].split(";"))),
                row.get("subject", ""),
            )


def _index(items: Sequence[Mapping[str, Any]]) -> _Index:
    """What the items can be called."""
    index = _Index()
    images = [tuple(Path(os.path.abspath(path)) for path in _images(item)) for item in items]
    for number, own in enumerate(images):
        for path in own:
            index.paths.setdefault(str(path), set()).add(number)
    # Bundles of radiographs name the suffixless files of DICOM, and the views of a study, in another way than others.
    _add_cases(index, [(of_item(own), number) for number, own in enumerate(images)])
    _add_cases(index, [(of_radiograph(path), number) for number, own in enumerate(images) for path in own])
    studies: dict[str, set[int]] = {}
    for number, item in enumerate(items):
        if item.get("study"):
            studies.setdefault(str(item["study"]), set()).add(number)
    for study, numbers in studies.items():
        for name in {study, safe_name(study)}:
            index.names.setdefault(name, set()).add(frozenset(numbers))
    return index


def _add_cases(index: _Index, found: Sequence[tuple[Found, int]]) -> None:
    """Add the names that `infer` gives to cases."""
    numbers: dict[tuple[str, ...], set[int]] = {}
    cases: dict[tuple[str, ...], Found] = {}
    for case, number in found:  # an image that is listed twice is one case
        cases.setdefault(case.key, case)
        numbers.setdefault(case.key, set()).add(number)
    plain = unnumbered_names(list(cases.values()))
    names = unique_names(list(cases.values()))
    alike: dict[str, list[int]] = {}
    for place, name in enumerate(plain):
        alike.setdefault(name.casefold(), []).append(place)
    own = [frozenset(numbers[key]) for key in cases]
    for places in alike.values():
        # Which of them a number stands for depends on the order of the datalist, so that each name stands for all.
        meanings = {own[place] for place in places}
        for name in {plain[place] for place in places} | {names[place] for place in places}:
            index.names.setdefault(name, set()).update(meanings)


def _images(item: Mapping[str, Any]) -> list[str]:
    image = item["image"]
    return list(image) if isinstance(image, list | tuple) else [image]


def _listed(row: _Row, index: _Index, folders: Sequence[Path], file: Path) -> set[int]:
    """The items that a line of a plain list stands for."""
    meanings = {frozenset(own) for own in _at(row.text, index, folders)}
    if not os.path.isabs(row.text):
        meanings |= index.names.get(row.text, set())
    if not meanings:
        raise _unknown(row.text, file)
    return _only(row.text, meanings, file)


def _reviewed_items(
    row: _Row, index: _Index, folders: Sequence[Path], file: Path, items: Sequence[Mapping[str, Any]]
) -> set[int]:
    """The items that a row of a review stands for: those of its images, else, of data that moved, its case."""
    found = [_at(path, index, folders) for path in row.paths]
    if all(found):
        return set().union(*(_only(row.text, {frozenset(one) for one in own}, file) for own in found))
    lost = next(path for path, own in zip(row.paths, found, strict=True) if not own)
    meanings = index.names.get(row.text, set())
    if any(found) or not meanings:
        raise _unknown(f"{row.text} ({lost})", file)
    chosen = _only(row.text, meanings, file)
    # A name alone may be that of another case in another datalist.
    names = {Path(path).name for number in chosen for path in _images(items[number])}
    subjects = {str(items[number]["subject"]) for number in chosen if items[number].get("subject")}
    if not names.issuperset(Path(path).name for path in row.paths) or (
        row.subject and subjects and subjects != {row.subject}
    ):
        raise _unknown(f"{row.text} ({lost})", file)
    return chosen


def _at(path: str, index: _Index, folders: Sequence[Path]) -> list[set[int]]:
    """The items of the image at a path, for each folder that it may be relative to and has one."""
    places = dict.fromkeys(os.path.abspath(folder / path) for folder in folders)
    return [index.paths[place] for place in places if place in index.paths]


def _only(text: str, meanings: Set[frozenset[int]], file: Path) -> set[int]:
    """The one meaning of a name."""
    if len(meanings) > 1:
        raise InputError(file, f"{text}, which stands for several cases", "the absolute path of the image")
    return set(next(iter(meanings)))


def _unknown(text: str, file: Path) -> InputError:
    return InputError(file, f"{text}, which the datalist does not have", "cases or images of the datalist")
