"""Which number of a classifier is explained, and how a network is made ready to be asked for it."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from monai.utils import convert_to_tensor


def direction(logits: torch.Tensor) -> torch.Tensor:
    """The weights of the logits in the score that is explained.

    Of two classes it is the logit of class 1 minus that of class 0, whichever is predicted: what speaks for class 1
    is positive in every picture. Of more classes it is the logit of the predicted one.

    Args:
        logits: (B, K).

    Returns:
        (B, K); the score is the sum of `direction(logits) * logits` over K.
    """
    if logits.shape[1] == 2:
        return torch.tensor([-1.0, 1.0], dtype=logits.dtype, device=logits.device).expand_as(logits)
    return torch.nn.functional.one_hot(logits.argmax(1), logits.shape[1]).to(logits.dtype)


def own_copy(network: torch.nn.Module) -> torch.nn.Module:
    """A copy to put hooks into, in evaluation mode and float32, so that the network itself is never touched.

    Its weights take no gradients, and no layer works in place: hooks need the tensors between the layers.

    Args:
        network: on any device; the copy is on the same.
    """
    with torch.inference_mode(False):
        own = copy.deepcopy(network).eval().float().requires_grad_(False)
    for module in own.modules():
        if getattr(module, "inplace", False):
            module.inplace = False
    return own


def one_batch(image: torch.Tensor, network: torch.nn.Module) -> torch.Tensor:
    """An image, or the views of a study, as a batch of one that gradients can be taken of.

    Args:
        image: (1, H, W), or (V, 1, H, W) with absent views all NaN; may come from inference mode.
        network: on whose device the batch is wanted.

    Returns:
        (1, 1, H, W) or (1, V, 1, H, W), float32, a leaf that takes gradients.

    Raises:
        ValueError: if the image has another number of axes, or no value.
    """
    image = convert_to_tensor(image, dtype=torch.float32, track_meta=False)
    if image.dim() not in (3, 4):
        raise ValueError(f"image of shape {tuple(image.shape)}; expected (1, H, W) or (V, 1, H, W)")
    if absent(image).all():
        raise ValueError("image: no finite value; expected an image, or a study with a view that is not NaN")
    device = next((weight.device for weight in network.parameters()), image.device)
    return image.detach().to(device).clone()[None].requires_grad_()


def absent(image: torch.Tensor) -> torch.Tensor:
    """Which views have no value: (V,) of (V, 1, H, W), or one element of (1, H, W)."""
    views = image if image.dim() == 4 else image[None]
    return ~views.isfinite().flatten(1).any(1)


@contextmanager
def gradients(network: torch.nn.Module) -> Iterator[None]:
    """Take gradients in full precision, also inside inference mode and autocast."""
    device = next((weight.device.type for weight in network.parameters()), "cpu")
    with torch.inference_mode(False), torch.enable_grad(), torch.autocast(device, enabled=False):
        yield
