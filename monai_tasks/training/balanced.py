"""Draw as many images of each class in every epoch: fewer of the commoner ones, more of the rarer ones, or both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
import torch.distributed as dist
from torch.utils.data import DistributedSampler


class BalancedSampler(DistributedSampler):
    """An epoch of all items of the rarest class and as many of each other class, drawn anew without replacement.

    With two classes an epoch is twice the smaller one; over the epochs all items of the larger one are seen. With
    `repeats` the items of a rare class come several times, and fewer items of a common one are left out: no item
    comes a second time before all of its class have come once.
    `torch.utils.data.WeightedRandomSampler` balances on average only, and draws some items of the smaller class twice
    while it leaves out others.

    What is drawn depends on the seed and the epoch alone: a run that goes on after an interruption draws what it would
    have drawn. Several processes draw the same epoch and share it out; as one process, it is a sampler like any other.
    MONAI's engines tell it the number of the epoch, since it is a `DistributedSampler`.

    Args:
        labels: the class of each item, in the order of the data set. A class without an item is left out.
        seed: another one gives other draws.
        num_replicas: processes; None takes those of the process group, 1 where there is none.
        rank: of this process; None takes that of the process group, 0 where there is none.
        repeats: how often each item of the rarest class comes, though never more often than it takes to have as many
            as of the commonest. 1 leaves out (undersampling), None repeats until nothing is left out (oversampling),
            what is between does both.

    Raises:
        ValueError: when there is no item, or `repeats` is below 1.
    """

    def __init__(
        self,
        labels: Sequence[int],
        seed: int = 0,
        num_replicas: int | None = None,
        rank: int | None = None,
        repeats: float | None = 1,
    ) -> None:
        classes = torch.as_tensor([int(label) for label in labels])
        if len(classes) == 0:
            raise ValueError("labels: none; expected the class of each item")
        self.groups = [(classes == value).nonzero().flatten() for value in classes.unique()]
        if repeats is not None and not repeats >= 1:
            raise ValueError(f"repeats {repeats}; expected 1 or more, or None")
        sizes = [len(group) for group in self.groups]
        self.each = max(sizes) if repeats is None else round(min(min(sizes) * repeats, max(sizes)))
        if dist.is_initialized():
            num_replicas = dist.get_world_size() if num_replicas is None else num_replicas
            rank = dist.get_rank() if rank is None else rank
        drawn = range(self.each * len(self.groups))  # what is shared out; torch asks for its length only
        super().__init__(drawn, num_replicas or 1, rank or 0, shuffle=True, seed=seed)

    def __iter__(self) -> Iterator[int]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        drawn = torch.cat([part for group in self.groups for part in self._drawn(group, generator)])
        # The order, and the items that come twice where the processes do not divide their number, are torch's.
        return (int(drawn[place]) for place in super().__iter__())

    def _drawn(self, group: torch.Tensor, generator: torch.Generator) -> list[torch.Tensor]:
        """All items of a class as often as they go into an epoch, and some for the rest of it."""
        whole, rest = divmod(self.each, len(group))
        return [*[group] * whole, group[torch.randperm(len(group), generator=generator)[:rest]]]
