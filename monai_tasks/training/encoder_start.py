"""Start a network of studies from a trained network of single images."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path

import torch
from ignite.engine import Engine, Events

from monai_tasks.inference.weights import WeightsError, read_state
from monai_tasks.networks.standard_score import StandardScoreNet
from monai_tasks.networks.study import StudyNet
from monai_tasks.training.start_weights import Start

logger = logging.getLogger(__name__)

# What networks of single images call their last layers.
HEADS = ("classifier", "fc")
STATISTICS = ("mean", "deviation")


class StartEncoder:
    """Gives a `StudyNet` the weights of a trained `RxNet` or ResNet when a run begins.

    The image network's mean and deviation come along, for its weights were trained with them, and so do its last layers
    where they fit: a study of one view then begins with the score that the image network gives. Put it before
    `RunState`, whose run that goes on has its own weights.

    Args:
        network: a `StudyNet`, within a `StandardScoreNet` or not, wrapped for distribution or not.
        path: the image network's file of weights; None starts from the weights that the network has.
    """

    def __init__(self, network: torch.nn.Module, path: str | Path | None = None) -> None:
        self.network = getattr(network, "module", network)
        self.path = path

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        if self.path is not None:
            engine.add_event_handler(Events.STARTED, self.start)
        elif any(getattr(module, "freeze_encoder", False) for module in self.network.modules()):
            logger.warning("the encoder is frozen with random weights: none were given to start from")

    def start(self) -> Start:
        """Load the weights and say in the log which.

        Raises:
            WeightsError: see `start_encoder`.
        """
        start = start_encoder(self.network, self.path)
        start.say(self.path)
        return start


def start_encoder(network: torch.nn.Module, path: str | Path) -> Start:
    """Load into a `StudyNet` what a file holds for its encoder, and for its classifier where that fits.

    Names decide: those of the encoder's values stand in the file as they are, or behind one common beginning such as
    `network.` or `network.encoder.`; the last layers are called `classifier` or `fc`.

    Args:
        network: a `StudyNet`, or a `StandardScoreNet` around one.
        path: the file of weights.

    Returns:
        What was loaded and what was not, with the reasons.

    Raises:
        ValueError: when the network is of another kind.
        WeightsError: when the file is missing or no file of weights, or its encoder does not fit.
    """
    study = network.network if isinstance(network, StandardScoreNet) else network
    if not isinstance(study, StudyNet):
        raise ValueError(f"network: got {type(study).__name__}; expected a StudyNet")
    path, own = Path(path), network.state_dict()
    state = read_state(path)
    outside = "network." if isinstance(network, StandardScoreNet) else ""
    encoder = study.encoder.state_dict()
    prefix = _prefix(encoder, state)
    sources = {f"{outside}encoder.{name}": prefix + name for name in encoder}
    missing = [name for name, source in sources.items() if not _fits(own[name], state.get(source))]
    if missing:
        count = f"{len(missing)} of {len(sources)} values of the encoder, such as {missing[0]}"
        raise WeightsError(
            f"{path}: no weights for {count}; expected those of a network with the same encoder"
        )
    sources |= _classifier(own, state, f"{outside}classifier.", prefix.removesuffix("encoder."))
    if outside:
        sources |= {name: name for name in STATISTICS if _fits(own[name], state.get(name))}
    network.load_state_dict({name: state[source] for name, source in sources.items()}, strict=False)
    return Start(
        loaded=sorted(sources.values()),
        skipped=dict.fromkeys(sorted(state.keys() - set(sources.values())), "no part of it fits"),
        kept=dict.fromkeys(sorted(own.keys() - sources.keys()), "the file has none that fits"),
    )


def _prefix(encoder: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor]) -> str:
    """What stands before the encoder's names in the file: the beginning that most of them have in common."""
    first = next(iter(encoder))
    found = [name.removesuffix(first) for name in state if name == first or name.endswith(f".{first}")]
    return max(found, key=lambda prefix: sum(prefix + name in state for name in encoder), default="")


def _classifier(
    own: Mapping[str, torch.Tensor], state: Mapping[str, torch.Tensor], target: str, prefix: str
) -> dict[str, str]:
    """The file's names for the classifier's values, where all of them fit."""
    names = [name for name in own if name.startswith(target)]
    for head in HEADS:
        sources = {name: f"{prefix}{head}.{name.removeprefix(target)}" for name in names}
        if all(_fits(own[name], state.get(source)) for name, source in sources.items()):
            return sources
    return {}


def _fits(own: torch.Tensor, given: torch.Tensor | None) -> bool:
    return given is not None and given.shape == own.shape
