"""The standard score by a population's mean and deviation, as the first step of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch


class StandardScoreNet(torch.nn.Module):
    """Gives `(image - mean) / deviation` to another network.

    MONAI's `NormalizeIntensity` takes the two figures from each image, or as numbers in a config. Here they describe
    all training images and are buffers, so that they travel with the weights: to a run that goes on, to inference and
    into an exported network. They are 0 and 1 until `set_statistics` is called, which changes nothing.

    The score is computed in float32 also under autocast, for 16 bits cannot tell intensities of 10,000 apart.

    Args:
        network: takes (B, C, H, W[, D]).
        in_channels: 1 for one mean and deviation of all channels, C for one each.
    """

    def __init__(self, network: torch.nn.Module, in_channels: int = 1) -> None:
        super().__init__()
        self.network = network
        self.register_buffer("mean", torch.zeros(in_channels, dtype=torch.float32))
        self.register_buffer("deviation", torch.ones(in_channels, dtype=torch.float32))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Run the network on standard scores.

        Args:
            x: (B, C, H, W[, D]), raw intensities.

        Returns:
            What the network gives.
        """
        shape = [1, -1] + [1] * (x.dim() - 2)
        score = (x.float() - self.mean.view(shape)) / self.deviation.view(shape)
        return self.network(score)

    def set_statistics(
        self, mean: float | Sequence[float] | torch.Tensor, deviation: float | Sequence[float] | torch.Tensor
    ) -> None:
        """Set what `forward` subtracts and divides by.

        Args:
            mean: one number, or one a channel, in the unit of the images.
            deviation: likewise, above 0.

        Raises:
            ValueError: when the count is wrong, a value is not finite in float32 or a deviation is not above 0.
        """
        values = {}
        for name, given in (("mean", mean), ("deviation", deviation)):
            value = torch.as_tensor(given, dtype=torch.float32).flatten()
            if value.shape != self.mean.shape or not value.isfinite().all():
                raise ValueError(f"{name}: got {given}; expected {len(self.mean)} finite value(s)")
            values[name] = value
        if not (values["deviation"] > 0).all():
            raise ValueError(f"deviation: got {deviation}; expected values above 0")
        self.mean.copy_(values["mean"])
        self.deviation.copy_(values["deviation"])

    def has_statistics(self) -> bool:
        """Whether the mean and deviation are others than those of a new network, 0 and 1."""
        return bool((self.mean != 0).any() or (self.deviation != 1).any())
