"""The runs of an experiment: which are left, where they are done, and what became of each."""

from __future__ import annotations

import importlib.metadata
import logging
import multiprocessing
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

from tqdm import tqdm

from monai_tasks.experiments.runs import (
    DONE,
    EVALUATION,
    FAILED,
    Result,
    Task,
    check_worker,
    failure,
    run,
    stamp,
)
from monai_tasks.inference.engine import resolve_device
from monai_tasks.io.journal import Journal
from monai_tasks.radiographs.cluster import over_cluster
from monai_tasks.radiographs.processes import cores, over_processes

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Task)


@dataclass(frozen=True)
class Machines:
    """Where runs are done.

    Args:
        scheduler: address of a Dask scheduler, such as `tcp://10.0.0.5:8786`, whose workers do the runs instead.
        jobs: how many runs at a time, in processes of their own; as many as devices where not given.
        devices: `auto`, `cpu` or `cuda:N`; several share the runs among them.
    """

    scheduler: str | None = None
    jobs: int | None = None
    devices: Sequence[str] = ("auto",)

    def check(self) -> None:
        """Refuse devices that are not there.

        Raises:
            DeviceError: when one is not.
        """
        if not self.scheduler:
            for name in self.devices:
                resolve_device(name)

    @property
    def at_a_time(self) -> int:
        """How many runs go on at a time on this machine."""
        return max(1, self.jobs or len(self.devices))

    @property
    def spread(self) -> tuple[str, ...]:
        """A device for each of the runs that go on at a time."""
        return tuple(self.devices[place % len(self.devices)] for place in range(self.at_a_time))

    @property
    def threads(self) -> int | None:
        """How many threads each run may use; None leaves it to torch."""
        return max(1, cores() // self.at_a_time) if self.at_a_time > 1 else None


@dataclass(frozen=True)
class Outcome(Generic[T]):
    """What became of the runs of an experiment.

    Args:
        results: of all runs, in their order.
        done: how many runs this call did.
        taken_over: how many an earlier call had finished.
    """

    results: dict[T, Result]
    done: int
    taken_over: int

    @property
    def failures(self) -> tuple[tuple[str, str], ...]:
        """The failed runs and their reasons."""
        return tuple(
            (task.key, result.reason) for task, result in self.results.items() if result.status == FAILED
        )


def run_all(
    tasks: Sequence[T], journal: Journal, machines: Machines, output: Path, unit: str, progress: bool
) -> Outcome[T]:
    """Do the runs that no earlier call has finished; one that fails stops no other.

    Args:
        tasks: all runs.
        journal: of the finished ones.
        machines: where they are done.
        output: folder of the experiment.
        unit: what the progress bar counts.
        progress: show a progress bar where there is a terminal.
    """
    grid = _Grid(journal)
    left = grid.unfinished(tasks)
    with (
        _children_end_with_this_process(),
        tqdm(total=len(tasks), unit=unit, disable=None if progress else True) as bar,
    ):
        bar.update(len(grid.results))
        for task, result in _done(left, machines, output):
            grid.finish(task, result)
            bar.update()
    return Outcome({task: grid.results[task.key] for task in tasks}, grid.done, grid.taken_over)


class _Grid:
    """The results of the runs, and which of them are new.

    Args:
        journal: of the finished runs.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self.results: dict[str, Result] = {}
        self.done = self.taken_over = 0
        self._stamps: dict[str, str] = {}

    def unfinished(self, tasks: Sequence[T]) -> list[T]:
        """The runs to do; those that an earlier call finished are taken over."""
        left = []
        for task in tasks:
            self._stamps[task.key] = stamp(task.facts())
            kept = self.journal.content(task.key, self._stamps[task.key])
            if kept is not None and (task.folder / EVALUATION).is_dir():
                self.results[task.key] = Result(**kept)
                self.taken_over += 1
            else:
                left.append(task)
        return left

    def finish(self, task: Task, result: Result | BaseException) -> None:
        """Record what became of a run."""
        if isinstance(result, BaseException):
            result = failure(result)
        self.results[task.key] = result
        if result.status == DONE:
            self.done += 1
            self.journal.add(task.key, self._stamps[task.key], asdict(result))
            logger.info(
                "%s: %s %s after epoch %s", task.key, result.metric, result.validation, result.best_epoch
            )
        else:
            logger.warning("%s failed: %s", task.key, result.reason)


def _done(tasks: Sequence[T], machines: Machines, output: Path) -> Iterator[tuple[T, Result | BaseException]]:
    """Do the runs, and give each with its result."""
    if not tasks:
        return iter(())
    if machines.scheduler:
        check = partial(check_worker, output, importlib.metadata.version("monai_tasks"))
        return over_cluster(run, tasks, machines.scheduler, check)
    return over_processes(run, tasks, min(machines.at_a_time, len(tasks)))


@contextmanager
def _children_end_with_this_process() -> Iterator[None]:
    """Let Ctrl-C and a termination end the trainings of other processes at once; the same call goes on with them."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def end(number: int, frame: object) -> NoReturn:
        for process in multiprocessing.active_children():
            process.terminate()
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
