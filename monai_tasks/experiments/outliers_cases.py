"""The cases of a cross-validation, with what their network said of them when it had not seen them."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_tasks.catalog import Bundle
from monai_tasks.evaluation.by_kind import CLASSIFICATION
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table

TABLE, FACTS = "out_of_fold.csv", "cross_validation.json"
BUNDLE, MERGED, SETTINGS = "bundle", "merged", "settings"
COLUMNS = ("case", "subject", "fold", "status", "reason", "image", "label", "prediction", "loss", "metric")
EXPECTED = "the folder of a run of `monai-tasks cross-validate`"
DONE, RUNS = "done", "runs"
PROBABILITY, DICE = "probability_", "dice_"


@dataclass(frozen=True)
class Case:
    """A row of `out_of_fold.csv`.

    Args:
        name: of the case.
        subject: whose it is.
        fold: in which it was held out.
        images: its paths: channels or views.
        label: paths of its label, or the number of its class.
        reason: why it has no prediction; empty where it has one.
        prediction: file of its prediction; None where there is none.
        loss: of its prediction; None where there is none.
        metric: likewise.
        row: all columns.
    """

    name: str
    subject: str
    fold: str
    images: tuple[str, ...]
    label: tuple[str, ...]
    reason: str = ""
    prediction: Path | None = None
    loss: float | None = None
    metric: float | None = None
    row: Mapping[str, str] = field(default_factory=dict, repr=False)

    def item(self, kind: str) -> dict[str, Any]:
        """The case as a datalist has it.

        Args:
            kind: of the bundle.
        """
        image = self.images[0] if len(self.images) == 1 else list(self.images)
        label: Any = self.label[0] if len(self.label) == 1 else list(self.label)
        return {
            "image": image,
            "label": int(label) if kind == CLASSIFICATION else label,
            "subject": self.subject,
        }

    def numbers(self, prefix: str) -> dict[str, float]:
        """The columns of a prefix that have a number, by the rest of their names, in order.

        Args:
            prefix: `PROBABILITY` or `DICE`.
        """
        found = {
            name.removeprefix(prefix): _number(text)
            for name, text in self.row.items()
            if name.startswith(prefix)
        }
        return {name: value for name, value in found.items() if value is not None}


@dataclass(frozen=True)
class Run:
    """A finished cross-validation.

    Args:
        folder: of the run.
        facts: content of its `cross_validation.json`.
        cases: of its `out_of_fold.csv`.
    """

    folder: Path
    facts: Mapping[str, Any]
    cases: tuple[Case, ...]


def read_run(folder: str | Path, bundle: Bundle) -> Run:
    """Read what a cross-validation found.

    Args:
        folder: of the run.
        bundle: that it must be of.

    Raises:
        InputError: when it is no such folder, or not finished, or a fold of it failed, or it is of another bundle, or
            its table lacks something.
    """
    folder = Path(folder)
    facts = _facts(folder / FACTS)
    lacking = [name for name in (BUNDLE, MERGED, SETTINGS) if name not in facts]
    if lacking:
        raise InputError(folder / FACTS, f"no {lacking[0]!r}", EXPECTED)
    if facts[BUNDLE] != bundle.name:
        raise InputError(folder, f"a cross-validation of {facts.get('bundle')}", bundle.name)
    failed = [str(one["fold"]) for one in facts.get(RUNS, ()) if one["status"] != DONE]
    if failed:
        found = f"fold {', '.join(failed)} failed, so that its cases are missing"
        raise InputError(
            folder, found, "a cross-validation whose folds are all done; the same command goes on with it"
        )
    rows = read_table(folder / TABLE)
    lacking = [name for name in COLUMNS if rows and name not in rows[0]]
    if lacking or not rows:
        raise InputError(folder / TABLE, f"no column {lacking[0]!r}" if lacking else "no rows", EXPECTED)
    return Run(folder, facts, tuple(_case(folder, row, bundle.kind) for row in rows))


def _facts(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(path.parent, f"no {path.name}", EXPECTED)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as cause:
        raise InputError(path, "not JSON", EXPECTED) from cause
    if not isinstance(content, dict):
        raise InputError(path, "another kind of JSON", EXPECTED)
    return content


def _case(folder: Path, row: Mapping[str, str], kind: str) -> Case:
    if not row["image"]:
        raise InputError(folder / TABLE, f"case {row['case']} without an image", "a path")
    if kind == CLASSIFICATION and not row["label"].isdecimal():
        raise InputError(
            folder / TABLE, f"case {row['case']} of class {row['label']!r}", "the number of a class"
        )
    loss, metric = (_number(row[name]) for name in ("loss", "metric"))
    done = row["status"] == DONE and loss is not None
    return Case(
        row["case"],
        row["subject"],
        row["fold"],
        tuple(row["image"].split(";")),
        tuple(row["label"].split(";")),
        "" if done else row["reason"] or row["status"],
        folder / row["prediction"] if row["prediction"] else None,
        loss if done else None,
        metric if done else None,
        row,
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None
