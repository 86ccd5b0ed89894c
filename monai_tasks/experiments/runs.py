"""One run of an experiment, on whatever machine: train, predict the test part, compare."""

from __future__ import annotations

import gc
import hashlib
import importlib.metadata
import json
import logging
import math
import os
import threading
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.evaluation.by_kind import SEGMENTATION, evaluate
from monai_tasks.inference.configs import checksums, merged
from monai_tasks.inference.runner import infer
from monai_tasks.io.errors import input_error
from monai_tasks.io.files import sha256
from monai_tasks.io.journal import BusyError, Journal
from monai_tasks.io.tables import read_table
from monai_tasks.training.train import TrainingSummary, train

logger = logging.getLogger(__name__)

DONE, FAILED = "done", "failed"
INFERENCE, EVALUATION, SLOTS = "inference", "evaluation", "slots"
LONGEST = 300  # letters of a reason
# Two trainings in one process, as a worker with several threads would do, would share torch's random numbers.
_ONE_AT_A_TIME = threading.Lock()


@dataclass(frozen=True, kw_only=True)
class Task(ABC):
    """One run to do.

    Args:
        output: folder of the experiment, absolute.
        seed: of the training.
        bundle: folder of the bundle.
        training: the datalist that is trained with.
        datalist: whose test part is predicted.
        configs: merged onto the bundle's for training, inference and evaluation.
        order: config that sets the order of the training images, merged last; None leaves it to the bundle.
        settings: config ids and their values. Those that the inference has, too, hold for it as well.
        start: file that the training starts from.
        epochs: the most; None leaves it to the config.
        devices: of which the run takes one that is free.
        threads: that the run may use; None leaves it to torch.
        preview: draw a picture of each case that is predicted.
    """

    output: Path
    seed: int
    bundle: Path
    training: Path
    datalist: Path
    configs: tuple[str, ...] = ()
    order: Path | None = None
    settings: Mapping[str, Any] = field(default_factory=dict, hash=False)
    start: Path | None = None
    epochs: int | None = None
    devices: tuple[str, ...] = ("auto",)
    threads: int | None = None
    preview: bool = False

    @property
    @abstractmethod
    def key(self) -> str:
        """The run's name, which is unique in an experiment."""

    @property
    @abstractmethod
    def folder(self) -> Path:
        """Where the run is written."""

    def facts(self) -> dict[str, Any]:
        """What the run depends on."""
        bundle = open_bundle(self.bundle)
        configs = [bundle.config(name) for name in ("train", "inference", *self.configs)]
        configs += [self.order] if self.order else []
        return {
            "bundle": f"{bundle.name} {bundle.metadata['version']}",
            "configs": checksums(configs),
            "settings": {name: str(value) for name, value in self.settings.items()},
            "epochs": self.epochs,
            "training": sha256(self.training),
            "datalist": sha256(self.datalist),
            "start": None if self.start is None else sha256(self.start),
        }

    def claim(self) -> None:  # noqa: B027 most have no more to say than the training does
        """Refuse a folder that holds another run, where more than `train` looks at tells the two apart.

        Raises:
            OtherRunError: when it does.
        """


@dataclass(frozen=True)
class Result:
    """What became of a run.

    Args:
        status: `done` or `failed`.
        reason: why it failed, in a line.
        metric: name of the validation metric.
        train: the trainer's metric on what it trained with in the best epoch; None where the bundle has none.
        train_loss: mean loss of the best epoch.
        validation: the best value of the validation metric.
        best_epoch: the epoch of the best validation, whose network is tested.
        best_iteration: how many steps of the optimizer led there.
        epochs: how many were run until validation no longer improved.
        seconds: of training and validation.
        data_wait_share: share of the training's seconds in which the network waited for data.
        unanswered: cases of the test part without an answer, or that could not be compared.
    """

    status: str
    reason: str = ""
    metric: str = ""
    train: float | None = None
    train_loss: float | None = None
    validation: float | None = None
    best_epoch: int | None = None
    best_iteration: int | None = None
    epochs: int | None = None
    seconds: float | None = None
    data_wait_share: float | None = None
    unanswered: int = 0


def stamp(facts: Mapping[str, Any]) -> str:
    """A short text that another run does not have.

    Args:
        facts: of a task.
    """
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def run(task: Task) -> Result:
    """Do one run, or go on with it where it was interrupted.

    Args:
        task: the run.

    Returns:
        What became of it, also where it failed.

    Raises:
        OSError: when a folder cannot be read or written to, which may be the machine's fault.
    """
    with _ONE_AT_A_TIME:
        if task.threads is not None:
            torch.set_num_threads(task.threads)
        try:
            with Journal(task.folder), _free_device(task) as device:
                task.claim()
                return _run(task, device)
        except OSError:
            raise
        except Exception as error:  # one run's failure must not end the others
            logger.debug("run %s failed", task.key, exc_info=error)
            return failure(error)
        finally:
            # A training's engines and handlers refer to each other in circles, and hold its images.
            gc.collect()


def failure(error: BaseException) -> Result:
    """The result of a run that ended with an error.

    Args:
        error: of which the first cause is told, for MONAI wraps what went wrong in errors of its own.
    """
    known = input_error(error)
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    text = str(known) if known is not None else str(root)
    if known is None and not isinstance(root, ValueError):
        text = f"{type(root).__name__}: {text}"
    text = " ".join(text.split())
    return Result(FAILED, text if len(text) <= LONGEST else text[: LONGEST - 1] + "…")


def check_worker(output: Path, version: str) -> str:
    """What is wrong on the machine that runs this; nothing where all is well.

    Args:
        output: folder of the experiment.
        version: of monai_tasks, where the experiment was begun.
    """
    own = importlib.metadata.version("monai_tasks")
    if own != version:
        return f"monai_tasks {own}; expected {version}"
    if not output.is_dir():
        return f"no folder {output}; expected the same folders on all machines"
    return (
        "" if os.access(output, os.W_OK) else f"{output} cannot be written to; expected a folder for output"
    )


def shared_settings(bundle: Bundle, task: Task) -> dict[str, Any]:
    """Those settings of a run that the bundle's inference has an id for, too.

    Args:
        bundle: that is trained.
        task: the run.
    """
    known = merged(bundle, ("inference", *task.configs))
    return {name: value for name, value in task.settings.items() if name.split("#")[0] in known}


@contextmanager
def _free_device(task: Task) -> Iterator[str]:
    """A device that no other run of the experiment on this machine has; with one device there is no choice."""
    if len(task.devices) == 1:
        yield task.devices[0]
        return
    for number, name in enumerate(task.devices):
        try:
            slot = Journal(task.output / SLOTS / f"{number}_{name.replace(':', '_')}")
        except BusyError:
            continue
        with slot:
            yield name
        return
    raise BusyError(task.output / SLOTS, "no device is free", "as many runs at a time as devices")


def _run(task: Task, device: str) -> Result:
    bundle = open_bundle(task.bundle)
    configs = [*task.configs, *([str(task.order)] if task.order else [])]
    trained = train(
        bundle,
        task.training,
        task.folder,
        epochs=task.epochs,
        device=device,
        configs=configs,
        settings={**task.settings, "seed": task.seed},
    )
    shared = shared_settings(bundle, task)
    batch = infer(
        bundle,
        task.datalist,
        task.folder / INFERENCE,
        weights=trained.weights,
        configs=task.configs,
        device=device,
        preview=task.preview,
        progress=False,
        settings=shared,
    )
    if batch.failed == batch.total:
        raise ValueError(f"no test case has an answer; the first: {': '.join(batch.failures[0])}")
    options: dict[str, Any] = {"worst": 0, "progress": False}
    if bundle.kind == SEGMENTATION:
        options |= {"configs": task.configs, "settings": shared}
    compared = evaluate(bundle, batch.output, task.datalist, task.folder / EVALUATION, **options)
    return _result(task, trained, compared.failed)


def _result(task: Task, trained: TrainingSummary, unanswered: int) -> Result:
    rows = read_table(task.folder / "record.csv")
    by_epoch = {int(row["epoch"]): row for row in rows}
    best = by_epoch.get(trained.best_epoch, rows[-1])
    seconds = [_number(row["seconds"]) for row in rows]
    waited = sum(s * _number(row["data_wait_share"]) for s, row in zip(seconds, rows, strict=True))
    validated = sum(_number(row["validation_seconds"]) for row in rows)
    train_metric = next((name for name in best if name.startswith("train_")), None)
    until = [int(row["iterations"]) for epoch, row in by_epoch.items() if epoch <= trained.best_epoch]
    return Result(
        DONE,
        metric=trained.metric,
        train=None if train_metric is None else _finite(best[train_metric]),
        train_loss=_finite(best["loss"]),
        validation=trained.best if math.isfinite(trained.best) else None,
        best_epoch=trained.best_epoch,
        best_iteration=sum(until),
        epochs=trained.epochs,
        seconds=round(sum(seconds) + validated, 1),
        data_wait_share=round(waited / max(sum(seconds), 1e-9), 5),
        unanswered=unanswered,
    )


def _finite(text: str) -> float | None:
    value = float(text) if text else math.nan
    return value if math.isfinite(value) else None


def _number(text: str) -> float:
    return _finite(text) or 0.0
