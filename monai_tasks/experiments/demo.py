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
from monai_tasks.datasets import brats, chestxray14, decathlon, hrpqct, knee_mhd, mura, radiographs
from monai_tasks.evaluation.by_kind import evaluate
from monai_tasks.experiments.demo_page import Headline, sections
from monai_tasks.inference import runner
from monai_tasks.io.files import write_json
from monai_tasks.phantoms.brats import write_brats
from monai_tasks.phantoms.chestxray14 import write_chestxray14
from monai_tasks.phantoms.hrpqct import write_hrpqct
from monai_tasks.phantoms.layouts import write_decathlon, write_knee_mhd
from monai_tasks.phantoms.mura import write_mura
from monai_tasks.phantoms.radiograph_archive import write_radiographs
from monai_tasks.report.page import write_page
from monai_tasks.training.train import train

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Plan:
    """How one bundle is shown.

    Args:
        write: writes generated cases as a folder: called with the folder, the number of cases and a seed.
        datalist: lists that folder: called with the folder and `seed`.
        cases: how many to generate.
        epochs: how long to train.
        expected: the headline's value below which something is broken.
        settings: config ids that make the training short.
        inference: those of them that change the network or its input, and so hold for inference too.
    """

    write: Callable[[Path, int, int], Path]
    datalist: Callable[..., dict[str, Any]]
    cases: int
    epochs: int
    expected: float
    settings: Mapping[str, Any] = field(default_factory=lambda: MappingProxyType({}))
    inference: tuple[str, ...] = ()


# Small images and half the channels: seconds an epoch on two cores.
WRISTS = MappingProxyType({"size": [256, 171], "widen_factor": 0.5, "learning_rate": 0.001})


def _write_wrists(folder: Path, cases: int, seed: int) -> Path:
    return write_radiographs(folder, cases, seed, jobs=2)


# Slices of half the edge, and half the channels.
SCANS = MappingProxyType({"size": [128, 128], "channels": [8, 16, 32, 64], "learning_rate": 0.003})


def _write_scans(folder: Path, cases: int, seed: int) -> Path:
    return write_hrpqct(folder, cases, seed, size=128, jobs=2)


# Voxels of 3 mm: windows of a quarter of the edge see as much of the head.
TUMOURS = MappingProxyType(
    {"spacing": [3.0, 3.0, 3.0], "window": [24, 24, 24], "windows_per_image": 2, "learning_rate": 0.003}
)


def _write_tumours(folder: Path, cases: int, seed: int) -> Path:
    return write_brats(folder, cases, seed, size=(60, 70, 54))


# Small images, and few layers of few channels.
DENSENETS = MappingProxyType(
    {
        "size": [128, 128],
        "init_features": 16,
        "growth_rate": 8,
        "block_config": [2, 4, 4, 2],
        "hidden": 64,
        "learning_rate": 0.002,
    }
)
OF_DENSENETS = ("size", "init_features", "growth_rate", "block_config", "hidden")


def _write_limbs(folder: Path, cases: int, seed: int) -> Path:
    return write_mura(folder, cases, seed, size=(160, 128))


def _write_chests(folder: Path, cases: int, seed: int) -> Path:
    return write_chestxray14(folder, cases, seed, size=(144, 144))


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
    "tumor_core_mri_segmentation": Plan(
        write=_write_tumours,
        datalist=brats.datalist,
        cases=40,
        epochs=20,
        expected=0.5,
        settings=TUMOURS,
        inference=("spacing",),
    ),
    "bone_xray_abnormality_classification": Plan(
        write=_write_limbs,
        datalist=mura.datalist,
        cases=400,
        epochs=20,
        expected=0.65,
        settings=DENSENETS,
        inference=OF_DENSENETS,
    ),
    "chest_xray_pneumothorax_classification": Plan(
        write=_write_chests,
        datalist=chestxray14.datalist,
        cases=600,
        epochs=20,
        expected=0.65,
        settings=DENSENETS,
        inference=OF_DENSENETS,
    ),
    "wrist_xray_fracture_classification": Plan(
        write=_write_wrists,
        datalist=radiographs.datalist,
        cases=500,
        epochs=20,
        expected=0.65,
        settings=WRISTS,
        inference=("size", "widen_factor"),
    ),
    "wrist_xray_fracture_study_classification": Plan(
        write=_write_wrists,
        datalist=radiographs.datalist,
        cases=500,
        epochs=20,
        expected=0.65,
        settings=WRISTS,
        inference=("size", "widen_factor"),
    ),
    "hrpqct_motion_classification": Plan(
        write=_write_scans,
        datalist=hrpqct.datalist,
        cases=200,
        epochs=20,
        expected=0.5,
        settings=SCANS,
        inference=("size", "channels"),
    ),
}


@dataclass(frozen=True)
class DemoSummary:
    """What a demo came to.

    Args:
        page: the report.
        headline: the figure on unseen cases.
        expected: what it should be at least.
        failed: cases of any step that failed.
    """

    page: Path
    headline: Headline
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
            bundle,
            datalist,
            output / "inference",
            weights=trained.weights,
            settings={name: plan.settings[name] for name in plan.inference},
            progress=progress,
        )
    with _timed("evaluation", seconds):
        compared = evaluate(bundle, batch.output, datalist, output / "evaluation", progress=progress)
    headline = Headline.of(bundle, compared)
    subtitle = (
        "Generated images: this shows that the installation works, not how well the job is done on patients."
    )
    shown = sections(split, trained, batch, compared, seconds, headline)
    page = write_page(output / "report.html", f"Demo of {bundle.name}", shown, subtitle)
    return DemoSummary(page, headline, plan.expected, batch.failed + compared.failed)


@contextmanager
def _timed(step: str, seconds: dict[str, float]) -> Iterator[None]:
    logger.info("%s ...", step)
    begun = time.perf_counter()
    yield
    seconds[step] = time.perf_counter() - begun
    logger.info("%s: %.0f s", step, seconds[step])
