"""What kind of inputs a bundle takes, which its config says: volumes, radiographs, or studies of radiographs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_tasks.datasets.cases import find_cases
from monai_tasks.datasets.radiograph_cases import Search, group_studies, search_radiographs
from monai_tasks.inference.configs import ConfigError

INPUTS = "inputs"  # the config id
VOLUMES, RADIOGRAPHS, STUDIES = "volumes", "radiographs", "studies"


@dataclass(frozen=True)
class Kind:
    """A kind of inputs.

    Args:
        find: the cases that paths stand for; called with the paths and with folders that are not searched.
        is_alone: whether a file is an image by itself, and no slice of a series with others in its folder.
    """

    find: Callable[[Sequence[Path], Sequence[Path]], Search]
    is_alone: bool


def _volumes(inputs: Sequence[Path], exclude: Sequence[Path]) -> Search:
    return Search(find_cases(inputs, exclude))


def _studies(inputs: Sequence[Path], exclude: Sequence[Path]) -> Search:
    search = search_radiographs(inputs, exclude)
    return Search(group_studies(search.cases), search.passed_over)


KINDS = {
    VOLUMES: Kind(_volumes, is_alone=False),
    RADIOGRAPHS: Kind(search_radiographs, is_alone=True),
    STUDIES: Kind(_studies, is_alone=True),
}


def kind_of(config: Mapping[str, Any], settings: Mapping[str, Any]) -> str:
    """The kind of inputs that a bundle takes.

    Args:
        config: the merged content of its configs.
        settings: config ids and values, which are set last.

    Raises:
        ConfigError: if the config names no kind that there is.
    """
    name = settings.get(INPUTS, config.get(INPUTS, VOLUMES))
    if name not in KINDS:
        raise ConfigError(f"{INPUTS}: {name!r}; expected one of {', '.join(KINDS)}")
    return name
