"""Run a network for a fixed number of slices on images with more, without losing one."""

from __future__ import annotations

from typing import Any

import torch
from monai.inferers import Inferer

from monai_tasks.transforms.take_slices import SlicePlan


class InterleavedInferer(Inferer):
    """Runs the inferer once for each way to take every k-th slice, and puts the predictions back in order.

    `monai_tasks.transforms.take_slices.TakeSlices` gives a network in training every k-th slice. Here each of the k
    passes takes its slices by the same rule from another first slice, so that the network sees them at the distance
    that it knows, and every slice of the image gets its prediction. An image with fewer slices is padded with zeros,
    and its prediction cut back.

    Args:
        inferer: what runs the network on the slices of a pass.
        slices: slices of a pass.

    Raises:
        ValueError: when `slices` is below 1; on a call, when the inputs are not (B, C, X, Y, Z) with at least one
            slice, or a prediction has another number of slices than its pass.

    Example:
        >>> inferer = InterleavedInferer(FittedWindowInferer(roi_size=(224, 224, 24)), slices=24)
        >>> scores = inferer(images, network)  # (1, C, 224, 224, 41) to (1, K, 224, 224, 41), two passes
    """

    def __init__(self, inferer: Inferer, slices: int = 24) -> None:
        super().__init__()
        if slices < 1:
            raise ValueError(f"slices: got {slices}; expected at least 1")
        self.inferer = inferer
        self.slices = int(slices)

    def __call__(
        self, inputs: torch.Tensor, network: torch.nn.Module, *args: Any, **kwargs: Any
    ) -> torch.Tensor:
        if inputs.ndim != 5 or inputs.shape[-1] == 0:
            raise ValueError(f"inputs of shape {tuple(inputs.shape)}; expected (B, C, X, Y, Z) with slices")
        plan = SlicePlan(inputs.shape[-1], self.slices)
        padded = plan.pad(inputs)
        parts = []
        for start in range(plan.step):
            part = self.inferer(padded[..., start :: plan.step].contiguous(), network, *args, **kwargs)
            if part.shape[-1] != self.slices:
                raise ValueError(f"a prediction of {part.shape[-1]} slices; expected {self.slices}")
            parts.append(part)
        return plan.cut(torch.stack(parts, dim=-1).flatten(-2)).contiguous()
