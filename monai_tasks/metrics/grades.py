"""Ordered classes, such as grades of severity: the grade, and the decision that it leads to."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

# The two decisions; the second is made where a case is bad enough.
DECISIONS = ("keep", "scan_again")
EXPECTED, HIGHEST = "expected", "highest"
RULES = (EXPECTED, HIGHEST)
# Config ids.
ORDINAL, RESCAN_FROM, GRADE_RULE = "ordinal", "rescan_from", "grade_rule"

Array = TypeVar("Array")  # of NumPy or torch


@dataclass(frozen=True)
class Grades:
    """Classes in the order of their severity, numbered from 0.

    All methods take probabilities (..., K) of NumPy or torch, and give (...) of the same kind.

    Args:
        count: how many classes there are.
        rescan_from: number of the class from which on a scan is to be taken again.
        rule: `expected` takes the class next to the mean of the classes by their probabilities, half up; `highest`
            the class of the highest probability.

    Raises:
        ValueError: when there are fewer than two classes, `rescan_from` leaves one of the decisions without a class,
            or there is no such rule.
    """

    count: int
    rescan_from: int
    rule: str = EXPECTED

    def __post_init__(self) -> None:
        numbers = (self.count, self.rescan_from)
        if any(not isinstance(number, int) or isinstance(number, bool) for number in numbers):
            raise ValueError(f"{self.count!r} classes, {RESCAN_FROM} {self.rescan_from!r}; expected integers")
        if not 0 < self.rescan_from < self.count:
            raise ValueError(
                f"{RESCAN_FROM} {self.rescan_from} of {self.count} classes; expected 1 to {self.count - 1}"
            )
        if self.rule not in RULES:
            raise ValueError(f"{GRADE_RULE} {self.rule!r}; expected one of {', '.join(RULES)}")

    def mean(self, probabilities: Array) -> Array:
        """The mean number of the class, from 0 to K - 1."""
        return sum(number * probabilities[..., number] for number in range(self.count))

    def grade(self, probabilities: Array) -> Array:
        """The number of the class, by the rule."""
        if self.rule == HIGHEST:
            return probabilities.argmax(-1)
        return (self.mean(probabilities) + 0.5) // 1

    def again(self, probabilities: Array) -> Array:
        """The probability of all classes for which a scan is to be taken again."""
        return probabilities[..., self.rescan_from :].sum(-1)


def grades_of(config: Mapping[str, Any], count: int) -> Grades | None:
    """What a bundle's config says of the order of its classes.

    Args:
        config: ids and plain values; `ordinal` says whether the classes have an order, `rescan_from` and `grade_rule`
            are those of `Grades`.
        count: how many classes there are.

    Returns:
        None where the classes have no order.

    Raises:
        ValueError: when a value is missing or out of range.
    """
    if not config.get(ORDINAL, False):
        return None
    if RESCAN_FROM not in config:
        raise ValueError(f"{ORDINAL} without {RESCAN_FROM}; expected the number of a class from 1")
    return Grades(count, config[RESCAN_FROM], config.get(GRADE_RULE, EXPECTED))


def numbers_of(classes: Sequence[str]) -> tuple[int, ...]:
    """The grades that classes are called by.

    Args:
        classes: their names in order.

    Returns:
        The numbers that the names end with where these rise by one, as in grade_1, grade_2; else 0, 1, and so on.
    """
    ends = [re.search(r"(\d+)$", name) for name in classes]
    numbers = tuple(int(end[1]) for end in ends if end)
    first = numbers[0] if numbers else 0
    rising = tuple(range(first, first + len(classes)))
    return numbers if numbers == rising else tuple(range(len(classes)))
