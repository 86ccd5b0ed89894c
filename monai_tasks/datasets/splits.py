"""Split the cases of a data set into training, validation and test parts, subject by subject.

No subject is ever in two parts. The order in which subjects are dealt out comes from a keyed hash of their
names: it depends on the seed and the names alone, so the same split is found on every machine, in every
version of NumPy and whatever order the files are listed in, which is what published weights and a test part
touched once need.

`monai.data.partition_dataset` is not used: it knows no subjects, rounds each part by itself (four items in
three equal parts lose one of them) and needs torch, which would make the `datalist` command wait for it.
"""

from __future__ import annotations

import hashlib
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import product

PARTS = ("training", "validation", "test")
FRACTIONS = (0.7, 0.1, 0.2)


def shuffled(subjects: Iterable[str], seed: int = 0) -> list[str]:
    """Put subjects into a seeded random order that depends on their names alone.

    Args:
        subjects: names; a name that comes several times counts once.
        seed: another seed gives another order.

    Returns:
        The distinct names.
    """

    def key(subject: str) -> tuple[bytes, str]:
        return hashlib.sha256(f"{seed}\0{subject}".encode()).digest(), subject

    return sorted(set(subjects), key=key)


def split_by_subject(
    items: Sequence[dict],
    seed: int = 0,
    fractions: Sequence[float] = FRACTIONS,
    stratify: str | Sequence[str] | None = None,
) -> dict[str, list[dict]]:
    """Split items into training, validation and test so that a subject is in one part only.

    Validation and test get their fraction of the subjects, rounded half up, and at least one subject where
    the fraction is above zero; training gets all others.

    Args:
        items: datalist items, each with a `subject`.
        seed: of the order in which subjects are dealt out.
        fractions: shares of training, validation and test; they sum to 1.
        stratify: key of the items, such as `source`, whose values are spread evenly over the parts; or several
            keys, for their combinations.

    Returns:
        The items under the keys `training`, `validation` and `test`, in their order in `items`.

    Raises:
        ValueError: if the fractions are no shares of one whole, or the subjects are too few to fill every
            part.
    """
    if len(fractions) != len(PARTS) or min(fractions) < 0 or not math.isclose(sum(fractions), 1):
        raise ValueError(f"fractions {tuple(fractions)}; expected three numbers from 0 to 1 that sum to 1")
    order = _order(items, seed, stratify)
    validation, test = (_share(len(order), fraction) for fraction in fractions[1:])
    training = len(order) - validation - test
    if training < (fractions[0] > 0):
        needed = sum(fraction > 0 for fraction in fractions)
        raise ValueError(f"{len(order)} subjects for fractions {tuple(fractions)}; expected {needed} or more")
    part_of = dict(
        zip(order, ["test"] * test + ["validation"] * validation + ["training"] * training, strict=True)
    )
    return {part: [item for item in items if part_of[item["subject"]] == part] for part in PARTS}


def add_folds(
    items: Sequence[dict],
    folds: int,
    seed: int = 0,
    stratify: str | Sequence[str] | None = None,
    whole: str | None = None,
) -> list[dict]:
    """Number the fold of every item; a subject is in one fold, and folds differ by one subject at most.

    With `stratify` folds also differ by one at most in how many subjects they have of each value of the first key, if
    each subject has one value.

    Args:
        items: datalist items, each with a `subject`.
        folds: how many folds.
        seed: of the order in which subjects are dealt out.
        stratify: key or keys of the items whose values are spread evenly over the folds, the first one best.
        whole: key of the items, such as `label`, each of whose values that two subjects have is in two folds at least,
            if the exchange of two subjects can do that.

    Returns:
        Copies of the items, in their order, with `fold` from 0 to folds - 1.

    Raises:
        ValueError: if there are fewer than two folds, or fewer subjects than folds.
    """
    # The seed is marked, so that the folds are not dealt out in the order that the parts were.
    marked = [{**item, "subject": f"fold {item['subject']}"} for item in items]
    order = _by_value(marked, seed, stratify)
    if not 2 <= folds <= len(order):
        raise ValueError(f"{folds} folds of {len(order)} subjects; expected 2 to {len(order)} folds")
    fold_of = {subject: place % folds for place, subject in enumerate(order)}
    if whole is not None:
        fold_of = _with_none_alone(list(_having(marked, whole).values()), fold_of)
    return [{**item, "fold": fold_of[f"fold {item['subject']}"]} for item in items]


def hold_back(
    items: Sequence[dict],
    fraction: float,
    seed: int = 0,
    stratify: str | Sequence[str] | None = None,
    whole: str | None = None,
) -> tuple[list[dict], list[dict]]:
    """Split items into two, subject by subject, so that the second part has about a fraction of the subjects.

    Args:
        items: datalist items, each with a `subject`.
        fraction: share of the second part, rounded half up; at least one subject.
        seed: of the draw.
        stratify: key or keys of the items whose values have in the second part about the share they have of all.
        whole: key of the items, such as `label`, each of whose values the first part keeps, and the second has, too,
            where two subjects have it; the second part takes more subjects for that if need be.

    Returns:
        The items of the first part and those of the second, in their order in `items`.

    Raises:
        ValueError: if there are fewer than two subjects, or none can be held back without a value being lost.
    """
    # The seed is marked, so that the order is none of those in which parts, folds and subsets were dealt out.
    mark = "held back "
    marked = [{**item, "subject": f"{mark}{item['subject']}"} for item in items]
    order = [subject.removeprefix(mark) for subject in _by_value(marked, seed, stratify)]
    if len(order) < 2:
        raise ValueError(f"{len(order)} subjects to hold some back from; expected 2 or more")
    count = min(_share(len(order), fraction), len(order) - 1)
    # Equal steps through subjects that are in the order of their values take of each value its share.
    held = {order[int((place + 0.5) * len(order) / count)] for place in range(count)}
    if whole is not None:
        held = _with_each(items, order, held, whole)
    parts = ([item for item in items if (item["subject"] in held) == back] for back in (False, True))
    return next(parts), next(parts)


def nested_subsets(
    items: Sequence[dict], sizes: Sequence[int], seed: int = 0, stratify: str | Sequence[str] | None = None
) -> list[list[dict]]:
    """Draw subsets of which each holds the smaller ones, subject by subject.

    Args:
        items: datalist items, each with a `subject`.
        sizes: how many subjects each subset has.
        seed: of the draw; the same one draws the same subjects whatever the sizes.
        stratify: key or keys of the items whose values have in each subset about the share they have of all.

    Returns:
        The items of each subset, in their order in `items`.

    Raises:
        ValueError: if a size is below one, or above the number of subjects.
    """
    # The seed is marked, so that the order is not the one in which the parts were dealt out.
    marked = [{**item, "subject": f"subset {item['subject']}"} for item in items]
    order = [subject.removeprefix("subset ") for subject in _order(marked, seed, stratify)]
    wrong = [size for size in sizes if not 1 <= size <= len(order)]
    if wrong:
        raise ValueError(f"a subset of {wrong[0]} of {len(order)} subjects; expected 1 to {len(order)}")
    chosen = [set(order[:size]) for size in sizes]
    return [[item for item in items if item["subject"] in subjects] for subjects in chosen]


def assemble(
    name: str,
    labels: dict[str, str],
    items: Sequence[dict],
    rejected: Sequence[dict],
    *,
    seed: int = 0,
    folds: int | None = None,
    fractions: Sequence[float] = FRACTIONS,
    stratify: str | Sequence[str] | None = None,
    test: Sequence[dict] | None = None,
) -> dict:
    """Make the datalist that is written to a file: the split items and what is known about the data set.

    Args:
        name: of the data set.
        labels: label value to name, as in a Decathlon `dataset.json`.
        items: cases with `image`, `label` and `subject`.
        rejected: cases left out, with `subject` and `reason`.
        seed: of the split and the folds.
        folds: if given, training items carry a `fold`. Validation and test stay out of the folds: validation
            chooses when to stop in each of them, test is for the end.
        fractions: shares of training, validation and test.
        stratify: key or keys of the items whose values are spread evenly over parts and folds.
        test: the items of a published test part. The others are then split into training and validation, in the
            ratio of their fractions.

    Returns:
        The datalist, ready for JSON and for `monai.data.load_decathlon_datalist`.

    Raises:
        ValueError: as `split_by_subject` and `add_folds`, or if a subject of the published test part is among the
            others.
    """
    if test is not None:
        fractions = _without_test(fractions)
        both = sorted({item["subject"] for item in items} & {item["subject"] for item in test})
        if both:
            raise ValueError(
                f"{len(both)} subjects, such as {both[0]}, in the test part and outside of it; expected none"
            )
    parts = split_by_subject(items, seed, fractions, stratify)
    if test is not None:
        parts["test"] = list(test)
    if folds is not None:
        parts["training"] = add_folds(parts["training"], folds, seed, stratify)
    header = {"name": name, "labels": labels, "seed": seed, "fractions": list(fractions)}
    if folds is not None:
        header["folds"] = folds
    return {**header, **parts, "rejected": list(rejected)}


def nothing_usable(rejected: Sequence[dict]) -> str:
    """Say for an error message that no case is left, with the reason of the first one that was rejected.

    Args:
        rejected: cases left out, with `subject` and `reason`.

    Returns:
        Text for a person.
    """
    if not rejected:
        return "no cases found"
    first = rejected[0]
    return f"none of {len(rejected)} cases usable, such as {first['subject']} ({first['reason']})"


def _without_test(fractions: Sequence[float]) -> tuple[float, float, float]:
    """The same ratio of training and validation, and no test."""
    if len(fractions) != len(PARTS) or min(fractions) < 0 or not sum(fractions[:2]) > 0:
        raise ValueError(f"fractions {tuple(fractions)}; expected shares of training, validation and test")
    training = fractions[0] / sum(fractions[:2])
    return training, 1 - training, 0.0


def _order(items: Sequence[dict], seed: int, stratify: str | Sequence[str] | None) -> list[str]:
    """The subjects in the order they are dealt out.

    With `stratify` any stretch of the order holds each value in about the share it has of all subjects. A subject
    with several values counts as a value of its own.
    """
    order = shuffled((item["subject"] for item in items), seed)
    if stratify is None:
        return order
    values = _values(items, stratify)
    groups: dict[frozenset[tuple], list[str]] = defaultdict(list)
    for subject in order:
        groups[frozenset(values[subject])].append(subject)
    # Each group is laid out evenly from 0 to 1. Sorting is stable: where places are equal, the order stays.
    places = {
        subject: (rank + 0.5) / len(group) for group in groups.values() for rank, subject in enumerate(group)
    }
    return sorted(order, key=places.__getitem__)


def _by_value(items: Sequence[dict], seed: int, stratify: str | Sequence[str] | None) -> list[str]:
    """The subjects in a seeded order; with `stratify` those of one value come together, the first key's before all."""
    order = shuffled((item["subject"] for item in items), seed)
    values = _values(items, stratify)
    return sorted(order, key=lambda subject: sorted(tuple(map(str, own)) for own in values[subject]))


def _values(items: Sequence[dict], stratify: str | Sequence[str] | None) -> dict[str, set[tuple]]:
    """The values of the keys that each subject's items have."""
    keys = () if stratify is None else (stratify,) if isinstance(stratify, str) else tuple(stratify)
    values: dict[str, set[tuple]] = defaultdict(set)
    for item in items:
        values[item["subject"]].add(tuple(item[key] for key in keys))
    return values


def _having(items: Sequence[dict], key: str) -> dict[str, set[str]]:
    """The subjects that have each value of a key."""
    having: dict[str, set[str]] = defaultdict(set)
    for item in items:
        having[str(item[key])].add(item["subject"])
    return having


def _with_none_alone(groups: Sequence[set[str]], fold_of: Mapping[str, int]) -> dict[str, int]:
    """Exchange subjects of two folds until no group of several subjects is in one fold, or no exchange helps."""

    def alone(folds: Mapping[str, int]) -> int:
        return sum(len(own) > 1 and len({folds[subject] for subject in own}) == 1 for own in groups)

    found = dict(fold_of)
    for own in sorted(groups, key=len):
        if len(own) < 2 or len({found[subject] for subject in own}) > 1:
            continue
        for one, other in product((name for name in found if name in own), found):
            exchanged = found | {one: found[other], other: found[one]}
            if found[one] != found[other] and alone(exchanged) < alone(found):
                found = exchanged
                break
    return found


def _with_each(items: Sequence[dict], order: Sequence[str], held: set[str], key: str) -> set[str]:
    """Change who is held back until each value of the key is in both parts, or in the first one at least."""
    having = _having(items, key)
    rarest_first = sorted(having.values(), key=len)
    for own in rarest_first:
        if len(own) > 1 and not own & held:
            held = held | {next(subject for subject in order if subject in own)}
    for own in rarest_first:
        if own <= held:
            held = held - {next(subject for subject in order if subject in own)}
    if not held or any(own <= held for own in having.values()):
        raise ValueError(
            f"{len(order)} subjects, of whom none can be held back without a value of {key!r} being lost"
        )
    return held


def _share(count: int, fraction: float) -> int:
    """The rounded share of a count, at least one where the fraction is above zero."""
    return max(math.floor(count * fraction + 0.5), 1) if fraction > 0 else 0
