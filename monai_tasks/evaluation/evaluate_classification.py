"""Compare predicted classes with true ones: tables, curves, the worst errors and a page."""

from __future__ import annotations

import json
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from os import PathLike
from pathlib import Path
from typing import Any

from tqdm import tqdm

from monai_tasks import __version__
from monai_tasks.catalog import Bundle, BundleError, open_bundle
from monai_tasks.evaluation import curves
from monai_tasks.evaluation.class_pairing import AS_WRITTEN, DONE, FAILED, SKIPPED, Row, find_pairs
from monai_tasks.evaluation.class_predictions import (
    IMAGE,
    PROBABILITY,
    RESULTS,
    STUDY,
    preview_of,
    read_predictions,
    table_of,
)
from monai_tasks.evaluation.class_references import TEST, VALIDATION, References, check_apart, read_references
from monai_tasks.evaluation.class_tables import (
    COLUMNS,
    COMPARISON,
    Table,
    classes_of,
    compare_rows,
    panels_of,
    tables_of,
)
from monai_tasks.evaluation.classification import measure
from monai_tasks.evaluation.classification_page import write_classification_page
from monai_tasks.evaluation.graded import RATERS, compare_raters, decision_rows, grades_of_bundle
from monai_tasks.evaluation.intervals import LEVEL, RESAMPLES
from monai_tasks.evaluation.outcome import PAGE, STATISTICS, TABLE, Summary
from monai_tasks.evaluation.uncertainty import PLOT as RISK_COVERAGE
from monai_tasks.evaluation.uncertainty import measure_uncertainties, read_uncertainties
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import atomic_path, write_json
from monai_tasks.io.tables import write_table
from monai_tasks.metrics.grades import Grades
from monai_tasks.metrics.operating_point import FILE as OPERATING_POINT
from monai_tasks.metrics.operating_point import RULES, parse_rule
from monai_tasks.metrics.operating_point import choose_threshold as best_threshold

REPORT = "report.json"  # of `infer`, beside its table
PREDICTIONS, COMPARED, RATED = "predictions.csv", "comparison.csv", "raters.csv"
PLOTS = {
    "roc": "roc.png",
    "pr": "pr.png",
    "calibration": "calibration.png",
    "probabilities": "probabilities.png",
}
POINTS = {"roc": curves.ROC, "pr": curves.PR, "calibration": curves.CALIBRATION}
FACTS = ("level", "rule", "case", "study", "subject", "label", "decision", "right", "status", "reason")


def evaluate(
    bundle: Bundle | str | PathLike[str],
    predictions: str | PathLike[str],
    references: str | PathLike[str],
    output: str | PathLike[str],
    *,
    part: str | None = None,
    by: Sequence[str] = (),
    compare: str | PathLike[str] | None = None,
    choose_threshold: str | None = None,
    worst: int = 6,
    resamples: int = RESAMPLES,
    seed: int = 0,
    progress: bool = True,
) -> Summary:
    """Compare the answers for images and studies with their true classes.

    Writes `metrics.csv`, `summary.json`, `predictions.csv`, the points and plots of the curves, `worst/*.png` and
    `report.html` into `output`; `comparison.csv` and `operating_point.json` where they are asked for. A case that
    cannot be compared is a row of `predictions.csv` with the reason; the others go on.

    Where the bundle's classes have an order, the decision to scan again is measured as well, as a rule of its own, and
    `raters.csv` has the raters beside the network where the references name them.

    Args:
        bundle: whose classes they are.
        predictions: the output folder of `infer`, or a table; see `read_predictions`.
        references: a datalist or a table; see `read_references`.
        output: folder to write to; made if missing.
        part: `training`, `validation` or `test`; see `read_references`.
        by: keys of the datalist's items, or columns of the table, for each of whose values the metrics are given too.
        compare: another output folder of `infer`, or table, of the same classes, for paired differences.
        choose_threshold: `youden` or `sensitivity:X`: choose the operating point on the validation part, which is
            then the part that is evaluated. It is chosen on images where there are such, else on studies; of ordered
            classes it is that of scanning again.
        worst: how many of the errors with the least probability for the true class are shown.
        resamples: of the bootstrap.
        seed: of the bootstrap.
        progress: show a bar where there is a terminal.

    Returns:
        Counts and statistics. `done` counts images where there are such, else studies.

    Raises:
        BundleError: when there is no such bundle.
        InputError: when a file cannot be used, there is nothing to compare, or a threshold is asked of another part,
            of one that shares a subject or an image with another, or by another rule.
        ValueError: when a threshold cannot be chosen, as without both classes.
    """
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    source = table_of(predictions)
    classes = _classes(bundle, source)
    grades = grades_of_bundle(bundle, len(classes))
    output = Path(output)
    if choose_threshold is not None:
        part = _part_for_threshold(choose_threshold, classes, grades, part, references)
    known = read_references(references, classes, part, by)
    if choose_threshold is not None:
        check_apart(known)
    pairs = find_pairs(read_predictions(source, classes, grades), known, len(classes))
    rows = pairs.rows
    decided = decision_rows(rows, grades) if grades else []
    point = None
    if choose_threshold is not None:
        point = _choose(choose_threshold, decided if grades else rows, known, source)

    bar = tqdm(
        tables_of([*rows, *decided], by), desc="Measure", unit="table", disable=None if progress else True
    )
    tables = [replace(one, measures=tuple(measure(one.scores, resamples, seed))) for one in bar]
    facts = {"bundle": bundle.name, "bundle_version": bundle.metadata["version"], "monai_tasks": __version__}
    statistics: dict[str, Any] = facts | {
        "part": known.part,
        "classes": list(classes),
        "cases": _counts(rows) | {"of_other_parts": pairs.elsewhere},
        "tables": [table.content(classes) for table in tables],
        "interval": {
            "level": LEVEL,
            "resamples": resamples,
            "seed": seed,
            "method": "percentile, by subject",
        },
        "without_subject": sum(not one.subject for one in known.chosen),
    }
    (output / COMPARED).unlink(missing_ok=True)
    _remove_chosen(output)
    if compare is not None:
        others = find_pairs(read_predictions(compare, classes, grades), known, len(classes)).rows
        statistics["comparison"] = _compared(rows, others, compare, resamples, seed, grades)
        write_table(output / COMPARED, statistics["comparison"], COMPARISON)
    (output / RATED).unlink(missing_ok=True)
    if grades is not None:
        statistics["ordinal"] = {"rescan_from": classes[grades.rescan_from]}
        if rated := compare_raters(rows, grades, resamples, seed):
            statistics["raters"] = rated
            write_table(output / RATED, rated, RATERS)
    if point is not None:
        statistics["operating_point"] = point
        write_json(output / OPERATING_POINT, point)
    unsure = _uncertainty(rows, source, output, resamples, seed)
    statistics |= {"uncertainty": unsure} if unsure else {}
    write_table(output / TABLE, (row for table in tables for row in table.rows(classes)), COLUMNS)
    _write_predictions(output / PREDICTIONS, rows, classes, by)
    of_all = [table for table in tables if not table.subgroup]
    plots, matrices = _draw(of_all, classes, output), _draw_matrices(of_all, classes, output)
    errors = _worst(rows, classes, source, output, worst, grades is not None)
    write_classification_page(output / PAGE, rows, statistics, plots, matrices, errors)
    write_json(output / STATISTICS, statistics)
    return _summary(output, rows, statistics)


def _classes(bundle: Bundle, source: Path) -> tuple[str, ...]:
    """The names of the classes: those of the run, whose config may name others than the bundle does.

    Raises:
        InputError: when the table is of a run of another bundle.
    """
    labels = bundle.labels
    report = _report(source) if source.name == RESULTS else None
    if report is not None and "labels" in report:
        if report.get("bundle") != bundle.name:
            raise InputError(source.parent, f"a run of {report.get('bundle')}", f"one of {bundle.name}")
        labels = {int(number): name for number, name in report["labels"].items()}
    if len(labels) < 2 or sorted(labels) != list(range(len(labels))):
        raise BundleError(f"{bundle.name}: classes {labels}; expected two or more, numbered from 0")
    return tuple(labels[number] for number in sorted(labels))


def _part_for_threshold(
    rule: str,
    classes: Sequence[str],
    grades: Grades | None,
    part: str | None,
    references: str | PathLike[str],
) -> str:
    """The part to choose a threshold on, after checks."""
    try:
        parse_rule(rule)
    except ValueError as cause:
        raise InputError("a threshold", f"rule {rule!r}", RULES) from cause
    if len(classes) != 2 and grades is None:
        raise InputError("a threshold", f"{len(classes)} classes", "two")
    if part not in (None, VALIDATION):
        reason = f"a threshold chosen on the {part} part"
        why = "measures what it was fitted to" if part == TEST else "is fitted to what the network was"
        raise InputError(references, f"{reason}, which {why}", "the validation part")
    return VALIDATION


def _choose(rule: str, rows: Sequence[Row], known: References, source: Path) -> dict[str, Any]:
    """The content of the file: chosen on the level that the network answers for."""
    level = IMAGE if any(row.level == IMAGE for row in rows) else STUDY
    own = [row for row in rows if row.level == level and row.status == DONE]
    chosen = best_threshold([row.label for row in own], [row.probabilities[1] for row in own], rule)
    return chosen.content(known.part) | {"level": level} | _weights(source)


def _remove_chosen(output: Path) -> None:
    """Remove the operating point that an earlier run chose here; that of a training, say, is another one and stays."""
    file = output / OPERATING_POINT
    with suppress(FileNotFoundError, ValueError):  # what is missing, or no JSON, is not from here
        told = json.loads((output / STATISTICS).read_text(encoding="utf-8")).get("operating_point")
        if told is not None and told == json.loads(file.read_text(encoding="utf-8")):
            file.unlink()


def _weights(source: Path) -> dict[str, str]:
    """The checksum of the weights that gave the answers, where `infer` tells, so that no others take the threshold."""
    report = _report(source)
    if report is None:
        return {}
    if "weights_sha256" not in report:
        raise InputError(source.with_name(REPORT), "no checksum of weights", "the report of `infer`")
    return {"weights_sha256": report["weights_sha256"]}


def _report(source: Path) -> dict[str, Any] | None:
    """What `infer` tells of the run beside its table; None where it tells nothing."""
    report = source.with_name(REPORT)
    if not report.is_file():
        return None
    try:
        content = json.loads(report.read_text(encoding="utf-8"))
    except ValueError as cause:
        raise InputError(report, f"not readable as JSON ({cause})", "the report of `infer`") from cause
    if not isinstance(content, dict):
        raise InputError(report, "no mapping", "the report of `infer`")
    return content


def _counts(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """How many cases of each level came to what; studies as they were predicted, or else by a rule."""
    counts = {}
    for level in (IMAGE, STUDY):
        own = [row for row in rows if row.level == level]
        rules = list(dict.fromkeys(row.rule for row in own))
        status = Counter(row.status for row in own if row.rule == rules[0])
        if own:
            counts[level] = {name: status[name] for name in (DONE, FAILED, SKIPPED)}
    return counts


def _compared(
    rows: Sequence[Row],
    others: Sequence[Row],
    path: str | PathLike[str],
    resamples: int,
    seed: int,
    grades: Grades | None,
) -> list[dict[str, Any]]:
    if grades is not None:
        rows, others = ([*own, *decision_rows(own, grades)] for own in (rows, others))
    found = compare_rows(rows, others, resamples, seed, grades is not None)
    if not found:
        raise InputError(path, "no case in common with the predictions", "a run on the same cases")
    return found


def _write_predictions(path: Path, rows: Iterable[Row], classes: Sequence[str], by: Sequence[str]) -> None:
    named = [f"{PROBABILITY}{name}" for name in classes]
    listed = []
    for row in rows:
        facts: dict[str, Any] = {name: getattr(row, name) for name in FACTS if name != "right"}
        facts |= {
            key: "" if (number := facts[key]) is None else classes[number] for key in ("label", "decision")
        }
        facts["right"] = int(row.decision == row.label) if row.status == DONE else ""
        facts |= dict(zip(named, row.probabilities, strict=False))
        listed.append(facts | {_group(name): row.groups.get(name, "") for name in by})
    write_table(path, listed, [*FACTS, *named, *map(_group, by)])


def _group(column: str) -> str:
    return f"by_{column}"


def _draw(tables: Sequence[Table], classes: Sequence[str], output: Path) -> list[tuple[str, str]]:
    """Write points and plots; the path of each plot in `output` and its caption."""
    points: dict[str, list[dict[str, Any]]] = {name: [] for name in POINTS}
    for table in tables:
        place = {"level": table.level, "rule": table.rule}
        for curve in (one for group in panels_of([table], classes).values() for one in group):
            own = place | {"class": classes_of(table.rule, classes)[curve.number]}
            points["roc"] += [own | point for point in curves.roc_points(curve)]
            points["pr"] += [own | point for point in curves.pr_points(curve)]
        if table.scores.calibrated:
            points["calibration"] += [place | point for point in curves.calibration_points(table.scores)]
    for name, own in points.items():
        key = () if name == "calibration" else ("class",)
        write_table(output / f"{name}.csv", own, ("level", "rule", *key, *POINTS[name]))
    calibrated = [table for table in tables if table.scores.calibrated]
    one_line = {
        table.heading: [curves.Curve(f"{len(table.scores.labels)} cases", table.scores)]
        for table in calibrated
    }
    curves.draw_roc(panels_of(tables, classes), output / PLOTS["roc"])
    curves.draw_pr(panels_of(tables, classes), output / PLOTS["pr"])
    curves.draw_calibration(one_line, output / PLOTS["calibration"])
    named = {table.heading: (table.scores, classes_of(table.rule, classes)) for table in calibrated}
    curves.draw_probabilities(named, output / PLOTS["probabilities"])
    return [
        (PLOTS["roc"], "ROC curves; a ring is the operating point"),
        (PLOTS["pr"], "Precision by sensitivity; a ring is the operating point"),
        (PLOTS["calibration"], "Calibration: what came true, by what was said"),
        (PLOTS["probabilities"], "Probabilities, by true class"),
    ]


def _draw_matrices(tables: Sequence[Table], classes: Sequence[str], output: Path) -> list[tuple[str, str]]:
    """Draw a confusion matrix of each table; its path in `output` and its caption."""
    for old in output.glob("confusion_*.png"):
        old.unlink()
    drawn = []
    for table in tables:
        path = f"confusion_{table.level}{f'_{table.rule}' if table.rule else ''}.png"
        curves.draw_confusion(table.scores, classes_of(table.rule, classes), output / path, table.heading)
        drawn.append((path, table.heading))
    return drawn


def _uncertainty(
    rows: Sequence[Row], source: Path, output: Path, resamples: int, seed: int
) -> list[dict[str, Any]]:
    """How well the uncertainties rank the errors; of ordered classes an error counts as many classes as it is off."""
    told = [row for row in rows if row.status == DONE and row.rule in ("", AS_WRITTEN)]
    level = IMAGE if any(row.level == IMAGE for row in told) else STUDY
    own = [row for row in told if row.level == level]
    errors = {row.case: float(abs(row.decision - row.label)) for row in own}
    subjects = {row.case: row.subject for row in own}
    return measure_uncertainties(
        read_uncertainties(source), errors, subjects, output / RISK_COVERAGE, resamples, seed
    )


def _worst(
    rows: Sequence[Row], classes: Sequence[str], source: Path, output: Path, count: int, ordered: bool
) -> list[tuple[str | None, str]]:
    """The errors with the least probability for the truth: picture in `output` where there is one, and caption."""
    for old in (output / "worst").glob("[0-9][0-9].png"):
        old.unlink()
    level = IMAGE if any(row.level == IMAGE for row in rows) else STUDY
    wrong = [
        row
        for row in rows
        if row.level == level
        and row.rule in ("", AS_WRITTEN)
        and row.status == DONE
        and row.label != row.decision
    ]
    # Of ordered classes those that are most classes off come first.
    wrong.sort(
        key=lambda row: (-abs(row.decision - row.label) if ordered else 0, row.probabilities[row.label])
    )
    errors = []
    for rank, row in enumerate(wrong[:count], start=1):
        said = f"{classes[row.decision]} (probability {row.probabilities[row.decision]:.2f})"
        path = f"worst/{rank:02d}.png"
        picture = preview_of(source, row.case)
        if picture.is_file():
            with atomic_path(output / path) as temporary:
                shutil.copyfile(picture, temporary)
        errors.append(
            (path if picture.is_file() else None, f"{row.case}: {said}, in truth {classes[row.label]}")
        )
    return errors


def _summary(output: Path, rows: Sequence[Row], statistics: dict[str, Any]) -> Summary:
    counts = statistics["cases"]
    main = counts.get(IMAGE) or counts[STUDY]
    told = [row for row in rows if row.status == FAILED and row.rule in ("", AS_WRITTEN)]
    failures = tuple((f"{row.level} {row.case}", row.reason) for row in told)
    return Summary(output, main[DONE], len(failures), main[SKIPPED], statistics, failures)
