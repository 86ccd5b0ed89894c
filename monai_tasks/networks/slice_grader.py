"""Scores for each slice of a scan, by a network for images."""

from __future__ import annotations

import torch
from torch import nn


class SliceGrader(nn.Module):
    """Runs one network over all slices of all scans, as if they were one batch of images.

    Args:
        network: turns (N, C, X, Y) into logits (N, K).

    Example:
        >>> network = StandardScoreNet(SliceGrader(MotionNet()))
        >>> scores = network(slices)  # (B, 1, X, Y, S) to (B, 5, S)
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of every class for every slice.

        Args:
            x: (B, C, X, Y, S).

        Returns:
            (B, K, S), logits.

        Raises:
            ValueError: when the input has other axes, or no slice.
        """
        if x.dim() != 5 or x.shape[-1] == 0:
            raise ValueError(
                f"input: {x.dim()} axes, the last of {x.shape[-1]}; expected (B, C, X, Y, S) with at least one slice"
            )
        scores = self.network(x.movedim(-1, 1).flatten(0, 1))
        return scores.view([x.shape[0], x.shape[-1], scores.shape[-1]]).transpose(1, 2)
