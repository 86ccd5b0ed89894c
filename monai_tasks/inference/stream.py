"""Read ahead, compute and write behind, with a fixed number of cases at a time."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

Item = TypeVar("Item")
Lane = TypeVar("Lane")
_END = object()


def stream(
    items: Iterable[Item],
    lanes: Sequence[Lane],
    read: Callable[[Item, Lane], Any],
    compute: Callable[[Item, Lane, Any], Any],
    write: Callable[[Item, Lane, Any], Any],
    threads: int,
    initializer: Callable[[], None] | None = None,
) -> Iterator[tuple[Item, Future]]:
    """Pass items through three stages that overlap.

    `read` and `write` run in threads, `compute` in the thread that iterates. An item holds a lane from its reading
    until its result is taken, so no more items than lanes are alive at any time. An error in a stage ends that item
    only. When the iteration is left early, what is being written is finished, and nothing else is begun.

    Args:
        items: taken one by one, as lanes become free.
        lanes: what an item needs to itself while it passes, such as transforms that are not safe to share.
        read: makes what `compute` takes.
        compute: makes what `write` takes.
        write: makes the result.
        threads: how many threads read, and how many write.
        initializer: called at the start of each thread.

    Yields:
        The items in their order, each with a finished future that holds its result or its error.
    """
    free, source = deque(lanes), iter(items)
    reading: deque[tuple[Item, Lane, Future]] = deque()
    writing: deque[tuple[Item, Lane, Future]] = deque()
    with (
        ThreadPoolExecutor(threads, "read", initializer) as readers,
        ThreadPoolExecutor(threads, "write", initializer) as writers,
    ):

        def fill() -> None:
            while free and (taken := next(source, _END)) is not _END:
                lane = free.popleft()
                reading.append((taken, lane, readers.submit(read, taken, lane)))

        def advance() -> None:
            # In a function of its own, so that no variable keeps a case alive while the next one is awaited.
            item, lane, future = reading.popleft()
            try:
                written = writers.submit(write, item, lane, compute(item, lane, future.result()))
            except Exception as error:  # noqa: BLE001 one item's failure must not end the others
                written = Future()
                written.set_exception(error)
            writing.append((item, lane, written))

        try:
            fill()
            while reading or writing:
                if reading:
                    advance()
                while writing and (writing[0][2].done() or not reading):
                    item, lane, future = writing.popleft()
                    future.exception()
                    free.append(lane)
                    yield item, future
                    del item, lane, future
                    fill()
        finally:
            for _, _, future in reading:
                future.cancel()
