"""Choose a classifier's operating point on the validation part and keep it beside the weights."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.metrics import Cumulative

from monai_tasks.io.files import sha256, write_json
from monai_tasks.metrics.operating_point import FILE, YOUDEN, choose_threshold, parse_rule
from monai_tasks.training.run_state import RunState, is_first_process

logger = logging.getLogger(__name__)


class ChooseOperatingPoint:
    """Writes `operating_point.json` whenever `RunState` keeps a network: the threshold for that one, by its validation.

    The file also holds the checksum of the weights that it is for. Where a run ends with other weights, such as those
    of a run whose validation had one class only, it is removed: a threshold for another network would be wrong in
    silence. Of ordered classes the two sides are those below `positive_from` and those from it on; where validation
    has one side only there is no file either.

    Args:
        state: the `RunState` of the run, which this attaches; it is no handler of its own then.
        evaluator: the validation engine, whose output holds `pred`, the probabilities (K,) of each case, and `label`.
        rule: `youden`, or `sensitivity:X`, see `monai_tasks.metrics.operating_point.choose_threshold`.
        part: what the file says that the cases are from.
        positive_from: number of the class from which on ordered classes are positive, whose probabilities are summed;
            None for two classes, of which the second is.

    Raises:
        ValueError: when there is no such rule.
    """

    def __init__(
        self,
        state: RunState,
        evaluator: Engine,
        rule: str = YOUDEN,
        part: str = "validation",
        positive_from: int | None = None,
    ) -> None:
        parse_rule(rule)
        self.state = state
        self.evaluator = evaluator
        self.rule = rule
        self.part = part
        self.positive_from = positive_from
        self.path = state.model.with_name(FILE)
        self._cases = Cumulative()

    def attach(self, engine: Engine) -> None:
        """Attach `RunState` to the trainer, and this behind it; put it last among the handlers."""
        self.state.attach(engine)
        self.evaluator.add_event_handler(Events.STARTED, self._cases.reset)
        self.evaluator.add_event_handler(Events.ITERATION_COMPLETED, self._collect)
        self.evaluator.add_event_handler(Events.COMPLETED, self._validated, engine)
        engine.add_event_handler(Events.COMPLETED, self.remove_other)

    def choose(self, labels: torch.Tensor, probabilities: torch.Tensor, epoch: int) -> None:
        """Write the file for the weights that were just kept.

        Args:
            labels: (N,), 0 or 1.
            probabilities: (N,), of class 1.
            epoch: that the weights are of.
        """
        if self.positive_from is not None and len(labels.unique()) < 2:
            logger.warning("validation has no cases on both sides of the decision: no operating point")
            self.path.unlink(missing_ok=True)
            return
        point = choose_threshold(labels.cpu().numpy(), probabilities.double().cpu().numpy(), self.rule)
        facts = {"epoch": epoch, "weights_sha256": sha256(self.state.model)}
        write_json(self.path, point.content(self.part) | facts)

    def remove_other(self, engine: Engine) -> None:
        """Remove the file where it is for other weights than those that the run leaves."""
        if not (is_first_process() and self.path.is_file()):
            return
        if not is_for(self.path, self.state.model):
            logger.warning("%s is for other weights: removed", self.path)
            self.path.unlink()

    def _collect(self, evaluator: Engine) -> None:
        cases: list[dict[str, Any]] = evaluator.state.output
        scores = torch.stack([torch.as_tensor(case["pred"]).detach() for case in cases])
        first = 1 if self.positive_from is None else self.positive_from
        found = tuple(scores.shape[1:])
        if found != (2,) and (self.positive_from is None or len(found) != 1 or not 0 < first < found[0]):
            expected = "2" if self.positive_from is None else f"more than {first}"
            raise ValueError(
                f"pred: {found} a case; expected {expected} probabilities, for one operating point"
            )
        labels = torch.as_tensor([int(case["label"]) >= first for case in cases], device=scores.device)
        # A sum of rounded probabilities may be a little above 1.
        self._cases.extend(scores[:, first:].sum(1).clamp(max=1.0), labels.long())

    def _validated(self, evaluator: Engine, trainer: Engine) -> None:
        if self.state.best_epoch != trainer.state.epoch:
            return
        probabilities, labels = self._cases.get_buffer()  # from all processes, which agree on the best epoch
        if is_first_process():
            self.choose(labels, probabilities, trainer.state.epoch)


def is_for(path: Path, weights: Path) -> bool:
    """Whether an `operating_point.json` is for a file of weights.

    Args:
        path: the JSON file.
        weights: the file of weights.
    """
    kept = json.loads(path.read_text(encoding="utf-8")).get("weights_sha256")
    return weights.is_file() and kept == sha256(weights)
