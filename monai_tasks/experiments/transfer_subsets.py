"""The training subsets of a transfer experiment, each a datalist of its own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.datasets.splits import nested_subsets
from monai_tasks.evaluation.by_kind import CLASSIFICATION
from monai_tasks.experiments.transfer_plan import ALL, Plan
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import write_json

FOLDER = "datalists"


@dataclass(frozen=True)
class Subset:
    """Some of the training subjects.

    Args:
        name: their number, or `all`; also of its folder.
        subjects: how many there are.
        images: how many they have.
        datalist: with these as the part `training`, and validation and test as they are.
    """

    name: str
    subjects: int
    images: int
    datalist: Path


def write_subsets(plan: Plan, output: Path) -> dict[tuple[str, int], Subset]:
    """Draw the subsets and write their datalists.

    Args:
        plan: the plan.
        output: folder of the experiment.

    Returns:
        The subset of each name and seed, smaller ones first.

    Raises:
        InputError: when the datalist lacks a part, an item has no subject, a size is above the number of subjects, or a
            subset lacks a class that the training part has.
    """
    parts = {part: read_part(plan.datalist, part) for part in ("training", "validation", "test")}
    for part, items in parts.items():
        nameless = [number for number, item in enumerate(items, start=1) if not item.get("subject")]
        if nameless:
            raise InputError(plan.datalist, f"item {nameless[0]} of part {part!r} has no subject", "one")
    _check_apart(plan.datalist, parts)
    training = parts["training"]
    count = len({item["subject"] for item in training})
    sizes = [count if size is None else size for size in plan.subsets]
    if max(sizes) > count:
        raise InputError(plan.datalist, f"{count} training subjects", f"the {max(sizes)} of a subset")
    names = [ALL if size is None else str(size) for size in plan.subsets]
    found: dict[tuple[str, int], Subset] = {}
    for seed in plan.seeds:
        drawn_by = plan.subset_seed + (seed if plan.redraw else 0)
        drawn = nested_subsets(training, sizes, drawn_by, _keys(plan, training))
        for name, own in zip(names, drawn, strict=True):
            _check_classes(plan, name, own, training)
            file = output / FOLDER / (f"{name}_{drawn_by}.json" if plan.redraw else f"{name}.json")
            subjects = len({item["subject"] for item in own})
            found[name, seed] = Subset(name, subjects, len(own), file)
            if plan.redraw or seed == plan.seeds[0]:
                write_json(file, {"name": f"{name} of {count} subjects", **parts, "training": own})
    return dict(
        sorted(found.items(), key=lambda pair: (names.index(pair[0][0]), plan.seeds.index(pair[0][1])))
    )


def _keys(plan: Plan, items: Sequence[Mapping[str, Any]]) -> tuple[str, ...] | None:
    """What the subsets are stratified by: without a wish the class, where there is one."""
    keys = plan.stratify or (("label",) if plan.bundle.kind == CLASSIFICATION else ())
    for key in keys:
        lacking = [item for item in items if key not in item]
        if lacking:
            raise InputError(plan.datalist, f"{lacking[0]['subject']} has no {key!r}", "it, to stratify by")
    return keys or None


def _check_apart(datalist: Path, parts: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """A subject in two parts would be tested by what it trained."""
    subjects = {part: {item["subject"] for item in items} for part, items in parts.items()}
    for one, other in (("training", "validation"), ("training", "test"), ("validation", "test")):
        both = sorted(subjects[one] & subjects[other], key=str)
        if both:
            raise InputError(datalist, f"subject {both[0]} in {one} and {other}", "subjects of one part each")


def _check_classes(
    plan: Plan, name: str, own: Sequence[Mapping[str, Any]], training: Sequence[Mapping[str, Any]]
) -> None:
    if plan.bundle.kind != CLASSIFICATION:
        return
    missing = {str(item["label"]) for item in training} - {str(item["label"]) for item in own}
    if missing:
        found = f"no image of class {min(missing)} in the subset of {name} subjects"
        raise InputError(
            plan.datalist, found, "all classes in each; take more subjects, or another subset_seed"
        )
