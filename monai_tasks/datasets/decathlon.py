"""The layout of the Medical Segmentation Decathlon: imagesTr/CASE.nii.gz beside labelsTr/CASE.nii.gz.

`dataset.json` gives the name and the labels where it is there. The images of imagesTs have no labels: they
are nothing to train or test on, and are left to `monai-tasks infer`. The layout names no persons, so each
case counts as a subject.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from monai_tasks.datasets import grids, splits
from monai_tasks.io.errors import InputError

SUFFIXES = (".nii.gz", ".nii")


def datalist(
    source: str | Path,
    seed: int = 0,
    folds: int | None = None,
    fractions: Sequence[float] = splits.FRACTIONS,
) -> dict:
    """List the labelled cases of a Decathlon folder, split by subject.

    A case whose image or label is missing or is damaged at its beginning, or whose two grids differ, is not used
    and is listed under `rejected` with the reason.

    Args:
        source: folder with imagesTr and labelsTr.
        seed: of the split.
        folds: number of folds of the training part, or None for no folds.
        fractions: shares of training, validation and test.

    Returns:
        Datalist with absolute paths; see `splits.assemble`.

    Raises:
        InputError: if the folder holds no usable case, or `dataset.json` is not as the Decathlon has it.
    """
    source = Path(source).resolve()
    images, labels = (_volumes(source / folder) for folder in ("imagesTr", "labelsTr"))
    items, rejected = [], []
    for subject in sorted(images.keys() | labels.keys()):
        reason = _reason(images.get(subject), labels.get(subject))
        if reason is None:
            files = {"image": str(images[subject]), "label": str(labels[subject])}
            items.append({**files, "subject": subject})
        else:
            rejected.append({"subject": subject, "reason": reason})
    if not items:
        expected = "imagesTr/CASE.nii.gz beside labelsTr/CASE.nii.gz"
        raise InputError(source, splits.nothing_usable(rejected), expected)
    name, label_names = _description(source)
    return splits.assemble(name, label_names, items, rejected, seed=seed, folds=folds, fractions=fractions)


def _volumes(folder: Path) -> dict[str, Path]:
    """NIfTI files of a folder by case name, without dot-files (macOS leaves `._CASE.nii.gz` beside them)."""
    if not folder.is_dir():
        return {}
    found = {}
    for path in sorted(folder.iterdir()):
        suffix = next((suffix for suffix in SUFFIXES if path.name.endswith(suffix)), None)
        if suffix and not path.name.startswith("."):
            found[path.name.removesuffix(suffix)] = path
    return found


def _reason(image: Path | None, label: Path | None) -> str | None:
    if image is None:
        return "no image of this name in imagesTr"
    if label is None:
        return "no label of this name in labelsTr"
    return grids.difference(image, label)


def _description(source: Path) -> tuple[str, dict[str, str]]:
    """The name and the labels of dataset.json; without it the folder's name and no labels."""
    path = source / "dataset.json"
    if not path.is_file():
        return source.name, {}
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(path, "not JSON", "the Decathlon's description of the data set") from error
    labels = content.get("labels", {}) if isinstance(content, dict) else None
    if not isinstance(labels, dict):
        raise InputError(
            path, "another kind of JSON", "an object with name and labels, as the Decathlon has it"
        )
    return str(content.get("name", source.name)), labels
