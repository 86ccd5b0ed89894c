"""Work sent to a Dask cluster; a worker that dies costs a repetition and no result."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from distributed import Client, Future

T, R = TypeVar("T"), TypeVar("R")

RETRIES = 2  # of work that ended with an error of the machine, such as a disk that was away
WAIT = 60.0  # seconds to wait for a scheduler, and for a worker
AGAIN = "expected it until the end. The same command goes on from here"


class ClusterError(ValueError):
    """A cluster that cannot be used."""


def over_cluster(
    work: Callable[[T], R],
    tasks: Iterable[T],
    address: str,
    check: Callable[[], str] | None = None,
    seconds: float = WAIT,
) -> Iterator[tuple[T, R | BaseException]]:
    """Do each task on a worker of a cluster.

    The scheduler gives the work of a worker that dies to another; a task that several workers died of is given up
    (`distributed.scheduler.allowed-failures`). Workers may join and leave on the way.

    Args:
        work: a function of a module that the workers have installed.
        tasks: taken as they are needed, so that neither this process nor the scheduler holds many.
        address: of the scheduler, such as `tcp://10.0.0.5:8786`.
        check: is run on each worker when it is first seen, and says what is wrong there, or nothing. Nothing counts
            that was done by a worker it has not passed.
        seconds: to wait for the scheduler, and for a worker where there is none.

    Yields:
        Each task with its result or the error that it ended with, in the order in which they end.

    Raises:
        ClusterError: if `distributed` is not installed, there is no scheduler or no worker, a check fails, or the
            scheduler or all workers go away.
    """
    try:
        import distributed  # noqa: F401 to say at once that it is not there
    except ImportError as cause:
        raise ClusterError(
            "distributed is not installed; expected `pip install monai_tasks[cluster]`"
        ) from cause
    with _client(address, seconds) as client:
        _wait_for_workers(client, address, seconds)
        workers = _Workers(client, check)
        tasks, under_way = iter(tasks), {}
        with _reached(address):
            room = workers.room()
        while True:
            ahead = list(islice(tasks, max(0, room - len(under_way))))
            with _reached(address):
                under_way |= {client.submit(work, task, pure=False, retries=RETRIES): task for task in ahead}
            if not under_way:
                return
            with _reached(address):
                # All that have ended by now: to ask the scheduler for its room after each would slow it down.
                ended = _ended(client, address, list(under_way), seconds)
                room = (
                    workers.room()
                )  # what a worker did that has joined meanwhile counts after its check only
            for future in ended:
                with _reached(address):
                    error = future.exception()
                    result = error if error is not None else future.result()
                yield under_way.pop(future), result


class _Workers:
    """The workers of a cluster, each of which is checked when it is first seen.

    Args:
        client: of the cluster.
        check: as for `over_cluster`.
    """

    def __init__(self, client: Client, check: Callable[[], str] | None) -> None:
        self._client, self._check = client, check
        self._checked: set[str] = set()

    def room(self) -> int:
        """How many tasks the cluster may hold: one for each thread, and one where it has just lost its workers.

        None waits at a worker behind another one: when a worker dies, what waits there counts as if it had died of it.

        Raises:
            ClusterError: if a worker that has joined fails the check.
        """
        threads = self._client.nthreads()
        new = threads.keys() - self._checked
        if self._check is not None and new:
            said = self._client.run(self._check, workers=sorted(new), on_error="return")
            for worker, answer in said.items():
                if isinstance(answer, OSError):
                    continue  # it has gone again, or is asked once more
                if answer:
                    raise ClusterError(f"worker {worker}: {answer}")
                self._checked.add(worker)
        return max(1, sum(threads.values()))


@contextmanager
def _reached(address: str) -> Iterator[None]:
    """Say that the scheduler went away where something that it was asked fails."""
    from distributed import CancelledError

    try:
        yield
    except (CancelledError, OSError) as cause:
        raise ClusterError(f"the scheduler at {address} went away; {AGAIN}") from cause


def _ended(client: Client, address: str, under_way: list[Future], seconds: float) -> list[Future]:
    """Wait until some work has ended, for as long as there are workers."""
    from distributed import wait

    while True:
        try:
            with client.as_current():
                return list(wait(under_way, timeout=seconds, return_when="FIRST_COMPLETED").done)
        except TimeoutError:
            if not client.nthreads():
                raise ClusterError(f"no worker is left at the scheduler {address}; {AGAIN}") from None


def _client(address: str, seconds: float) -> Client:
    from distributed import Client

    try:
        return Client(address, timeout=seconds, set_as_default=False)
    except (OSError, ValueError) as cause:
        raise ClusterError(
            f"no scheduler at {address!r} ({cause}); expected one such as tcp://HOST:8786"
        ) from cause


def _wait_for_workers(client: Client, address: str, seconds: float) -> None:
    try:
        client.wait_for_workers(1, timeout=seconds)
    except TimeoutError as cause:
        raise ClusterError(
            f"no worker at the scheduler {address} after {seconds:.0f} s; expected one at least"
        ) from cause
