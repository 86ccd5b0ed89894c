"""One table row an epoch: losses, metrics, rates and where the time went."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events

from monai_tasks.io.tables import read_table, write_table


class RunRecord:
    """Writes `record.csv` after every epoch of a training run.

    Columns: `epoch`, `iterations` (how many the epoch had), `loss` (mean over them), every metric of the trainer, as
    measured on what the network was trained with, every validation metric (one column a label where a metric has
    several values), `learning_rate`, `seconds` (the epoch's training part), `data_wait_share` (the share of those
    seconds that the network waited for windows) and `validation_seconds`. A resumed run goes on in the same file.

    Args:
        folder: where `record.csv` is written.
        evaluator: the validation engine.
        optimizer: whose first group's learning rate is recorded.
        labels: names of the values of a metric that has one a label, in order.
    """

    def __init__(
        self,
        folder: str | Path,
        evaluator: Engine,
        optimizer: torch.optim.Optimizer,
        labels: list[str] | None = None,
    ) -> None:
        self.path = Path(folder) / "record.csv"
        self.evaluator = evaluator
        self.optimizer = optimizer
        self.labels = labels or []
        self.rows: list[dict[str, Any]] | None = None
        self._clock = dict.fromkeys(("epoch", "fetch", "validation"), 0.0)
        self._losses: list[float] = []
        self._metrics: dict[str, Any] = {}
        self._waited = self._seconds = self._validation_seconds = 0.0
        self._learning_rate = float("nan")

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer; after the validation handler, so that an epoch's row holds its metrics."""
        engine.add_event_handler(Events.EPOCH_STARTED, self._epoch_started)
        engine.add_event_handler(Events.GET_BATCH_STARTED, self._fetch_started)
        engine.add_event_handler(Events.GET_BATCH_COMPLETED, self._fetch_completed)
        engine.add_event_handler(Events.ITERATION_COMPLETED, self._iteration_completed)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.write)
        self.evaluator.add_event_handler(Events.STARTED, self._validation_started)
        self.evaluator.add_event_handler(Events.COMPLETED, self._validated)

    def write(self, engine: Engine) -> None:
        """Add the row of the epoch that ended and write the table."""
        row = {
            "epoch": engine.state.epoch,
            "iterations": len(self._losses),
            "loss": sum(self._losses) / max(len(self._losses), 1),
            **self._columns_of(engine),
            **self._metrics,
            "learning_rate": self._learning_rate,
            "seconds": round(self._seconds, 3),
            "data_wait_share": round(self._waited / max(self._seconds, 1e-9), 5),
            "validation_seconds": round(self._validation_seconds, 3),
        }
        self.rows.append(row)
        if not dist.is_initialized() or dist.get_rank() == 0:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            columns = list(dict.fromkeys(name for kept in self.rows for name in kept))
            write_table(self.path, self.rows, columns)

    def _kept(self, finished: int) -> list[dict[str, Any]]:
        """The rows of the epochs that a resumed run had finished."""
        rows = read_table(self.path) if finished > 0 and self.path.is_file() else []
        return [row for row in rows if int(row["epoch"]) <= finished]

    def _epoch_started(self, engine: Engine) -> None:
        if self.rows is None:  # not earlier: only now has every handler restored what it had
            self.rows = self._kept(engine.state.epoch - 1)
        self._losses, self._metrics = [], {}
        self._waited = self._seconds = self._validation_seconds = 0.0
        self._learning_rate = self.optimizer.param_groups[0]["lr"]
        self._clock["epoch"] = time.perf_counter()

    def _fetch_started(self, engine: Engine) -> None:
        self._clock["fetch"] = time.perf_counter()

    def _fetch_completed(self, engine: Engine) -> None:
        self._waited += time.perf_counter() - self._clock["fetch"]

    def _iteration_completed(self, engine: Engine) -> None:
        self._losses.append(float(engine.state.output[0]["loss"]))
        self._seconds = time.perf_counter() - self._clock["epoch"]

    def _validation_started(self, evaluator: Engine) -> None:
        self._clock["validation"] = time.perf_counter()

    def _validated(self, evaluator: Engine) -> None:
        self._validation_seconds = time.perf_counter() - self._clock["validation"]
        self._metrics = self._columns_of(evaluator)

    def _columns_of(self, engine: Engine) -> dict[str, float]:
        columns: dict[str, float] = {}
        for name, value in engine.state.metrics.items():
            columns |= _columns(name, value, self.labels)
        return columns


def _columns(name: str, value: Any, labels: list[str]) -> dict[str, float]:
    """One column for a scalar metric, one a label for a metric with several values."""
    values = torch.as_tensor(value, dtype=torch.float64).flatten().tolist()
    if len(values) == 1:
        return {name: round(values[0], 6)}
    names = labels if len(labels) == len(values) else [str(i + 1) for i in range(len(values))]
    return {f"{name}_{label}": round(v, 6) for label, v in zip(names, values, strict=True)}
