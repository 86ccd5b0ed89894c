"""Items overlap, stay in order and are never more than there are lanes."""

from __future__ import annotations

import gc
import threading
import time
import weakref

import pytest

from monai_tasks.inference.stream import stream


class Payload:
    """Stands for the arrays of a case; weak references tell whether it still lives."""


def _pass(item: int, lane: object, value: object = None) -> object:
    return value


def test_results_come_in_the_order_of_the_items() -> None:
    def write(item: int, lane: object, value: int) -> int:
        time.sleep(0.02 if item % 3 == 0 else 0.0)
        return value * 10

    passed = stream(
        range(9), "abcd", lambda item, lane: item + 1, lambda item, lane, value: value * 2, write, 3
    )
    assert [(item, future.result()) for item, future in passed] == [(n, (n + 1) * 20) for n in range(9)]


def test_never_more_items_alive_than_lanes() -> None:
    alive: weakref.WeakSet[Payload] = weakref.WeakSet()
    most, lock = [0], threading.Lock()

    def read(item: int, lane: str) -> Payload:
        payload = Payload()
        with lock:
            alive.add(payload)
            most[0] = max(most[0], len(alive))
        return payload

    def write(item: int, lane: str, value: Payload) -> int:
        time.sleep(0.005)
        return item

    gc.disable()  # what is not freed at once would count as alive
    try:
        results = [future.result() for _, future in stream(range(40), "abc", read, _pass, write, 2)]
    finally:
        gc.enable()
    assert results == list(range(40))
    assert 2 <= most[0] <= 3
    assert not alive


def test_no_two_items_share_a_lane() -> None:
    busy, lock = set(), threading.Lock()

    def read(item: int, lane: str) -> int:
        with lock:
            assert lane not in busy
            busy.add(lane)
        return item

    def write(item: int, lane: str, value: int) -> int:
        time.sleep(0.003)
        with lock:
            busy.remove(lane)
        return value

    results = [future.result() for _, future in stream(range(30), "abcd", read, _pass, write, 3)]
    assert results == list(range(30))


def test_stages_overlap() -> None:
    def wait(item: int, lane: object, value: object = None) -> int:
        time.sleep(0.05)
        return item

    begun = time.perf_counter()
    assert len(list(stream(range(8), "abcd", wait, wait, wait, 1))) == 8
    # One after the other they would take 1.2 s; overlapped, ten steps of the slowest stage.
    assert time.perf_counter() - begun < 0.9


@pytest.mark.parametrize("stage", ["read", "compute", "write"])
def test_an_error_ends_its_item_only(stage: str) -> None:
    def failing(name: str):
        def run(item: int, lane: object, value: object = None) -> int:
            if name == stage and item == 2:
                raise KeyError("third")
            return item

        return run

    outcomes = list(stream(range(5), "ab", failing("read"), failing("compute"), failing("write"), 2))
    errors = [future.exception() for _, future in outcomes]
    assert [item for item, _ in outcomes] == list(range(5))
    assert isinstance(errors[2], KeyError)
    assert errors[:2] + errors[3:] == [None] * 4


def test_an_interrupt_finishes_what_is_written_and_begins_nothing() -> None:
    begun, written = [], []

    def read(item: int, lane: object) -> int:
        begun.append(item)
        return item

    def compute(item: int, lane: object, value: int) -> int:
        if item == 3:
            raise KeyboardInterrupt
        return value

    def write(item: int, lane: object, value: int) -> None:
        time.sleep(0.05)
        written.append(item)

    with pytest.raises(KeyboardInterrupt):
        list(stream(range(100), "abcdef", read, compute, write, 1))
    assert written == [0, 1, 2]
    assert len(begun) < 12


def test_items_are_taken_as_lanes_become_free() -> None:
    taken = []

    def source():
        for item in range(50):
            taken.append(item)
            yield item

    passing = stream(source(), "abc", lambda item, lane: item, _pass, _pass, 1)
    next(passing)
    assert len(taken) <= 4
    passing.close()
