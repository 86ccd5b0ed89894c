"""Data for a bundle's config: the parts of a datalist, or the images of a folder."""

from __future__ import annotations

import copy
import functools
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.data import load_decathlon_datalist

from monai_tasks.datasets.cases import find_cases
from monai_tasks.datasets.layouts import LAYOUTS, lister
from monai_tasks.io.errors import InputError

EXPECTED = "a datalist as `monai-tasks datalist` writes it"

# What names things and must not be taken for a path, as MONAI does where a file or folder of this name is there.
NAMES = ("subject", "source", "study", "site", "region", "grade")


def read_part(
    datalist: str | Path | None,
    part: str,
    dataset_dir: str | Path | None = None,
    seed: int = 0,
    layout: str = "decathlon",
    options: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """The items of one part of a datalist.

    A folder is listed once in a process for all parts of one layout and seed, since that may read all of its files;
    what changes in it while the process runs is not seen.

    Args:
        datalist: a datalist file, or None to split the folder `dataset_dir` as `monai-tasks datalist LAYOUT` does.
        part: `training`, `validation` or `test`.
        dataset_dir: a folder in that layout.
        seed: of the split of `dataset_dir`.
        layout: one of `monai_tasks.datasets.layouts.LAYOUTS`.
        options: further arguments of the layout's function `datalist`, such as the modalities of `brats`.

    Returns:
        Items with `image` and `label` (each a path or a list of paths, one a channel) and `subject`.

    Raises:
        InputError: when the file is missing or no datalist, has no such part, or the part is empty or has an item
            without an image or a label; when there is no such layout.
    """
    if datalist is None:
        if layout not in LAYOUTS:
            raise InputError(dataset_dir, f"layout {layout!r}", f"one of {', '.join(LAYOUTS)}")
        # A copy, so that nobody changes what is kept.
        split = _split(layout, os.path.abspath(dataset_dir), seed, json.dumps(options or {}, sort_keys=True))
        items = copy.deepcopy(split.get(part, []))
        source = Path(dataset_dir)
    else:
        source = Path(datalist)
        items = _listed(source, part)
    if not items:
        raise InputError(source, f"no case in part {part!r}", "at least one")
    return items


@functools.lru_cache(maxsize=8)
def _split(layout: str, folder: str, seed: int, options: str) -> dict[str, Any]:
    """The datalist of a folder, which is kept; `options` are JSON."""
    return lister(layout)(folder, seed=seed, **json.loads(options))


def image_items(inputs: Sequence[str | Path]) -> list[dict[str, Any]]:
    """The images of files, folders, DICOM series and datalists, as a MONAI dataset takes them.

    Args:
        inputs: as for `monai_tasks.datasets.cases.find_cases`.

    Returns:
        Items with `image`: a path, or a list of paths, one a channel.

    Raises:
        InputError: when an input does not exist or holds no image.
    """
    paths = [[str(path) for path in case.paths] for case in find_cases([Path(item) for item in inputs])]
    return [{"image": path[0] if len(path) == 1 else path} for path in paths]


def _listed(source: Path, part: str) -> list[dict[str, Any]]:
    """The items of a file, after checks that MONAI's reader leaves out."""
    if not source.is_file():
        raise InputError(source, "no such file", EXPECTED)
    try:
        content = json.loads(source.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(source, "not JSON", EXPECTED) from error
    if not isinstance(content, dict):
        raise InputError(source, "another kind of JSON", EXPECTED)
    if part not in content:
        raise InputError(source, f"no part {part!r}", "the parts training, validation and test")
    items = content[part]
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        raise InputError(source, f"part {part!r} is no list of items", EXPECTED)
    for number, item in enumerate(items, start=1):
        missing = [key for key in ("image", "label") if key not in item]
        if missing:
            raise InputError(source, f"item {number} of part {part!r} has no {missing[0]}", EXPECTED)
    if not items:
        return []
    listed = load_decathlon_datalist(str(source), data_list_key=part)
    names = ({key: item[key] for key in NAMES if key in item} for item in items)
    return [item | own for item, own in zip(listed, names, strict=True)]
