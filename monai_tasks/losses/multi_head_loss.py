"""One loss for each head of a network, added up."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class MultiHeadLoss(torch.nn.Module):
    """Adds the losses of several heads, whose scores lie behind one another in the channels.

    A network of n * K output channels has n heads of K classes, each with a last layer of its own above layers that
    all share. So one network learns by several losses without their scores having to agree. The first K channels
    are the prediction.

    Args:
        losses: one a head, each called with (B, K, H, W[, D]) and the target.
        weights: of the losses, in the same order; None for 1 each.

    Raises:
        ValueError: when there is no loss, or another count of weights.
    """

    def __init__(self, losses: Sequence[torch.nn.Module], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.losses = torch.nn.ModuleList(losses)
        self.weights = [1.0] * len(self.losses) if weights is None else list(weights)
        if not len(self.losses) or len(self.weights) != len(self.losses):
            raise ValueError(
                f"weights: {len(self.weights)} for {len(self.losses)} losses; expected one each, of one at least"
            )

    def forward(self, prediction: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The weighted sum.

        Args:
            prediction: (B, n * K, H, W[, D]), the heads in the order of the losses.
            target: what each loss takes.

        Returns:
            A scalar.

        Raises:
            ValueError: when the channels cannot be dealt out evenly.
        """
        heads, channels = len(self.losses), prediction.shape[1]
        if channels % heads:
            raise ValueError(f"prediction: {channels} channels; expected a multiple of the {heads} heads")
        parts = zip(self.weights, self.losses, prediction.chunk(heads, dim=1), strict=True)
        return sum(weight * loss(part, target) for weight, loss, part in parts)
