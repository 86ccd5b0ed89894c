"""Rules of layer-wise relevance propagation that pass on all of the relevance, whatever a layer's bias.

With a bias b, an output is z = sum_i x_i w_i + b, and the rules of [Bach2015] give the inputs only the share
(z - b) / z of its relevance. What the bias keeps is lost to the picture, and, once batch norms are merged into the
convolutions before them, that is most of it. Here the inputs share it among themselves.
"""

from __future__ import annotations

import torch

from monai_tasks.explain._zennit import zennit

SMALL = 1e-20  # below it a sum of contributions is no divisor in float32


class EpsilonSharedBias(zennit.core.BasicHook):
    """The epsilon rule of [Bach2015], with the bias shared by the sizes of the contributions.

    Input i gets from an output of relevance R the part (x_i w_i + b |x_i w_i| / sum_j |x_j w_j|) R / z, and all
    inputs together get R. Without a bias it is the epsilon rule. Where all inputs are 0, none gets any.
    """

    def __init__(self) -> None:
        weights = zennit.rules.NoMod(zero_params="bias")
        sizes = zennit.core.ParamMod(lambda value, _: value.abs(), zero_params="bias")
        super().__init__(
            # The third gives the bias alone.
            input_modifiers=[torch.clone, torch.abs, torch.zeros_like],
            param_modifiers=[weights, sizes, zennit.rules.NoMod()],
            gradient_mapper=self._map,
            reducer=lambda inputs, gradients: inputs[0] * gradients[0] + inputs[1] * gradients[1],
        )

    @staticmethod
    def _map(relevance: torch.Tensor, outputs: list[torch.Tensor]) -> list[torch.Tensor]:
        signed, size, bias = (output.detach() for output in outputs)
        ratio = relevance / zennit.core.stabilize(signed + bias, SMALL)
        return [ratio, ratio * bias / zennit.core.stabilize(size, SMALL), torch.zeros_like(bias)]


class PlusSharedBias(zennit.core.Hook):
    """The z-plus rule of [Montavon2019] without the bias, which never loses relevance.

    The inputs share by their positive contributions. An output may have none and be active by its bias alone, as
    those on a black background are: then all inputs that it sees share evenly.
    """

    def pre_forward(self, module: torch.nn.Module, input: tuple[torch.Tensor, ...]) -> None:
        """Leave the input as it is; zennit would put an identity there."""

    def post_forward(
        self, module: torch.nn.Module, input: tuple[torch.Tensor, ...], output: torch.Tensor
    ) -> torch.Tensor:
        """Put the rule into the graph in the layer's place, whose own way back would take time for nothing."""
        return _InPlaceOf.apply(input[0], output.detach(), module)


class _InPlaceOf(torch.autograd.Function):
    """A layer's output on the way there, the z-plus rule on the way back."""

    @staticmethod
    def forward(
        ctx: torch.autograd.function.FunctionCtx,
        given: torch.Tensor,
        output: torch.Tensor,
        module: torch.nn.Module,
    ) -> torch.Tensor:
        ctx.save_for_backward(given)
        ctx.module = module
        return output.view_as(output)

    @staticmethod
    def backward(
        ctx: torch.autograd.function.FunctionCtx, relevance: torch.Tensor
    ) -> tuple[torch.Tensor, None, None]:
        return _plus(ctx.module, ctx.saved_tensors[0], relevance), None, None


def _plus(module: torch.nn.Module, given: torch.Tensor, relevance: torch.Tensor) -> torch.Tensor:
    """The relevance of the inputs of a layer, from that of its outputs."""
    parts = [(given.clamp(min=0), zennit.rules.ClampMod(min=0.0, zero_params="bias"))]
    if (given < 0).any():  # never behind a ReLU, where the second half would double the time
        parts.append((given.clamp(max=0), zennit.rules.ClampMod(max=0.0, zero_params="bias")))
    inputs, outputs = _run(module, parts)
    total = sum(output.detach() for output in outputs)
    seen = total > SMALL
    ratio = torch.where(seen, relevance / torch.where(seen, total, 1.0), 0.0)
    shares = torch.autograd.grad(outputs, inputs, [ratio] * len(outputs))
    shared = sum(value.detach() * share for value, share in zip(inputs, shares, strict=True))
    rest = torch.where(seen, 0.0, relevance)
    if rest.any():
        even = zennit.core.ParamMod(lambda value, _: torch.ones_like(value), zero_params="bias")
        inputs, outputs = _run(module, [(torch.ones_like(given), even)])
        shared = shared + torch.autograd.grad(outputs, inputs, [rest / outputs[0].detach()])[0]
    return shared


def _run(
    module: torch.nn.Module, parts: list[tuple[torch.Tensor, zennit.core.ParamMod]]
) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    """Inputs that take gradients, and what the layer makes of each with its weights changed."""
    inputs = [value.requires_grad_() for value, _ in parts]
    outputs = []
    with torch.enable_grad():
        for value, (_, change) in zip(inputs, parts, strict=True):
            with change(module) as changed:
                outputs.append(changed.forward(value))
    return inputs, outputs
