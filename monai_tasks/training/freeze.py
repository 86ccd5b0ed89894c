"""Leave parts of a network as they are while the rest is trained."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from ignite.engine import Engine, Events

logger = logging.getLogger(__name__)

# How deep an error lists the modules that there are.
LISTED_DEPTH = 3


class Freeze:
    """Freezes modules of a network: their weights, and the statistics of their normalisation.

    The named modules, with all that is in them, get no gradients, and they run in evaluation mode whatever mode the
    network is in: batch normalisation neither uses nor changes by the images of the training, and nothing is dropped
    out. Both hold from the moment that this object is made.

    `DistributedDataParallel` counts the weights that have gradients when it is made: give it this object's `network`,
    so that it is made later.

    Args:
        network: wrapped for distribution or not.
        names: of modules, as in `network.named_modules()`; none leaves the network as it is.

    Raises:
        ValueError: when a module is not there, has no weights, or nothing would be left to train.

    Example:
        >>> freeze = Freeze(network, ["blocks.0", "blocks.1"])
        >>> freeze.attach(trainer)  # says in the log what is frozen
    """

    def __init__(self, network: torch.nn.Module, names: Sequence[str] = ()) -> None:
        self.network = network
        self.names = list(names)
        inner = unwrapped(network)
        modules = modules_of(inner, self.names)
        parts = {id(value) for module in modules.values() for value in module.parameters()}
        if self.names and parts == {id(value) for value in inner.parameters()}:
            raise ValueError(f"frozen {', '.join(self.names)}: nothing is left to train")
        for module in modules.values():
            module.requires_grad_(False)
            for part in module.modules():
                part.eval()
                # A trainer sets the mode of the whole network just before each forward pass: no event is between.
                part.register_forward_pre_hook(_stay)

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        if self.names:
            engine.add_event_handler(Events.STARTED, self.say)

    def say(self) -> None:
        """Say in the log what is frozen."""
        values = [(value.numel(), value.requires_grad) for value in unwrapped(self.network).parameters()]
        still = sum(count for count, trained in values if not trained)
        total = sum(count for count, _ in values)
        logger.info("frozen: %s; %d of %d weights", ", ".join(self.names), still, total)


def _stay(module: torch.nn.Module, args: tuple[Any, ...]) -> None:
    module.training = False


def unwrapped(network: torch.nn.Module) -> torch.nn.Module:
    """The network itself, where one for distribution is around it."""
    if isinstance(network, torch.nn.parallel.DistributedDataParallel | torch.nn.DataParallel):
        return network.module
    return network


def modules_of(network: torch.nn.Module, names: Sequence[str]) -> dict[str, torch.nn.Module]:
    """Find modules by their names.

    Args:
        network: not wrapped.
        names: as in `network.named_modules()`.

    Returns:
        The modules by name, in the order of `names`.

    Raises:
        ValueError: when a name is none of those, or of a module without weights; it lists those that have some.
    """
    if isinstance(names, str):
        raise ValueError(f"names of modules: got the text {names!r}; expected a list")
    known = _with_weights(network)
    unknown = [str(name) for name in names if name not in known]
    if unknown:
        listed = [name for name in known if name.count(".") < LISTED_DEPTH]
        raise ValueError(
            f"no module with weights is called {', '.join(unknown)} in {type(network).__name__}; "
            f"expected some of {', '.join(listed)}"
        )
    return {name: known[name] for name in names}


def _with_weights(network: torch.nn.Module) -> Mapping[str, torch.nn.Module]:
    modules = network.named_modules()
    return {name: module for name, module in modules if name and any(True for _ in module.parameters())}
