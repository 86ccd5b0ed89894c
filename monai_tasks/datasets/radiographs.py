"""The layout of a data set of radiographs: a folder a class, a folder a study, a PNG an image, and tables.

    DATA/
      metadata.csv                      a row an image, of all studies
      rejected.csv                      a row for each file that is not used, with the reason
      broken/STUDY/metadata.csv         the rows of the study
      broken/STUDY/S1_I2.png            16-bit grey, white where the body is dense
      not_broken/STUDY/...
      unlabelled/STUDY/...

A study folder is complete or absent: `new_study` fills one under another name and renames it. The tables of the
studies are the truth; the overall table is made of them by `write_overall`.
"""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from monai_tasks.datasets import splits
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import TEMPORARY_MARK
from monai_tasks.io.tables import read_table, write_table

CLASSES = ("not_broken", "broken")  # a label's number is its place here
UNLABELLED = "unlabelled"
FOLDERS = (*CLASSES, UNLABELLED)

# What is known of an image, and all that is: nothing else of a DICOM header leaves it.
COLUMNS = (
    "image",  # relative to DATA
    "label",  # one of FOLDERS
    "study",  # pseudonym
    "patient",  # pseudonym
    "series",  # number of order, no identifier
    "instance",
    "frame",  # from 1; empty where a file held one image
    "part",  # of an image that was split
    "body_part",
    "view_position",
    "laterality",
    "modality",
    "rows",
    "columns",
    "pixel_spacing_mm",
    "bits_stored",
    "photometric",  # of the DICOM file; the image itself is white where the body is dense
    "burned_in_annotation",
    "body_part_match",
    "colour_inverted",
    "rotation_degrees",  # anticlockwise
    "alignment_note",  # why the turn is in doubt; empty where it is not
)
REJECTED_COLUMNS = ("file", "study", "reason")

METADATA = "metadata.csv"
REJECTED = "rejected.csv"


def datalist(
    source: str | Path,
    seed: int = 0,
    folds: int | None = None,
    fractions: Sequence[float] = splits.FRACTIONS,
) -> dict:
    """List the labelled images, split by patient, with the share of broken studies alike in all parts.

    An image whose file is missing is not used and is listed under `rejected`. Images of unlabelled studies are in
    no part; they are listed under `unlabelled`.

    Args:
        source: folder as `monai-tasks radiographs import` and `preprocess` write it.
        seed: of the split.
        folds: number of folds of the training part, or None for no folds.
        fractions: shares of training, validation and test.

    Returns:
        Datalist with absolute paths; `label` is 0 for not broken and 1 for broken, `subject` the patient, or the
        study where the table names none, and `study` the study. See `splits.assemble`.

    Raises:
        InputError: if the folder has no overall table, or no labelled image can be used.
    """
    source = Path(source).resolve()
    items, unlabelled, rejected = [], [], []
    for row in read_rows(source):
        path = source / row["image"]
        # What a table does not tell is of its own, or all such images would count as one patient's and one study.
        study = row["study"] or row["image"]
        item = {"image": str(path), "subject": row["patient"] or study, "study": study}
        if not path.is_file():
            rejected.append({"subject": row["patient"], "reason": f"no file {row['image']}"})
        elif row["label"] == UNLABELLED:
            unlabelled.append(item)
        else:
            items.append({**item, "label": CLASSES.index(row["label"])})
    if not items:
        found = f"{len(unlabelled)} unlabelled images" if unlabelled else splits.nothing_usable(rejected)
        raise InputError(source, found, f"images of the classes {' and '.join(CLASSES)}")
    labels = {str(number): name for number, name in enumerate(CLASSES)}
    split = splits.assemble(
        "radiographs",
        labels,
        items,
        rejected,
        seed=seed,
        folds=folds,
        fractions=fractions,
        stratify="label",
    )
    return {**split, "unlabelled": unlabelled}


def by_study(items: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Join the images of each study into one item.

    Args:
        items: of a datalist, one an image, with `image`, `label`, `subject` and `study`.

    Returns:
        One item a study, in the order of their first images: `image` is the list of its paths, the rest is as in
        its images.

    Raises:
        ValueError: if images of one study differ in label or subject.
    """
    studies: dict[str, dict[str, Any]] = {}
    for item in items:
        study = studies.setdefault(item["study"], {**item, "image": []})
        for key in ("label", "subject"):
            if item.get(key) != study.get(key):
                raise ValueError(
                    f"study {item['study']}: {key} {item.get(key)!r} and {study.get(key)!r}; expected one"
                )
        study["image"].append(item["image"])
    return list(studies.values())


def read_rows(data: str | Path) -> list[dict[str, str]]:
    """The rows of the overall table.

    Args:
        data: the data set.

    Returns:
        Column to text, a row an image.

    Raises:
        InputError: if there is no such table, it lacks a column, or a label is unknown.
    """
    return _read(Path(data) / METADATA)


def study_folders(data: str | Path) -> list[Path]:
    """The folders of all complete studies.

    Args:
        data: the data set.

    Returns:
        Folders, sorted by name of the study, whatever its class is.
    """
    found = (path.parent for name in FOLDERS for path in Path(data).glob(f"{name}/*/{METADATA}"))
    return sorted((folder for folder in found if not folder.name.startswith(".")), key=lambda path: path.name)


def study_folder(data: str | Path, label: str, study: str) -> Path:
    """Where a study lies.

    Args:
        data: the data set.
        label: one of `FOLDERS`.
        study: its pseudonym.

    Returns:
        The folder, which need not exist.

    Raises:
        ValueError: if there is no such label.
    """
    if label not in FOLDERS:
        raise ValueError(f"label {label!r}; expected one of {', '.join(FOLDERS)}")
    return Path(data) / label / study


def read_study(folder: str | Path) -> list[dict[str, str]]:
    """The rows of one study.

    Args:
        folder: of the study.

    Returns:
        Column to text, a row an image.

    Raises:
        InputError: if there is no such table, it lacks a column, or a label is unknown.
    """
    return _read(Path(folder) / METADATA)


@contextmanager
def new_study(folder: str | Path) -> Iterator[Path]:
    """Fill the folder of a study under another name and rename it when the block ends well.

    Args:
        folder: of the study; an older one is replaced. Where nothing is put into it, there is none afterwards.

    Yields:
        An empty folder beside it, for the images and, by `write_study`, their rows. It begins with a dot.
    """
    folder = Path(folder)
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}-{uuid.uuid4().hex[:8]}{TEMPORARY_MARK}")
    temporary.mkdir(parents=True)
    try:
        yield temporary
        if folder.exists():
            shutil.rmtree(folder)
        if any(temporary.iterdir()):
            os.replace(temporary, folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_study(folder: str | Path, rows: Iterable[Mapping[str, Any]]) -> None:
    """Write the table of one study.

    Args:
        folder: of the study, or the temporary one that `new_study` gave.
        rows: a mapping from column to value an image.

    Raises:
        ValueError: if a row has a column that is not in `COLUMNS`.
    """
    write_table(Path(folder) / METADATA, rows, COLUMNS)


def write_overall(data: str | Path, rejected: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """Write the overall table, made of those of the studies, and the table of what is not used.

    Args:
        data: the data set.
        rejected: mappings with `file`, `study` and `reason`.

    Returns:
        The rows of the overall table.
    """
    rows = [row for folder in study_folders(data) for row in read_study(folder)]
    write_table(Path(data) / METADATA, rows, COLUMNS)
    write_table(Path(data) / REJECTED, rejected, REJECTED_COLUMNS)
    return rows


def read_rejected(data: str | Path) -> list[dict[str, str]]:
    """The rows of the table of what is not used; none where there is no such table."""
    path = Path(data) / REJECTED
    return read_table(path) if path.exists() else []


def _read(path: Path) -> list[dict[str, str]]:
    rows = read_table(path)
    for number, row in enumerate(rows, start=1):
        missing = [column for column in COLUMNS if column not in row]
        if missing:
            raise InputError(path, f"no column {missing[0]!r}", f"the columns {', '.join(COLUMNS)}")
        if row["label"] not in FOLDERS:
            raise InputError(path, f"label {row['label']!r} in row {number}", f"one of {', '.join(FOLDERS)}")
    return rows
