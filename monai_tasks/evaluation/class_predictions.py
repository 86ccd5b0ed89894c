"""Read what `infer` says of images and studies: the rows of its results.csv."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path

import numpy as np

from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table
from monai_tasks.metrics.grades import DECISIONS, Grades

RESULTS, PREVIEWS = "results.csv", "previews"
IMAGE, STUDY = "image", "study"
PROBABILITY = "probability_"
FAILED = "failed"
POSITIVE = ("positive", "true", "yes")
NEGATIVE = ("negative", "false", "no")


@dataclass(frozen=True)
class Prediction:
    """One row of the table.

    Args:
        case: its name.
        level: `image` or `study`.
        study: the study it belongs to, or that it is; empty where that is not known.
        inputs: the files it was made from.
        probabilities: one a class; empty where there is a problem.
        prediction: number of the most probable class, or None.
        decision: number of the class decided for, by the operating point where there are two; or None. Of ordered
            classes it is the grade.
        problem: why there is none; empty where there is one.
        action: of ordered classes the number of the decision in `monai_tasks.metrics.grades.DECISIONS`; or None.
    """

    case: str
    level: str
    study: str
    inputs: tuple[str, ...]
    probabilities: tuple[float, ...] = ()
    prediction: int | None = None
    decision: int | None = None
    problem: str = ""
    action: int | None = None


def class_names(columns: Iterable[str]) -> list[str]:
    """The classes whose probabilities a table that was written here has, in their order.

    Args:
        columns: of the table.
    """
    return [name.removeprefix(PROBABILITY) for name in columns if name.startswith(PROBABILITY)]


def class_number(text: object, classes: Sequence[str]) -> int:
    """The number of a class.

    Args:
        text: a name, or a number, of which text may be the text; names come first.
        classes: the names in order.

    Raises:
        ValueError: when it is neither.
    """
    if isinstance(text, str) and text.strip() in classes:
        return list(classes).index(text.strip())
    try:
        number = float(text) if isinstance(text, (str, int, float)) and not isinstance(text, bool) else -1.0
    except ValueError:
        number = -1.0
    if not number.is_integer() or not 0 <= number < len(classes):
        names = ", ".join(f"{name} ({number})" for number, name in enumerate(classes))
        raise ValueError(f"class {text!r}; expected one of {names}")
    return int(number)


def table_of(path: str | PathLike[str]) -> Path:
    """The table of results that a path stands for.

    Args:
        path: the output folder of `infer`, or the table itself.

    Raises:
        InputError: when there is none.
    """
    path = Path(path)
    table = path / RESULTS if path.is_dir() else path
    if not table.is_file():
        raise InputError(
            path, f"no {RESULTS}", "the output folder of `infer`, or a table like its results.csv"
        )
    return table


def preview_of(table: Path, case: str) -> Path:
    """Where `infer` puts the picture of a case, whether or not it is there.

    Args:
        table: the table of results.
        case: name of the case.
    """
    return table.parent / PREVIEWS / f"{case}.png"


def read_predictions(
    path: str | PathLike[str], classes: Sequence[str], grades: Grades | None = None
) -> list[Prediction]:
    """Read a table of results.

    Args:
        path: the output folder of `infer`, or a table with its columns: `case` or `input`, a column
            `probability_CLASS` for each class, and where there are such `level`, `study`, `status`, `reason` and
            `decision`. Of two classes one column is enough. A table without `decision` decides for the most
            probable class, one without `level` is of images. Of ordered classes `prediction` holds the grade, and
            `decision` whether to take the scan again; without these columns the rule decides, and a probability of 0.5.
        classes: their names, in order.
        grades: the order of the classes; None where they have none.

    Returns:
        One a row; a row that failed, or that cannot be used, with the problem.

    Raises:
        InputError: when it is no such table.
    """
    table = table_of(path)
    rows = read_table(table)
    if not rows:
        raise InputError(table, "no rows", "at least one")
    columns = rows[0].keys()
    wanted = classes[1:] if len(classes) == 2 else classes
    missing = [f"{PROBABILITY}{name}" for name in wanted if f"{PROBABILITY}{name}" not in columns]
    if missing:
        raise InputError(table, f"no column {missing[0]}", "a column of probabilities for each class")
    if not {"case", "input"} & columns:
        raise InputError(table, "no column case or input", "one of them, to say what each row is of")
    known = {row["level"] for row in rows if row.get("level")}
    if known - {IMAGE, STUDY}:
        raise InputError(table, f"level {min(known - {IMAGE, STUDY})!r}", f"{IMAGE} or {STUDY}")
    # A case that failed before it had an answer may not say what it is.
    usual = STUDY if known == {STUDY} else IMAGE
    return [_prediction(row, row.get("level") or usual, classes, grades) for row in rows]


def _prediction(
    row: Mapping[str, str], level: str, classes: Sequence[str], grades: Grades | None
) -> Prediction:
    inputs = tuple(part for part in row.get("input", "").split(";") if part)
    case = row.get("case") or (Path(inputs[0]).stem if inputs else "")
    study = row.get("study", "") or (case if level == STUDY else "")
    if row.get("status") == FAILED:
        return Prediction(case, level, study, inputs, problem=f"infer: {row.get('reason') or 'failed'}")
    action = None
    try:
        probabilities = _probabilities(row, classes)
        prediction = int(np.argmax(probabilities))
        if grades is None:
            decision = _decision(row.get("decision", ""), prediction, classes)
        else:
            decision, action = _graded(row, np.array(probabilities), classes, grades)
    except ValueError as error:
        return Prediction(case, level, study, inputs, problem=str(error))
    return Prediction(case, level, study, inputs, probabilities, prediction, decision, action=action)


def _graded(
    row: Mapping[str, str], probabilities: np.ndarray, classes: Sequence[str], grades: Grades
) -> tuple[int, int]:
    """The grade and the number of the decision."""
    text = row.get("prediction", "")
    grade = class_number(text, classes) if text else int(grades.grade(probabilities))
    half = int(grades.again(probabilities) >= 0.5)
    return grade, _decision(row.get("decision", ""), half, DECISIONS)


def _probabilities(row: Mapping[str, str], classes: Sequence[str]) -> tuple[float, ...]:
    texts = [row[f"{PROBABILITY}{name}"] for name in (classes[1:] if len(classes) == 2 else classes)]
    try:
        values = [float(text) for text in texts]
    except ValueError:
        values = [-1.0]
    if not all(0 <= value <= 1 for value in values):
        raise ValueError(f"probabilities {', '.join(map(repr, texts))}; expected numbers from 0 to 1")
    # Of two classes the second says all; a study's two maxima need not sum to 1.
    return (1 - values[0], values[0]) if len(classes) == 2 else tuple(values)


def _decision(text: str, prediction: int, classes: Sequence[str]) -> int:
    if not text:
        return prediction
    if len(classes) == 2 and text not in classes:
        word = text.strip().lower()
        if word in POSITIVE or word in NEGATIVE:
            return int(word in POSITIVE)
    return class_number(text, classes)
