"""The cases that a command's inputs stand for: files, DICOM series, folders and datalists."""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_tasks.io.dicom_series import find_series, is_dicom_name
from monai_tasks.io.errors import InputError
from monai_tasks.io.formats import FORMATS, volume_suffix

# Sections of a datalist in the order they are asked for: the first group with any item is taken.
DATALIST_SECTIONS = (("testing", "test"), ("validation", "training"))

# Room for an output's suffix and for the mark of a temporary file within the 255 bytes of a file name.
_LONGEST_NAME = 100


@dataclass(frozen=True)
class Case:
    """One image to work on.

    Args:
        name: unique among the cases found together, and safe as a file name.
        image: a file, or a folder with one DICOM series, or a DICOM file that stands for its series where the
            folder holds several; a tuple of such paths for the channels or views of one case.
        study: name of the study that a radiograph belongs to; None where there is no such thing.
    """

    name: str
    image: Path | tuple[Path, ...]
    study: str | None = None

    @property
    def paths(self) -> tuple[Path, ...]:
        """The paths of the channels or views; one path for most cases."""
        return self.image if isinstance(self.image, tuple) else (self.image,)


@dataclass(frozen=True)
class Found:
    """A case, or a study, before it has its final name.

    Args:
        image: the path, or those of the channels.
        stem: its own name.
        folder: tells it from others of this name.
    """

    image: Path | tuple[Path, ...]
    stem: str
    folder: Path

    @property
    def key(self) -> tuple[str, ...]:
        paths = self.image if isinstance(self.image, tuple) else (self.image,)
        return tuple(os.path.abspath(path) for path in paths)


def find_cases(inputs: Sequence[Path], exclude: Sequence[Path] = ()) -> list[Case]:
    """Find the cases that inputs stand for, without reading pixels.

    An input is

    - a file, whatever its suffix: one case (a file of another kind fails when it is read, with a reason);
      DICOM files stand for their series, so that naming all slices of a series gives one case;
    - a folder: searched with its subfolders for volumes by suffix, and for DICOM series; other files and
      names that begin with a dot are passed over;
    - a datalist (.json): the items of `testing` or `test`; where there are none, those of `validation` and
      `training`. An item is a path or a mapping whose `image` is a path or a list of paths (channels),
      relative to the datalist's folder. A listed file that is missing is a case too; it fails when read.

    A case is named by its file (without the suffix) or by its DICOM folder, numbered where that holds several
    series; names that clash take parent folders in front, then numbers. Nothing in a name is from a header.
    An image that is found twice is one case.

    Args:
        inputs: the paths.
        exclude: folders that are not searched, such as the one for results.

    Returns:
        The cases, in the order of the inputs, sorted by path within each.

    Raises:
        InputError: if an input does not exist, a folder holds no image, or a datalist is not usable.
    """
    found: dict[tuple[str, ...], Found] = {}
    excluded = frozenset(os.path.realpath(folder) for folder in exclude)
    for path in map(Path, inputs):
        for case in _find(path, excluded):
            found.setdefault(case.key, case)
    cases = list(found.values())
    return [Case(name, case.image) for name, case in zip(unique_names(cases), cases, strict=True)]


def _find(path: Path, excluded: frozenset[str]) -> list[Found]:
    if path.is_dir():
        cases = list(_search(path, excluded))
        if not cases:
            raise InputError(path, "a folder without images", f"images ({FORMATS})")
        return cases
    if not path.exists():
        raise InputError(path, "no such file or folder", "an image, a DICOM folder, a folder or a datalist")
    if path.suffix.lower() == ".json":
        return [of_item(paths) for paths, _ in read_items(path)]
    return [_of_file(path)]


def walk(folder: Path, exclude: Iterable[str] = ()) -> Iterator[tuple[Path, list[Path]]]:
    """Go through a folder and its subfolders; links are followed, but not in circles.

    Args:
        folder: where to begin.
        exclude: real paths of folders that are passed over.

    Yields:
        Each folder with its files, sorted by name. Names that begin with a dot are left out.
    """
    visited = set(exclude)
    for current, subfolders, names in os.walk(folder, followlinks=True):
        real = os.path.realpath(current)
        if real in visited:
            subfolders.clear()
            continue
        visited.add(real)
        subfolders[:] = sorted(name for name in subfolders if not name.startswith("."))
        yield Path(current), [Path(current, name) for name in sorted(names) if not name.startswith(".")]


def _search(folder: Path, excluded: frozenset[str]) -> Iterator[Found]:
    """The cases of a folder and its subfolders, sorted by path."""
    for current, paths in walk(folder, excluded):
        yield from (_of_volume(path) for path in paths if volume_suffix(path))
        if any(is_dicom_name(path) for path in paths):
            yield from _of_folder(current)


def _of_volume(path: Path) -> Found:
    suffix = volume_suffix(path)
    stem = path.name[: -len(suffix)] if suffix else path.stem
    return Found(path, stem, path.parent)


def _of_file(path: Path) -> Found:
    """The case of a file that was named: its DICOM series where it belongs to one."""
    if not volume_suffix(path) and is_dicom_name(path):
        for case, series in zip(_of_folder(path.parent), find_series(path.parent), strict=True):
            if path in series.files:
                return case
    return _of_volume(path)


def _of_folder(folder: Path) -> list[Found]:
    """The DICOM series that lie directly in a folder."""
    series = find_series(folder)
    name = Path(os.path.abspath(folder)).name
    if len(series) == 1:
        return [Found(folder, name, folder.parent)]
    return [
        Found(one.files[0], f"{name}_{number}", folder.parent) for number, one in enumerate(series, start=1)
    ]


def read_items(path: Path) -> list[tuple[tuple[Path, ...], Any]]:
    """The items of a datalist that stand for cases.

    Args:
        path: the JSON file.

    Returns:
        The paths of each item's images, and the item itself.

    Raises:
        InputError: if the file is no datalist, has no items, or an item has no image.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise InputError(path, f"not readable as JSON ({cause})", "a datalist") from cause
    items = _items(content)
    if not items:
        sections = ", ".join(name for group in DATALIST_SECTIONS for name in group)
        raise InputError(path, "no items", f"a list in one of {sections}")
    return [(_item_paths(path, number, item), item) for number, item in enumerate(items, start=1)]


def _items(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    if not isinstance(content, dict):
        return []
    for group in DATALIST_SECTIONS:
        items = [item for name in group for item in content.get(name) or []]
        if items:
            return items
    return []


def _item_paths(datalist: Path, number: int, item: Any) -> tuple[Path, ...]:
    image = item.get("image") if isinstance(item, dict) else item
    names = image if isinstance(image, list) else [image]
    if not names or not all(isinstance(name, str) and name for name in names):
        raise InputError(datalist, f"item {number} without an image", "a path or a list of paths")
    return tuple(datalist.parent / name for name in names)


def of_item(paths: tuple[Path, ...]) -> Found:
    """The case of a datalist's item.

    Args:
        paths: of its image, or of its channels.
    """
    first = paths[0]
    stem = first.name if first.is_dir() else _of_volume(first).stem
    return Found(paths if len(paths) > 1 else first, stem, first.parent)


def unique_names(cases: Sequence[Found]) -> list[str]:
    """A safe name for each case: short where that is unique, with parent folders or a number where it is not.

    Args:
        cases: what was found, in the order that numbers follow.
    """
    return _numbered(unnumbered_names(cases))


def unnumbered_names(cases: Sequence[Found]) -> list[str]:
    """The names of `unique_names` before numbers, which do not depend on the order of the cases.

    Args:
        cases: what was found.

    Returns:
        A name each. Those of cases that only a number can tell apart are alike, but for large and small letters.
    """
    parents = [Path(os.path.abspath(case.folder)).parts[:0:-1] for case in cases]
    depths = [0] * len(cases)
    while True:
        names = [
            safe_name("_".join([*reversed(folders[:depth]), case.stem]))
            for case, folders, depth in zip(cases, parents, depths, strict=True)
        ]
        counts = Counter(name.casefold() for name in names)
        growing = [
            index
            for index, name in enumerate(names)
            if counts[name.casefold()] > 1 and depths[index] < len(parents[index])
        ]
        if not growing:
            return names
        for index in growing:
            depths[index] += 1


def safe_name(name: str) -> str:
    """A name of letters, digits, dots, hyphens and underscores that does not begin with a dot.

    Args:
        name: any text, such as the name of a subject.

    Returns:
        The text with underscores in place of all else, cut at its beginning where it is long.
    """
    return re.sub(r"[^\w.-]+", "_", name)[-_LONGEST_NAME:].lstrip(".") or "case"


def _numbered(names: Sequence[str]) -> list[str]:
    """Number the names that are still alike, as two formats of one image in one folder are."""
    taken = {name.casefold() for name in names}
    seen: set[str] = set()
    unique = []
    for name in names:
        candidate, number = name, 1
        while candidate.casefold() in seen or (number > 1 and candidate.casefold() in taken):
            number += 1
            candidate = f"{name}_{number}"
        seen.add(candidate.casefold())
        unique.append(candidate)
    return unique
