"""The report of a demo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from monai_tasks.catalog import Bundle
from monai_tasks.evaluation.by_kind import CLASSIFICATION
from monai_tasks.evaluation.outcome import Summary
from monai_tasks.inference import runner
from monai_tasks.report.page import Facts, Figures, Link, Section, Table, Text
from monai_tasks.training.train import TrainingSummary

PICTURES = 24


@dataclass(frozen=True)
class Headline:
    """The figure by which a demo is judged.

    Args:
        name: of the metric, and what it was measured on.
        value: on the unseen cases.
        low: lower end of the 95 % interval.
        high: upper end.
    """

    name: str
    value: float
    low: float | None
    high: float | None

    @classmethod
    def of(cls, bundle: Bundle, compared: Summary) -> Headline:
        """The mean Dice over the labels, the AUROC of the cases that the network sees, or the kappa of ordered classes.

        Args:
            bundle: whose kind decides.
            compared: its evaluation.
        """
        if bundle.kind == CLASSIFICATION:
            table = compared.statistics["tables"][0]
            if "ordinal" in compared.statistics:
                name, about = "quadratic kappa of unseen scans", table["metrics"]["quadratic_kappa"]
            else:
                name, about = f"AUROC of unseen {PLURALS[table['level']]}", table["metrics"]["auroc"]
            return cls(name, about["value"], about["low"], about["high"])
        labels = list(compared.statistics["labels"].values())
        means = labels[0]["metrics"] if len(labels) == 1 else compared.statistics["mean_of_labels"]
        dice = means["dice"]
        return cls("mean Dice on unseen images", dice["mean"], dice["low"], dice["high"])

    @property
    def interval(self) -> str:
        """The interval as a text; empty without one."""
        return "" if self.low is None else f"{self.low:.3f} to {self.high:.3f}"


PLURALS = {"image": "images", "study": "studies"}
PLOTS = {
    "boxplots.png": "Metrics on the unseen images",
    "roc.png": "Sensitivity against specificity",
    "calibration.png": "Probabilities against shares",
}


def sections(
    split: dict[str, Any],
    trained: TrainingSummary,
    batch: runner.Summary,
    compared: Summary,
    seconds: dict[str, float],
    headline: Headline,
) -> list[Section]:
    """What the page of a demo shows.

    Args:
        split: the datalist.
        trained: the training.
        batch: the inference on the test part.
        compared: its evaluation.
        seconds: of each step.
        headline: the figure.
    """
    counts = {part: len(split[part]) for part in ("training", "validation", "test")}
    cards = Facts(
        {
            headline.name[0].upper() + headline.name[1:]: f"{headline.value:.3f}",
            "95 % interval": headline.interval,
            "Unseen cases": batch.done + batch.skipped,
            "Failed": batch.failed + compared.failed,
        },
        cards=True,
    )
    steps = Text(
        [
            f"{sum(counts.values())} images were generated: {counts['training']} for training, {counts['validation']} "
            f"for validation and {counts['test']} that the training never saw.",
            f"The network was trained for {trained.epochs} epochs; the one of epoch {trained.best_epoch} was best on "
            f"the validation images ({trained.metric} {trained.best:.3f}) and was used.",
        ],
        title="What was done",
    )
    times = Table(
        [{"step": step, "seconds": value} for step, value in seconds.items()],
        {"step": "Step", "seconds": "Seconds"},
        formats={"seconds": ".1f"},
        title="Time",
    )
    pages = Table(
        [
            {"page": Link("Every unseen case, with its picture and results", "inference/report.html")},
            {"page": Link("All metrics, plots and the worst cases", "evaluation/report.html")},
            {"page": Link("One row an epoch: losses, metrics, times", "training/record.csv")},
        ],
        {"page": "More"},
    )
    previews = sorted((batch.output / "previews").glob("*.png"))[:PICTURES]
    pictures = Figures(
        [(f"inference/previews/{path.name}", path.stem) for path in previews], title="Unseen cases"
    )
    curves = Figures([("training/curves.png", "Loss and validation by epoch")], title="Training", wide=True)
    drawn = [
        (f"evaluation/{name}", text) for name, text in PLOTS.items() if (compared.output / name).is_file()
    ]
    plots = Figures(drawn, title="Evaluation", wide=True)
    return [cards, steps, pictures, curves, plots, times, pages]
