"""Quadratic-weighted kappa as a metric of ignite's engines."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch
from ignite.metrics import EpochMetric
from sklearn.metrics import cohen_kappa_score


class QuadraticKappa(EpochMetric):
    """Agreement of grades beyond chance, where one that is two grades off counts four times one [Cohen1968].

    ignite has it as `CohenKappa` since 0.5, and MONAI Label runs with an older one. Where all grades and labels are of
    one class it has no value and is NaN, which no run takes for its best.

    Args:
        output_transform: gives grades (N,) and labels (N,), or lists of single ones, from the engine's output.
        device: where they are kept.
    """

    def __init__(
        self, output_transform: Callable[[Any], Any] = lambda output: output, device: str = "cpu"
    ) -> None:
        super().__init__(_kappa, output_transform, check_compute_fn=False, device=torch.device(device))


def _kappa(grades: torch.Tensor, labels: torch.Tensor) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of a value that is not there
        return float(cohen_kappa_score(labels.long().numpy(), grades.long().numpy(), weights="quadratic"))
