"""Run a bundle on many images: one load of the model, bounded memory, one row for every case."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.datasets.radiograph_cases import Search
from monai_tasks.inference.batch import Batch
from monai_tasks.inference.configs import CONFIG, merged
from monai_tasks.inference.engine import Engine, resolve_device
from monai_tasks.inference.identity import Identity
from monai_tasks.inference.inputs import KINDS, RADIOGRAPHS, kind_of
from monai_tasks.inference.members import Members, gather
from monai_tasks.inference.report import PAGE, REPORT, write_report
from monai_tasks.inference.results import DONE, FAILED, RESULTS, SKIPPED
from monai_tasks.inference.studies import StudyTally
from monai_tasks.inference.weights import WeightsError
from monai_tasks.inference.writer import EXPLANATIONS, PREDICTIONS, PREVIEWS, UNCERTAINTIES
from monai_tasks.inference.writers import make_writer, writer_class
from monai_tasks.io.files import remove_leftovers
from monai_tasks.io.journal import Journal
from monai_tasks.io.tables import write_table

MOST_JOBS = 4
PASSED_OVER = "passed_over.csv"


@dataclass(frozen=True)
class Summary:
    """What a batch came to.

    Args:
        output: the output folder.
        done: cases that were computed.
        failed: cases that could not be.
        skipped: cases that an earlier run had finished.
        seconds: wall time of the run.
        failures: the failed cases and their reasons, in the order of the inputs.
        noted: cases of which a transform had something to say; the notes are in the table.
        passed_over: DICOM files of searched folders that are no radiographs; `passed_over.csv` lists them.
    """

    output: Path
    done: int
    failed: int
    skipped: int
    seconds: float
    failures: tuple[tuple[str, str], ...] = ()
    noted: int = 0
    passed_over: int = 0

    @property
    def total(self) -> int:
        """The number of cases."""
        return self.done + self.failed + self.skipped

    @property
    def results(self) -> Path:
        """The table with a row for every case."""
        return self.output / RESULTS

    @property
    def report(self) -> Path:
        """The facts about the run, as JSON."""
        return self.output / REPORT

    @property
    def page(self) -> Path:
        """The report for a person."""
        return self.output / PAGE


def infer(
    bundle: str | Path | Bundle,
    inputs: str | Path | Sequence[str | Path],
    output: str | Path,
    *,
    weights: str | Path | Sequence[str | Path] | None = None,
    configs: Sequence[str] = (),
    device: str = "auto",
    jobs: int | None = None,
    overwrite: bool = False,
    preview: bool = True,
    progress: bool = True,
    settings: Mapping[str, Any] | None = None,
    explain: str | None = None,
    flips: bool = False,
    uncertainty: bool | None = None,
) -> Summary:
    """Predict every case of the inputs and write label maps or probabilities, pictures, a table and a report.

    A case that fails costs one row with the reason; the others go on. A second run into the same folder skips the
    cases that were finished with the same weights, bundle version, configs and settings from unchanged files. A run
    that was killed is continued in the same way.

    Args:
        bundle: its name, its folder, or the bundle itself.
        inputs: images, DICOM series folders, folders to search, or a datalist; one or several. The config's id
            `inputs` says what is looked for: volumes, radiographs, or studies of radiographs.
        output: the folder for the results; made if missing.
        weights: a file of weights instead of the bundle's own; or several, or the folder of a cross-validation, whose
            probabilities are averaged.
        configs: override configs of the bundle, such as `t1t2`, or paths, in order.
        device: `auto`, `cpu` or `cuda:N`.
        jobs: how many threads read images, and how many write; half the cores, four at most, where not given.
        overwrite: compute finished cases again.
        preview: draw a picture of each case.
        progress: show a progress bar where there is a terminal.
        settings: config ids and their values, for example `{"overlap": 0.5}`.
        explain: `relevance` or `gradcam` draws what in a radiograph, or in the slices of a graded scan, speaks for and
            against the answer.
        flips: also average over the answers to mirror images, where the bundle's config lists such in `flips`.
        uncertainty: find how unsure each answer is and how far the networks differ, with a map for a segmentation; done
            where not given if there is more than one opinion, by several networks or of mirror images.

    Returns:
        What came of it.

    Raises:
        BundleError, ConfigError, WeightsError, DeviceError, InputError, BusyError: when the run cannot begin; each
            is a ValueError whose text says what was found and expected.
    """
    started = time.time()
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    writer_class(opened)  # a kind without a writer is refused before anything else
    place = resolve_device(device)
    members = _members_of(opened, weights)
    unsure = flips or len(members.files) > 1 if uncertainty is None else uncertainty
    paths = [Path(path) for path in ([inputs] if isinstance(inputs, (str, Path)) else inputs)]
    kind = KINDS[kind_of(merged(opened, (CONFIG, *configs)), settings or {})]
    search = kind.find(paths, [Path(output)])
    engine = Engine(opened, members, place, configs, settings, Path(output), explain, flips, unsure)
    point = engine.operating_point.facts() if engine.operating_point else None
    identity = Identity.of(
        opened, members, configs, settings or {}, point, explain, engine.flips, engine.uncertainty
    )
    writer = make_writer(opened, engine, Path(output), preview)
    jobs = max(1, jobs or _default_jobs())
    with Journal(writer.output) as journal:
        folders = (PREDICTIONS, PREVIEWS, EXPLANATIONS, UNCERTAINTIES)
        remove_leftovers([writer.output, *(writer.output / name for name in folders)])
        tally = _tally(engine, search)
        batch = Batch(engine, writer, journal, identity.fingerprint(), kind.is_alone, tally)
        failures = batch.run(search.cases, jobs, overwrite, progress)
        _list_passed_over(writer.output, search)
        seconds = time.time() - started
        facts = identity.facts() | {"device": place, "jobs": jobs, "started": started, "seconds": seconds}
        facts |= {"passed_over": len(search.passed_over)} if search.passed_over else {}
        counts = batch.counts
        write_report(writer, facts, counts)
    numbers = counts[DONE], counts[FAILED], counts[SKIPPED]
    passed_over = len(search.passed_over)
    return Summary(writer.output, *numbers, seconds, tuple(failures), batch.noted, passed_over)


def _tally(engine: Engine, search: Search) -> StudyTally | None:
    """What sums images up to studies: one positive image makes a study positive, so it takes two classes."""
    if engine.inputs != RADIOGRAPHS or engine.operating_point is None or engine.grades is not None:
        return None
    return StudyTally(search.cases, engine.classes, engine.operating_point.threshold)


def _list_passed_over(output: Path, search: Search) -> None:
    if search.passed_over:
        rows = [one._asdict() for one in search.passed_over]
        write_table(output / PASSED_OVER, rows, ("file", "reason"))
    else:
        (output / PASSED_OVER).unlink(missing_ok=True)


def _members_of(bundle: Bundle, weights: str | Path | Sequence[str | Path] | None) -> Members:
    if weights:
        return gather(weights)
    if bundle.weights.is_file():
        return Members((bundle.weights,))
    name = bundle.name
    raise WeightsError(
        f"{name} ships no weights; expected your own: list your images (monai-tasks datalist LAYOUT SOURCE -o FILE), "
        f"train on them (monai-tasks train {name} --datalist FILE -o RUN), then add --weights RUN/model.pt here"
    )


def _default_jobs() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_JOBS, max(1, cores // 2))
