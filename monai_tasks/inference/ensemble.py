"""Several opinions of one case: by several networks, and of the mirrored image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from monai.transforms import Activationsd, Compose

from monai_tasks.inference.configs import ConfigError

FLIPS = "flips"  # the config id

Keep = Callable[[torch.Tensor], torch.Tensor]


@dataclass(frozen=True)
class Pooled:
    """What several opinions come to.

    Args:
        mean: (K, ...), the mean of their probabilities.
        kept: what is kept of each opinion, in their order.
    """

    mean: torch.Tensor
    kept: tuple[torch.Tensor, ...] = ()

    @property
    def scores(self) -> torch.Tensor:
        """(K, ...), whose softmax is the mean, so that a bundle's postprocessing takes them as those of a network."""
        return as_scores(self.mean)


@dataclass(frozen=True)
class Opinions:
    """Asks every network for its answer to an image, and to its mirror images.

    Args:
        networks: of one architecture.
        inferer: runs a network on an image.
        flips: the axes of each mirror image, counted from the first spatial one; the image itself comes first.
        leading: how many axes of an image, without that of the batch, are before the spatial ones.
        is_map: whether an answer has the grid of its image, so that it is mirrored back.
    """

    networks: Sequence[torch.nn.Module]
    inferer: Callable[..., torch.Tensor]
    flips: Sequence[Sequence[int]] = ()
    leading: int = 1
    is_map: bool = False

    def __len__(self) -> int:
        return len(self.networks) * (1 + len(self.flips))

    def of(self, inputs: torch.Tensor) -> Iterator[torch.Tensor]:
        """The scores (K, ...) by each network in turn.

        Args:
            inputs: an image without the axis of the batch, on the device of the networks.

        Raises:
            ConfigError: if the image has not the axes that shall be mirrored.
        """
        there = inputs.ndim - self.leading
        if any(axis >= there for axes in self.flips for axis in axes):
            found = f"{[list(axes) for axes in self.flips]} for images of {there} axes"
            raise ConfigError(f"{FLIPS}: {found}; expected axes from 0 to {there - 1}")
        for network in self.networks:
            for axes in ((), *self.flips):
                turned = inputs.flip([axis + self.leading for axis in axes]) if axes else inputs
                scores = self.inferer(turned[None], network)[0]
                yield scores.flip([axis + 1 for axis in axes]) if axes and self.is_map else scores


def pool(opinions: Iterable[torch.Tensor], classes: int | None = None, keep: Keep | None = None) -> Pooled:
    """The mean of the probabilities of several opinions, one in memory at a time.

    Args:
        opinions: the scores (K, ...) of each.
        classes: how many of the first channels are scores of classes; all where not given.
        keep: makes of the probabilities of an opinion what is kept of it.

    Raises:
        ConfigError: if there are not that many channels, or fewer than two.
    """
    total, count, kept = None, 0, []
    for scores in opinions:
        probabilities = class_probabilities(scores, classes)
        total = probabilities if total is None else total + probabilities
        count += 1
        if keep is not None:
            kept.append(keep(probabilities))
    return Pooled(total / count, tuple(kept))


def class_probabilities(scores: torch.Tensor, classes: int | None = None) -> torch.Tensor:
    """The softmax over the channels that are scores of classes.

    Args:
        scores: (K, ...).
        classes: as for `pool`.

    Raises:
        ConfigError: as `pool`.
    """
    count = len(scores) if classes is None else classes
    if not 2 <= count <= len(scores):
        raise ConfigError(
            f"scores of {len(scores)} channels for {count} classes; expected a score for each of two classes at least"
        )
    return scores[:count].float().softmax(0)


def as_scores(probabilities: torch.Tensor) -> torch.Tensor:
    """The logarithm, with the smallest number in place of 0: its softmax gives the probabilities back."""
    return probabilities.clamp(min=torch.finfo(probabilities.dtype).tiny).log()


def checked_flips(value: Any, bundle: str) -> tuple[tuple[int, ...], ...]:
    """The mirror images that a bundle's config allows.

    Args:
        value: what its id `flips` comes to.
        bundle: its name, for the error.

    Raises:
        ConfigError: if it is no list of lists of axes, or an empty one.
    """
    is_list = isinstance(value, (list, tuple)) and all(isinstance(axes, (list, tuple)) for axes in value)
    if not is_list or not all(_are_axes(axes) for axes in value):
        raise ConfigError(f"{FLIPS}: {value!r}; expected lists of axes, such as [[0], [0, 1]]")
    if not value:
        raise ConfigError(
            f"{bundle}: {FLIPS} is empty, for the answer to a mirrored image is another one here; expected no --flips"
        )
    return tuple(tuple(axes) for axes in value)


def _are_axes(axes: Sequence[Any]) -> bool:
    numbers = all(isinstance(axis, int) and not isinstance(axis, bool) and axis >= 0 for axis in axes)
    return bool(axes) and numbers and len(set(axes)) == len(axes)


def check_postprocessing(postprocessing: Compose, bundle: str) -> None:
    """Refuse what does not take the scores of exclusive classes, for no others are averaged.

    Args:
        postprocessing: of the bundle.
        bundle: its name, for the error.

    Raises:
        ConfigError: if it makes each score a probability by itself.
    """
    for step in postprocessing.transforms:
        if isinstance(step, Activationsd) and any(step.sigmoid):
            raise ConfigError(
                f"{bundle}: the postprocessing takes the sigmoid of each score; expected softmax or the highest score, "
                "for only probabilities of exclusive classes are averaged"
            )
