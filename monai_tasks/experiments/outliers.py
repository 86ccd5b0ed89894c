"""Find the cases of a cross-validation that a person should look at before they are trained with again."""

from __future__ import annotations

import multiprocessing
from collections import defaultdict
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from monai_tasks import __version__
from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.datasets.checks import Findings, examine
from monai_tasks.datasets.checks_compare import Remark, compare
from monai_tasks.datasets.exclude import DECISION
from monai_tasks.experiments.outliers_cases import BUNDLE, FACTS, MERGED, SETTINGS, TABLE, Case, Run, read_run
from monai_tasks.experiments.outliers_page import PAGE, REVIEW, SHEET, Shown, write_outliers_page
from monai_tasks.experiments.outliers_pictures import Pictures
from monai_tasks.experiments.outliers_score import Scored, ranked
from monai_tasks.experiments.outliers_words import joined, named, reasons
from monai_tasks.inference.configs import merged
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import sha256, write_json
from monai_tasks.io.tables import read_table, write_table
from monai_tasks.report.contact_sheet import Tile, contact_sheet

REMARKS, SUMMARY, PICTURES = "remarks.csv", "outliers.json", "cases"
IMAGE = "image"
COLUMNS = (
    "rank",
    "case",
    "subject",
    "fold",
    "score",
    "reasons",
    "loss",
    "metric",
    IMAGE,
    "label",
    DECISION,
)
TOP = 24  # cases that are pictured
EARLIER = "not in this run; decided on before"


@dataclass(frozen=True)
class Summary:
    """What was found.

    Args:
        output: the folder.
        cases: how many were looked at.
        remarked: of how many a check of their files says something.
        first: names of the most suspicious cases with their reasons, in order.
    """

    output: Path
    cases: int
    remarked: int
    first: tuple[tuple[str, str], ...]

    @property
    def review(self) -> Path:
        """The table that a person completes."""
        return self.output / REVIEW

    @property
    def page(self) -> Path:
        """The report for a person."""
        return self.output / PAGE


def find_outliers(
    bundle: str | Path | Bundle,
    run: str | Path,
    output: str | Path,
    *,
    top: int = TOP,
    jobs: int = 1,
    progress: bool = True,
) -> Summary:
    """Rank the cases of a cross-validation from the most suspicious on, with a reason each.

    Writes `review.csv` (a row a case, with a column `decision` for a person), `remarks.csv` (a row for everything
    that the checks of the files remark), `contact_sheet.png` and `cases/` (pictures of the first cases),
    `outliers.json` and `report.html`. Decisions that a `review.csv` in `output` holds are kept, also those on cases
    that this run does not have, which come last.

    Args:
        bundle: name or folder of the bundle.
        run: folder of its cross-validation, finished.
        output: folder to write to; made if missing.
        top: how many cases are pictured.
        jobs: how many processes look at files. With several a script must call this below
            `if __name__ == "__main__":`, for the processes import it.
        progress: show bars where there is a terminal.

    Raises:
        BundleError: when there is no such bundle, or a config of the run is not there.
        InputError: when `run` is no finished cross-validation of the bundle, or a `review.csv` in `output` is none.
    """
    bundle, output = bundle if isinstance(bundle, Bundle) else open_bundle(bundle), Path(output)
    found = read_run(run, bundle)
    pictures = _pictures(bundle, found)
    kept = _decisions(output / REVIEW)
    findings = _examined(found.cases, bundle.kind, sorted(pictures.labels) or None, jobs, progress)
    remarks = compare(findings)
    scored = ranked(found.cases, remarks)
    own: dict[str, list[Remark]] = {case.name: [] for case in found.cases}
    for remark in remarks:
        own[found.cases[remark.case].name].append(remark)
    told = {
        one.case.name: joined(reasons(one, own[one.case.name], bundle.kind, pictures.labels))
        for one in scored
    }
    rows = [_row(one, told[one.case.name], kept) for one in scored]
    write_table(output / REVIEW, [*rows, *_of_earlier_reviews(kept, rows)], COLUMNS)
    _write_remarks(output / REMARKS, found.cases, remarks, pictures.labels)
    shown = _draw(scored[:top], told, pictures, output, progress)
    remarked = len({remark.case for remark in remarks})
    first = tuple((one.scored.case.name, one.reasons) for one in shown)
    summary = Summary(output, len(scored), remarked, first)
    write_json(output / SUMMARY, _facts(found, remarks, summary))
    write_outliers_page(output / PAGE, bundle, found, scored, remarks, shown)
    return summary


def _pictures(bundle: Bundle, run: Run) -> Pictures:
    """What draws the run's cases by the configs and settings that the run had."""
    configs, settings = list(run.facts[MERGED]), dict(run.facts[SETTINGS])
    known = merged(bundle, ("inference", *configs))
    return Pictures(
        bundle, configs, {name: value for name, value in settings.items() if name.split("#")[0] in known}
    )


def _decisions(review: Path) -> dict[str, dict[str, str]]:
    """The rows of images on which a person has decided already."""
    rows = read_table(review) if review.is_file() else []
    if rows and not {IMAGE, DECISION} <= rows[0].keys():
        found = f"a table without the columns {IMAGE!r} and {DECISION!r}"
        raise InputError(review, found, "the review of an earlier run, or another folder for output")
    return {row[IMAGE]: row for row in rows if row[DECISION]}


def _of_earlier_reviews(
    kept: Mapping[str, Mapping[str, str]], rows: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Decisions on cases that this run does not have, as those it was made without: they hold, and come last."""
    known = {row[IMAGE] for row in rows}
    empty = dict.fromkeys(("rank", "fold", "score"), "")
    return [{**row, **empty, "reasons": EARLIER} for image, row in kept.items() if image not in known]


def _examined(
    cases: Sequence[Case], kind: str, values: Sequence[int] | None, jobs: int, progress: bool
) -> list[Findings]:
    """The findings of all cases, in their order."""
    look = partial(examine, kind=kind, values=values)
    bar = partial(tqdm, total=len(cases), desc="Look", unit="case", disable=None if progress else True)
    items = [case.item(kind) for case in cases]
    if jobs == 1:
        return [look(item) for item in bar(items)]
    # Fresh processes: the threads of libraries do not survive a fork.
    with ProcessPoolExecutor(jobs, mp_context=multiprocessing.get_context("spawn")) as pool:
        return list(bar(pool.map(look, items, chunksize=8)))


def _row(one: Scored, told: str, kept: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    case, image = one.case, ";".join(one.case.images)
    return {
        "rank": one.rank,
        "case": case.name,
        "subject": case.subject,
        "fold": case.fold,
        "score": f"{one.score:.4f}",
        "reasons": told,
        "loss": case.row["loss"],
        "metric": case.row["metric"],
        IMAGE: image,
        "label": case.row["label"],
        DECISION: kept.get(image, {}).get(DECISION, ""),
    }


def _write_remarks(
    path: Path, cases: Sequence[Case], remarks: Sequence[Remark], labels: Mapping[int, str]
) -> None:
    rows = (
        {
            "case": cases[one.case].name,
            "check": one.check,
            "strength": f"{one.strength:.4f}",
            "remark": named(one.text, labels),
        }
        for one in remarks
    )
    write_table(path, rows, ("case", "check", "strength", "remark"))


def _draw(
    top: Sequence[Scored], told: Mapping[str, str], pictures: Pictures, output: Path, progress: bool
) -> list[Shown]:
    """Picture the first cases, each by itself and all on one sheet."""
    for old in (output / PICTURES).glob("*.png"):
        old.unlink()
    shown = []
    for one in tqdm(top, desc="Draw", unit="case", disable=None if progress else True):
        path = f"{PICTURES}/{one.rank:04d}_{one.case.name}.png"
        problem = pictures.draw(one.case, output / path)
        shown.append(Shown(one, told[one.case.name], None if problem else path))
    tiles = [
        Tile(
            f"{one.scored.rank}. {one.scored.case.name}, score {one.scored.score:.2f}",
            one.reasons,
            output / one.picture if one.picture else None,
        )
        for one in shown
    ]
    if tiles:
        contact_sheet(tiles, output / SHEET)
    return shown


def _facts(run: Run, remarks: Sequence[Remark], summary: Summary) -> dict[str, Any]:
    counts: dict[str, set[int]] = defaultdict(set)
    for remark in remarks:
        counts[remark.check].add(remark.case)
    return {
        "bundle": run.facts[BUNDLE],
        "monai_tasks": __version__,
        "cases": summary.cases,
        "remarked": summary.remarked,
        "checks": {check: len(own) for check, own in sorted(counts.items())},
        "run": {name: sha256(run.folder / name) for name in (FACTS, TABLE)},
        "review_sha256": sha256(summary.review),
    }
