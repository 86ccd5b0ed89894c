"""One row an epoch: losses, metrics, rates and where the time went."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Engine, Events

from monai_tasks.io.tables import read_table
from monai_tasks.training import run_record
from monai_tasks.training.run_record import RunRecord

ITERATIONS = 3


class Clock:
    """A clock that goes on when it is told to, in place of `time`."""

    def __init__(self) -> None:
        self.now = 100.0

    def perf_counter(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture(autouse=True)
def clock(monkeypatch):
    monkeypatch.setattr(run_record, "time", Clock())


class Batches:
    """Numbers 1, 2, 3, each given out after a pause.

    Args:
        pause: in seconds.
    """

    def __init__(self, pause: float) -> None:
        self.pause = pause

    def __len__(self) -> int:
        return ITERATIONS

    def __iter__(self) -> Iterator[float]:
        for number in range(1, ITERATIONS + 1):
            run_record.time.sleep(self.pause)
            yield float(number)


def tenth(epoch: int) -> dict[str, Any]:
    return {"score": epoch / 10}


def run(
    folder: Path,
    *,
    epochs: int = 3,
    begin: int = 0,
    interval: int = 1,
    metrics: Callable[[int], dict[str, Any]] = tenth,
    labels: list[str] | None = None,
    fetch: float = 0.0,
    compute: float = 0.0,
    validation: float = 0.0,
) -> list[dict[str, str]]:
    """Run engines in which the loss of a step is the epoch times 10 plus the batch's number.

    Args:
        folder: of `record.csv`.
        epochs: how many the run has.
        begin: how many of them an earlier run had finished.
        interval: epochs from validation to validation.
        metrics: what validation finds after an epoch.
        labels: names of the values of a metric that has several.
        fetch: seconds that each batch takes.
        compute: seconds that each step takes.
        validation: seconds that each validation takes.

    Returns:
        The table.
    """
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=1.0)

    def step(engine: Engine, number: float) -> list[dict[str, torch.Tensor]]:
        run_record.time.sleep(compute)
        return [{"loss": torch.tensor(10.0 * engine.state.epoch + number)}]

    def validate(engine: Engine, number: float) -> None:
        run_record.time.sleep(validation)

    trainer, evaluator = Engine(step), Engine(validate)

    @evaluator.on(Events.COMPLETED)
    def score() -> None:
        evaluator.state.metrics = metrics(trainer.state.epoch)

    @trainer.on(Events.STARTED)
    def go_on() -> None:
        trainer.state.epoch, trainer.state.iteration = begin, begin * ITERATIONS

    @trainer.on(Events.EPOCH_COMPLETED)
    def lower_rate() -> None:
        trainer.state.metrics["train_score"] = trainer.state.epoch / 20
        optimizer.param_groups[0]["lr"] = 1.0 - trainer.state.epoch / 10

    trainer.add_event_handler(Events.EPOCH_COMPLETED(every=interval), lambda: evaluator.run([0.0]))
    RunRecord(folder, evaluator, optimizer, labels).attach(trainer)
    trainer.run(Batches(fetch), max_epochs=epochs)
    return read_table(folder / "record.csv")


def column(rows: list[dict[str, str]], name: str) -> list[float]:
    return [float(row[name]) for row in rows]


def test_a_row_holds_what_its_own_epoch_found(tmp_path):
    rows = run(tmp_path / "run")
    assert column(rows, "epoch") == [1, 2, 3]
    assert column(rows, "loss") == pytest.approx([12, 22, 32])
    assert column(rows, "iterations") == [ITERATIONS] * 3
    assert column(rows, "score") == pytest.approx([0.1, 0.2, 0.3])
    assert column(rows, "train_score") == pytest.approx([0.05, 0.1, 0.15])
    assert column(rows, "learning_rate") == pytest.approx([1.0, 0.9, 0.8])  # the one the epoch was run with


def test_a_metric_with_several_values_has_a_column_for_each_label(tmp_path):
    def metrics(epoch: int) -> dict[str, Any]:
        return {"mean": torch.tensor(0.5), "dice": torch.tensor([0.25, 0.75])}

    (row,) = run(tmp_path / "named", epochs=1, metrics=metrics, labels=["anterior", "posterior"])
    assert (row["mean"], row["dice_anterior"], row["dice_posterior"]) == ("0.5", "0.25", "0.75")
    (row,) = run(tmp_path / "numbered", epochs=1, metrics=metrics)
    assert (row["dice_1"], row["dice_2"]) == ("0.25", "0.75")


def test_an_epoch_without_validation_has_no_metric(tmp_path):
    rows = run(tmp_path, epochs=4, interval=2)
    assert [row["score"] for row in rows] == ["", "0.2", "", "0.4"]
    assert column(rows, "validation_seconds")[::2] == [0, 0]


def test_the_share_of_the_time_that_the_network_waits(tmp_path):
    rows = run(tmp_path, epochs=2, fetch=0.5, compute=1.5, validation=7.0)
    assert column(rows, "seconds") == [6.0, 6.0]
    assert column(rows, "data_wait_share") == [0.25, 0.25]
    assert column(rows, "validation_seconds") == [7.0, 7.0]


def test_a_resumed_run_goes_on_in_the_same_file(tmp_path):
    first = run(tmp_path, epochs=3)
    # The third epoch was recorded, but the run was cut before its state was saved.
    rows = run(tmp_path, begin=2, epochs=4)
    assert rows[:2] == first[:2]
    assert column(rows, "epoch") == [1, 2, 3, 4]


def test_a_run_that_starts_anew_has_a_new_table(tmp_path):
    run(tmp_path, epochs=3)
    assert column(run(tmp_path, epochs=2), "epoch") == [1, 2]


def test_a_resumed_run_whose_table_was_removed_begins_one(tmp_path):
    assert column(run(tmp_path, begin=2, epochs=4), "epoch") == [3, 4]


def test_only_the_first_process_writes(tmp_path, monkeypatch):
    before = run(tmp_path, epochs=1)
    second = SimpleNamespace(is_initialized=lambda: True, get_rank=lambda: 1)
    monkeypatch.setattr(run_record, "dist", second)
    assert run(tmp_path, epochs=3) == before
