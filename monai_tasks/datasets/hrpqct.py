"""HR-pQCT scans of radius and tibia with the motion grades of one or more raters.

A CSV table has a row a scan:

    image,site,subject,rater_1,rater_2,rater_3
    scans/0001.ISQ,radius,0001,2,3,2

- `image`: the scan, a file or a folder of DICOM files, relative to the folder of the data set or absolute;
- `site`: `radius` or `tibia`;
- `subject`: who the scan is of, a pseudonym or a number;
- grades from 1, no motion, to 5, severe; a grade that a rater did not give is empty.

A scan's grade is the mean of its raters' grades, a half rounded up. Label 0 is grade 1, and so on.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from fractions import Fraction
from math import floor
from pathlib import Path

from monai_tasks.datasets import splits
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table

GRADES = (1, 2, 3, 4, 5)
SITES = ("radius", "tibia")
GRADES_FILE = "grades.csv"
RATER = "rater"  # how the columns of the raters begin
COLUMNS = ("image", "site", "subject")


def datalist(
    source: str | Path,
    seed: int = 0,
    folds: int | None = None,
    fractions: Sequence[float] = splits.FRACTIONS,
    grades: str | Path | None = None,
    raters: Sequence[str] | None = None,
) -> dict:
    """List the scans that have a grade, split by subject, with the grades spread alike over all parts.

    A scan is rejected, with the reason, if its file is missing or empty, its site is unknown, it has no grade or no
    subject, or one of its grades is none from 1 to 5.

    Args:
        source: folder of the data set.
        seed: of the split.
        folds: number of folds of the training part, or None for no folds.
        fractions: shares of training, validation and test.
        grades: the table; None for `grades.csv` in the folder.
        raters: columns of the raters; None for all whose name begins with `rater`.

    Returns:
        Datalist with absolute paths. Each item has `image`, `label` (the class, 0 to 4), `soft` (the shares of its
        raters that gave each grade), `raters` (column to grade, of those who gave one), `site` and `subject`. See
        `splits.assemble`.

    Raises:
        InputError: if the table is missing, lacks a column or names a scan twice, or no scan can be used.
    """
    source = Path(source).resolve()
    table = source / GRADES_FILE if grades is None else Path(grades)
    rows = read_table(table)
    columns = _rater_columns(table, rows, raters)
    items, rejected, seen = [], [], set()
    for row in rows:
        # Not resolved: a data set may be a folder of links.
        path = os.path.normpath(source / row["image"])
        if path in seen:
            raise InputError(table, f"{row['image']} in two rows", "one row a scan")
        seen.add(path)
        reason = _problem(row, Path(path), columns)
        if reason:
            rejected.append({"subject": f"{row['subject'].strip()} {row['image']}".strip(), "reason": reason})
            continue
        given = {name: int(row[name]) for name in columns if row[name].strip()}
        items.append(
            {
                "image": path,
                "label": consensus(list(given.values())) - GRADES[0],
                "soft": distribution(list(given.values())),
                "raters": given,
                "site": row["site"].strip().lower(),
                "subject": row["subject"].strip(),
            }
        )
    if not items:
        raise InputError(table, splits.nothing_usable(rejected), "scans with grades from 1 to 5")
    labels = {str(number): f"grade_{grade}" for number, grade in enumerate(GRADES)}
    return splits.assemble(
        "hrpqct", labels, items, rejected, seed=seed, folds=folds, fractions=fractions, stratify="label"
    )


def consensus(grades: Sequence[int]) -> int:
    """The one grade that stands for all raters: the mean, a half rounded up.

    Args:
        grades: at least one.
    """
    # A fraction, as a mean in floating point may lie just below its half; `round` would take halves to even.
    return floor(Fraction(sum(grades), len(grades)) + Fraction(1, 2))


def distribution(grades: Sequence[int]) -> list[float]:
    """The share of the raters that gave each of the grades 1 to 5.

    Args:
        grades: at least one.
    """
    return [grades.count(grade) / len(grades) for grade in GRADES]


def _rater_columns(table: Path, rows: Sequence[dict[str, str]], raters: Sequence[str] | None) -> list[str]:
    """The columns of the raters, after a check that the table has all columns."""
    if not rows:
        raise InputError(table, "no rows", "a row a scan")
    found = list(rows[0])
    columns = [name for name in found if name.startswith(RATER)] if raters is None else list(raters)
    missing = [name for name in (*COLUMNS, *columns) if name not in found]
    if missing or not columns:
        what = f"no column {', '.join(missing) or f'that begins with {RATER}'}"
        raise InputError(table, what, f"the columns {', '.join(COLUMNS)} and one a rater")
    return columns


def _problem(row: dict[str, str], path: Path, columns: Sequence[str]) -> str:
    """Why a scan cannot be used; empty where it can."""
    if not row["subject"].strip():
        return "no subject"
    if row["site"].strip().lower() not in SITES:
        return f"site {row['site']!r}; expected {' or '.join(SITES)}"
    if not any(row[name].strip() for name in columns):
        return "no grade"
    known = {str(grade) for grade in GRADES}
    for name in columns:
        if row[name].strip() and row[name].strip() not in known:
            return f"{name}: grade {row[name]!r}; expected {GRADES[0]} to {GRADES[-1]}"
    if not row["image"].strip() or not path.exists():
        return f"no file {row['image']}"
    if path.is_file() and not path.stat().st_size:
        return "an empty file (0 bytes)"
    return ""
