"""The report of suspicious cases."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_tasks.catalog import Bundle
from monai_tasks.datasets.checks_compare import CHECKS, Remark
from monai_tasks.experiments.outliers_cases import Run
from monai_tasks.experiments.outliers_score import Scored
from monai_tasks.report.page import Facts, Figures, Link, Section, Table, Text, write_page

REVIEW, SHEET, PAGE = "review.csv", "contact_sheet.png", "report.html"
TITLE = "Cases to look at"


@dataclass(frozen=True)
class Shown:
    """A case of the report.

    Args:
        scored: the case with its place.
        reasons: what speaks against it.
        picture: the file, relative to the report's folder; None where there is none.
    """

    scored: Scored
    reasons: str
    picture: str | None


def write_outliers_page(
    path: Path,
    bundle: Bundle,
    run: Run,
    scored: Sequence[Scored],
    remarks: Sequence[Remark],
    shown: Sequence[Shown],
) -> Path:
    """Write the page.

    Args:
        path: the HTML file; the pictures lie beside it.
        bundle: the bundle.
        run: its cross-validation.
        scored: all cases by rank.
        remarks: on all cases.
        shown: the cases that are told.
    """
    cards = Facts(
        {
            "Cases": len(scored),
            "Subjects": len({one.case.subject for one in scored}),
            "With a remark on their files": len({remark.case for remark in remarks}),
            "Without a prediction": sum(one.case.loss is None for one in scored),
        },
        cards=True,
    )
    pictures = [
        (one.picture, f"{one.scored.rank}. {one.scored.case.name}. {one.reasons}")
        for one in shown
        if one.picture
    ]
    sections: list[Section] = [
        _how(),
        cards,
        _first(shown),
        Figures(pictures, title="Pictures", note=_note(bundle)),
        _checks(remarks),
        Table(
            [
                {"file": Link(name, name)}
                for name in (REVIEW, "remarks.csv", SHEET)
                if (path.parent / name).is_file()
            ],
            {"file": "File"},
            title="Files",
        ),
    ]
    subtitle = f"{bundle.name} {bundle.metadata['version']}, cross-validation of {len(run.cases)} cases"
    return write_page(path, TITLE, sections, subtitle)


def _how() -> Text:
    return Text(
        [
            "The cases are ranked from the most suspicious on. What is high in the list may be a mistake in the data, "
            "or a rare and right case that the networks need most: only a person can say which. Nothing is left out "
            "by itself.",
            f"To leave cases out, write exclude into the column decision of {REVIEW}, keep where a case is right, and "
            f"train with --exclude {REVIEW}.",
            "The score is 1 minus a product of doubts. Every check of the files that remarks on the case with a "
            "strength s leaves the doubt 1 - s; the loss, of a network that had not seen the case, leaves the square "
            "root of the share of cases whose loss is as high; and all remarks together leave the square root of the "
            "share of cases whose remarks are as strong.",
        ],
        title="How to read this",
    )


def _note(bundle: Bundle) -> str:
    if bundle.kind == "segmentation":
        return "The label of the case in colours; white contours are the prediction of a network that had not seen it."
    return "Bars are the probabilities of a network that had not seen the case; the class of the label is set off."


def _first(shown: Sequence[Shown]) -> Table:
    rows = [
        {
            "rank": one.scored.rank,
            "case": Link(one.scored.case.name, one.picture) if one.picture else one.scored.case.name,
            "subject": one.scored.case.subject,
            "fold": one.scored.case.fold,
            "score": one.scored.score,
            "reasons": one.reasons,
            "loss": one.scored.case.loss,
            "metric": one.scored.case.metric,
        }
        for one in shown
    ]
    columns = {
        "rank": "Rank",
        "case": "Case",
        "subject": "Subject",
        "fold": "Fold",
        "score": "Score",
        "reasons": "Why",
        "loss": "Loss",
        "metric": "Metric",
    }
    formats = {"score": ".3f", "loss": ".3g", "metric": ".3f"}
    return Table(rows, columns, formats, "The first in the list", f"All cases are in {REVIEW}.")


def _checks(remarks: Sequence[Remark]) -> Table:
    rows = [
        {"check": check, "what": what, "cases": len({one.case for one in remarks if one.check == check})}
        for check, what in CHECKS.items()
    ]
    return Table(rows, {"check": "Check", "what": "Looks at", "cases": "Cases"}, title="Checks of the files")
