"""Fit a network's standard score to the training images."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from multiprocessing.pool import ThreadPool
from typing import Any

import torch
from ignite.engine import Engine, Events
from monai.transforms import Compose
from monai.utils import convert_to_tensor

from monai_tasks.io.errors import InputError
from monai_tasks.networks.standard_score import StandardScoreNet

logger = logging.getLogger(__name__)


class FitStandardScore:
    """Sets the mean and deviation of a `StandardScoreNet` when a run begins its first epoch.

    They are those of all voxels of all training images after the deterministic transforms. A network that has its
    figures keeps them: one that `RunState` restored, and one that starts from the weights of another run, which were
    trained with them.

    The place among the handlers is free, since it acts after all of them have restored what they had. Before
    `RunRecord` its seconds do not count as the first epoch's.

    Args:
        network: a `StandardScoreNet`, wrapped for distribution or not.
        data: the training part's items. No other part may be given: what is measured here reaches the network.
        transforms: the deterministic ones, which load an item.
        key: of the image, (C, H, W[, D]) after the transforms.
        enabled: False does nothing: the figures stay as they are, 0 and 1 in a new network.
        num_workers: threads, each with one image in memory.

    Raises:
        ValueError: when the network is of another kind.
    """

    def __init__(
        self,
        network: torch.nn.Module,
        data: Sequence[Mapping[str, Any]],
        transforms: Compose,
        key: str = "image",
        enabled: bool = True,
        num_workers: int = 2,
    ) -> None:
        self.network = getattr(network, "module", network)
        self.data = data
        self.transforms = transforms
        self.key = key
        self.enabled = enabled
        self.num_workers = num_workers
        if enabled and not isinstance(self.network, StandardScoreNet):
            raise ValueError(f"network: got {type(self.network).__name__}; expected a StandardScoreNet")

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        if self.enabled:
            # Not at STARTED: only now has every handler restored what it had, and a run that goes on is past this.
            engine.add_event_handler(Events.EPOCH_STARTED(once=1), self.fit)

    def fit(self) -> None:
        """Measure the images and set the network's figures, unless it has some.

        Raises:
            ValueError: when there is no image, one has values that are not finite or another count of channels
                than the network, or all voxels are alike.
        """
        if self.network.has_statistics():
            logger.info("the network keeps its mean %s and deviation %s", *self._figures())
            return
        if not self.data:
            raise ValueError("data: no items; expected the training part's")
        with ThreadPool(max(self.num_workers, 1)) as pool:
            parts = list(pool.imap(self._moments, self.data))
        self.network.set_statistics(*merged(parts))
        logger.info("mean %s and deviation %s of %d training images", *self._figures(), len(self.data))

    def _moments(self, item: Mapping[str, Any]) -> Moments:
        # `threading` copies transforms that keep a state while they run.
        image = self.transforms(item, threading=True)[self.key]
        image = convert_to_tensor(image, track_meta=False)
        return moments(image, len(self.network.mean), str(item[self.key]))

    def _figures(self) -> tuple[list[float], list[float]]:
        return self.network.mean.tolist(), self.network.deviation.tolist()


Moments = tuple[int, torch.Tensor, torch.Tensor]


def moments(image: torch.Tensor, channels: int, source: str = "image") -> Moments:
    """Count, mean and variance of an image's voxels.

    Args:
        image: (C, H, W[, D]).
        channels: 1 to take all channels together, C to take each alone.
        source: what an error calls the image.

    Returns:
        Voxels a channel, and means and variances (channels,), float64.

    Raises:
        InputError: when the image has another count of channels, no voxel or values that are not finite.
    """
    if channels not in (1, len(image)) or image.numel() == 0:
        raise InputError(source, f"shape {tuple(image.shape)}", f"{channels} channel(s) with voxels")
    values = image.double().reshape(channels, -1)
    variance, mean = torch.var_mean(values, dim=1, correction=0)
    if not variance.isfinite().all():
        raise InputError(source, "values that are not finite", "finite intensities")
    return values.shape[1], mean, variance


def merged(parts: Sequence[Moments]) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean and standard deviation of all voxels of several images.

    The variance of the whole is the mean of the variances within the images and of the squared distances of their
    means from the whole's mean. No squares of intensities are subtracted, which would lose the digits of large ones.

    Args:
        parts: `moments` of each image.

    Returns:
        Two tensors (channels,), float64.
    """
    counts = torch.tensor([count for count, _, _ in parts], dtype=torch.float64)
    shares = (counts / counts.sum())[:, None]
    means, variances = (torch.stack(values) for values in list(zip(*parts, strict=True))[1:])
    mean = (shares * means).sum(0)
    variance = (shares * (variances + (means - mean) ** 2)).sum(0)
    return mean, variance.sqrt()
