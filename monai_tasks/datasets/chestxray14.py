"""ChestX-ray14, frontal radiographs of the chest with findings taken from reports, as published [Wang2017].

    Data_Entry_2017.csv     a row an image: Image Index, Finding Labels ("Effusion|Pneumothorax"), Patient ID and others
    train_val_list.txt      a name of an image a line
    test_list.txt           likewise
    images_001/images/00000001_000.png and so on: anywhere below the folder

The class asked for is pneumothorax, whatever else is found beside it. Of the table only the three columns above are
used; age and sex of the patients are not kept.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from monai_tasks.datasets import splits
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table

TABLES = ("Data_Entry_2017.csv", "Data_Entry_2017_v2020.csv")
LISTS = ("train_val_list.txt", "test_list.txt")
COLUMNS = IMAGE, FINDINGS, PATIENT = ("Image Index", "Finding Labels", "Patient ID")
FINDING, NOTHING = "Pneumothorax", "No Finding"
CLASSES = ("no_pneumothorax", "pneumothorax")  # a label's number is its place here
NEGATIVES = ("no_finding", "all")


def datalist(
    source: str | Path,
    seed: int = 0,
    folds: int | None = None,
    fractions: Sequence[float] = splits.FRACTIONS,
    negatives: str = "no_finding",
) -> dict:
    """List the images with and without pneumothorax; the official training list is split by patient.

    An image is rejected, with the reason, if its file is missing, empty or there several times, it is in neither of
    the official lists, it is in one and not in the table, or it has no patient.

    Args:
        source: folder with the table and the lists; images lie at any depth.
        seed: of the split of the official list of training and validation.
        folds: number of folds of the training part, or None for no folds.
        fractions: shares of training, validation and test; only the ratio of the first two counts, as the test part
            is the official list.
        negatives: "no_finding" for images on which nothing was found, "all" for all without pneumothorax.

    Returns:
        Datalist with absolute paths; `label` is 1 for pneumothorax and 0 for none, `subject` the patient.
        `other_findings` is the number of listed images that are left out since something else was found on them. See
        `splits.assemble`.

    Raises:
        ValueError: if `negatives` is neither.
        InputError: if the table or a list is missing or is no such file, an image or a patient is in both lists, or
            no image of a list can be used.
    """
    if negatives not in NEGATIVES:
        raise ValueError(f"negatives {negatives!r}; expected one of {', '.join(NEGATIVES)}")
    source = Path(source).resolve()
    rows = _rows(source)
    lists = [_names(source / name) for name in LISTS]
    _check_apart(source, rows, lists)
    files = _files(source)
    rejected = [
        {"subject": name, "reason": f"in {listed}, and not in the table"}
        for listed, names in zip(LISTS, lists, strict=True)
        for name in sorted(names - rows.keys())
    ]
    parts: tuple[list[dict], list[dict]] = ([], [])
    other = 0
    for name, row in rows.items():
        findings = [finding.strip() for finding in row[FINDINGS].split("|")]
        if FINDING not in findings and negatives == "no_finding" and findings != [NOTHING]:
            other += 1
            continue
        place = next((place for place, names in enumerate(lists) if name in names), None)
        reason = _problem(row, files[name], place)
        if reason:
            rejected.append({"subject": f"{row[PATIENT].strip()} {name}".strip(), "reason": reason})
            continue
        label = int(FINDING in findings)
        parts[place].append({"image": str(files[name][0]), "label": label, "subject": row[PATIENT].strip()})
    for listed, items in zip(LISTS, parts, strict=True):
        if not items:
            raise InputError(source, f"{listed}: {splits.nothing_usable(rejected)}", "images of that list")
    labels = {str(number): name for number, name in enumerate(CLASSES)}
    result = splits.assemble(
        "ChestX-ray14",
        labels,
        parts[0],
        rejected,
        seed=seed,
        folds=folds,
        fractions=fractions,
        stratify="label",
        test=parts[1],
    )
    return {**result, "negatives": negatives, "other_findings": other}


def _rows(source: Path) -> dict[str, dict[str, str]]:
    """The rows of the table by the name of their image."""
    table = next((source / name for name in TABLES if (source / name).is_file()), source / TABLES[0])
    rows = read_table(table)
    missing = [column for column in COLUMNS if rows and column not in rows[0]]
    if missing or not rows:
        raise InputError(table, f"no column {missing[0]!r}" if missing else "no rows", ", ".join(COLUMNS))
    named = {row[IMAGE].strip(): row for row in rows}
    if len(named) < len(rows):
        raise InputError(table, f"{len(rows)} rows of {len(named)} images", "one row an image")
    return named


def _names(path: Path) -> set[str]:
    """The names in a list."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        found = "no such file" if not path.exists() else "not readable as text"
        raise InputError(path, found, "a name of an image a line") from error
    return {line.strip() for line in lines if line.strip()}


def _check_apart(source: Path, rows: dict[str, dict[str, str]], lists: Sequence[set[str]]) -> None:
    """Refuse official lists that share an image or a patient."""
    images = lists[0] & lists[1]
    patients = [{rows[name][PATIENT].strip() for name in names if name in rows} - {""} for names in lists]
    for kind, both in (("images", images), ("patients", patients[0] & patients[1])):
        if both:
            found = f"{len(both)} {kind} in both {LISTS[0]} and {LISTS[1]}, such as {min(both)}"
            raise InputError(source, found, "each in one of them")


def _files(source: Path) -> dict[str, list[Path]]:
    """The PNG files below a folder by name; dot-files are passed over."""
    found: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(source.rglob("*.png")):
        if not path.name.startswith("."):
            found[path.name].append(path)
    return found


def _problem(row: dict[str, str], files: Sequence[Path], place: int | None) -> str:
    """Why an image cannot be used; empty where it can."""
    if place is None:
        return f"neither in {LISTS[0]} nor in {LISTS[1]}"
    if not row[PATIENT].strip():
        return "no patient"
    if len(files) != 1:
        return f"{len(files)} files named {row[IMAGE]}" if files else f"no file {row[IMAGE]}"
    if not files[0].stat().st_size:
        return f"an empty file {row[IMAGE]}"
    return ""
