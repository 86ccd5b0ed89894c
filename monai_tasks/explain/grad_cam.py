"""Grad-CAM by MONAI, of the features before the last pooling."""

from __future__ import annotations

import threading

import torch
from monai.visualize import GradCAM
from monai.visualize.visualizer import default_upsampler

from monai_tasks.explain.score import absent, direction, gradients, one_batch, own_copy

POOLS = (
    torch.nn.AdaptiveAvgPool1d,
    torch.nn.AdaptiveAvgPool2d,
    torch.nn.AdaptiveAvgPool3d,
    torch.nn.AdaptiveMaxPool1d,
    torch.nn.AdaptiveMaxPool2d,
    torch.nn.AdaptiveMaxPool3d,
)


class GradientMap:
    """Grad-CAM [Selvaraju2017] of the last features that still have a place in the image.

    These are the input of the network's last adaptive pooling, which ResNet, DenseNet, Rx and the study network all
    have before their linear layers. What MONAI gives is on the coarse grid of these features and is interpolated to
    the image. It is never negative: Grad-CAM tells what speaks for class 1, not what speaks against.

    The network is copied; what changes in it later changes nothing here.

    Args:
        network: gives logits (B, K) for (B, 1, H, W), or for (B, V, 1, H, W) with absent views all NaN.

    Raises:
        ValueError: if the network has no adaptive pooling.
    """

    def __init__(self, network: torch.nn.Module) -> None:
        scored = _Score(own_copy(network))
        names = [name for name, module in scored.named_modules() if isinstance(module, POOLS)]
        if not names:
            raise ValueError(
                f"{type(network).__name__}: no adaptive pooling; expected one before the linear layers"
            )
        # The pooling's input gets a name, by which MONAI finds it.
        scored.set_submodule(
            names[-1], torch.nn.Sequential(torch.nn.Identity(), scored.get_submodule(names[-1]))
        )
        self._network = scored
        self._cam = GradCAM(scored, target_layers=f"{names[-1]}.0")
        self._lock = threading.Lock()  # the hooks keep the tensors of one image

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """How much the features at each pixel speak for the score, see `monai_tasks.explain.score.direction`.

        Args:
            image: (1, H, W), or the views of a study (V, 1, H, W), as the network takes them without the axis of the
                batch.

        Returns:
            float32 of the same shape and device, from 0, without a unit; one scale for all views. Absent views are 0.

        Raises:
            ValueError: if the image has another number of axes, or no value.
        """
        with self._lock, gradients(self._network):
            batch = one_batch(image, self._network)
            # The maps of the views, or the one map of the image: (N, 1, h, w).
            maps = self._cam.compute_map(batch, class_idx=0).detach()
            maps = default_upsampler(batch.shape[-2:])(maps)
        if image.dim() == 3:
            return maps[0].to(image.device)
        result = torch.zeros_like(image, dtype=torch.float32)
        present = ~absent(image)
        # A network may leave absent views out, or carry them along.
        result[present] = (maps if len(maps) == int(present.sum()) else maps[present]).to(image.device)
        return result


class _Score(torch.nn.Module):
    """The score that is explained, as the one logit of a network."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.network(x)
        return (logits * direction(logits.detach())).sum(1, keepdim=True)
