"""What in each slice of a scan speaks for a higher grade."""

from __future__ import annotations

import torch

from monai_tasks.explain.explainers import explainer


class SliceExplainer:
    """Explains each slice by itself.

    What is explained is the sum of the logits, each times the number of its class less the mean number: it grows with
    the grade, so that positive always speaks for a higher one and negative for a lower one. The values are divided by
    the number of slices: those of all slices together are the mean of the slices' scores.

    Args:
        name: one of `monai_tasks.explain.explainers.NAMES`.
        network: gives logits (B, K, S) for (B, 1, X, Y, S), where each slice has its own.
        classes: how many there are, K.

    Raises:
        ValueError: what `explainer` raises.
    """

    def __init__(self, name: str, network: torch.nn.Module, classes: int) -> None:
        self._explain = explainer(name, _OneSlice(network, classes))
        self.problem = ""

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """The explanation of all slices.

        Args:
            image: (1, X, Y, S).

        Returns:
            float32 of the same shape and device. `problem` says what is wrong with it, or is empty.

        Raises:
            ValueError: if the image has other axes.
        """
        if image.dim() != 4 or len(image) != 1:
            raise ValueError(f"image of shape {tuple(image.shape)}; expected (1, X, Y, S)")
        parts, problems = [], {}
        for number in range(image.shape[-1]):
            parts.append(self._explain(image[..., number]))
            if problem := getattr(self._explain, "problem", ""):
                problems[f"slice {number + 1} of {image.shape[-1]}: {problem}"] = None
        self.problem = "; ".join(problems)
        return torch.stack(parts, dim=-1) / image.shape[-1]


class _OneSlice(torch.nn.Module):
    """A network for slices as one for images, with two logits whose difference grows with the grade."""

    def __init__(self, network: torch.nn.Module, classes: int) -> None:
        super().__init__()
        self.network = network
        numbers = torch.arange(classes, dtype=torch.float32)
        weights = (numbers - numbers.mean()) / 2
        device = next((weight.device for weight in network.parameters()), None)
        # A layer, for rules of relevance are made for layers.
        self.order = torch.nn.Linear(classes, 2, bias=False, device=device)
        self.order.weight.data.copy_(torch.stack([-weights, weights]))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.order(self.network(x[..., None])[..., 0])
