"""Keep the best network, and enough of a run to go on after an interruption."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from ignite.engine import Engine, Events
from ignite.handlers import EarlyStopping
from monai.data.utils import set_rnd

from monai_tasks.io.files import atomic_path

logger = logging.getLogger(__name__)


class RunState:
    """Saves `last.pt` after every epoch and `model.pt` whenever validation improves; goes on from `last.pt`.

    `model.pt` is a flat state dict: what inference loads. Where nothing was validated it is the network at the end: the
    first label of MONAI Label leaves none for validation. `last.pt` also holds the epoch, the best value so far and the
    state of every object in `states`. Both are written to a temporary name and renamed. In a distributed run the first
    process writes and all of them restore.

    A run that was cut off before its last epoch goes on by itself. One that came to its end, by its epochs or by early
    stopping, starts anew: MONAI Label trains again and again in one folder.

    Args:
        folder: where `last.pt` is.
        model_dir: where `model.pt` is.
        network: the network, wrapped for distribution or not.
        evaluator: the validation engine.
        metric: name of the validation metric that has to rise.
        states: objects with `state_dict` and `load_state_dict`: optimizer, schedule.
        patience: validations without a rise before the run is stopped, or None to never stop early.
        resume: False starts anew whatever `last.pt` holds.
        seed: where given, a run that goes on seeds its random numbers with this and the epoch, so that it does not
            see the windows of its first epochs again.

    Raises:
        ValueError: on going on with a run that was planned for another number of epochs, since the schedule of the
            learning rate depends on it.
    """

    def __init__(
        self,
        folder: str | Path,
        model_dir: str | Path,
        network: torch.nn.Module,
        evaluator: Engine,
        metric: str,
        states: dict[str, Any],
        patience: int | None = None,
        resume: bool = True,
        seed: int | None = None,
    ) -> None:
        self.last = Path(folder) / "last.pt"
        self.model = Path(model_dir) / "model.pt"
        self.network = getattr(network, "module", network)
        self.evaluator = evaluator
        self.metric = metric
        self.states = states
        self.patience = patience
        self.resume = resume
        self.seed = seed
        self.early_stop: EarlyStopping | None = None
        self.best = float("-inf")
        self.best_epoch = 0

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer; put it last among its handlers, so that the epoch's schedule and metrics are in."""
        engine.add_event_handler(Events.STARTED, self.restore)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)
        engine.add_event_handler(Events.COMPLETED, self.keep_unvalidated)
        self.evaluator.add_event_handler(Events.COMPLETED, self.keep_best, engine)
        if self.patience is not None:
            self.early_stop = EarlyStopping(self.patience, self._score, trainer=engine)
            self.evaluator.add_event_handler(Events.COMPLETED, self.early_stop)

    def restore(self, engine: Engine) -> None:
        if not (self.resume and self.last.is_file()):
            return
        saved = torch.load(self.last, map_location="cpu", weights_only=True)
        if saved["stopped"] or saved["epoch"] >= saved["max_epochs"]:
            logger.info(
                "the run of %s came to its end after epoch %d: starting anew", self.last, saved["epoch"]
            )
            return
        if saved["max_epochs"] != engine.state.max_epochs:
            raise ValueError(
                f"{self.last}: a run of {saved['max_epochs']} epochs, not {engine.state.max_epochs}, was interrupted "
                f"after epoch {saved['epoch']}; expected the same number, or another folder"
            )
        self.network.load_state_dict(saved["network"])
        for name, target in self._stateful().items():
            target.load_state_dict(saved["states"][name])
        self.best, self.best_epoch = saved["best"], saved["best_epoch"]
        engine.state.epoch = saved["epoch"]
        engine.state.iteration = saved["epoch"] * engine.state.epoch_length
        if self.seed is not None:
            self._reseed(engine)
        logger.info("going on after epoch %d of %s", saved["epoch"], self.last)

    def _reseed(self, engine: Engine) -> None:
        rank = dist.get_rank() if dist.is_initialized() else 0
        seed = self.seed + 1000 * engine.state.epoch + rank
        torch.manual_seed(seed)
        set_rnd(engine.data_loader.dataset, seed)

    def keep_best(self, evaluator: Engine, trainer: Engine) -> None:
        value = self._score(evaluator)
        if not value > self.best:  # nor where it is NaN, as the area under a curve is that has one class only
            return
        self.best, self.best_epoch = value, trainer.state.epoch
        self._write(self.model, self.network.state_dict())

    def keep_unvalidated(self, engine: Engine) -> None:
        if self.best_epoch > 0:
            return
        logger.warning("no validation gave a value: keeping the network of the last epoch, best or not")
        self._write(self.model, self.network.state_dict())

    def save(self, engine: Engine) -> None:
        content = {
            "epoch": engine.state.epoch,
            "max_epochs": engine.state.max_epochs,
            "stopped": bool(engine.should_terminate),
            "metric": self.metric,
            "best": self.best,
            "best_epoch": self.best_epoch,
            "network": self.network.state_dict(),
            "states": {name: target.state_dict() for name, target in self._stateful().items()},
        }
        self._write(self.last, content)

    def _score(self, evaluator: Engine) -> float:
        return float(evaluator.state.metrics[self.metric])

    def _stateful(self) -> dict[str, Any]:
        return self.states if self.early_stop is None else {**self.states, "early_stop": self.early_stop}

    def _write(self, path: Path, content: dict[str, Any]) -> None:
        if not is_first_process():
            return
        with atomic_path(path) as temporary:
            torch.save(content, temporary)


def is_first_process() -> bool:
    """Whether this is the process that writes: the first of its group, or the only one."""
    return not dist.is_initialized() or dist.get_rank() == 0
