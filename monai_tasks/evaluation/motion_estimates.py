"""Motion estimates of many scans from their projections: table and page."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from monai_tasks.io.errors import InputError
from monai_tasks.io.scanco_projections import read_projections
from monai_tasks.io.tables import write_table
from monai_tasks.metrics.motion_estimate import find_views, motion_estimate
from monai_tasks.report.page import Table, Text, write_page

TABLE, PAGE = "qme.csv", "report.html"
SUFFIX = ".rsq"
VALUES = ("attenuation", "counts")
COLUMNS = ("file", "qme_ssd", "qme_ncc", "views", "step_degrees", "problem")
MEANING = (
    "The view at 180 degrees, mirrored, is set against the view at 0 degrees, and their difference against that between"
    " the views at 0 and 0.24 degrees. QME_SSD is the ratio of the sums of squared differences: near 0 without motion, "
    "and the larger the more motion. QME_NCC is 100 times the root of the ratio of the normalised cross-correlations: "
    "about 100 without motion, and the smaller the more motion.",
    "The views at both ends of the half turn show where the limb was when the scan began and ended. Motion in between, "
    "after which the limb came back to its place, does not show in these figures.",
)


@dataclass(frozen=True)
class EstimateSummary:
    """What was found.

    Args:
        output: the folder written.
        rows: of the table, one a file.
    """

    output: Path
    rows: list[dict[str, Any]]

    @property
    def failures(self) -> list[tuple[str, str]]:
        """Files without an estimate, with the reason."""
        return [(row["file"], row["problem"]) for row in self.rows if row["problem"]]

    @property
    def page(self) -> Path:
        """The report for a person."""
        return self.output / PAGE


def estimate_motion(
    inputs: Sequence[str | PathLike[str]],
    output: str | PathLike[str],
    *,
    values: str = "attenuation",
    centre: float | None = None,
    views: int | None = None,
    step_degrees: float | None = None,
    progress: bool = False,
) -> EstimateSummary:
    """Estimate the motion of scans from their projections.

    Writes `qme.csv` and `report.html` into `output`. A file that cannot be used gets a row with the problem.

    Args:
        inputs: RSQ files, and folders that are searched for such.
        output: folder to write to; made if missing.
        values: "attenuation", integrals along the rays, for which the file must hold a frame without radiation and
            one without an object; or "counts" of the detector.
        centre: column of the centre of rotation, from 0; the middle if not given.
        views: of a file, where its header does not tell it.
        step_degrees: angle between two views, where the header does not tell it.
        progress: show a bar.

    Returns:
        What was found.

    Raises:
        ValueError: for other values.
        InputError: when there is no file.
    """
    if values not in VALUES:
        raise ValueError(f"values: got {values!r}; expected {' or '.join(VALUES)}")
    output, rows = Path(output), []
    for path in tqdm(find_projections(inputs), unit="file", disable=not progress):
        row = dict.fromkeys(COLUMNS) | {"file": str(path), "problem": ""}
        try:
            row |= _estimated(path, values, centre, views, step_degrees)
        except (ValueError, OSError) as error:
            row["problem"] = str(error)
        rows.append(row)
    write_table(output / TABLE, rows, COLUMNS)
    _write_page(output / PAGE, rows, values)
    return EstimateSummary(output, rows)


def find_projections(inputs: Sequence[str | PathLike[str]]) -> list[Path]:
    """The files that inputs stand for: files as they are, and in folders those that end in .rsq, in any case.

    Args:
        inputs: files and folders.

    Raises:
        InputError: when a folder has no such file.
    """
    found: dict[Path, None] = {}
    for given in map(Path, inputs):
        if not given.is_dir():
            found[given] = None
            continue
        places = (
            Path(folder, name) for folder, _, names in os.walk(given) for name in names if name[0] != "."
        )
        files = sorted(path for path in places if path.suffix.lower() == SUFFIX)
        if not files:
            raise InputError(given, "no projections", "files that end in .RSQ")
        found |= dict.fromkeys(files)
    return list(found)


def _estimated(
    path: Path, values: str, centre: float | None, views: int | None, step_degrees: float | None
) -> dict[str, Any]:
    projections = read_projections(path, views, step_degrees)
    angles = projections.angles_degrees
    chosen = list(find_views(angles))
    images = projections.attenuation(chosen) if values == "attenuation" else projections.values[chosen]
    found = motion_estimate(*images, centre=centre)
    return {
        "qme_ssd": found.ssd,
        "qme_ncc": found.ncc,
        "views": len(angles),
        "step_degrees": round(float(np.median(np.diff(angles))), 4),
    }


def _write_page(path: Path, rows: list[dict[str, Any]], values: str) -> None:
    done = sum(not row["problem"] for row in rows)
    columns = {
        "file": "File",
        "qme_ssd": "QME_SSD",
        "qme_ncc": "QME_NCC",
        "views": "Views",
        "step_degrees": "Degrees a view",
        "problem": "Problem",
    }
    table = Table(
        rows=[{**row, "file": Path(row["file"]).name} for row in rows],
        columns=columns,
        formats={"qme_ssd": ".3f", "qme_ncc": ".3f", "step_degrees": ".3f"},
        title="Scans",
        note=f"From {values}. All figures are in {TABLE}.",
        marked=[index for index, row in enumerate(rows) if row["problem"]],
    )
    write_page(
        path, "Motion estimates", [Text(MEANING), table], f"{done} of {len(rows)} scans have an estimate"
    )
