"""Labels of a classification as MONAI Label keeps them: a small JSON file an image.

MONAI Label gives a training the path of each label. The training of a classification wants the number of a class; so
the copy of a bundle that is served reads the files first.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tasks.io.errors import InputError

SUFFIX = ".label.json"
LABEL = "label"
READING, GIVEN = f"{__name__}.labelled", f"{__name__}.given"
DATA = "dataset#data"


def labelled(
    data: Sequence[Mapping[str, Any]], names: Sequence[str], make: Callable[..., Any], **arguments: Any
) -> Any:
    """A dataset of items whose labels are files.

    Args:
        data: items with `label`: the path of a file, or the number of a class.
        names: of the classes in order.
        make: what makes the dataset, called with `data` and the arguments.
        **arguments: everything else that the dataset takes.

    Raises:
        InputError: if a file does not hold a class.
    """
    items = [{**item, LABEL: class_of(item[LABEL], names)} for item in data]
    return make(data=items, **arguments)


def given(handler: Any) -> Any:
    """A handler that stands elsewhere in the config. MONAI Label takes no references among the handlers."""
    return handler


def class_of(label: Any, names: Sequence[str]) -> int:
    """The number of the class that a label file names.

    Args:
        label: the path of a JSON file, `{"label": CLASS}` with the name or the number of a class; or the number.
        names: of the classes in order.

    Raises:
        InputError: if the file cannot be read, or names no class.
    """
    if isinstance(label, int):
        return label
    expected = f'{{"label": CLASS}}, where CLASS is one of {", ".join(names)}, or its number'
    try:
        content = json.loads(Path(label).read_text(encoding="utf-8"))
    except (OSError, ValueError) as cause:
        raise InputError(label, f"not readable as JSON ({cause})", expected) from cause
    found = content.get(LABEL) if isinstance(content, dict) else None
    # MONAI Label shows the names in lower case.
    lower = [name.lower() for name in names]
    if isinstance(found, str) and found.lower() in lower:
        return lower.index(found.lower())
    if isinstance(found, int) and not isinstance(found, bool) and 0 <= found < len(names):
        return found
    raise InputError(label, f"label {found!r}", expected)


def reading_labels(config: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """A training's config whose datasets read label files, and whose handlers are what MONAI Label takes.

    MONAI Label puts its list of images and labels in place of `train#dataset#data` and `validate#dataset#data`. Those
    stay where they are; what else looks at them in an expression, such as a sampler at the labels, is sent to
    the dataset, which has read the files.

    Args:
        config: of `train.json`.
        names: of the classes in order.
    """
    changed = {key: _sent_on(value) for key, value in config.items()}
    for part in ("train", "validate"):
        own = changed.get(part, {})
        if "dataset" not in own:
            continue
        dataset = dict(own["dataset"])
        make = {"_target_": dataset.pop("_target_"), "_mode_": "callable"}
        changed[part] = {
            **own,
            "dataset": {"_target_": READING, "names": list(names), "make": make, **dataset},
        }
        if "handlers" in own:
            handlers = own["handlers"]
            changed[part]["handlers"] = [
                {"_target_": GIVEN, "handler": one} if isinstance(one, str) else one for one in handlers
            ]
    return changed


def _sent_on(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _sent_on(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_sent_on(inner) for inner in value]
    if isinstance(value, str) and value.startswith("$"):
        return value.replace(f"@train#{DATA}", "@train#dataset.data")
    return value
