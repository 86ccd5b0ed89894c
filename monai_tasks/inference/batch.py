"""The cases of a batch on their way through reading, network and writing."""

from __future__ import annotations

import logging
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from tqdm import tqdm

from monai_tasks.datasets.cases import Case
from monai_tasks.inference.engine import (
    EXPLANATION,
    EXPLANATION_NOTE,
    IMAGE,
    OPINIONS,
    UNCERTAINTY,
    UNCERTAINTY_MAP,
    Chains,
    Engine,
)
from monai_tasks.inference.identity import stamp
from monai_tasks.inference.inputs import STUDIES
from monai_tasks.inference.reasons import chain, is_out_of_memory, reason
from monai_tasks.inference.results import DONE, FAILED, SKIPPED, ResultsTable
from monai_tasks.inference.stream import stream
from monai_tasks.inference.studies import StudyTally
from monai_tasks.inference.uncertainty import COLUMNS
from monai_tasks.inference.views import read_views
from monai_tasks.inference.writer import Writer
from monai_tasks.io.journal import Journal

# A case is read ahead and another written behind beside those that the threads hold.
AHEAD_AND_BEHIND = 2
# Where transforms leave texts about a case for whoever reads the results: a list in the image's metadata.
NOTES = "notes"

logger = logging.getLogger(__name__)


@dataclass
class _Task:
    """A case on its way."""

    index: int
    case: Case
    stamp: str
    given: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    note: str = ""
    row: dict[str, Any] | None = None

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
class Batch:
    """The stages of a case and the bookkeeping around them.

    A transform of the preprocessing that has something to say of a case, such as a fallback that it took, appends a
    text to the list `notes` in the metadata of the image; the results show it.

    Args:
        engine: what predicts.
        writer: what becomes of the predictions.
        journal: of the output folder.
        run_id: the fingerprint of the run.
        alone: whether each file is an image by itself, see `stamp`.
        tally: sums images up to studies, whose rows follow those of the cases when all are through.
    """

    engine: Engine
    writer: Writer
    journal: Journal
    run_id: str
    alone: bool = False
    tally: StudyTally | None = None
    counts: dict[str, int] = field(default_factory=lambda: {DONE: 0, FAILED: 0, SKIPPED: 0})
    noted: int = 0
    _under_way: dict[int, _Task] = field(default_factory=dict)

    @property
    def measures(self) -> list[str]:
        """The columns of the results after the common ones."""
        return [*self.writer.measures, *(COLUMNS if self.engine.uncertainty else ())]

    def run(self, cases: Sequence[Case], jobs: int, overwrite: bool, progress: bool) -> list[tuple[str, str]]:
        """Take all cases through; returns those that failed and why."""
        failures: list[tuple[str, str]] = []
        chains = [self.engine.chains.copy() for _ in range(jobs + AHEAD_AND_BEHIND)]
        with (
            ResultsTable(self.writer.output, self.measures) as table,
            tqdm(total=len(cases), unit="case", disable=None if progress else True) as bar,
            _one_thread_each() as initializer,
        ):
            tasks = self._unfinished(cases, overwrite, table, bar)
            passing = stream(tasks, chains, self.read, self.compute, self.write, jobs, initializer)
            try:
                with closing(passing):
                    for task, future in passing:
                        error = future.exception()
                        row = future.result() if error is None else self._failed(task, error)
                        self._count(row["status"], row)
                        del self._under_way[task.index]
                        self._add(table, task.index, task.case, row)
                        if error is not None:
                            failures.append((row["case"], row["reason"]))
                        bar.update()
                for place, row in enumerate(self.tally.rows() if self.tally else (), start=len(cases)):
                    table.add(place, row)
            finally:
                # What was being written when the run was stopped is finished by now.
                for task in self._under_way.values():
                    if task.row is not None:
                        table.add(task.index, task.row)
        return failures

    def _unfinished(
        self, cases: Sequence[Case], overwrite: bool, table: ResultsTable, bar: tqdm
    ) -> Iterator[_Task]:
        """The cases to compute; the finished ones get their rows on the way."""
        for index, case in enumerate(cases):
            task = _Task(index, case, stamp(case.paths, self.alone), self.writer.given(case))
            row = None if overwrite else self.journal.content(case.name, self._made(task))
            if row is None or not self.writer.prediction(case.name).is_file():
                # In this order: a file without a record is made again, a record may not stand for other files.
                self.journal.forget(case.name)
                self.writer.discard(case.name)
                self._under_way[index] = task
                yield task
                continue
            self._count(SKIPPED, row)
            self._add(table, index, case, {**row, **task.given, "status": SKIPPED, "input": task.source})
            bar.update()

    def _add(self, table: ResultsTable, index: int, case: Case, row: Mapping[str, Any]) -> None:
        table.add(index, row)
        if self.tally is not None:
            self.tally.add(case, row)

    def _made(self, task: _Task) -> str:
        """What tells whether a case was made in this way of these files."""
        return f"{self.run_id} {task.stamp}"

    def _count(self, status: str, row: Mapping[str, Any]) -> None:
        self.counts[status] += 1
        self.noted += bool(row.get("note"))

    def read(self, task: _Task, chains: Chains) -> tuple[dict[str, Any], Any]:
        with task.timed():
            paths = [str(path) for path in task.case.paths]
            if self.engine.inputs != STUDIES:
                return self._read(task, chains, paths)
            read, without = read_views(paths, lambda own: self._read(task, chains, own))
            task.note = "; ".join(filter(None, (without, task.note)))
            return read

    def _read(self, task: _Task, chains: Chains, paths: list[str]) -> tuple[dict[str, Any], Any]:
        item = chains.load(paths[0] if len(paths) == 1 else paths)
        # A reader may have taken it over from a file. A bundle may load later, and have no metadata yet.
        getattr(item[IMAGE], "meta", {}).pop(NOTES, None)
        source = self.writer.source(item[IMAGE])
        item = chains.prepare(item)
        source = self.writer.prepared(source, item[IMAGE])
        task.note = "; ".join(getattr(item[IMAGE], "meta", {}).get(NOTES, ()))
        return item, source

    def compute(
        self, task: _Task, chains: Chains, read: tuple[dict[str, Any], Any]
    ) -> tuple[dict[str, Any], Any]:
        item, source = read
        with task.timed():
            return self.engine.predict(item), source

    def write(self, task: _Task, chains: Chains, computed: tuple[dict[str, Any], Any]) -> dict[str, Any]:
        item, source = computed
        with task.timed():
            explanation = item.pop(EXPLANATION, None)
            task.note = "; ".join(filter(None, (task.note, item.pop(EXPLANATION_NOTE, ""))))
            unsure = self._uncertainty(task, chains, item, source)
            answer = self.writer.answer(chains.postprocessing(item))
            measures = self.writer.write(task.case.name, answer, source, explanation) | unsure
        row = {
            "case": task.case.name,
            "status": DONE,
            "reason": "",
            "note": task.note,
            "seconds": round(task.seconds, 3),
        } | measures
        self.journal.add(task.case.name, self._made(task), row)
        task.row = {**row, **task.given, "input": task.source}
        return task.row

    def _uncertainty(self, task: _Task, chains: Chains, item: dict[str, Any], source: Any) -> dict[str, Any]:
        """Take what tells the uncertainty out of an item; writes the map and gives the columns."""
        values = item.pop(UNCERTAINTY_MAP, None)
        values = None if values is None else chains.on_input_grid(item, values)
        self.writer.write_uncertainty(task.case.name, values, source)
        if OPINIONS in item:
            found = chains.uncertainty(item)
            del item[OPINIONS]
        else:
            found = item.pop(UNCERTAINTY, None)
        return {} if found is None else found.columns()

    def _failed(self, task: _Task, error: BaseException) -> dict[str, Any]:
        logger.debug("case %s failed", task.case.name, exc_info=error)
        text = reason(error, task.source, self.engine.device)
        # The frames of the error and its causes hold the image, and on a device the memory that the next case needs.
        for link in chain(error):
            traceback.clear_frames(link.__traceback__)
        if is_out_of_memory(error) and self.engine.device.type == "cuda":
            torch.cuda.empty_cache()
        # Pictures are written before the prediction, and may be there.
        self.writer.discard(task.case.name)
        row = {"case": task.case.name, "input": task.source, "status": FAILED, "reason": text}
        return {**row, **task.given, "note": task.note, "seconds": round(task.seconds, 3)}


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
