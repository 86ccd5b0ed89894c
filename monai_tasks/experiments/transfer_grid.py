"""A transfer experiment: every arm on every subset with every seed, compared on the same test subjects."""

from __future__ import annotations

import importlib.metadata
import logging
import multiprocessing
import signal
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
from tqdm import tqdm

from monai_tasks.experiments.transfer_answers import measure_of
from monai_tasks.experiments.transfer_outcome import write_outcome
from monai_tasks.experiments.transfer_plan import Plan, read_plan
from monai_tasks.experiments.transfer_run import (
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
from monai_tasks.experiments.transfer_subsets import Subset, write_subsets
from monai_tasks.inference.configs import merged, parse
from monai_tasks.inference.engine import resolve_device
from monai_tasks.io.files import write_json
from monai_tasks.io.journal import Journal
from monai_tasks.radiographs.cluster import over_cluster
from monai_tasks.radiographs.processes import cores, over_processes

logger = logging.getLogger(__name__)

ORDER = "order.json"


@dataclass(frozen=True)
class Summary:
    """What an experiment came to.

    Args:
        output: its folder.
        done: runs of this call.
        taken_over: runs that an earlier call had finished.
        failures: the failed runs and their reasons.
        words: the answer as a paragraph.
    """

    output: Path
    done: int
    taken_over: int
    failures: tuple[tuple[str, str], ...]
    words: str

    @property
    def page(self) -> Path:
        """The report for a person."""
        return self.output / "report.html"


def transfer(
    plan: str | Path | Plan,
    output: str | Path,
    *,
    scheduler: str | None = None,
    jobs: int | None = None,
    devices: Sequence[str] = ("auto",),
    progress: bool = True,
) -> Summary:
    """Train every arm of a plan on every subset with every seed, test it, and compare the arms.

    Writes into `output`: `table.csv` (a row a run), `summary.json`, figures, `report.html`, `datalists/` and `runs/`. A
    run that fails is a row with the reason; the others go on. The same call again takes over the runs that are
    finished and goes on with the one that was interrupted; one that failed is tried again. With several jobs a script
    must call this below `if __name__ == "__main__":`, for the processes import it.

    Args:
        plan: the file, see `read_plan`, or a plan.
        output: folder to write to; made if missing.
        scheduler: address of a Dask scheduler, such as `tcp://10.0.0.5:8786`, whose workers do the runs instead.
        jobs: how many runs at a time, in processes of their own; as many as devices where not given.
        devices: `auto`, `cpu` or `cuda:N`; several share the runs among them.
        progress: show a progress bar where there is a terminal.

    Returns:
        What came of it.

    Raises:
        InputError, BundleError, ConfigError, DeviceError, ClusterError: when the experiment cannot begin; each is a
            ValueError whose text says what was found and expected.
    """
    plan = plan if isinstance(plan, Plan) else read_plan(plan)
    output = Path(output).resolve()
    measure = measure_of(plan.bundle, plan.metric, plan.level)
    if not scheduler:
        for name in devices:
            resolve_device(name)
    _check_ids(plan)
    with Journal(output) as journal:
        subsets = write_subsets(plan, output)
        jobs = max(1, jobs or len(devices))
        shared = _tasks(plan, output, subsets, _spread(devices, jobs))
        grid = _Grid(journal)
        tasks = grid.unfinished(shared)
        with (
            _children_end_with_this_process(),
            tqdm(total=len(shared), unit="run", disable=None if progress else True) as bar,
        ):
            bar.update(len(grid.results))
            for task, result in _done(tasks, scheduler, jobs, output):
                grid.finish(task, result)
                bar.update()
        results = {task: grid.results[task.key] for task in shared}
        words = write_outcome(plan, output, results, subsets, measure)
    failures = tuple((task.key, result.reason) for task, result in results.items() if result.status == FAILED)
    return Summary(output, grid.done, grid.taken_over, failures, words)


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

    def unfinished(self, tasks: Sequence[Task]) -> list[Task]:
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


def _done(
    tasks: Sequence[Task], scheduler: str | None, jobs: int, output: Path
) -> Iterator[tuple[Task, Result | BaseException]]:
    """Do the runs, and give each with its result."""
    if not tasks:
        return iter(())
    if scheduler:
        check = partial(check_worker, output, importlib.metadata.version("monai_tasks"))
        return over_cluster(run, tasks, scheduler, check)
    return over_processes(run, tasks, min(jobs, len(tasks)))


def _tasks(
    plan: Plan, output: Path, subsets: Mapping[tuple[str, int], Subset], devices: tuple[str, ...]
) -> list[Task]:
    """All runs: the arms of one subset and seed come together, so that a grid cut short can be compared."""
    order = _order(plan, output)
    threads = max(1, cores() // len(devices)) if len(devices) > 1 else None
    return [
        Task(
            output,
            name,
            arm.name,
            seed,
            plan.bundle.root.resolve(),
            subset.datalist,
            plan.datalist,
            plan.configs,
            order,
            {**plan.settings, **arm.config()},
            arm.start,
            plan.epochs,
            devices,
            threads,
        )
        for (name, seed), subset in subsets.items()
        for arm in plan.arms
    ]


def _order(plan: Plan, output: Path) -> Path | None:
    """A config that makes the order of the training images depend on the seed and the epoch alone.

    A loader that shuffles takes torch's random numbers, of which an arm may use more than another. A bundle with a
    sampler of its own keeps that.
    """
    loader = merged(plan.bundle, ("train", *plan.configs)).get("train", {}).get("dataloader", {})
    if "sampler" in loader or not loader.get("shuffle"):
        return None
    sampler = {
        "_target_": "torch.utils.data.DistributedSampler",
        "dataset": "@train#dataset",
        "num_replicas": 1,
        "rank": 0,
        "shuffle": True,
        "seed": "@seed",
    }
    write_json(output / ORDER, {"train#dataloader#shuffle": False, "train#dataloader#sampler": sampler})
    return output / ORDER


def _spread(devices: Sequence[str], jobs: int) -> tuple[str, ...]:
    """A device for each of the runs that go on at a time."""
    return tuple(devices[place % len(devices)] for place in range(jobs))


def _check_ids(plan: Plan) -> None:
    """Refuse before the first training what the bundle's config has no id for."""
    for arm in plan.arms:
        ids: dict[str, Any] = {**plan.settings, **arm.config(), "seed": 0}
        parse(plan.bundle, ("train", *plan.configs), torch.device("cpu"), ids)


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
