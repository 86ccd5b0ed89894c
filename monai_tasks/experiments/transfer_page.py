"""The report of a transfer experiment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tasks.evaluation.intervals import LEVEL, RESAMPLES
from monai_tasks.experiments.runs import FAILED
from monai_tasks.experiments.transfer_answers import Measure
from monai_tasks.experiments.transfer_plan import Arm, Plan
from monai_tasks.experiments.transfer_statistics import Statistics
from monai_tasks.report.page import Facts, Figures, Link, Section, Table, Text, write_page

# Files of figures and what they show.
LOSSES, VALIDATION, BOXES, LEARNING = "losses.png", "validation.png", "boxes.png", "learning_curves.png"
ANSWERS = {1: "better", -1: "worse", 0: "cannot be told"}


def write_transfer_page(
    path: Path,
    plan: Plan,
    words: str,
    rows: Sequence[Mapping[str, Any]],
    statistics: Statistics,
    measure: Measure,
    validation: str,
    boxes: str,
) -> Path:
    """Write the page.

    Args:
        path: the HTML file; the figures lie beside it.
        plan: what was done.
        words: the answer as a paragraph.
        rows: of the table, one a run.
        statistics: of the runs that are done.
        measure: by which they are compared.
        validation: name of the validation metric.
        boxes: what a box of the box plots holds.
    """
    done = [row for row in rows if row["status"] != FAILED]
    shares = [row["data_wait_share"] for row in done if row["data_wait_share"] is not None]
    cards = Facts(
        {
            "Runs": len(done),
            "Failed": len(rows) - len(done),
            "Test subjects": statistics.subjects,
            "Time waiting for data": f"{max(shares):.2%} at most" if shares else None,
        },
        cards=True,
    )
    metric = measure.title
    pictures = [
        (LEARNING, f"{metric} of the test part by training subjects; bars are intervals, small dots seeds"),
        (BOXES, boxes),
        (LOSSES, "Loss by epoch, a line a run"),
        (VALIDATION, f"{validation} by epoch, a line a run"),
    ]
    drawn = [(name, caption) for name, caption in pictures if (path.parent / name).is_file()]
    sections: list[Section] = [
        Text([words], title="In short"),
        cards,
        _differences(statistics, metric),
        _groups(rows, statistics, measure),
        Figures(drawn, title="Figures", wide=True),
        _runs(rows, metric, validation),
        _arms(plan.arms),
    ]
    subtitle = f"{plan.bundle.name} {plan.bundle.metadata['version']}"
    return write_page(path, "Transfer experiment", sections, subtitle)


def _differences(statistics: Statistics, metric: str) -> Table:
    rows = [
        {
            "subset": one.subset,
            "arm": one.arm,
            "other": one.other,
            "value": one.value,
            "interval": None if one.low is None else f"{one.low:+.3f} to {one.high:+.3f}",
            "seeds": len(one.by_seed),
            "above": sum(value > 0 for value in one.by_seed.values()),
            "answer": ANSWERS[one.sign],
        }
        for one in statistics.differences
    ]
    columns = {
        "subset": "Training subjects",
        "arm": "Arm",
        "other": "compared with",
        "value": f"Difference of {metric}",
        "interval": f"{100 * LEVEL:.0f} % interval",
        "seeds": "Seeds",
        "above": "of them above zero",
        "answer": "Answer",
    }
    note = (
        f"Test subjects drawn again {RESAMPLES} times, the same ones for both arms; seeds averaged. An arm is better "
        "or worse where the interval excludes zero and every seed has that sign."
    )
    return Table(rows, columns, {"value": "+.3f"}, "Differences", note)


def _groups(rows: Sequence[Mapping[str, Any]], statistics: Statistics, measure: Measure) -> Table:
    shown = []
    for group in statistics.groups:
        own = [row for row in rows if (row["subset"], row["arm"]) == (group.subset, group.arm)]
        own = [row for row in own if row["status"] != FAILED]
        shown.append(
            {
                "subset": group.subset,
                "arm": group.arm,
                "seeds": len(group.values),
                "train": _mean(own, "train"),
                "validation": _mean(own, "validation"),
                "test": group.mean,
                "deviation": group.deviation,
                "interval": None if group.low is None else f"{group.low:.3f} to {group.high:.3f}",
                "best_epoch": _mean(own, "best_epoch"),
                "best_iteration": _mean(own, "best_iteration"),
                "seconds": _mean(own, "seconds"),
                "data_wait_share": _mean(own, "data_wait_share"),
            }
        )
    columns = {
        "subset": "Training subjects",
        "arm": "Arm",
        "seeds": "Seeds",
        "train": "Train",
        "validation": "Validation",
        "test": f"Test {measure.title}",
        "deviation": "Deviation over seeds",
        "interval": f"{100 * LEVEL:.0f} % interval",
        "best_epoch": "Stop epoch",
        "best_iteration": "Stop iteration",
        "seconds": "Seconds",
        "data_wait_share": "Waiting for data",
    }
    note = (
        "Means over the seeds. The network of the stop epoch, that of the best validation, is the one tested. Train is "
        "the trainer's own metric, measured on what it trained with."
    )
    if measure.cases != measure.seen:
        note += f" Train and validation are of {measure.seen}, which the network looks at;"
        note += f" the test is of {measure.cases}."
    formats = dict.fromkeys(("train", "validation", "test", "deviation"), ".3f") | {
        "best_epoch": ".1f",
        "best_iteration": ".0f",
        "seconds": ".1f",
        "data_wait_share": ".2%",
    }
    return Table(shown, columns, formats, "Arms", note)


def _runs(rows: Sequence[Mapping[str, Any]], metric: str, validation: str) -> Table:
    shown = [
        {
            **row,
            "run": Link(
                f"{row['subset']}/{row['arm']}/{row['seed']}",
                f"runs/{row['subset']}/{row['arm']}/{row['seed']}/record.csv",
            )
            if row["status"] != FAILED
            else f"{row['subset']}/{row['arm']}/{row['seed']}",
        }
        for row in rows
    ]
    columns = {
        "run": "Subset, arm, seed",
        "train": "Train",
        "train_loss": "Loss",
        "validation": validation,
        "test": f"Test {metric}",
        "best_epoch": "Stop epoch",
        "best_iteration": "Stop iteration",
        "epochs": "Epochs run",
        "seconds": "Seconds",
        "data_wait_share": "Waiting for data",
        "unanswered": "Unanswered",
        "reason": "Why it failed",
    }
    formats = dict.fromkeys(("train", "train_loss", "validation", "test"), ".3f")
    formats |= {"seconds": ".1f", "data_wait_share": ".2%"}
    marked = [place for place, row in enumerate(rows) if row["status"] == FAILED]
    return Table(shown, columns, formats, "Runs", marked=marked)


def _arms(arms: Sequence[Arm]) -> Table:
    rows = [
        {
            "arm": arm.name,
            "start": arm.start.name if arm.start else "random values",
            "layers": _shown(arm.layers) if arm.layers is not None else "all that fit" if arm.start else None,
            "frozen": _shown(arm.frozen) if arm.frozen else "none",
            "settings": ", ".join(f"{name}={value}" for name, value in arm.settings.items()),
        }
        for arm in arms
    ]
    columns = {
        "arm": "Arm",
        "start": "Starts from",
        "layers": "Layers started",
        "frozen": "Layers frozen",
        "settings": "Settings",
    }
    return Table(rows, columns, title="What the arms are")


def _shown(layers: tuple[str, ...] | int) -> str:
    return f"the first {layers}" if isinstance(layers, int) else ", ".join(layers)


def _mean(rows: Sequence[Mapping[str, Any]], column: str) -> float | None:
    values = [row[column] for row in rows if row[column] is not None]
    return sum(values) / len(values) if values else None
