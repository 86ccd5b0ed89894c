"""Balanced draws: every class alike, nothing twice, anew in every epoch, shared out over processes."""

from __future__ import annotations

from collections import Counter

import pytest
import torch
from monai.data import DataLoader, ThreadDataLoader
from monai.engines import SupervisedTrainer

from monai_tasks.training.balanced import BalancedSampler

LABELS = [0] * 23 + [1] * 7 + [0] * 4
THREE = [0, 1, 2, 2, 2, 1, 0, 2, 0, 1, 1, 2]


def epoch(sampler: BalancedSampler, number: int) -> list[int]:
    sampler.set_epoch(number)
    return list(sampler)


@pytest.mark.parametrize(("labels", "each"), [(LABELS, 7), (THREE, 3), ([0, 1], 1), ([1, 1, 1], 3)])
def test_an_epoch_has_as_many_of_each_class_as_the_rarest(labels, each):
    sampler = BalancedSampler(labels)
    for number in range(4):
        drawn = epoch(sampler, number)
        assert len(drawn) == len(sampler) == each * len(set(labels))
        assert len(set(drawn)) == len(drawn)
        assert set(Counter(labels[place] for place in drawn).values()) == {each}


def test_every_epoch_draws_anew_and_over_time_everything():
    sampler = BalancedSampler(LABELS)
    draws = [epoch(sampler, number) for number in range(40)]
    assert len({frozenset(drawn) for drawn in draws}) == len(draws)
    seen = Counter(place for drawn in draws for place in drawn)
    assert set(seen) == set(range(len(LABELS)))
    assert all(seen[place] == len(draws) for place, label in enumerate(LABELS) if label == 1)
    # Of 27 items 7 are drawn: 10.4 times each on average in 40 epochs, with a deviation of 2.8.
    assert all(1 <= seen[place] <= 21 for place, label in enumerate(LABELS) if label == 0)


@pytest.mark.parametrize(
    ("repeats", "each"), [(1, 7), (2, 14), (2.5, 18), (27 / 7, 27), (None, 27), (100, 27), (float("inf"), 27)]
)
def test_rare_items_come_again_and_common_ones_are_left_out(repeats, each):
    """7 items of one class and 27 of the other: no item comes a time more than another of its class, and one."""
    sampler = BalancedSampler(LABELS, repeats=repeats)
    for number in range(3):
        drawn = epoch(sampler, number)
        assert len(drawn) == len(sampler) == 2 * each
        times = Counter(drawn)
        assert Counter(LABELS[place] for place in drawn) == {0: each, 1: each}
        rare = [times[place] for place, label in enumerate(LABELS) if label == 1]
        assert {min(rare), max(rare)} <= {each // 7, -(-each // 7)}
        common = [times[place] for place, label in enumerate(LABELS) if label == 0]
        assert max(common) == 1
        assert sum(common) == each
    assert epoch(sampler, 1) != epoch(sampler, 2)


def test_processes_share_repeated_items_too():
    alone = epoch(BalancedSampler(LABELS, seed=1, repeats=None), 2)
    shares = [
        epoch(BalancedSampler(LABELS, 1, num_replicas=2, rank=rank, repeats=None), 2) for rank in (0, 1)
    ]
    assert Counter(shares[0] + shares[1]) == Counter(alone)


@pytest.mark.parametrize("repeats", [0, 0.5, -1, float("nan")])
def test_repeats_below_one_are_refused(repeats):
    with pytest.raises(ValueError, match="expected 1 or more, or None"):
        BalancedSampler(LABELS, repeats=repeats)


def test_the_classes_are_mixed():
    firsts = [LABELS[epoch(BalancedSampler(LABELS), number)[0]] for number in range(40)]
    assert 8 <= sum(firsts) <= 32


def test_the_seed_and_the_epoch_decide():
    first, again, other = BalancedSampler(LABELS, 3), BalancedSampler(LABELS, 3), BalancedSampler(LABELS, 4)
    torch.manual_seed(1)
    before = epoch(first, 5)
    torch.manual_seed(2)
    assert epoch(again, 5) == before
    assert epoch(other, 5) != before
    assert epoch(again, 6) != before


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_share_an_epoch(processes):
    alone = epoch(BalancedSampler(LABELS, seed=1), 2)
    samplers = [BalancedSampler(LABELS, 1, num_replicas=processes, rank=rank) for rank in range(processes)]
    shares = [epoch(sampler, 2) for sampler in samplers]
    assert len({len(share) for share in shares}) == 1
    together = [place for share in shares for place in share]
    assert set(together) == set(alone)
    assert len(together) - len(alone) == -len(alone) % processes


def test_labels_of_any_kind_count():
    numbers = BalancedSampler([0, 1, 1, 0, 1])
    for labels in (torch.tensor([0, 1, 1, 0, 1]), [torch.tensor(label) for label in (0, 1, 1, 0, 1)]):
        assert list(BalancedSampler(labels)) == list(numbers)


def test_no_items_are_refused():
    with pytest.raises(ValueError, match="labels: none"):
        BalancedSampler([])


@pytest.mark.parametrize("loader", [DataLoader, ThreadDataLoader])
def test_monais_trainer_draws_anew(loader):
    """The engine tells the sampler which epoch it is."""
    seen: dict[int, list[int]] = {}

    class Noted(torch.nn.Linear):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            seen.setdefault(trainer.state.epoch, []).extend(x[:, 0].int().tolist())
            return super().forward(x)

    items = [{"image": torch.tensor([float(place)]), "label": label} for place, label in enumerate(LABELS)]
    network = Noted(1, 2)
    trainer = SupervisedTrainer(
        device=torch.device("cpu"),
        max_epochs=3,
        train_data_loader=loader(items, batch_size=5, num_workers=0, sampler=BalancedSampler(LABELS)),
        network=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.0),
        loss_function=torch.nn.CrossEntropyLoss(),
    )
    trainer.logger.disabled = True
    trainer.run()
    assert seen == {number: epoch(BalancedSampler(LABELS), number) for number in (1, 2, 3)}
