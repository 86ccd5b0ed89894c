"""Smaller learning rates for earlier layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from monai.optimizers import generate_param_groups

from monai_tasks.networks.concat_pool_densenet import layers_of
from monai_tasks.training.freeze import unwrapped


def rate_groups(network: torch.nn.Module, learning_rate: float, decay: float) -> list[dict[str, Any]]:
    """A group of weights for each layer of a `ConcatPoolDenseNet`, for an optimizer of torch.

    The head has the whole rate and each layer before it the rate of the next one times `decay` [Howard2018]: what the
    first layers of a trained network see is of use for other images too, and should change little.

    Args:
        network: as for `layers_of`, wrapped for distribution or not.
        learning_rate: of the head.
        decay: 1 for one rate of all layers; above 0.

    Returns:
        The groups from the head to the first layer, so that the first group's rate is the one that was asked for.

    Raises:
        ValueError: when the decay is out of range, or the network of another kind.
    """
    if not 0 < decay <= 1:
        raise ValueError(f"decay {decay}; expected above 0 and at most 1")
    inner = unwrapped(network)
    layers = list(reversed(layers_of(inner).values()))
    return generate_param_groups(
        inner,
        [_selection(names) for names in layers],
        ["select"] * len(layers),
        [learning_rate * decay**place for place in range(len(layers))],
        include_others=False,
    )


def _selection(names: Sequence[str]) -> Callable[[torch.nn.Module], torch.nn.Module]:
    return lambda network: torch.nn.ModuleList(network.get_submodule(name) for name in names)
