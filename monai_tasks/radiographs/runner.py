"""Take a data set of radiographs through the pipeline: one study at a time, on processes or a cluster."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tqdm import tqdm

from monai_tasks.datasets.radiographs import FOLDERS, METADATA, REJECTED, study_folders, write_overall
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import remove_leftovers, write_json
from monai_tasks.io.journal import Journal
from monai_tasks.radiographs.cluster import over_cluster
from monai_tasks.radiographs.contact_sheet import write_sheets
from monai_tasks.radiographs.pipeline import Pipeline, load_pipeline
from monai_tasks.radiographs.processes import cores, over_processes
from monai_tasks.radiographs.work import Result, Task, failure, process, process_on_worker

logger = logging.getLogger(__name__)

PIPELINE = "pipeline.json"
SHEETS = 12  # pictures of each step
PACKAGES = ("monai_tasks", "monai", "numpy", "scipy", "SimpleITK", "pillow", "rapidfuzz")


@dataclass(frozen=True)
class Summary:
    """What a run came to.

    Args:
        output: the output folder.
        done: studies that went through the steps.
        skipped: studies that an earlier run had finished.
        failed: studies that could not be done.
        images: in the output.
        rejected: images that steps left out.
        seconds: wall time of the run.
        failures: the failed studies and their reasons.
    """

    output: Path
    done: int
    skipped: int
    failed: int
    images: int
    rejected: int
    seconds: float
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def total(self) -> int:
        """The number of studies."""
        return self.done + self.skipped + self.failed

    @property
    def metadata(self) -> Path:
        """The table with a row for every image."""
        return self.output / METADATA

    @property
    def rejects(self) -> Path:
        """The table with a row for every image and study that was left out."""
        return self.output / REJECTED


def preprocess(
    data: str | Path,
    output: str | Path,
    *,
    steps: Sequence[str] | None = None,
    jobs: int | None = None,
    scheduler: str | None = None,
    config: str | Path | None = None,
    settings: Mapping[str, Any] | None = None,
    sheets: int = SHEETS,
    overwrite: bool = False,
    progress: bool = True,
) -> Summary:
    """Take every study of a data set through the steps of the pipeline.

    A study that fails costs one row with the reason; the others go on. A second run into the same folder skips the
    studies that were finished with the same steps, parameters and version from unchanged files; one that was killed is
    continued in the same way. With several jobs a script must call this below `if __name__ == "__main__":`, for the
    processes import it.

    Args:
        data: the data set, see `monai_tasks.datasets.radiographs`.
        output: the data set to write; made if missing.
        steps: names of the steps to run, whose order is that of the config; all where not given.
        jobs: how many processes; as many as cores where not given.
        scheduler: address of a Dask scheduler, such as `tcp://10.0.0.5:8786`, whose workers do it instead.
        config: a config file of your own instead of the one of the package.
        settings: parameters of steps, such as `{"body_part#minimum_score": 85}`.
        sheets: pictures for each step's contact sheet; 0 for no sheets.
        overwrite: do finished studies again.
        progress: show a progress bar where there is a terminal.

    Returns:
        What came of it.

    Raises:
        InputError, PipelineError, ClusterError: when the run cannot begin; each is a ValueError whose text says what
            was found and expected.
    """
    started = time.time()
    shown = Path(output)
    data, output = Path(data).resolve(), Path(output).resolve()
    folders = _check_folders(data, output)
    pipeline = load_pipeline(config, steps, settings)
    with Journal(output) as journal:
        remove_leftovers([output, *(output / name for name in FOLDERS)])
        run = _Run(data, output, pipeline, journal, overwrite)
        tasks = run.unfinished(folders)
        if scheduler:
            work = partial(process_on_worker, steps=pipeline.steps)
            done = over_cluster(work, tasks, scheduler, partial(_check_worker, data, output, _version()))
        else:
            work = partial(process, steps=pipeline.steps)
            done = over_processes(work, tasks, min(jobs or cores(), len(folders)))
        with tqdm(total=len(folders), unit="study", disable=None if progress else True) as bar:
            run.bar = bar
            for task, result in done:
                run.finish(task, result)
        run.write(sheets)
    counts = run.counts
    return Summary(
        shown,
        counts["done"],
        counts["skipped"],
        len(run.failures),
        sum(result.images for result in run.results.values()),
        sum(len(result.rejected) for result in run.results.values() if not result.error),
        time.time() - started,
        tuple(sorted(run.failures.items())),
    )


@dataclass
class _Run:
    """The results of one run as they come, and the tables that are made of them."""

    data: Path
    output: Path
    pipeline: Pipeline
    journal: Journal
    overwrite: bool
    bar: tqdm | None = None
    counts: Counter[str] = field(default_factory=Counter)
    results: dict[str, Result] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    _stamps: dict[str, str] = field(default_factory=dict)

    def unfinished(self, folders: Sequence[Path]) -> Iterator[Task]:
        """The studies to do; those that an earlier run finished are taken over on the way."""
        made_by = f"{_version()} {self.pipeline.fingerprint()}"
        for folder in folders:
            task = Task(self.data, self.output, folder.parent.name, folder.name)
            stamp = _stamp(made_by, folder)
            record = None if self.overwrite else self.journal.content(task.key, stamp)
            written = self.output / task.key / METADATA
            if record is not None and (written.is_file() or not record["images"]):
                self.results[task.key] = Result(**record)
                self.counts["skipped"] += 1
                self.bar.update()
                continue
            self.journal.forget(task.key)
            self._stamps[task.key] = stamp
            yield task

    def finish(self, task: Task, result: Result | BaseException) -> None:
        """Record what became of a study. One that failed is done again by the next run."""
        if isinstance(result, BaseException):
            result = failure(task, result)
        self.results[task.key] = result
        stamp = self._stamps.pop(task.key)
        if result.error:
            self.failures[task.key] = result.error
        else:
            self.counts["done"] += 1
            self.journal.add(task.key, stamp, asdict(result))
        self.bar.update()

    def write(self, sheets: int) -> None:
        """Write the tables, what steps counted, the contact sheets, and the facts about the run."""
        ordered = [self.results[key] for key in sorted(self.results)]
        write_overall(self.output, (row for result in ordered for row in result.rejected))
        for step in self.pipeline.steps:
            if hasattr(step, "finish"):
                counts: Counter[str] = Counter()
                for result in ordered:
                    counts.update(result.tallies.get(step.name, {}))
                step.finish(counts, self.output)
        changed = {key: result.changed for key, result in self.results.items() if not result.error}
        write_sheets(self.data, self.output, self.pipeline.steps, changed, sheets)
        facts = {
            "steps": self.pipeline.config,
            "versions": {"python": platform.python_version()}
            | {name: importlib.metadata.version(name) for name in PACKAGES},
            "studies": len(ordered),
            "failed": len(self.failures),
            "changed": dict(sum((Counter(result.changed) for result in ordered), Counter())),
        }
        write_json(self.output / PIPELINE, facts)


def _check_folders(data: Path, output: Path) -> list[Path]:
    """The folders of the studies.

    Raises:
        InputError: if there are none, the output is the data set or in it, or holds studies of another one.
    """
    folders = study_folders(data)
    if not folders:
        raise InputError(data, "no studies", f"a data set with {{{','.join(FOLDERS)}}}/STUDY/{METADATA}")
    if output == data or output.is_relative_to(data) or data.is_relative_to(output):
        raise InputError(output, f"the data set {data}, in it or around it", "a folder of its own")
    known = {(folder.parent.name, folder.name) for folder in folders}
    for folder in study_folders(output):
        if (folder.parent.name, folder.name) not in known:
            found = f"study {folder.parent.name}/{folder.name}, which {data} does not have"
            raise InputError(
                output, found, "an empty folder, or what an earlier run made of the same data set"
            )
    return folders


def _stamp(made_by: str, folder: Path) -> str:
    """Tells whether a study is the one that was there before: by the pipeline, and size and time of its files."""
    states = ((path.name, path.stat()) for path in sorted(folder.iterdir()))
    lines = [made_by, *(f"{name} {state.st_size} {state.st_mtime_ns}" for name, state in states)]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _version() -> str:
    return importlib.metadata.version("monai_tasks")


def _check_worker(data: Path, output: Path, version: str) -> str:
    """What is wrong on the machine that runs this; nothing where all is well."""
    if _version() != version:
        return f"monai_tasks {_version()}; expected {version}"
    for folder in (data, output):
        if not folder.is_dir():
            return f"no folder {folder}; expected the same folders on all machines"
    return (
        "" if os.access(output, os.W_OK) else f"{output} cannot be written to; expected a folder for output"
    )
