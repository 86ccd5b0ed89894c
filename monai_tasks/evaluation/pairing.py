"""Find for every prediction its reference, by the names of the files or by a datalist."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from os import PathLike
from pathlib import Path

from monai_tasks.datasets.cases import find_cases, safe_name
from monai_tasks.io.errors import InputError
from monai_tasks.io.formats import volume_suffix
from monai_tasks.io.tables import read_table

PARTS = ("training", "validation", "test", "testing")


@dataclass(frozen=True)
class Pair:
    """What there is of one case.

    Args:
        name: the case.
        prediction: its label map, or None.
        reference: its true label map, or the files of its channels, or None.
        image: the image that was segmented, where it is known.
        problem: why the two cannot be compared; empty where they can.
    """

    name: str
    prediction: Path | None = None
    reference: Path | tuple[Path, ...] | None = None
    image: Path | None = None
    problem: str = ""


@dataclass
class Reference:
    """A true label map and all names under which a case may ask for it.

    Args:
        path: the label map, or the files of its channels.
        names: the first is the one to show.
        image: the image it was drawn on, where it is known.
        part: the part of the datalist it stands in; empty for a folder.
    """

    path: Path | tuple[Path, ...]
    names: list[str]
    image: Path | None = None
    part: str = ""
    used: bool = field(default=False, compare=False)


def shown(path: Path | tuple[Path, ...] | None) -> str:
    """A reference as tables show it: its path, with semicolons between those of channels.

    Args:
        path: of a `Pair` or `Reference`.
    """
    return ";".join(map(str, path if isinstance(path, tuple) else [path])) if path else ""


def find_pairs(
    predictions: str | PathLike[str],
    references: str | PathLike[str],
    images: str | PathLike[str] | None = None,
) -> list[Pair]:
    """Pair predictions with references.

    Folders are searched with their subfolders, and cases named, as `infer` does it: see `find_cases`. In a
    datalist an item fits a case whose name is that of its image or label file or its `subject`, or that was
    read from its image. Of a datalist only the parts in which some case was predicted are looked at, so that
    who predicts the test part need not predict the training part.

    Args:
        predictions: folder of label maps, or the output folder of `infer`.
        references: folder of label maps, or a datalist file.
        images: folder of the images, for pictures; without it they are looked up in `infer`'s results.csv
            and in the datalist.

    Returns:
        A pair for each case, by name: complete ones, and those with a problem or without a reference.

    Raises:
        InputError: when a folder or file is missing or holds nothing, or no case is in both.
    """
    folder = _folder_of_predictions(Path(predictions))
    predicted = _volumes(folder)
    results = _results(folder)
    known = _references(Path(references))
    by_name = _by_name(known)
    backgrounds = _volumes(Path(images)) if images is not None else {}

    pairs = []
    for name, path in predicted.items():
        source = _input(results.get(name))
        found = (by_name.get(str(source.resolve())) if source else None) or by_name.get(name, [])
        pairs.append(_pair(name, path, found, source))
    if not any(pair.reference for pair in pairs):
        asked, there = next(iter(predicted)), known[0].names[0]
        reason = f"no case that is also in {references} (for example {asked!r} here, {there!r} there)"
        raise InputError(folder, reason, "files of the same names")
    parts = {reference.part for reference in known if reference.used}
    missing = [reference for reference in known if reference.part in parts and not reference.used]
    pairs += [_missing(reference, results) for reference in missing]
    return sorted((_with_image(pair, backgrounds) for pair in pairs), key=lambda pair: pair.name)


def _folder_of_predictions(path: Path) -> Path:
    inner = path / "predictions"
    return inner if inner.is_dir() else path


def _volumes(folder: Path) -> dict[str, Path]:
    """The volumes of a folder by the names of their cases."""
    if not folder.is_dir():
        raise InputError(folder, "no such folder", "a folder of label maps")
    return {case.name: case.paths[0] for case in find_cases([folder])}


def _results(folder: Path) -> dict[str, dict[str, str]]:
    """Rows of the results.csv that `infer` leaves beside its predictions, by case; nothing without one."""
    path = folder.parent / "results.csv"
    try:
        rows = read_table(path) if path.is_file() else []
    except InputError:
        # It only adds the images' paths and the reasons of failed cases; the comparison goes without.
        return {}
    return {row["case"]: row for row in rows if {"case", "input"} <= row.keys()}


def _input(result: Mapping[str, str] | None) -> Path | None:
    """The image a case was read from, or its first channel: `infer` puts semicolons between channels."""
    return Path(result["input"].split(";")[0]) if result and result["input"] else None


def _references(path: Path) -> list[Reference]:
    if path.is_dir():
        return [Reference(file, [name]) for name, file in _volumes(path).items()]
    if not path.is_file():
        raise InputError(path, "no such file or folder", "a folder of label maps or a datalist")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(path, "not JSON", "a folder of label maps or a datalist") from error
    parts = content if isinstance(content, dict) else {}
    found = [_from_item(item, path.parent, part) for part in PARTS for item in _labelled(parts.get(part))]
    if not found:
        raise InputError(path, "no item with a `label`", f"items under {', '.join(PARTS)}")
    return found


def _labelled(items: object) -> list[Mapping]:
    listed = items if isinstance(items, list) else []
    return [item for item in listed if isinstance(item, dict) and _is_label(item.get("label"))]


def _is_label(label: object) -> bool:
    names = label if isinstance(label, list) else [label]
    return bool(names) and all(isinstance(name, str) for name in names)


def _from_item(item: Mapping, folder: Path, part: str) -> Reference:
    images = item.get("image") or []
    image = next((folder / name for name in ([images] if isinstance(images, str) else images)), None)
    listed = item["label"]
    label = folder / listed if isinstance(listed, str) else tuple(folder / name for name in listed)
    subject = str(item.get("subject", ""))
    names = [_stem(image) if image else "", subject]
    # A channel is a part of the case only: its name does not ask for the whole.
    names += [] if isinstance(label, tuple) else [_stem(label)]
    # `infer` names no file after a subject such as `epi/knee_001`, but `epi_knee_001`.
    names += [safe_name(subject)] if subject else []
    # The path itself is a name too: `infer` tells which file a case was read from.
    names += [str(image.resolve())] if image else []
    return Reference(label, [name for name in names if name], image, part)


def _stem(path: Path) -> str:
    return path.name[: len(path.name) - len(volume_suffix(path))]


def _by_name(references: Iterable[Reference]) -> dict[str, list[Reference]]:
    table: dict[str, list[Reference]] = {}
    for reference in references:
        for name in dict.fromkeys(reference.names):
            table.setdefault(name, []).append(reference)
    return table


def _pair(name: str, prediction: Path, references: list[Reference], source: Path | None) -> Pair:
    for reference in references:
        reference.used = True
    if not references:
        return Pair(name, prediction, image=source)
    problem = ""
    if len(references) > 1:
        problem = f"{len(references)} references: " + ", ".join(shown(one.path) for one in references[:3])
    return Pair(name, prediction, references[0].path, source or references[0].image, problem)


def _missing(reference: Reference, results: Mapping[str, Mapping[str, str]]) -> Pair:
    result = next((results[name] for name in reference.names if name in results), {})
    reason = result.get("reason", "")
    problem = "no prediction" + (f" (infer: {reason})" if reason else "")
    return Pair(reference.names[0], None, reference.path, reference.image, problem)


def _with_image(pair: Pair, backgrounds: Mapping[str, Path]) -> Pair:
    return replace(pair, image=backgrounds.get(pair.name, pair.image))
