"""Grad-CAM by MONAI, of features that are fine enough to point with."""

from __future__ import annotations

import threading

import torch
from monai.visualize import GradCAM
from monai.visualize.visualizer import default_upsampler

from monai_tasks.explain.score import absent, direction, gradients, one_batch, own_copy
from monai_tasks.networks.concat_pool_densenet import ConcatPool

POOLS = (
    torch.nn.AdaptiveAvgPool1d,
    torch.nn.AdaptiveAvgPool2d,
    torch.nn.AdaptiveAvgPool3d,
    torch.nn.AdaptiveMaxPool1d,
    torch.nn.AdaptiveMaxPool2d,
    torch.nn.AdaptiveMaxPool3d,
    ConcatPool,
)
COARSEST = 24  # pixels of the image for one of the features along an axis: 16 are fine enough, 32 are not


class GradientMap:
    """Grad-CAM [Selvaraju2017] of the last features whose grid is fine enough to point with.

    These are what the last adaptive pooling of the network gets, which ResNet, DenseNet, Rx and the study network all
    have before their linear layers, or, where that is coarser than about 16 pixels of the image, an earlier one of the
    modules that follow each other up to the pooling. Two things differ from the original, and both keep it from
    colouring places that the network did not use:

    - Each feature is weighed by its gradient at the same place [Draelos2020]. Right before an average pooling, where
      the gradient is the same all over, that is Grad-CAM; earlier, the mean gradient of a feature says nothing of
      what it does at one place.
    - What the features are in a black image is taken off first. Features are not 0 where nothing is, by their biases
      and at the borders, and what is the same without any content is no reason for an answer.

    What MONAI gives is on the grid of these features and is interpolated to the image. It is never negative: Grad-CAM
    tells what speaks for class 1, not what speaks against.

    The network is copied; what changes in it later changes nothing here.

    Args:
        network: gives logits (B, K) for (B, 1, H, W), or for (B, V, 1, H, W) with absent views all NaN.
        coarsest: how many pixels of the image one of the features may stand for along an axis; with infinity it is
            always what the pooling gets.

    Raises:
        ValueError: if the network has no adaptive pooling.
    """

    def __init__(self, network: torch.nn.Module, coarsest: float = COARSEST) -> None:
        self._coarsest = coarsest
        self._network = _Score(own_copy(network)).eval()  # which MONAI would leave in training mode
        names = [name for name, module in self._network.named_modules() if isinstance(module, POOLS)]
        if not names:
            raise ValueError(
                f"{type(network).__name__}: no adaptive pooling; expected one before the linear layers"
            )
        # The pooling's input gets a name, by which MONAI finds it.
        self._pooling = names[-1]
        with_input = torch.nn.Sequential(torch.nn.Identity(), self._network.get_submodule(self._pooling))
        self._network.set_submodule(self._pooling, with_input)
        self._cam: _LocalGradCAM | None = None  # chosen at the first image, which tells how fine each grid is
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
            if self._cam is None:
                self._cam = _LocalGradCAM(self._network, target_layers=self._fine_enough(batch))
            maps = self._cam.compute_map(batch, class_idx=0).detach()
            maps = default_upsampler(batch.shape[-2:])(maps)
        if image.dim() == 3:
            return maps[0].to(image.device)
        result = torch.zeros_like(image, dtype=torch.float32)
        present = ~absent(image)
        # A network may leave absent views out, or carry them along.
        result[present] = (maps if len(maps) == int(present.sum()) else maps[present]).to(image.device)
        return result

    def _fine_enough(self, batch: torch.Tensor) -> str:
        """The name of the module whose output is explained: the last that is fine enough, else the pooling's input."""
        above, _, own = self._pooling.rpartition(".")
        names = [name for name, _ in self._network.get_submodule(above).named_children()]
        names = [f"{above}.{name}" for name in names[: names.index(own)]]
        found: dict[str, torch.Size] = {}
        handles = [
            self._network.get_submodule(name).register_forward_hook(
                lambda module, given, output, name=name: found.update({name: output.shape[2:]})
            )
            for name in (*names, f"{self._pooling}.0")
        ]
        with torch.no_grad():
            self._network(batch)
        for handle in handles:
            handle.remove()
        size = batch.shape[-2:]
        fine = [
            name
            for name, grid in found.items()
            if len(grid) == len(size)
            and all(n * self._coarsest >= side for n, side in zip(grid, size, strict=True))
        ]
        return fine[-1] if fine else f"{self._pooling}.0"


class _LocalGradCAM(GradCAM):
    """MONAI's, with the gradient at each place where it takes the mean over all, and features less those of black."""

    def compute_map(
        self,
        x: torch.Tensor,
        class_idx: int | None = None,
        retain_graph: bool = False,
        layer_idx: int = -1,
        **kwargs: object,
    ) -> torch.Tensor:
        with torch.no_grad():
            self.nn_module.model(torch.where(x.isnan(), x, 0.0))  # absent views stay absent
        black = self.nn_module.activations[self.nn_module.target_layers[layer_idx]]
        _, features, slopes = self.nn_module(x, class_idx=class_idx, retain_graph=retain_graph, **kwargs)
        return torch.relu(((features[layer_idx] - black) * slopes[layer_idx]).sum(1, keepdim=True))


class _Score(torch.nn.Module):
    """The score that is explained, as the one logit of a network."""

    def __init__(self, network: torch.nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = self.network(x)
        return (logits * direction(logits.detach())).sum(1, keepdim=True)
