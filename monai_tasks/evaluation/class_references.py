"""Read the true classes of images: from a datalist or a table."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from monai_tasks.datasets.cases import DATALIST_SECTIONS, safe_name
from monai_tasks.evaluation.class_predictions import class_number
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table
from monai_tasks.metrics.grades import numbers_of

TRAINING, VALIDATION, TEST = "training", "validation", "test"
# What the parts are called in files.
NAMES = {TRAINING: (TRAINING,), VALIDATION: (VALIDATION,), TEST: (TEST, "testing")}
NO_LABEL = ("", "unlabelled")
EXPECTED = "a datalist, or a table with columns case or image, label, subject and study"


@dataclass(frozen=True)
class Reference:
    """What is known of one image, or of a study where only that is listed.

    Args:
        names: under which a case may ask for it; the real path of the image, where it has one, comes first.
        label: number of its class, or None where it has none.
        subject: whose it is; empty where that is not known.
        study: which study it belongs to; empty where that is not known.
        groups: value of each column that the cases are grouped by.
        problem: what is wrong with the label; empty where nothing is.
        raters: of ordered classes the number of the class that each rater gave, by the rater's name.
    """

    names: tuple[str, ...]
    label: int | None
    subject: str = ""
    study: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    problem: str = ""
    raters: Mapping[str, int] = field(default_factory=dict)

    @property
    def shown(self) -> str:
        """What it is called where no prediction gives it a name: by the first name that is no path."""
        return next((name for name in self.names if "/" not in name and "\\" not in name), self.names[0])


@dataclass(frozen=True)
class References:
    """The references of a part, and of the others.

    Args:
        path: the file they were read from.
        part: `training`, `validation` or `test`, or several with `+`; empty for a table without parts.
        chosen: of the part.
        others: of the other parts.
    """

    path: Path
    part: str
    chosen: tuple[Reference, ...]
    others: tuple[Reference, ...] = ()


def read_references(
    path: str | PathLike[str], classes: Sequence[str], part: str | None = None, by: Sequence[str] = ()
) -> References:
    """Read true classes.

    Args:
        path: a datalist whose items have `image` (a path, or a list of paths that have one label) and `label`, and
            may have `subject`, `study` and `raters` (of ordered classes the grade that each rater gave); or a CSV table
            with the same columns but the last, with `case` in place of `image` if need be, `patient` in place of
            `subject`, and `part` where it has several. Paths are relative to the file's folder. Labels are names of
            classes, or their numbers from 0. A row without a label, or with `unlabelled`, is left out.
        classes: their names, in order.
        part: `training`, `validation` or `test`; where not given, the one that `infer` takes of a datalist: `test`,
            else validation and training.
        by: keys of the items, or columns, whose values make groups.

    Returns:
        The references, with what is wrong with a label as its problem.

    Raises:
        InputError: when the file cannot be used, has no such part or no such column.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(path, "no such file", EXPECTED)
    sections = _sections_of_table(path) if path.suffix.lower() == ".csv" else _sections_of_datalist(path)
    found = {
        name: [one for item in items for one in _references(item, path.parent, classes, by)]
        for name, items in sections.items()
    }
    for column in by:
        if not any(column in item for items in sections.values() for item in items):
            raise InputError(path, f"no column or key {column!r}", "what --by names in the references")
    parts = _chosen(path, found, part)
    chosen = [one for name in parts for one in found[name]]
    others = [one for name, own in found.items() if name not in parts for one in own]
    if not chosen:
        raise InputError(path, f"no image with a label in part {'+'.join(parts)!r}", EXPECTED)
    return References(path, "+".join(parts), tuple(chosen), tuple(others))


def check_apart(references: References) -> None:
    """Refuse a part that shares a subject or an image with another one: what is chosen on it would know the other.

    Args:
        references: of one part.

    Raises:
        InputError: naming the first that is in both.
    """
    subjects = {one.subject for one in references.others if one.subject}
    images = {one.names[0] for one in references.others}
    for one in references.chosen:
        if one.subject in subjects or one.names[0] in images:
            of = f" of subject {one.subject}" if one.subject in subjects else ""
            found = f"{one.shown}{of} in the {references.part} part and in another"
            raise InputError(references.path, found, "each subject in one part, for a threshold to be chosen")


def _sections_of_datalist(path: Path) -> dict[str, list[Mapping[str, Any]]]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise InputError(path, f"not readable as JSON ({cause})", EXPECTED) from cause
    listed = content if isinstance(content, dict) else {}
    sections = {}
    for part, names in NAMES.items():
        items = [item for name in names for item in listed.get(name) or []]
        if not all(isinstance(item, dict) and _is_image(item.get("image")) for item in items):
            raise InputError(path, f"an item without an image in part {part!r}", EXPECTED)
        if items:
            sections[part] = items
    if not sections:
        raise InputError(path, "no items", f"a list in one of {', '.join(NAMES)}")
    return sections


def _is_image(image: object) -> bool:
    names = image if isinstance(image, list) else [image]
    return bool(names) and all(isinstance(name, str) and name for name in names)


def _sections_of_table(path: Path) -> dict[str, list[Mapping[str, Any]]]:
    """The rows by their part; under an empty name where there are no parts."""
    rows = read_table(path)
    if not rows:
        raise InputError(path, "no rows", EXPECTED)
    if "label" not in rows[0] or not {"case", "image"} & rows[0].keys():
        raise InputError(path, f"the columns {', '.join(rows[0])}", EXPECTED)
    part_of = {name: part for part, names in NAMES.items() for name in names}
    sections: dict[str, list[Mapping[str, Any]]] = {}
    for number, row in enumerate(rows, start=1):
        if "part" in row and row["part"] not in part_of:
            raise InputError(path, f"part {row['part']!r} in row {number}", f"one of {', '.join(NAMES)}")
        sections.setdefault(part_of[row["part"]] if "part" in row else "", []).append(row)
    return sections


def _references(
    item: Mapping[str, Any], folder: Path, classes: Sequence[str], by: Sequence[str]
) -> list[Reference]:
    """One for each image of an item; none where it has no label."""
    label, problem = None, ""
    text = item.get("label")
    if text is None or (isinstance(text, str) and text.strip() in NO_LABEL):
        return []
    try:
        label = class_number(text, classes)
    except ValueError as error:
        problem = f"reference: {error}"
    images = item.get("image") or []
    paths = [folder / name for name in ([images] if isinstance(images, str) else images)]
    subject = item["subject"] if "subject" in item else item.get("patient", "")
    groups = {column: _text(item.get(column)) or "not given" for column in by}
    case = [item["case"]] if item.get("case") else []
    names = [(str(path.resolve()), *case, *_short_names(path)) for path in paths] or [tuple(case)]
    study = _text(item.get("study"))
    raters = {}
    try:
        raters = _raters(item.get("raters"), classes)
    except ValueError as error:
        problem = problem or f"reference: {error}"
    return [Reference(own, label, _text(subject), study, groups, problem, raters) for own in names if own]


def _raters(given: object, classes: Sequence[str]) -> dict[str, int]:
    """Grades, such as 1 to 5, as numbers of classes; a rater without a grade is left out."""
    numbers = numbers_of(classes)
    grades = {
        str(name): grade
        for name, grade in (given if isinstance(given, dict) else {}).items()
        if grade not in (None, "")
    }
    wrong = {name: grade for name, grade in grades.items() if grade not in numbers}
    if wrong:
        name, grade = next(iter(wrong.items()))
        raise ValueError(f"grade {grade!r} of rater {name}; expected one of {', '.join(map(str, numbers))}")
    return {name: numbers.index(grade) for name, grade in grades.items()}


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _short_names(path: Path) -> list[str]:
    """What `infer` calls a file: by its name, with folders in front where that is not unique."""
    return [safe_name(path.stem), safe_name(f"{path.parent.name}_{path.stem}")]


def _chosen(path: Path, found: Mapping[str, list[Reference]], part: str | None) -> list[str]:
    """The parts to look at."""
    there = [name for name, own in found.items() if own]
    if part is None:
        groups = [
            [name for name in found if set(NAMES.get(name, ())) & set(group)] for group in DATALIST_SECTIONS
        ]
        return next((group for group in groups if any(found[name] for name in group)), list(found))
    if part not in NAMES:
        raise InputError(path, f"part {part!r} asked for", f"one of {', '.join(NAMES)}")
    if part not in there:
        listed = ", ".join(name or "images without a part" for name in there) or "nothing with a label"
        raise InputError(path, f"no part {part!r}, but {listed}", "a part that the references have")
    return [part]
