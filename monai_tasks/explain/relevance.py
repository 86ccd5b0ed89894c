"""Layer-wise relevance propagation: which pixels the score of a classifier came from."""

from __future__ import annotations

import threading
import warnings

import torch

from monai_tasks.explain._zennit import zennit
from monai_tasks.explain.canonizers import (
    MergeBatchNorm,
    MergeBatchNormAhead,
    PassAttention,
    SplitStandardScore,
    StandardScore,
    SumResidual,
)
from monai_tasks.explain.rules import SMALL, EpsilonSharedBias, PlusSharedBias
from monai_tasks.explain.score import absent, direction, gradients, one_batch, own_copy
from monai_tasks.networks.concat_pool_densenet import ConcatPool

TOLERANCE = 0.01  # of the sizes of the logits
LATE = 0.25  # of the convolutions; of a ResNet18 its last stage


class ConservationWarning(UserWarning):
    """Relevance that does not sum to the score, as of a network with layers that no rule is made for."""


class Relevance:
    """Layer-wise relevance propagation [Bach2015] with a rule for each kind of layer [Montavon2019].

    Linear layers and the last quarter of the convolutions share relevance by signed contributions (epsilon): z-plus
    alone forgets on its way down what was asked for [Sixt2020]. The convolutions before share by positive
    contributions (z-plus), as signed ones add up to noise there; the first of them evenly (flat), so that the
    brightness of a pixel alone earns it nothing. Max pooling, and the max over the views of a study, give it to the
    winner. Activations and what batch norms are left pass it on. Sums and means share it by their terms. Nothing is
    lost on the way: the relevance of all pixels sums to the score, see `monai_tasks.explain.score.direction`. Only a
    score that depends on no pixel, because a layer has no active feature, has no relevance.

    The network is copied; what changes in it later changes nothing here. Where the relevance of an image does not sum
    to the score, a `ConservationWarning` says so, and `problem` until the next image.

    Args:
        network: gives logits (B, K) for (B, 1, H, W), or for (B, V, 1, H, W) with absent views all NaN. Known are
            convolutions, linear layers, batch norms, poolings and activations that are modules, the blocks of
            MONAI's ResNet, concatenation as in MONAI's DenseNet, and CBAM.
        late: share of the convolutions, from the last one, that share by signed contributions.

    Example:
        >>> explain = Relevance(network)
        >>> explain(image).sum()  # the logit of class 1 minus that of class 0
    """

    def __init__(self, network: torch.nn.Module, late: float = LATE) -> None:
        self._network = own_copy(network)
        self._composite = composite(self._network, late)
        self._lock = threading.Lock()  # hooks keep the tensors of one image
        self.problem = ""

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """The relevance of each pixel.

        Args:
            image: (1, H, W), or the views of a study (V, 1, H, W), as the network takes them without the axis of the
                batch.

        Returns:
            float32 of the same shape and device: positive where a pixel speaks for class 1 of two, or for the predicted
            class of more; negative where it speaks against. Absent views are 0.

        Raises:
            ValueError: if the image has another number of axes, or no value.
        """
        with self._lock, gradients(self._network):
            batch = one_batch(image, self._network)
            with self._composite.context(self._network):
                logits = self._network(batch)
                start = logits.detach() * direction(logits.detach())
                (relevance,) = torch.autograd.grad(logits, batch, start)
            relevance = relevance[0].detach()
            if relevance.dim() == 4:
                relevance[absent(batch.detach()[0])] = 0.0
            self.problem = _problem(relevance, start)
            if self.problem:
                warnings.warn(self.problem, ConservationWarning, stacklevel=2)
            return relevance.to(image.device)


def composite(network: torch.nn.Module, late: float = LATE) -> zennit.core.Composite:
    """The rule of each layer of a network, with the changes to the network that they need.

    Args:
        network: that it will be registered with.
        late: share of the convolutions that share by signed contributions.
    """
    first, passed = zennit.rules.Flat(stabilizer=SMALL), zennit.rules.Pass()
    norm = zennit.rules.Norm(stabilizer=SMALL)
    types = zennit.types
    by_kind = zennit.composites.SpecialFirstLayerMapComposite(
        layer_map=[
            ((StandardScore, types.Activation, types.BatchNorm), passed),
            ((zennit.layer.Sum, types.AvgPool, ConcatPool), norm),
            ((types.Convolution,), PlusSharedBias()),
            ((torch.nn.Linear,), EpsilonSharedBias()),
        ],
        first_map=[((types.Linear,), first)],
        canonizers=[
            SplitStandardScore(),
            SumResidual(),
            PassAttention(),
            MergeBatchNorm(),
            MergeBatchNormAhead(),
        ],
    )
    by_name = zennit.composites.NameMapComposite([(late_convolutions(network, late), EpsilonSharedBias())])
    return zennit.composites.MixedComposite([by_name, by_kind])


def late_convolutions(network: torch.nn.Module, share: float) -> list[str]:
    """The names of the last of a network's convolutions, their number rounded down, never the first of all."""
    names = [name for name, module in network.named_modules() if isinstance(module, zennit.types.Convolution)]
    return names[max(1, len(names) - int(share * len(names))) :]


def _problem(relevance: torch.Tensor, start: torch.Tensor) -> str:
    """What is wrong with the sum of the relevance; empty where it is the score."""
    found, expected = float(relevance.sum(dtype=torch.float64)), float(start.sum())
    if abs(found - expected) <= TOLERANCE * float(start.abs().sum()):
        return ""
    return f"relevance sums to {found:.4g}; expected the score, {expected:.4g}"
