"""One score for all views of a study: a shared encoder, the maximum over the views, a classifier."""

from __future__ import annotations

import torch
from torch import nn


class StudyNet(nn.Module):
    """Encodes every view by the same network, takes each feature's maximum over the views and classifies that.

    A study may have any number of views. In a batch the shorter ones are filled up with views of NaN; these never reach
    the encoder, not even the statistics of its batch normalisation, so that neither the order of the views nor the
    filling changes a score. A study of one view has the score of that view: of its encoding through the classifier.

    Args:
        encoder: turns (N, C, H, W) into (N, F): MONAI's `ResNet(feed_forward=False)`, or `rx_encoder`.
        classifier: turns (B, F) into (B, K).
        freeze_encoder: the encoder keeps its weights and, always in evaluation mode, its statistics.

    Example:
        >>> network = StudyNet(rx_encoder(blocks=4), rx_classifier(256))
        >>> scores = network(views)  # (B, V, 1, H, W) to (B, 2)
    """

    def __init__(self, encoder: nn.Module, classifier: nn.Module, freeze_encoder: bool = False) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = classifier
        self.freeze_encoder = freeze_encoder
        if freeze_encoder:
            self.encoder.requires_grad_(False)
            self.encoder.eval()

    def train(self, mode: bool = True) -> StudyNet:
        """Switch to training or evaluation; a frozen encoder stays in evaluation mode."""
        super().train(mode)
        if self.freeze_encoder:
            self.encoder.eval()
        return self

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Scores of every class.

        Args:
            x: (B, V, C, H, W); an absent view is NaN in all its values.

        Returns:
            (B, K), logits.

        Raises:
            ValueError: when the input has other axes, or a study has no view.
        """
        if x.dim() != 5:
            raise ValueError(
                f"input: {x.dim()} axes; expected 5, of studies, views, channels, rows and columns"
            )
        present = x.isnan().flatten(2).all(2).logical_not()
        if not bool(present.any(1).all()):
            raise ValueError("input: a study without a view; expected at least one that is not NaN")
        encoded = self.encoder(x[present])
        features = encoded.new_full([x.shape[0], x.shape[1], encoded.shape[1]], -float("inf"))
        features[present] = encoded
        return self.classifier(features.max(1)[0])
