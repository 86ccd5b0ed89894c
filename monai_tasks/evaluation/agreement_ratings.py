"""The grades that several raters gave the same scans, from a table."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path

import numpy as np

from monai_tasks.datasets.hrpqct import RATER
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table

SUBJECT, SITE = "subject", "site"
MOST_GRADES = 50  # more are no grades, but numbers of another kind


@dataclass(frozen=True)
class Ratings:
    """Grades of N scans by R raters.

    Args:
        raters: their names.
        grades: (N, R) integers; of no meaning where none was given.
        given: (N, R) bool, whether a grade was given.
        subjects: (N,) who each scan is of, numbered from 0 without gaps.
        scale: every grade from the lowest given to the highest.
        unreadable: for each rater, how many of those that were not given are text that is no whole number.
    """

    raters: tuple[str, ...]
    grades: np.ndarray
    given: np.ndarray
    subjects: np.ndarray
    scale: tuple[int, ...]
    unreadable: tuple[int, ...]

    @property
    def complete(self) -> np.ndarray:
        """(N,) bool, whether every rater graded the scan."""
        return self.given.all(axis=1)

    @property
    def subject_count(self) -> int:
        """How many subjects there are."""
        return int(self.subjects.max()) + 1

    @property
    def pairs(self) -> list[tuple[int, int]]:
        """The numbers of two raters, for every pair."""
        count = len(self.raters)
        return [(first, second) for first in range(count) for second in range(first + 1, count)]

    def part(self, chosen: np.ndarray) -> Ratings:
        """The chosen scans only.

        Args:
            chosen: (N,) bool, with at least one scan. The scale and the counts of unreadable text stay those of all.
        """
        subjects = np.unique(self.subjects[chosen], return_inverse=True)[1].ravel()
        return replace(self, grades=self.grades[chosen], given=self.given[chosen], subjects=subjects)


def read_ratings(
    path: str | PathLike[str],
    raters: Sequence[str] | None = None,
    subject: str = SUBJECT,
    by: Sequence[str] | None = None,
) -> tuple[Ratings, dict[str, list[str]]]:
    """Read the grades of a table with a row a scan.

    A grade is a whole number, negative ones too. An empty field is a grade that was not given, and so is any other
    text, such as a doubt between two grades; these are counted.

    Args:
        path: CSV table.
        raters: columns of the raters, at least two; None for all whose name begins with `rater`.
        subject: column of who a scan is of.
        by: columns by whose values scans are grouped; None for `site`, where the table has it.

    Returns:
        The grades, and for each column of `by` the value of every scan.

    Raises:
        InputError: when the table cannot be read, lacks a column, has fewer than two raters, a scan without a subject,
            a rater without any grade, or more grades than a scale has.
    """
    path = Path(path)
    rows = read_table(path)
    if not rows:
        raise InputError(path, "no rows", "a row a scan")
    columns = list(rows[0])
    if by is None:
        by = [SITE] if SITE in columns else []
    if raters is None:
        raters = [name for name in columns if name.startswith(RATER)]
    _check(path, columns, raters, subject, by)
    names = [row[subject].strip() for row in rows]
    if not all(names):
        raise InputError(path, f"no {subject} in row {names.index('') + 1}", "one in each row")
    texts = [[row[name].strip() for name in raters] for row in rows]
    values = [[_grade(text) for text in row] for row in texts]
    given = np.array([[value is not None for value in row] for row in values])
    for number, name in enumerate(raters):
        if not given[:, number].any():
            raise InputError(path, f"no grade in column {name}", "whole numbers")
    grades = np.array([[value or 0 for value in row] for row in values])
    lowest, highest = int(grades[given].min()), int(grades[given].max())
    if highest - lowest >= MOST_GRADES:
        raise InputError(
            path, f"grades from {lowest} to {highest}", f"a scale of at most {MOST_GRADES} grades"
        )
    unreadable = tuple(
        sum(bool(row[k]) and value[k] is None for row, value in zip(texts, values, strict=True))
        for k in range(len(raters))
    )
    subjects = np.unique(names, return_inverse=True)[1].ravel()
    scale = tuple(range(lowest, highest + 1))
    ratings = Ratings(tuple(raters), grades, given, subjects, scale, unreadable)
    return ratings, {name: [row[name].strip() for row in rows] for name in by}


def _check(
    path: Path, columns: Sequence[str], raters: Sequence[str], subject: str, by: Sequence[str]
) -> None:
    missing = [name for name in (*raters, *by) if name not in columns]
    if missing:
        raise InputError(path, f"no column {', '.join(missing)}", f"columns of {', '.join(columns)}")
    if subject not in columns:
        raise InputError(
            path,
            f"no column {subject}",
            "one that tells whom each scan is of; where all are of different people, the column of the images will do",
        )
    if len(set(raters)) < 2 or len(set(raters)) < len(raters):
        found = f"raters {', '.join(raters)}" if raters else f"no column whose name begins with {RATER}"
        raise InputError(path, found, "columns of two raters or more")


def _grade(text: str) -> int | None:
    """A whole number, also as 3.0; None for all else."""
    try:
        value = float(text)
    except ValueError:
        return None
    return int(value) if value.is_integer() else None
