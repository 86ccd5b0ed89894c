"""The ways of explaining, by the names that `--explain` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

NAMES = ("relevance", "gradcam")


def explainer(name: str, network: torch.nn.Module) -> Callable[[torch.Tensor], torch.Tensor]:
    """What explains a network's answer to an image.

    It can be called inside inference mode, from any thread, and leaves the network as it is: it works on a copy.

    Args:
        name: one of `NAMES`.
        network: a classifier with its weights, on the device to work on; gives logits (B, K) for (B, 1, H, W), or for
            the views of a study (B, V, 1, H, W).

    Returns:
        A function of an image (1, H, W) or of views (V, 1, H, W), as the network takes them without the axis of the
        batch, that gives float32 of the same shape.

    Raises:
        ValueError: if there is no such name, the network cannot be explained so, or `relevance` lacks zennit.
    """
    # Here, so that the names can be listed without torch, and Grad-CAM be used without zennit.
    if name == "relevance":
        from monai_tasks.explain.relevance import Relevance

        return Relevance(network)
    if name == "gradcam":
        from monai_tasks.explain.grad_cam import GradientMap

        return GradientMap(network)
    raise ValueError(f"explain {name!r}: expected one of {', '.join(NAMES)}")
