"""Shift the scores of classes before the decision."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.inferers import Inferer


class OffsetInferer(Inferer):
    """Adds a constant to each class's score, so that a decision for the highest one has no bias.

    Windows drawn by class, and a network whose scores are cut off on one side, make a network label too much or too
    little. What to add is chosen on validation images.

    Args:
        inferer: what runs the network on the inputs.
        offsets: one number a class, in the units of the network's scores before softmax.

    Raises:
        ValueError: on a call, when the network has another number of classes.

    Example:
        >>> inferer = OffsetInferer(SimpleInferer(), offsets=[1.5, 0.0, 0.0])
        >>> scores = inferer(images, network)  # (B, C, H, W[, D]) to (B, 3, H, W[, D])
    """

    def __init__(self, inferer: Inferer, offsets: Sequence[float]) -> None:
        super().__init__()
        self.inferer = inferer
        self.offsets = tuple(float(offset) for offset in offsets)

    def __call__(
        self, inputs: torch.Tensor, network: torch.nn.Module, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        scores = self.inferer(inputs, network, *args, **kwargs)
        if scores.shape[1] != len(self.offsets):
            raise ValueError(f"offsets: {len(self.offsets)} numbers; expected {scores.shape[1]}, one a class")
        offsets = scores.new_tensor(self.offsets)
        return scores + offsets.reshape(1, -1, *[1] * (scores.ndim - 2))
