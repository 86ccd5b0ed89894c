"""Put networks into the form that rules of relevance are made for, for as long as a composite is registered."""

from __future__ import annotations

import copy
from functools import partial
from itertools import pairwise
from types import MethodType
from typing import Any

import torch
from monai.networks.nets.resnet import ResNetBlock, ResNetBottleneck

from monai_tasks.explain._zennit import zennit
from monai_tasks.networks.cbam import CBAM
from monai_tasks.networks.standard_score import StandardScoreNet

STANDARD_SCORE, SUM, LAST_ACT = "canonizer_standard_score", "canonizer_sum", "canonizer_act"


class StandardScore(StandardScoreNet):
    """The first step of a `StandardScoreNet` as a layer of its own, for a rule to be put on."""

    def __init__(self, owner: StandardScoreNet) -> None:
        super().__init__(torch.nn.Identity(), len(owner.mean))
        # The buffers themselves, on their device.
        self.mean, self.deviation = owner.mean, owner.deviation


class SplitStandardScore(zennit.canonizers.AttributeCanonizer):
    """Make the standard score of a `StandardScoreNet` a layer.

    The gradient would scale what passes it by the deviation. Relevance is attributed to the standard score of each
    pixel, and so to the pixel.
    """

    def __init__(self) -> None:
        super().__init__(self._attributes)

    @staticmethod
    def _attributes(name: str, module: torch.nn.Module) -> dict[str, Any] | None:
        if not isinstance(module, StandardScoreNet) or isinstance(module, StandardScore):
            return None

        def forward(self: StandardScoreNet, x: torch.Tensor) -> torch.Tensor:
            return self.network(getattr(self, STANDARD_SCORE)(x))

        return {STANDARD_SCORE: StandardScore(module), "forward": MethodType(forward, module)}


class SumResidual(zennit.canonizers.AttributeCanonizer):
    """Make the sum at the end of a residual block of MONAI's ResNet a layer.

    The gradient of a sum gives each term all of the relevance, which doubles it at each block. The block also uses
    one activation twice; the second becomes a layer of its own, as hooks keep the tensors of one use only.
    """

    def __init__(self) -> None:
        super().__init__(self._attributes)

    @staticmethod
    def _attributes(name: str, module: torch.nn.Module) -> dict[str, Any] | None:
        if not isinstance(module, (ResNetBlock, ResNetBottleneck)):
            return None
        forward = _bottleneck if isinstance(module, ResNetBottleneck) else _block
        layers = {SUM: zennit.layer.Sum(), LAST_ACT: copy.deepcopy(module.act)}
        if isinstance(module, ResNetBottleneck):
            layers[f"{LAST_ACT}_2"] = copy.deepcopy(module.act)
        return {**layers, "forward": MethodType(forward, module)}


def _block(self: ResNetBlock, x: torch.Tensor) -> torch.Tensor:
    out = self.act(self.bn1(self.conv1(x)))
    return _joined(self, x, self.bn2(self.conv2(out)))


def _bottleneck(self: ResNetBottleneck, x: torch.Tensor) -> torch.Tensor:
    out = self.act(self.bn1(self.conv1(x)))
    out = getattr(self, f"{LAST_ACT}_2")(self.bn2(self.conv2(out)))
    return _joined(self, x, self.bn3(self.conv3(out)))


def _joined(block: ResNetBlock | ResNetBottleneck, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    both = torch.stack([_shortcut(block, x, out), out], dim=-1)
    return getattr(block, LAST_ACT)(getattr(block, SUM)(both))


def _shortcut(block: ResNetBlock | ResNetBottleneck, x: torch.Tensor, out: torch.Tensor) -> torch.Tensor:
    """What the block adds to its last convolution."""
    if block.downsample is None:
        return x
    if isinstance(block.downsample, partial):
        # Type A: every n-th pixel, and channels of zeros. MONAI's own takes it out of the graph.
        step = (
            slice(None),
            slice(None),
            *[slice(None, None, block.downsample.keywords["stride"])] * (x.dim() - 2),
        )
        kept = x[step]
        empty = kept.new_zeros(len(kept), out.shape[1] - kept.shape[1], *kept.shape[2:])
        return torch.cat([kept, empty], dim=1)
    return block.downsample(x)


class PassAttention(zennit.canonizers.AttributeCanonizer):
    """Let the relevance of features pass what attention multiplies them by.

    The factors tell how much of a feature goes on; a feature is one term of the product whatever its factor, and keeps
    all of its relevance. The gradient would multiply relevance by the factor, and send some to what made the factor.
    """

    def __init__(self) -> None:
        super().__init__(self._attributes)

    @staticmethod
    def _attributes(name: str, module: torch.nn.Module) -> dict[str, Any] | None:
        return {"forward": MethodType(_attended, module)} if isinstance(module, CBAM) else None


def _attended(self: CBAM, x: torch.Tensor) -> torch.Tensor:
    return x + (CBAM.forward(self, x.detach()) - x.detach())


class MergeBatchNorm(zennit.canonizers.MergeBatchNorm):
    """Merge each batch norm into the convolution or linear layer that comes right before it under the same parent.

    zennit's own canonizer also takes a batch norm for the next of a convolution that ends the module before, as in a
    DenseNet, where both have other channels.
    """

    def apply(self, root_module: torch.nn.Module) -> list[zennit.canonizers.Canonizer]:
        """Merge; the instances that this gives undo it."""
        merged = []
        for parent in root_module.modules():
            for linear, norm in pairwise(parent.children()):
                if (
                    isinstance(linear, self.linear_type)
                    and isinstance(norm, self.batch_norm_type)
                    and norm.affine
                ):
                    instance = self.copy()
                    instance.register((linear,), norm)
                    merged.append(instance)
        return merged


class MergeBatchNormAhead(zennit.canonizers.MergeBatchNorm):
    """Merge each batch norm into the linear layer that comes right after it under the same parent.

    What such a norm makes of an inactive feature is no longer 0, so that the feature would be given relevance, which
    it cannot pass on to any pixel. Merged, the norm's own share is a bias as any other, and the active features share
    it. Of convolutions this is not done: at the border they also see zeros that the norm does not make.
    """

    def apply(self, root_module: torch.nn.Module) -> list[zennit.canonizers.Canonizer]:
        """Merge; the instances that this gives undo it."""
        merged = []
        for parent in root_module.modules():
            for norm, linear in pairwise(parent.children()):
                if (
                    isinstance(norm, self.batch_norm_type)
                    and norm.affine
                    and isinstance(linear, torch.nn.Linear)
                ):
                    instance = self.copy()
                    instance.register((linear,), norm)
                    merged.append(instance)
        return merged

    @staticmethod
    def merge_batch_norm(modules: tuple[torch.nn.Linear, ...], batch_norm: torch.nn.Module) -> None:
        """Give linear layers what the norm before them does, and make the norm an identity."""
        scale = batch_norm.weight.data / (batch_norm.running_var + batch_norm.eps) ** 0.5
        shift = batch_norm.bias.data - batch_norm.running_mean * scale
        for module in modules:
            weight = module.weight.data
            if module.bias is None:
                module.bias = torch.nn.Parameter(weight.new_zeros(len(weight)), requires_grad=False)
            module.bias.data = module.bias.data + weight @ shift
            module.weight.data = weight * scale
        for name, value in (("weight", 1.0), ("bias", 0.0), ("running_mean", 0.0)):
            getattr(batch_norm, name).data = torch.full_like(scale, value)
        batch_norm.running_var.data = torch.full_like(scale, 1.0 - batch_norm.eps)
