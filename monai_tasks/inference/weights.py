"""Load a network's weights, and say in plain words when a file does not fit."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path

import torch

# What checkpoints of training runs call the network beside an optimizer and a schedule.
NESTED = ("network", "model", "state_dict")
SHOWN = 3


class WeightsError(ValueError):
    """A file of weights that is missing, unreadable or made for another network."""


def load_weights(network: torch.nn.Module, path: str | os.PathLike[str]) -> None:
    """Load a state dictionary into a network; every key and shape must fit.

    Args:
        network: the network, on any device.
        path: a file that `torch.save` wrote: a state dictionary, or a mapping that holds one under `network`,
            `model` or `state_dict`.

    Raises:
        WeightsError: if the file is missing, is no such file or does not fit the network.
    """
    path = Path(path)
    state = read_state(path)
    own = network.state_dict()
    problems = [f"{key} is missing" for key in own if key not in state]
    problems += [f"{key} is unknown" for key in state if key not in own]
    problems += [
        f"{key} is {tuple(state[key].shape)}, not {tuple(value.shape)}"
        for key, value in own.items()
        if key in state and state[key].shape != value.shape
    ]
    if problems:
        more = f", and {len(problems) - SHOWN} more" if len(problems) > SHOWN else ""
        name = type(network).__name__
        raise WeightsError(f"{path}: weights do not fit {name}: {', '.join(problems[:SHOWN])}{more}")
    network.load_state_dict(state)


def read_state(path: Path) -> Mapping[str, torch.Tensor]:
    """The state dictionary of a file.

    Args:
        path: as for `load_weights`.

    Raises:
        WeightsError: if the file is missing or is no such file.
    """
    if not path.is_file():
        raise WeightsError(f"{path}: no such file; expected weights that torch.save wrote")
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError, ValueError, KeyError) as cause:
        # The text of torch's own error recommends to load the file unsafely; it stays in the chain only.
        found = "damaged, or it holds other things than tensors"
        raise WeightsError(f"{path}: {found}; expected a state dictionary that torch.save wrote") from cause
    nested = [content[key] for key in NESTED if isinstance(content, Mapping) and key in content]
    state = next((value for value in nested if isinstance(value, Mapping)), content)
    if not isinstance(state, Mapping) or not all(isinstance(value, torch.Tensor) for value in state.values()):
        raise WeightsError(f"{path}: {type(content).__name__}; expected a state dictionary of tensors")
    return state
