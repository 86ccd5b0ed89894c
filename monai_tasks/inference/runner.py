"""Run a bundle on many images: one load of the model, bounded memory, one row for every case."""

from __future__ import annotations

import logging
import os
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.datasets.cases import Case, find_cases
from monai_tasks.inference.engine import IMAGE, PRED, Chains, Engine, resolve_device
from monai_tasks.inference.identity import Identity, stamp
from monai_tasks.inference.reasons import is_out_of_memory, reason
from monai_tasks.inference.report import PAGE, REPORT, write_report
from monai_tasks.inference.results import DONE, FAILED, RESULTS, SKIPPED, Journal, ResultsTable
from monai_tasks.inference.stream import stream
from monai_tasks.inference.weights import WeightsError
from monai_tasks.inference.writers import PREDICTIONS, PREVIEWS, SegmentationWriter, Source, writer_class
from monai_tasks.io.files import TEMPORARY_MARK

# A case is read ahead and another written behind beside those that the threads hold.
AHEAD_AND_BEHIND = 2
MOST_JOBS = 4

logger = logging.getLogger(__name__)


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
    """

    output: Path
    done: int
    failed: int
    skipped: int
    seconds: float
    failures: tuple[tuple[str, str], ...] = ()

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
    weights: str | Path | None = None,
    configs: Sequence[str] = (),
    device: str = "auto",
    jobs: int | None = None,
    overwrite: bool = False,
    preview: bool = True,
    progress: bool = True,
    settings: Mapping[str, Any] | None = None,
) -> Summary:
    """Predict every case of the inputs and write label maps, pictures, a table and a report.

    A case that fails costs one row with the reason; the others go on. A second run into the same folder skips the
    cases that were finished with the same weights, bundle version, configs and settings from unchanged files. A run
    that was killed is continued in the same way.

    Args:
        bundle: its name, its folder, or the bundle itself.
        inputs: images, DICOM series folders, folders to search, or a datalist; one or several.
        output: the folder for the results; made if missing.
        weights: a file of weights instead of the bundle's own.
        configs: override configs of the bundle, such as `t1t2`, or paths, in order.
        device: `auto`, `cpu` or `cuda:N`.
        jobs: how many threads read images, and how many write; half the cores, four at most, where not given.
        overwrite: compute finished cases again.
        preview: draw a picture of each case.
        progress: show a progress bar where there is a terminal.
        settings: config ids and their values, for example `{"overlap": 0.5}`.

    Returns:
        What came of it.

    Raises:
        BundleError, ConfigError, WeightsError, DeviceError, InputError, BusyError: when the run cannot begin; each
            is a ValueError whose text says what was found and expected.
    """
    started = time.time()
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    make_writer = writer_class(opened)
    place = resolve_device(device)
    file = _weights_of(opened, weights)
    paths = [Path(path) for path in ([inputs] if isinstance(inputs, (str, Path)) else inputs)]
    cases = find_cases(paths, exclude=[Path(output)])
    identity = Identity.of(opened, file, configs, settings or {})
    engine = Engine(opened, file, place, configs, settings)
    writer = make_writer(Path(output), engine.labels, preview)
    jobs = max(1, jobs or _default_jobs())
    with Journal(writer.output) as journal:
        _remove_leftovers(writer.output)
        batch = _Batch(engine, writer, journal, identity.fingerprint())
        failures = batch.run(cases, jobs, overwrite, progress)
        seconds = time.time() - started
        facts = identity.facts() | {"device": place, "jobs": jobs, "started": started, "seconds": seconds}
        counts = batch.counts
        write_report(writer, facts, counts)
    return Summary(writer.output, counts[DONE], counts[FAILED], counts[SKIPPED], seconds, tuple(failures))


@dataclass
class _Task:
    """A case on its way."""

    index: int
    case: Case
    stamp: str
    seconds: float = 0.0

    @property
    def source(self) -> str:
        return ";".join(map(str, self.case.paths))

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Add the time of a stage; no gradients are kept in it, which torch decides for each thread."""
        begun = time.perf_counter()
        with torch.inference_mode():
            yield
        self.seconds += time.perf_counter() - begun


@dataclass
class _Batch:
    """The stages of a case and the bookkeeping around them."""

    engine: Engine
    writer: SegmentationWriter
    journal: Journal
    run_id: str
    counts: dict[str, int] = field(default_factory=lambda: {DONE: 0, FAILED: 0, SKIPPED: 0})

    def run(self, cases: Sequence[Case], jobs: int, overwrite: bool, progress: bool) -> list[tuple[str, str]]:
        """Take all cases through; returns those that failed and why."""
        failures: list[tuple[str, str]] = []
        chains = [self.engine.chains.copy() for _ in range(jobs + AHEAD_AND_BEHIND)]
        with (
            ResultsTable(self.writer.output, self.writer.measures) as table,
            tqdm(total=len(cases), unit="case", disable=None if progress else True) as bar,
            _one_thread_each() as initializer,
        ):
            tasks = self._unfinished(cases, overwrite, table, bar)
            passing = stream(tasks, chains, self.read, self.compute, self.write, jobs, initializer)
            with closing(passing):
                for task, future in passing:
                    error = future.exception()
                    row = future.result() if error is None else self._failed(task, error)
                    self.counts[row["status"]] += 1
                    table.add(task.index, row)
                    if error is not None:
                        failures.append((row["case"], row["reason"]))
                    bar.update()
        return failures

    def _unfinished(
        self, cases: Sequence[Case], overwrite: bool, table: ResultsTable, bar: tqdm
    ) -> Iterator[_Task]:
        """The cases to compute; the finished ones get their rows on the way."""
        for index, case in enumerate(cases):
            task = _Task(index, case, stamp(case.paths))
            row = None if overwrite else self.journal.row(case.name, self.run_id, task.stamp)
            if row is None or not self.writer.prediction(case.name).is_file():
                yield task
                continue
            self.counts[SKIPPED] += 1
            table.add(index, {**row, "status": SKIPPED, "input": task.source})
            bar.update()

    def read(self, task: _Task, chains: Chains) -> tuple[dict[str, Any], Source]:
        with task.timed():
            paths = [str(path) for path in task.case.paths]
            item = chains.load(paths[0] if len(paths) == 1 else paths)
            source = self.writer.source(item[IMAGE])
            return chains.prepare(item), source

    def compute(
        self, task: _Task, chains: Chains, read: tuple[dict[str, Any], Source]
    ) -> tuple[dict[str, Any], Source]:
        item, source = read
        with task.timed():
            return self.engine.predict(item), source

    def write(self, task: _Task, chains: Chains, computed: tuple[dict[str, Any], Source]) -> dict[str, Any]:
        item, source = computed
        with task.timed():
            pred = chains.postprocessing(item)[PRED]
            measures = self.writer.write(task.case.name, pred, source)
        row = {
            "case": task.case.name,
            "status": DONE,
            "reason": "",
            "seconds": round(task.seconds, 3),
        } | measures
        self.journal.add(task.case.name, self.run_id, task.stamp, row)
        return row | {"input": task.source}

    def _failed(self, task: _Task, error: BaseException) -> dict[str, Any]:
        logger.debug("case %s failed", task.case.name, exc_info=error)
        text = reason(error, task.source, self.engine.device)
        # The frames of the error hold the image, and on a device the memory that the next case needs.
        traceback.clear_frames(error.__traceback__)
        if is_out_of_memory(error) and self.engine.device.type == "cuda":
            torch.cuda.empty_cache()
        # What an earlier run wrote was made in another way or from another image.
        self.writer.discard(task.case.name)
        row = {"case": task.case.name, "input": task.source, "status": FAILED, "reason": text}
        return row | {"seconds": round(task.seconds, 3)}


def _weights_of(bundle: Bundle, weights: str | Path | None) -> Path:
    path = Path(weights) if weights else bundle.weights
    if path.is_file():
        return path
    if weights:
        raise WeightsError(f"{path}: no such file; expected weights that torch.save wrote")
    raise WeightsError(f"{bundle.name}: no weights are shipped; expected a file of weights (--weights)")


def _default_jobs() -> int:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(MOST_JOBS, max(1, cores // 2))


def _remove_leftovers(output: Path) -> None:
    """Remove what a killed run left half written."""
    for folder in (output, output / PREDICTIONS, output / PREVIEWS):
        for path in folder.glob(f".*{TEMPORARY_MARK}.*"):
            path.unlink()


@contextmanager
def _one_thread_each() -> Iterator[Any]:
    """Give what makes a reading or writing thread compute alone, so that the network keeps the cores.

    torch takes the number for the calling thread and as the default of later ones, which is set back at the end.
    """
    threads = torch.get_num_threads()
    try:
        yield lambda: torch.set_num_threads(1)
    finally:
        torch.set_num_threads(threads)
