"""The folds of a cross-validation: who is held out in which, and a datalist for each."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_tasks.catalog import Bundle
from monai_tasks.datasets.exclude import TEST, Exclusion, read_parts, take_out
from monai_tasks.datasets.splits import add_folds, hold_back
from monai_tasks.evaluation.by_kind import CLASSIFICATION, SEGMENTATION
from monai_tasks.inference.configs import build, parse
from monai_tasks.io.errors import InputError
from monai_tasks.io.volume_reader import VolumeReader

FOLD, LABEL, SUBJECT = "fold", "label", "subject"
VOLUME = (
    "label_volume"  # which third of the subjects the labelled volume is in; no key of the items themselves
)
BESIDE = ("region", "site", "source", "grade")  # what folds are stratified by, too, where all items have it
VALIDATION = 0.15  # of the subjects that are not held out
CHOOSING = "validation"  # the part
FEWEST = 3  # subjects: one to train with, one to choose by, one held out
GIVEN, DEALT = "datalist", "dealt"
GROUPS = "label_groups"


Item = dict[str, Any]


@dataclass(frozen=True)
class Folds:
    """Who is held out in which fold.

    Args:
        items: of all folds, each with its `fold`.
        count: how many folds.
        seed: of the draws.
        stratify: keys whose values were spread over the folds.
        origin: `dealt`, or `datalist` where the items had numbers of folds.
        strata: value of the keys of each subject.
        whole: the key each of whose values every training part has; None for a segmentation.
    """

    items: tuple[Item, ...]
    count: int
    seed: int
    stratify: tuple[str, ...]
    origin: str
    strata: Mapping[str, Mapping[str, Any]]
    whole: str | None

    def parts(self, fold: int) -> dict[str, list[Item]]:
        """What is trained with, chosen by and held out in a fold.

        Args:
            fold: its number, from 0.
        """
        others = [item for item in self.items if item[FOLD] != fold]
        known = [item | self.strata[item[SUBJECT]] for item in others]
        # Another seed in each fold, or the same subjects would choose the epoch in many of them.
        _, held = hold_back(known, VALIDATION, self.seed + 1 + fold, self.stratify or None, self.whole)
        chosen = {item[SUBJECT] for item in held}
        return {
            "training": [item for item in others if item[SUBJECT] not in chosen],
            "validation": [item for item in others if item[SUBJECT] in chosen],
            "test": [item for item in self.items if item[FOLD] == fold],
        }


def read_items(
    datalist: Path, with_test: bool = False, exclude: Path | None = None
) -> tuple[list[Item], Exclusion | None]:
    """The items that are cross-validated: of the parts `training` and `validation`, and `test` where that is wished.

    Args:
        datalist: the file. It need have no part `validation`.
        with_test: take the part `test`, too.
        exclude: list of cases to leave out, see `monai_tasks.datasets.exclude.take_out`.

    Returns:
        The items, and what was left out.

    Raises:
        InputError: when the datalist cannot be used, an item has no subject, an image stands in it twice or belongs to
            two subjects, or a row of the list stands for nothing.
    """
    parts, excluded = read_parts(datalist), None
    if with_test and not parts[TEST]:
        raise InputError(datalist, f"no case in part {TEST!r}", "at least one")
    if with_test:  # it is no test part any more, which a list would have to leave as it is
        parts = {**parts, CHOOSING: [*parts[CHOOSING], *parts[TEST]], TEST: []}
    if exclude is not None:
        parts, excluded = take_out(parts, exclude, datalist)
    items = [item for part, own in parts.items() if part != TEST for item in own]
    for item in items:
        if item.get(SUBJECT) in (None, ""):
            raise InputError(datalist, f"no subject of {item['image']}", "one for each image")
        item[SUBJECT] = str(item[SUBJECT])
    _check_owners(datalist, items)
    return items, excluded


def images_of(item: Mapping[str, Any]) -> tuple[str, ...]:
    """The absolute paths of an item's channels or views.

    Args:
        item: of a datalist.
    """
    image = item["image"]
    return tuple(os.path.abspath(path) for path in ([image] if isinstance(image, str) else image))


def make_folds(
    bundle: Bundle,
    datalist: Path,
    items: Sequence[Item],
    count: int,
    seed: int = 0,
    stratify: Sequence[str] = (),
    configs: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
) -> Folds:
    """Deal the subjects out to folds, or take the folds that the items have.

    Without a wish folds are stratified by the class, and of segmentations by thirds of the labelled volume; then by
    region, site, source and grade, where all items have them. Where every item has a `fold`, and there are as many of
    them as asked for, these are the folds.

    Args:
        bundle: what will be trained.
        datalist: the file, for errors.
        items: of `read_items`.
        count: how many folds.
        seed: of the draws.
        stratify: keys of the items, or `label_volume`, instead of the usual ones.
        configs: merged onto `train.json`, which has the `label_groups` that make a volume.
        settings: config ids and their values.

    Raises:
        InputError: when subjects are fewer than folds, a subject is in two folds, a key is not there, a label cannot be
            read, or a training part would lack a class.
    """
    subjects = {item[SUBJECT] for item in items}
    if not count >= 2 or len(subjects) < max(count, FEWEST):
        expected = f"2 folds or more, and {max(count, FEWEST)} subjects or more"
        raise InputError(datalist, f"{len(subjects)} subjects for {count} folds", expected)
    keys = tuple(stratify) or _usual_keys(bundle, items)
    volumes = _volume_thirds(bundle, items, configs, settings or {}) if VOLUME in keys else {}
    known = [item | ({VOLUME: volumes[item[SUBJECT]]} if volumes else {}) for item in items]
    for key in keys:
        lacking = next((item for item in known if key not in item), None)
        if lacking is not None:
            raise InputError(datalist, f"{lacking[SUBJECT]} has no {key!r}", "it, to stratify by")
    given = _given_folds(datalist, items, count)
    whole = LABEL if bundle.kind == CLASSIFICATION else None
    numbered = given or add_folds(known, count, seed, keys or None, whole)
    folded = tuple(item | {FOLD: one[FOLD]} for item, one in zip(items, numbered, strict=True))
    strata = {subject: {VOLUME: volumes[subject]} if volumes else {} for subject in subjects}
    folds = Folds(folded, count, seed, keys, GIVEN if given else DEALT, strata, whole)
    _check_parts(datalist, folds)
    return folds


def _check_owners(datalist: Path, items: Sequence[Item]) -> None:
    """Refuse what would let a subject cross from one fold to another, and an image that would be held out twice."""
    owners: dict[str, str] = {}
    seen: set[tuple[str, ...]] = set()
    for item in items:
        named = [f"study {item['study']}"] if item.get("study") not in (None, "") else []
        for name in (*images_of(item), *named):
            owner = owners.setdefault(name, item[SUBJECT])
            if owner != item[SUBJECT]:
                found = f"{name} of the subjects {owner} and {item[SUBJECT]}"
                raise InputError(datalist, found, "images and studies of one subject each")
        if images_of(item) in seen:
            raise InputError(datalist, f"{images_of(item)[0]} listed twice", "each image once")
        seen.add(images_of(item))


def _usual_keys(bundle: Bundle, items: Sequence[Item]) -> tuple[str, ...]:
    first = {CLASSIFICATION: (LABEL,), SEGMENTATION: (VOLUME,)}[bundle.kind]
    beside = (key for key in BESIDE if all(item.get(key) not in (None, "") for item in items))
    return *first, *(key for key in beside if len({str(item[key]) for item in items}) > 1)


def _given_folds(datalist: Path, items: Sequence[Item], count: int) -> list[Item]:
    """The items with their own folds, numbered from 0; none where they have not so many."""
    if not all(FOLD in item for item in items):
        return []
    names = sorted({item[FOLD] for item in items}, key=lambda name: (str(type(name)), name))
    if len(names) != count:
        return []
    of: dict[str, Any] = {}
    for item in items:
        if of.setdefault(item[SUBJECT], item[FOLD]) != item[FOLD]:
            found = f"subject {item[SUBJECT]} in the folds {of[item[SUBJECT]]} and {item[FOLD]}"
            raise InputError(datalist, found, "subjects of one fold each")
    return [item | {FOLD: names.index(item[FOLD])} for item in items]


def _check_parts(datalist: Path, folds: Folds) -> None:
    """Refuse folds that leave too few for a training, or whose training could not know a class that is held out."""
    every = {str(item[folds.whole]) for item in folds.items} if folds.whole else set()
    if folds.whole and len(every) < 2:
        raise InputError(datalist, f"class {min(every)} only", "two classes or more")
    for fold in range(folds.count):
        expected = "two subjects or more that are not held out, and each class in two folds or more"
        try:
            training = folds.parts(fold)["training"]
        except ValueError as cause:
            raise InputError(datalist, f"fold {fold}: {cause}", expected) from cause
        missing = every - {str(item[folds.whole]) for item in training} if folds.whole else set()
        if missing:
            found = f"no image of class {min(missing)} in the training part of fold {fold}"
            raise InputError(datalist, found, expected)


def _volume_thirds(
    bundle: Bundle, items: Sequence[Item], configs: Sequence[str], settings: Mapping[str, Any]
) -> dict[str, int]:
    """Which third of the subjects each is in by its labelled volume: 0, 1 or 2."""
    parser = parse(bundle, ("train", *configs), torch.device("cpu"), settings, needed=[GROUPS])
    values = [value for group in build(parser, GROUPS, bundle.name) for value in group]
    volumes: dict[str, float] = defaultdict(float)
    for item in items:
        volumes[item[SUBJECT]] += _labelled_volume(item[LABEL], values)
    order = sorted(volumes, key=lambda subject: (volumes[subject], subject))
    return {subject: 3 * place // len(order) for place, subject in enumerate(order)}


def _labelled_volume(label: str | Sequence[str], values: Sequence[int]) -> float:
    """The volume in mm3 that some values take up in a label map; of several channels that of their channels."""
    reader = VolumeReader(allow_constant=True, allow_channels=True)
    array, metadata = reader.get_data(reader.read(label))
    voxel = abs(float(np.linalg.det(np.asarray(metadata["affine"])[:3, :3])))
    if array.ndim == 4:
        if max(values) > len(array):
            raise InputError(label, f"{len(array)} channels", f"{max(values)} or more, for the {GROUPS}")
        return voxel * float((array[[value - 1 for value in values]] > 0).any(0).sum())
    return voxel * float(np.isin(array, values).sum())
