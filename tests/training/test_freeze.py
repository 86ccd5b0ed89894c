"""What is frozen does not change, whatever a trainer does, and the rest is trained."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator

import pytest
import torch
from ignite.engine import Engine
from monai.engines import SupervisedTrainer

from monai_tasks.training.freeze import Freeze, modules_of

FROZEN = ["first", "middle"]


class Net(torch.nn.Module):
    """Two blocks with batch normalisation and dropout, and a last layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Sequential(torch.nn.Conv1d(1, 3, 3), torch.nn.BatchNorm1d(3), torch.nn.ReLU())
        middle = (torch.nn.Conv1d(3, 3, 3), torch.nn.BatchNorm1d(3), torch.nn.Dropout(0.5))
        self.middle = torch.nn.Sequential(*middle)
        self.norm = torch.nn.BatchNorm1d(3)
        self.last = torch.nn.Linear(3, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(self.norm(self.middle(self.first(x))).mean(-1))


def net() -> Net:
    torch.manual_seed(3)
    return Net()


def batches(count: int = 4) -> list[dict[str, torch.Tensor]]:
    generator = torch.Generator().manual_seed(5)
    images = (5 + 3 * torch.randn(6, 1, 12, generator=generator) for _ in range(count))
    return [{"image": image, "label": torch.tensor([0, 1] * 3)} for image in images]


def train(network: torch.nn.Module, freeze: Freeze) -> None:
    """A few steps of MONAI's trainer, which sets the training mode before each; weight decay draws at every weight."""
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1, weight_decay=0.1)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=2,
        train_data_loader=batches(),
        network=network,
        optimizer=optimizer,
        loss_function=torch.nn.CrossEntropyLoss(),
        train_handlers=[freeze],
    )
    trainer.run()


def changed(network: torch.nn.Module, before: dict[str, torch.Tensor]) -> set[str]:
    return {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}


def copied(network: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("names", [[], ["first"], FROZEN, ["middle.1"]], ids=str)
def test_named_modules_keep_their_weights_and_statistics_and_all_others_change(names):
    network = net()
    before = copied(network)
    train(network, Freeze(network, names))
    frozen = {name for name in before if name.startswith(tuple(f"{one}." for one in names))}
    assert changed(network, before) == before.keys() - frozen


def test_frozen_normalisation_uses_its_statistics_and_nothing_is_dropped():
    """In training mode the frozen part computes what it does in evaluation."""
    network = net()
    x = batches(1)[0]["image"]
    for _ in range(3):
        network.train()(x)  # statistics of its own
    expected = network.eval().middle(network.first(x))
    seen = []
    network.norm.register_forward_pre_hook(lambda module, args: seen.append((module.training, args[0])))
    Freeze(network, FROZEN)
    network.train()(x)
    assert seen[0][0]  # what is not frozen is in training mode
    torch.testing.assert_close(seen[0][1], expected)


@pytest.fixture
def group() -> Iterator[None]:
    """A group of one process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    address = f"tcp://127.0.0.1:{port}"
    torch.distributed.init_process_group("gloo", init_method=address, rank=0, world_size=1)
    yield
    torch.distributed.destroy_process_group()


def test_within_a_wrapper_for_distribution_too(group):
    network = net()
    before = copied(network)
    freeze = Freeze(network, FROZEN)
    train(torch.nn.parallel.DistributedDataParallel(freeze.network), freeze)
    frozen = {name for name in before if name.startswith(("first.", "middle."))}
    assert changed(network, before) == before.keys() - frozen


def test_names_are_found_behind_a_wrapper(group):
    wrapped = torch.nn.parallel.DistributedDataParallel(net())
    Freeze(wrapped, ["first"])
    still = {name for name, value in wrapped.named_parameters() if not value.requires_grad}
    assert still == {f"module.first.{name}" for name in ("0.weight", "0.bias", "1.weight", "1.bias")}


@pytest.mark.parametrize("names", [["second"], ["first", "middle.2"], ["module.first"]], ids=str)
def test_an_unknown_name_is_refused_with_those_that_there_are(names):
    """A layer without weights is none that could be frozen."""
    with pytest.raises(
        ValueError,
        match=rf"called {names[-1]} in Net; expected some of first, first\.0, first\.1, middle, middle\.0, ",
    ):
        Freeze(net(), names)


def test_a_text_is_no_list_of_names():
    with pytest.raises(ValueError, match="got the text 'first'; expected a list"):
        modules_of(net(), "first")


def test_freezing_all_of_it_is_refused():
    with pytest.raises(ValueError, match="frozen first, middle, norm, last: nothing is left to train"):
        Freeze(net(), [*FROZEN, "norm", "last"])


def test_the_log_says_what_is_frozen(caplog):
    network, engine = net(), Engine(lambda engine, batch: None)
    Freeze(network, ["first"]).attach(engine)
    with caplog.at_level(logging.INFO, logger="monai_tasks"):
        engine.run([0])
    assert "frozen: first; 18 of 68 weights" in caplog.text
