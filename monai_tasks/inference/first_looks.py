"""Which cases a person should look at first, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from monai_tasks.inference.uncertainty import DISAGREEMENT, ENTROPY
from monai_tasks.inference.writer import Writer
from monai_tasks.report.page import Link, Section, Table

MOST = 10


def first_looks(writer: Writer, rows: Sequence[Mapping[str, str]]) -> list[Section]:
    """The most uncertain cases of a run, the most uncertain first.

    Args:
        writer: says which measure puts cases of its kind in order, and what makes a case uncertain.
        rows: of the results, of cases that did not fail.

    Returns:
        Nothing where the uncertainty was not asked for.
    """
    known = [row for row in rows if ENTROPY in row and row[DISAGREEMENT] != ""]
    if not known:
        return []
    shown = [_shown(writer, row) for row in ranked(known, writer.unsure_by)[:MOST]]
    columns = {"case": "Case", "why": "Why", ENTROPY: "Entropy", DISAGREEMENT: "Disagreement", "map": "Map"}
    if not any("map" in row for row in shown):
        del columns["map"]
    note = (
        "The most uncertain cases, by their "
        f"{writer.unsure_by}. Entropy is 0 where the answer is certain and 1 where all classes are alike; disagreement "
        "is that of the opinions, 0 where all say the same or there is one only."
    )
    formats = {ENTROPY: ".3f", DISAGREEMENT: ".3f"}
    return [Table(shown, columns, formats, title="Look at these first", note=note)]


def ranked(rows: Sequence[Mapping[str, str]], measure: str) -> list[Mapping[str, str]]:
    """Rows of the results from the most uncertain to the least.

    Those without an entropy come first: no opinion has found anything, and nothing says how sure that is.

    Args:
        rows: with the columns of the uncertainty.
        measure: the column that goes first; the other one tells equal ones apart.
    """
    other = ENTROPY if measure == DISAGREEMENT else DISAGREEMENT

    def key(row: Mapping[str, str]) -> tuple[bool, float, float]:
        values = (float(row[name] or 0) for name in (measure, other))
        return (row[ENTROPY] == "", *values)

    return sorted(rows, key=key, reverse=True)


def _shown(writer: Writer, row: Mapping[str, str]) -> dict[str, object]:
    case = row["case"]
    picture = writer.picture(case)
    seen = picture if picture.is_file() else writer.prediction(case)
    values = {name: float(row[name]) for name in (ENTROPY, DISAGREEMENT) if row[name] != ""}
    shown = {"case": Link(case, seen.relative_to(writer.output)), "why": writer.why_unsure(row), **values}
    if writer.uncertainty(case).is_file():
        shown["map"] = Link("map", writer.uncertainty(case).relative_to(writer.output))
    return shown
