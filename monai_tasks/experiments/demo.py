"""A bundle's whole way on generated images: data, training, inference, evaluation, report."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from monai_tasks.catalog import Bundle, BundleError, open_bundle
from monai_tasks.datasets import decathlon, knee_mhd
from monai_tasks.evaluation import evaluate as evaluation
from monai_tasks.inference import runner
from monai_tasks.io.files import write_json
from monai_tasks.phantoms.layouts import write_decathlon, write_knee_mhd
from monai_tasks.report.page import Facts, Figures, Link, Section, Table, Text, write_page
from monai_tasks.training.train import TrainingSummary, train

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How one bundle is shown.

    Args:
        write: writes generated cases as a folder: called with the folder, the number of cases and a seed.
        datalist: lists that folder: called with the folder and `seed`.
        cases: how many to generate.
        epochs: how long to train.
        expected: mean Dice on the unseen images below which something is broken.
        settings: config ids that make the training short.
    """

    write: Callable[[Path, int, int], Path]
    datalist: Callable[..., dict[str, Any]]
    cases: int
    epochs: int
    expected: float
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))


PLANS = {
    "hippocampus_mri_segmentation": Plan(
        write=write_decathlon,
        datalist=decathlon.datalist,
        cases=36,
        epochs=14,
        expected=0.75,
        settings={"window": [24, 32, 24], "learning_rate": 0.003},
    ),
    "knee_mri_bone_segmentation": Plan(
        write=write_knee_mhd,
        datalist=knee_mhd.datalist,
        cases=16,
        epochs=50,
        expected=0.8,
        settings={"val_interval": 5, "epochs_to_a_tenth": 50},
    ),
}


@dataclass(frozen=True)
class DemoSummary:
    """What a demo came to.

    Args:
        page: the report.
        mean_dice: mean over labels and unseen cases.
        expected: what it should be at least.
        failed: cases of any step that failed.
    """

    page: Path
    mean_dice: float
    expected: float
    failed: int


def demo(
    bundle: str | Path | Bundle, output: str | Path, *, seed: int = 0, progress: bool = True
) -> DemoSummary:
    """Generate images, train on some, predict and evaluate the others, and write one report.

    Args:
        bundle: name or folder of a bundle that has a plan.
        output: folder to write to; the same one again goes on where an earlier demo stopped.
        seed: of the images, the split and the training.
        progress: show progress bars where there is a terminal.

    Raises:
        BundleError: when there is no such bundle, or no plan for it.
    """
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    if bundle.name not in PLANS:
        raise BundleError(f"{bundle.name}: no demo; expected one of: {', '.join(PLANS)}")
    plan, output, seconds = PLANS[bundle.name], Path(output), {}
    datalist = output / "datalist.json"
    with _timed("generated images", seconds):
        plan.write(output / "data", plan.cases, seed)
        split = plan.datalist(output / "data", seed=seed)
        write_json(datalist, split)
    with _timed("training", seconds):
        settings = {**plan.settings, "seed": seed}
        trained = train(bundle, datalist, output / "training", epochs=plan.epochs, settings=settings)
    with _timed("inference on unseen images", seconds):
        batch = runner.infer(
            bundle, datalist, output / "inference", weights=trained.weights, progress=progress
        )
    with _timed("evaluation", seconds):
        compared = evaluation.evaluate(
            bundle, batch.output, datalist, output / "evaluation", progress=progress
        )
    dice = _dice(compared)
    sections = _sections(split, trained, batch, compared, seconds)
    subtitle = (
        "Generated images: this shows that the installation works, not how well the job is done on patients."
    )
    page = write_page(output / "report.html", f"Demo of {bundle.name}", sections, subtitle)
    return DemoSummary(page, dice["mean"], plan.expected, batch.failed + compared.failed)


@contextmanager
def _timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    logger.info("%s ...", step)
    begun = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - begun
    logger.info("%s: %.0f s", step, seconds[step])


def _dice(compared: evaluation.Summary) -> dict[str, Any]:
    """The Dice with its interval: the mean over the labels, or that of the only one."""
    labels = list(compared.statistics["labels"].values())
    return labels[0]["metrics"]["dice"] if len(labels) == 1 else compared.statistics["mean_of_labels"]["dice"]


def _sections(
    split: dict[str, Any],
    trained: TrainingSummary,
    batch: runner.Summary,
    compared: evaluation.Summary,
    seconds: dict[str, float],
) -> list[Section]:
    dice = _dice(compared)
    counts = {part: len(split[part]) for part in ("training", "validation", "test")}
    cards = Facts(
        {
            "Mean Dice on unseen images": f"{dice['mean']:.3f}",
            "95 % interval": f"{dice['low']:.3f} to {dice['high']:.3f}",
            "Unseen images": batch.done + batch.skipped,
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
            {"page": Link("Every unseen image, with its label map and volumes", "inference/report.html")},
            {"page": Link("All metrics, box plots and the worst cases", "evaluation/report.html")},
            {"page": Link("One row an epoch: losses, metrics, times", "training/record.csv")},
        ],
        {"page": "More"},
    )
    previews = sorted((batch.output / "previews").glob("*.png"))
    pictures = Figures([(f"inference/previews/{p.name}", p.stem) for p in previews], title="Unseen images")
    curves = Figures(
        [("training/curves.png", "Loss and validation Dice by epoch")], title="Training", wide=True
    )
    plots = Figures(
        [("evaluation/boxplots.png", "Metrics on the unseen images")], title="Evaluation", wide=True
    )
    return [cards, steps, pictures, curves, plots, times, pages]
