"""The best network is kept, and an interrupted run ends as one that was not interrupted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from ignite.engine import Events
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler, ValidationHandler

from monai_tasks.training import run_state
from monai_tasks.training.run_state import RunState

ITERATIONS = 3
SCORES = [0.30, 0.62, 0.55, 0.71, 0.40, 0.66]


class InterruptionError(Exception):
    """Stands for a power cut."""


def items(count: int) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(4)
    images = torch.randn(count, 1, 5, generator=generator)
    return [{"image": image, "label": image.sum(1, keepdim=True)} for image in images]


class Run:
    """A training without randomness whose validation gives the listed scores, one an epoch.

    Args:
        folder: of `last.pt` and `model.pt`.
        scores: what validation finds, from the first epoch on.
        epochs: how many are planned.
        patience: of `RunState`.
        wrap: what is done to the network before the engines get it.
        decay: the share of the first learning rate at an epoch, from 0 on; None for a polynomial.
        interval: epochs from one validation to the next.
        more: further arguments of `RunState`.
    """

    def __init__(
        self,
        folder: Path,
        scores: Sequence[float] = SCORES,
        epochs: int | None = None,
        patience: int | None = None,
        wrap: type[torch.nn.Module] | None = None,
        decay: Callable[[int], float] | None = None,
        interval: int = 1,
        **more: Any,
    ) -> None:
        torch.manual_seed(0)
        self.network = torch.nn.Linear(5, 1)
        self.optimizer = torch.optim.Adam(self.network.parameters(), lr=0.05, weight_decay=1e-3)
        epochs = epochs or len(scores)
        schedules = torch.optim.lr_scheduler
        schedule = (
            schedules.LambdaLR(self.optimizer, decay)
            if decay
            else schedules.PolynomialLR(self.optimizer, total_iters=epochs, power=0.9)
        )
        engine_network = wrap(self.network) if wrap else self.network
        self.rates: dict[int, float] = {}
        self.weights: dict[int, dict[str, torch.Tensor]] = {}
        loader = torch.utils.data.DataLoader(items(2 * ITERATIONS), batch_size=2)
        device = torch.device("cpu")
        evaluator = SupervisedEvaluator(device, loader, engine_network)
        self.trainer = SupervisedTrainer(
            device, epochs, loader, engine_network, self.optimizer, torch.nn.MSELoss(), decollate=False
        )
        self.trainer.logger.disabled = evaluator.logger.disabled = True

        @evaluator.on(Events.COMPLETED)
        def score() -> None:
            evaluator.state.metrics["score"] = scores[self.trainer.state.epoch - 1]

        @self.trainer.on(Events.EPOCH_STARTED)
        def note_rate() -> None:
            self.rates[self.trainer.state.epoch] = self.optimizer.param_groups[0]["lr"]

        LrScheduleHandler(schedule, print_lr=False).attach(self.trainer)
        ValidationHandler(interval=interval, validator=evaluator).attach(self.trainer)
        states = {"optimizer": self.optimizer, "lr_scheduler": schedule}
        self.state = RunState(folder, folder, engine_network, evaluator, "score", states, patience, **more)
        self.state.attach(self.trainer)

        @self.trainer.on(Events.EPOCH_COMPLETED)
        def note_weights() -> None:
            state = {name: value.clone() for name, value in self.network.state_dict().items()}
            self.weights[self.trainer.state.epoch] = state

    def cut(self, iteration: int) -> None:
        """Run until an iteration, counted from the beginning of the whole run, is done."""

        def stop() -> None:
            raise InterruptionError

        self.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=iteration), stop)
        with pytest.raises(InterruptionError):
            self.trainer.run()

    def end(self) -> Run:
        """Run to the end."""
        self.trainer.run()
        return self


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def read(path: Path) -> dict:
    return torch.load(path, weights_only=True)


def test_the_best_network_is_kept_as_a_flat_state_dict(tmp_path):
    run = Run(tmp_path).end()
    assert equal(read(tmp_path / "model.pt"), run.weights[4])
    assert not equal(run.weights[4], run.weights[6])
    last = read(tmp_path / "last.pt")
    assert (last["epoch"], last["best_epoch"], last["best"], last["metric"]) == (6, 4, 0.71, "score")
    assert equal(last["network"], run.weights[6])


def test_the_first_of_equal_scores_is_kept(tmp_path):
    run = Run(tmp_path, [0.5, 0.5, 0.5]).end()
    assert equal(read(tmp_path / "model.pt"), run.weights[1])


def test_a_score_of_zero_is_kept_too(tmp_path):
    run = Run(tmp_path, [0.0, 0.0]).end()
    assert equal(read(tmp_path / "model.pt"), run.weights[1])


def test_without_a_validation_the_last_network_is_kept(tmp_path, caplog):
    run = Run(tmp_path, interval=len(SCORES) + 1).end()
    assert equal(read(tmp_path / "model.pt"), run.weights[len(SCORES)])
    assert "no validation" in caplog.text


NAN = float("nan")


@pytest.mark.parametrize(
    ("scores", "kept"), [([NAN, 0.4, 0.3], 2), ([0.4, NAN, NAN], 1), ([NAN, 0.3, NAN, 0.6, NAN], 4)]
)
def test_a_score_that_is_no_number_is_no_rise(tmp_path, scores, kept):
    """Such as the area under a curve where the validation part has one class only."""
    run = Run(tmp_path, scores).end()
    assert equal(read(tmp_path / "model.pt"), run.weights[kept])
    assert read(tmp_path / "last.pt")["best_epoch"] == kept


def test_without_any_score_that_is_a_number_the_last_network_is_kept(tmp_path, caplog):
    run = Run(tmp_path, [NAN, NAN]).end()
    assert equal(read(tmp_path / "model.pt"), run.weights[2])
    assert "no validation" in caplog.text


def test_one_validation_is_enough_to_keep_what_it_saw(tmp_path):
    run = Run(tmp_path, interval=4).end()
    assert equal(read(tmp_path / "model.pt"), run.weights[4])


# In the middle of the second epoch, at the beginning of the fourth, at the end of the fourth before it is saved.
@pytest.mark.parametrize("iteration", [ITERATIONS + 2, 3 * ITERATIONS + 1, 4 * ITERATIONS])
def test_an_interrupted_run_ends_as_one_that_was_not(tmp_path, iteration):
    whole = Run(tmp_path / "whole").end()
    cut = Run(tmp_path / "cut")
    cut.cut(iteration)
    finished = (iteration - 1) // ITERATIONS
    resumed = Run(tmp_path / "cut").end()
    assert sorted(resumed.rates) == list(range(finished + 1, 7))
    assert {**cut.rates, **resumed.rates} == whole.rates
    assert resumed.trainer.state.iteration == whole.trainer.state.iteration == 6 * ITERATIONS
    for epoch, weights in resumed.weights.items():
        assert equal(weights, whole.weights[epoch])
    expected, found = read(tmp_path / "whole" / "last.pt"), read(tmp_path / "cut" / "last.pt")
    assert found["states"]["lr_scheduler"] == expected["states"]["lr_scheduler"]
    moments = [saved["states"]["optimizer"]["state"][0] for saved in (expected, found)]
    assert all(torch.equal(moments[0][name], moments[1][name]) for name in ("step", "exp_avg", "exp_avg_sq"))
    assert (found["best"], found["best_epoch"]) == (0.71, 4)
    assert equal(read(tmp_path / "cut" / "model.pt"), read(tmp_path / "whole" / "model.pt"))


def test_a_decay_that_is_a_function_goes_on_too(tmp_path):
    """`last.pt` holds the epoch of the schedule, not the function, and so loads with tensors and numbers only."""

    def decay(epoch: int) -> float:
        return 1 / (1 + 9 / 68 * epoch)  # a tenth at epoch 68

    whole = Run(tmp_path / "whole", decay=decay).end()
    cut = Run(tmp_path / "cut", decay=decay)
    cut.cut(3 * ITERATIONS + 1)
    assert read(tmp_path / "cut" / "last.pt")["states"]["lr_scheduler"]["lr_lambdas"] == [None]
    resumed = Run(tmp_path / "cut", decay=decay).end()
    assert {**cut.rates, **resumed.rates} == whole.rates
    assert whole.rates[5] == pytest.approx(0.05 / (1 + 9 / 68 * 4))
    assert equal(resumed.weights[6], whole.weights[6])


def test_a_run_that_is_cut_twice_goes_on_twice(tmp_path):
    whole = Run(tmp_path / "whole").end()
    Run(tmp_path / "cut").cut(ITERATIONS + 1)
    Run(tmp_path / "cut").cut(4 * ITERATIONS + 2)
    assert equal(Run(tmp_path / "cut").end().weights[6], whole.weights[6])


def test_a_run_that_is_cut_before_its_first_epoch_ends_begins_again(tmp_path):
    Run(tmp_path).cut(2)
    assert list(tmp_path.iterdir()) == []
    assert sorted(Run(tmp_path).end().weights) == [1, 2, 3, 4, 5, 6]


def test_early_stopping_counts_on_after_an_interruption(tmp_path):
    scores = [0.5, 0.4, 0.3, 0.2, 0.9, 0.9]
    whole = Run(tmp_path / "whole", scores, patience=3).end()
    assert sorted(whole.weights) == [1, 2, 3, 4]
    Run(tmp_path / "cut", scores, patience=3).cut(2 * ITERATIONS + 1)
    resumed = Run(tmp_path / "cut", scores, patience=3).end()
    assert sorted(resumed.weights) == [3, 4]
    assert read(tmp_path / "cut" / "last.pt")["stopped"]


def test_without_patience_a_run_is_never_stopped(tmp_path):
    assert len(Run(tmp_path, [0.5, 0.4, 0.3, 0.2, 0.1]).end().weights) == 5


@pytest.mark.parametrize("patience", [None, 2], ids=["by its epochs", "early"])
def test_a_run_that_came_to_its_end_starts_anew(tmp_path, patience):
    scores = [0.9, 0.1, 0.2, 0.3]
    first = Run(tmp_path, scores, patience=patience).end()
    again = Run(tmp_path, [0.2, 0.5, 0.4, 0.3], patience=patience).end()
    assert min(again.weights) == 1
    assert equal(again.weights[1], first.weights[1])
    assert equal(
        read(tmp_path / "model.pt"), again.weights[2]
    )  # though 0.5 is less than the first run's best
    assert read(tmp_path / "last.pt")["best_epoch"] == 2


def test_a_run_that_came_to_its_end_starts_anew_with_other_epochs_too(tmp_path):
    Run(tmp_path, epochs=2).end()
    assert sorted(Run(tmp_path, epochs=4).end().weights) == [1, 2, 3, 4]


@pytest.mark.parametrize("epochs", [2, 3, 9])
def test_going_on_with_other_epochs_is_refused(tmp_path, epochs):
    Run(tmp_path, epochs=6).cut(3 * ITERATIONS + 1)
    before = (tmp_path / "last.pt").read_bytes()
    with pytest.raises(ValueError, match=rf"last\.pt.*6 epochs, not {epochs}.*expected"):
        Run(tmp_path, SCORES * 2, epochs=epochs).end()
    assert (tmp_path / "last.pt").read_bytes() == before


def test_the_network_inside_a_wrapper_is_saved_and_restored(tmp_path):
    """As under DistributedDataParallel, whose own state dict has other keys."""
    Run(tmp_path, wrap=torch.nn.DataParallel).cut(3 * ITERATIONS + 1)
    assert set(read(tmp_path / "model.pt")) == {"weight", "bias"}
    resumed = Run(tmp_path, wrap=torch.nn.DataParallel).end()
    assert equal(resumed.weights[6], Run(tmp_path / "plain").end().weights[6])


def test_only_the_first_process_writes_and_all_restore(tmp_path, monkeypatch):
    Run(tmp_path).cut(3 * ITERATIONS + 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    process = SimpleNamespace(is_initialized=lambda: True, get_rank=lambda: 1)
    monkeypatch.setattr(run_state, "dist", process)
    second = Run(tmp_path)
    second.cut(5 * ITERATIONS + 1)
    assert sorted(second.weights) == [4, 5]
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_write_that_is_cut_leaves_the_file_before_it(tmp_path, monkeypatch):
    Run(tmp_path).cut(3 * ITERATIONS + 1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def half(content: object, path: Path) -> None:
        Path(path).write_bytes(b"half")
        raise InterruptionError

    monkeypatch.setattr(run_state.torch, "save", half)
    with pytest.raises(InterruptionError):
        Run(tmp_path).end()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_without_resume_an_interrupted_run_starts_anew(tmp_path):
    Run(tmp_path).cut(ITERATIONS + 1)
    again = Run(tmp_path, resume=False).end()
    assert min(again.weights) == 1


def test_a_resumed_run_draws_other_numbers_than_its_first_epochs(tmp_path):
    Run(tmp_path, seed=3).cut(ITERATIONS + 1)
    drawn = []
    for seed in (3, 3, 4):
        run = Run(tmp_path, seed=seed)
        torch.manual_seed(3)
        run.state.restore(run.trainer)
        drawn.append(torch.rand(1).item())
    torch.manual_seed(3)
    assert drawn[0] == drawn[1]
    assert len({drawn[0], drawn[2], torch.rand(1).item()}) == 3
