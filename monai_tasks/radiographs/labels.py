"""The table of labels that comes with an archive: which studies are broken."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table

STUDY, LABEL = "study", "label"

# In any case, with blanks or hyphens for underscores.
SPELLINGS = {
    "broken": ("broken", "fracture", "fractured", "yes", "y", "true", "positive", "1"),
    "not_broken": ("not_broken", "no_fracture", "not_fractured", "no", "n", "false", "negative", "0"),
}
_LABEL_OF = {spelling: label for label, spellings in SPELLINGS.items() for spelling in spellings}


@dataclass(frozen=True)
class Label:
    """What one row says.

    Args:
        label: `broken` or `not_broken`.
        row: the row's number, from 1, without the header line.
    """

    label: str
    row: int


def read_labels(path: Path) -> dict[str, Label]:
    """Read a table with the columns `study` and `label`; there may be others.

    Args:
        path: a CSV file. `study` is a StudyInstanceUID, an AccessionNumber or, for PNG and JPEG files, the folder of
            the study below the archive's. `label` is one of `SPELLINGS`.

    Returns:
        The label of each study that is named.

    Raises:
        InputError: if a column is missing, a study or label is missing or unknown, or two rows contradict each other.
            Rows are named by their number, and studies are not.
    """
    labels: dict[str, Label] = {}
    for number, row in enumerate(read_table(path), start=1):
        missing = [column for column in (STUDY, LABEL) if column not in row]
        if missing:
            raise InputError(path, f"no column {missing[0]!r}", f"the columns {STUDY} and {LABEL}")
        study, spelling = row[STUDY].strip(), row[LABEL].strip()
        label = _LABEL_OF.get(re.sub(r"[\s-]+", "_", spelling.casefold()))
        if not study:
            raise InputError(path, f"row {number} without a study", "a study in every row")
        if label is None:
            expected = ", ".join(_LABEL_OF)
            raise InputError(path, f"label {spelling[:20]!r} in row {number}", f"one of {expected}")
        earlier = labels.setdefault(study, Label(label, number))
        if earlier.label != label:
            found = (
                f"row {number} says {label} where row {earlier.row} says {earlier.label} of the same study"
            )
            raise InputError(path, found, "one label a study")
    return labels
