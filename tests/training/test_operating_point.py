"""The operating point beside the weights is that of the network that was kept, on the validation part."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from ignite.engine import Engine, Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import ROCAUC, ValidationHandler, from_engine
from monai.transforms import AsDiscreted, Compose, CopyItemsd

from monai_tasks.inference.operating_point import held_point
from monai_tasks.io.files import sha256
from monai_tasks.metrics.operating_point import FILE, choose_threshold
from monai_tasks.training.operating_point import ChooseOperatingPoint
from monai_tasks.training.run_state import RunState

LABELS = [0, 0, 0, 1, 1, 0, 1]
# The probability of class 1 of each case, by epoch; the second epoch separates the classes best, the third not at all.
EPOCHS = [
    [0.2, 0.6, 0.1, 0.5, 0.7, 0.3, 0.55],
    [0.2, 0.3, 0.1, 0.6, 0.7, 0.62, 0.65],
    [0.9, 0.8, 0.7, 0.2, 0.1, 0.6, 0.3],
]


class Run:
    """A training whose network is of no account: validation gives the listed probabilities.

    Args:
        folder: of the weights.
        epochs: probabilities by epoch.
        labels: of the cases.
        rule: of `ChooseOperatingPoint`.
    """

    def __init__(
        self,
        folder: Path,
        epochs: Sequence[Sequence[float]] = EPOCHS,
        labels: Sequence[int] = LABELS,
        rule: str = "youden",
    ) -> None:
        torch.manual_seed(0)
        network = torch.nn.Linear(1, 2)
        items = [{"image": torch.tensor([float(n)]), "label": label} for n, label in enumerate(labels)]

        def forward(inputs: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
            positive = torch.tensor(epochs[self.trainer.state.epoch - 1])[inputs[:, 0].long()]
            return torch.stack([1 - positive, positive], 1)

        loader = torch.utils.data.DataLoader(items, batch_size=3)
        self.evaluator = SupervisedEvaluator(
            torch.device("cpu"),
            loader,
            network,
            inferer=forward,
            postprocessing=Compose(
                [CopyItemsd("label", names="classes"), AsDiscreted("classes", to_onehot=2)]
            ),
            key_val_metric={"auroc": ROCAUC(output_transform=from_engine(["pred", "classes"]))},
        )
        self.trainer = SupervisedTrainer(
            torch.device("cpu"),
            len(epochs),
            loader,
            network,
            torch.optim.SGD(network.parameters(), lr=0.1),
            torch.nn.CrossEntropyLoss(),
        )
        for engine in (self.trainer, self.evaluator):
            engine.logger.disabled = True
        ValidationHandler(interval=1, validator=self.evaluator).attach(self.trainer)
        state = RunState(folder, folder, network, self.evaluator, "auroc", {}, resume=False)
        self.handler = ChooseOperatingPoint(state, self.evaluator, rule)
        self.handler.attach(self.trainer)
        self.folder = folder

    def end(self) -> dict | None:
        """Run to the end; what the file holds, if there is one."""
        self.trainer.run()
        path = self.folder / FILE
        return json.loads(path.read_text()) if path.is_file() else None


@pytest.mark.parametrize("rule", ["youden", "sensitivity:0.9"])
def test_it_is_chosen_for_the_best_network(tmp_path, rule):
    found = Run(tmp_path, rule=rule).end()
    point = choose_threshold(LABELS, np.asarray(EPOCHS[1], np.float32), rule)
    assert found == {
        "threshold": point.threshold,
        "rule": rule,
        "part": "validation",
        "n": 7,
        "positives": 3,
        "sensitivity": point.sensitivity,
        "specificity": point.specificity,
        "epoch": 2,
        "weights_sha256": sha256(tmp_path / "model.pt"),
    }
    assert held_point(tmp_path / "model.pt", 0.5, {}).threshold == point.threshold


def test_at_every_moment_the_file_is_for_the_weights(tmp_path):
    run, seen = Run(tmp_path), []

    @run.trainer.on(Events.EPOCH_COMPLETED)
    def look(engine: Engine) -> None:
        content = json.loads((tmp_path / FILE).read_text())
        assert content["weights_sha256"] == sha256(tmp_path / "model.pt")
        seen.append(content["epoch"])

    run.end()
    assert seen == [1, 2, 2]


def test_a_file_of_an_earlier_run_does_not_stay_beside_other_weights(tmp_path, caplog):
    assert Run(tmp_path).end() is not None
    one_class = Run(tmp_path, labels=[1] * len(LABELS))
    assert one_class.end() is None  # no curve, no threshold, and the last network is kept
    assert (tmp_path / "model.pt").is_file()
    assert "is for other weights: removed" in caplog.text


def test_what_is_not_binary_or_no_rule_is_refused(tmp_path):
    with pytest.raises(ValueError, match="rule 'best'; expected youden"):
        Run(tmp_path, rule="best")
    run = Run(tmp_path)
    run.evaluator.inferer = lambda inputs, network: torch.full((len(inputs), 3), 1 / 3)
    run.evaluator.logger.disabled = run.trainer.logger.disabled = True
    with pytest.raises(ValueError, match=r"pred: \(3,\) a case; expected 2 probabilities"):
        run.trainer.run()


GRADES = [
    [0.9, 0.1, 0.0, 0.0, 0.0],
    [0.0, 0.4, 0.3, 0.3, 0.0],
    [0.0, 0.0, 0.5, 0.3, 0.2],
    [0.0, 0.0, 0.2, 0.2, 0.6],
    [0.0, 0.0, 0.6, 0.1, 0.3],
]


def graded(folder: Path, labels: Sequence[int], positive_from: int | None = 3) -> Path:
    """A run of one epoch whose validation gives `GRADES`; where the operating point would be."""
    cases = [
        {"pred": torch.tensor(row), "label": torch.tensor(label)}
        for row, label in zip(GRADES, labels, strict=True)
    ]
    evaluator = Engine(lambda engine, batch: batch)
    trainer = Engine(lambda engine, batch: None)

    @evaluator.on(Events.EPOCH_COMPLETED)
    def measure(engine: Engine) -> None:
        engine.state.metrics["kappa"] = 0.5

    trainer.add_event_handler(Events.EPOCH_COMPLETED, lambda: evaluator.run([cases[:2], cases[2:]]))
    state = RunState(folder, folder, torch.nn.Linear(1, 5), evaluator, "kappa", {}, resume=False)
    ChooseOperatingPoint(state, evaluator, positive_from=positive_from).attach(trainer)
    trainer.run([0], max_epochs=1)
    return folder / FILE


def test_of_ordered_classes_the_probabilities_from_one_on_are_summed(tmp_path):
    found = json.loads(graded(tmp_path, [0, 2, 3, 4, 1]).read_text())
    # To scan again: 0, 0.3, 0.5, 0.8 and 0.4.
    assert found["threshold"] == pytest.approx(0.45)
    assert (found["n"], found["positives"], found["sensitivity"], found["specificity"]) == (5, 2, 1.0, 1.0)
    assert held_point(tmp_path / "model.pt", 0.5, {}).threshold == found["threshold"]


def test_ordered_classes_on_one_side_have_no_operating_point(tmp_path, caplog):
    assert graded(tmp_path, [0, 2, 3, 4, 1]).is_file()
    assert not graded(tmp_path, [0, 2, 1, 0, 1]).is_file()
    assert (tmp_path / "model.pt").is_file()
    assert "no cases on both sides" in caplog.text


def test_ordered_classes_need_one_above_the_border(tmp_path):
    with pytest.raises(ValueError, match=r"pred: \(5,\) a case; expected more than 5 probabilities"):
        graded(tmp_path, [0, 2, 3, 4, 1], positive_from=5)
