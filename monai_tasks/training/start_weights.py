"""Start a network from the weights of another, and say openly what was taken and what was not."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch
from ignite.engine import Engine, Events

from monai_tasks.inference.weights import WeightsError, read_state
from monai_tasks.io.files import sha256, write_json
from monai_tasks.training.freeze import modules_of, unwrapped
from monai_tasks.training.run_state import is_first_process

logger = logging.getLogger(__name__)

# What networks for distribution and a `StandardScoreNet` put before the names of the network within.
WRAPPERS = ("module.", "network.")
SHOWN = 3
NOT_ASKED = "not of the layers that were asked for"

State = Mapping[str, torch.Tensor]


@dataclass(frozen=True)
class Start:
    """What a network took from a file.

    Args:
        loaded: names of the file's values that were taken.
        skipped: names of the file's other values, and why each was not taken.
        kept: names of the network's own values that were not replaced, and why not.
    """

    loaded: list[str]
    skipped: dict[str, str] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)

    def say(self, path: str | Path) -> None:
        """Say it in the log, with a few names of each kind.

        Args:
            path: the file.
        """
        logger.info("from %s: %d values: %s", path, len(self.loaded), _shown(self.loaded))
        for what, values in (("not used of it", self.skipped), ("as they were", self.kept)):
            for why in dict.fromkeys(values.values()):
                names = [name for name, reason in values.items() if reason == why]
                logger.info("%s: %s (%s)", what, _shown(names), why)


def _shown(names: Sequence[str]) -> str:
    more = len(names) - SHOWN
    return ", ".join(names[:SHOWN]) + (f" and {more} more" if more > 0 else "")


class StartFrom:
    """Gives a network the weights of a file when a run begins, and writes `start.json` beside the run.

    `start.json` has the file's name and checksum, and what `Start` holds. Put it before `FitStandardScore`, which keeps
    the statistics that come with the weights, and before `RunState`, whose run that goes on has its own weights.

    Args:
        network: wrapped for distribution or not.
        path: the file of weights; None starts from the weights that the network has.
        layers: names of the modules to start, as in `network.named_modules()`; None starts all that fit.
        folder: where `start.json` is written; None writes none.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        path: str | Path | None = None,
        layers: Sequence[str] | None = None,
        folder: str | Path | None = None,
    ) -> None:
        self.network = network
        self.path = path
        self.layers = layers
        self.folder = folder
        self.convert: Callable[[State], State] | None = None

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.STARTED, self.start)

    def start(self) -> Start | None:
        """Load the weights, if a file is given, and say which.

        Raises:
            WeightsError, ValueError: see `start_from`.
        """
        if self.path is None:
            self._warn(_frozen(self.network))
            return None
        start = start_from(self.network, self.path, self.layers, self.convert)
        start.say(self.path)
        untaken = _frozen(self.network) & start.kept.keys()
        self._warn(untaken)
        if self.folder is not None and is_first_process():
            facts = {"weights": Path(self.path).name, "weights_sha256": sha256(self.path)}
            facts |= {"layers": None if self.layers is None else list(self.layers)}
            write_json(
                Path(self.folder) / "start.json",
                facts | asdict(start) | {"frozen_at_random": sorted(untaken)},
            )
        return start

    def _warn(self, untaken: set[str]) -> None:
        if untaken:
            logger.warning("frozen with values that no file gave: %s", ", ".join(sorted(untaken)))


def start_from(
    network: torch.nn.Module,
    path: str | Path,
    layers: Sequence[str] | None = None,
    convert: Callable[[State], State] | None = None,
) -> Start:
    """Load into a network what a file holds for it, by name and shape.

    Names are compared without the beginnings `module.` and `network.` that wrappers add. A value of another shape is
    not cut or filled up: a first layer for another number of channels, and a last one for other classes, stay as they
    were.

    Args:
        network: wrapped for distribution or not.
        path: a file that `torch.save` wrote; see `read_state`.
        layers: names of the modules to start; None starts all that fit.
        convert: makes of the file's values those of such a network, where it has other names.

    Returns:
        What was loaded and what was not, with the reasons.

    Raises:
        WeightsError: when the file is missing or no file of weights, or nothing in it fits; then nothing is changed.
        ValueError: when a layer is not there.
    """
    network, path = unwrapped(network), Path(path)
    own, state = network.state_dict(), read_state(path)
    state = convert(state) if convert else state
    wanted = own.keys() if layers is None else _within(own, modules_of(network, layers))
    files = {_plain(name): name for name in state}
    taken: dict[str, str] = {}
    skipped: dict[str, str] = {}
    kept: dict[str, str] = {}
    for name, value in own.items():
        source = files.get(_plain(name))
        if source is None:
            kept[name] = "the file has no such value" if name in wanted else NOT_ASKED
            continue
        why = _difference(tuple(state[source].shape), tuple(value.shape)) if name in wanted else NOT_ASKED
        if why:
            kept[name] = skipped[source] = why
        else:
            taken[name] = source
    unknown = [name for name in state if name not in skipped and name not in taken.values()]
    skipped |= dict.fromkeys(unknown, "the network has no such value")
    if not taken:
        reasons = "; ".join(f"{name}: {why}" for name, why in list(skipped.items())[:2])
        raise WeightsError(
            f"{path}: nothing fits {type(network).__name__} ({reasons}); expected weights of a network with some of "
            "the same layers"
        )
    network.load_state_dict({name: state[source] for name, source in taken.items()}, strict=False)
    return Start(sorted(taken.values()), dict(sorted(skipped.items())), dict(sorted(kept.items())))


def _plain(name: str) -> str:
    """A value's name without what wrappers put before it."""
    while name.startswith(WRAPPERS):
        name = name.partition(".")[2]
    return name


def _within(own: Mapping[str, torch.Tensor], layers: Mapping[str, torch.nn.Module]) -> set[str]:
    """The names of the values that lie within some modules."""
    beginnings = tuple(f"{layer}." for layer in layers)
    return {name for name in own if name.startswith(beginnings)}


def _difference(given: tuple[int, ...], own: tuple[int, ...]) -> str | None:
    """Why a value of one shape cannot be taken for one of another; None where it can.

    A convolution's axes are output channels, input channels and the kernel's.
    """
    if given == own:
        return None
    if len(given) == len(own) >= 3 and given[2:] == own[2:]:
        found = [
            f"{a} {what} channels, not {b}"
            for what, a, b in (("output", given[0], own[0]), ("input", given[1], own[1]))
            if a != b
        ]
        return f"made for {' and '.join(found)}"
    return f"shape {given}, not {own}"


def _frozen(network: torch.nn.Module) -> set[str]:
    """The names of the weights that are not trained."""
    return {name for name, value in unwrapped(network).named_parameters() if not value.requires_grad}
