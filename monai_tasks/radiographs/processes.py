"""Work spread over processes of this machine; a process that dies costs a repetition and no result."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from typing import TypeVar

T, R = TypeVar("T"), TypeVar("R")
logger = logging.getLogger(__name__)

AHEAD = 2  # pieces of work for each process: the one that it does and the next
# What libraries read when they are loaded to decide how many threads they start.
THREADS = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS",
)


class WorkerDiedError(RuntimeError):
    """The process that did a piece of work ended twice before it had done it."""


def over_processes(
    work: Callable[[T], R], tasks: Iterable[T], jobs: int
) -> Iterator[tuple[T, R | BaseException]]:
    """Do each task in one of several processes that compute with one thread each.

    When a process is killed, the work of all that were under way is done again, one after the other, each in a process
    that others do not depend on; what ends its process there, too, is given up.

    Args:
        work: a function of a module, for other processes find it by its name.
        tasks: taken as they are needed, so that only a few are in memory.
        jobs: how many processes; with 1 the work is done in this one.

    Yields:
        Each task with its result or the error that it ended with, in the order in which they end.
    """
    if jobs == 1:
        for task in tasks:
            yield task, _done_here(work, task)
        return
    tasks = iter(tasks)
    with _one_thread_each():
        while True:
            suspects = yield from _together(work, tasks, jobs)
            if not suspects:
                return
            logger.warning(
                "a process was killed or ran out of memory; the %d tasks under way are done again, one by one",
                len(suspects),
            )
            yield from _one_by_one(work, suspects)


def _done_here(work: Callable[[T], R], task: T) -> R | BaseException:
    try:
        return work(task)
    except Exception as error:  # noqa: BLE001 as in other processes, one task's failure must not end the others
        return error


def _together(work: Callable[[T], R], tasks: Iterator[T], jobs: int) -> Iterator[tuple[T, R | BaseException]]:
    """Do tasks until there are none, or a process dies; returns those that this left undone."""
    suspects: list[T] = []
    with _pool(jobs) as pool:
        under_way: dict[Future[R], T] = {}
        while not suspects:
            for task in tasks:
                try:
                    under_way[pool.submit(work, task)] = task
                except BrokenProcessPool:  # between two results
                    suspects.append(task)
                    break
                if len(under_way) >= AHEAD * jobs:
                    break
            if not under_way:
                break
            for future in wait(under_way, return_when=FIRST_COMPLETED).done:
                task = under_way.pop(future)
                if isinstance(future.exception(), BrokenProcessPool):
                    suspects.append(task)
                else:
                    yield task, future.exception() or future.result()
        # When one process dies, all that was under way ends with the same error.
        for future, task in under_way.items():
            if isinstance(future.exception(), BrokenProcessPool):
                suspects.append(task)
            else:
                yield task, future.exception() or future.result()
    return suspects


def _one_by_one(work: Callable[[T], R], tasks: list[T]) -> Iterator[tuple[T, R | BaseException]]:
    left = list(tasks)
    while left:
        with _pool(1) as pool:
            while left:
                task = left.pop(0)
                error = (future := pool.submit(work, task)).exception()
                if isinstance(error, BrokenProcessPool):
                    yield task, WorkerDiedError("its process was killed twice, or ran out of memory")
                    break
                yield task, error or future.result()


@contextmanager
def _pool(jobs: int) -> Iterator[ProcessPoolExecutor]:
    """Processes that start from nothing: a copy of this one could hold locks of its threads."""
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(jobs, mp_context=context, initializer=_leave_interrupts_to_the_parent)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _leave_interrupts_to_the_parent() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)


@contextmanager
def _one_thread_each() -> Iterator[None]:
    """Tell processes that start from now on to compute with one thread."""
    before = {name: os.environ.get(name) for name in THREADS}
    os.environ.update(dict.fromkeys(THREADS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
