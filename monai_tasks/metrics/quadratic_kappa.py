"""Quadratic-weighted kappa as a metric of ignite's engines."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import torch
from ignite.metrics import Metric
from ignite.metrics.metric import reinit__is_reduced, sync_all_reduce
from sklearn.metrics import cohen_kappa_score


class QuadraticKappa(Metric):
    """Agreement of grades beyond chance, where one that is two grades off counts four times one [Cohen1968].

    ignite has it as `CohenKappa` since 0.5; MONAI Label runs with an older one, and that of 0.5 gathers the cases of
    several processes, which must then have equally many. Here processes add up their counts.

    Where all grades and labels are of one class it has no value and is NaN, which no run takes for its best.

    Args:
        num_classes: grades and labels are numbers from 0 below it.
        output_transform: gives grades (N,) and labels (N,), or lists of single ones, from the engine's output.
        device: where the counts are kept; one that the processes' backend can add up on.
    """

    _state_dict_all_req_keys = ("_counts",)

    def __init__(
        self,
        num_classes: int = 5,
        output_transform: Callable[[Any], Any] = lambda output: output,
        device: str | torch.device = "cpu",
    ) -> None:
        self.num_classes = num_classes
        super().__init__(output_transform, device=device)

    @reinit__is_reduced
    def reset(self) -> None:
        """Forget all cases."""
        self._counts = torch.zeros(self.num_classes**2, dtype=torch.float64, device=self._device)

    @reinit__is_reduced
    def update(self, output: Sequence[torch.Tensor]) -> None:
        """Count cases.

        Args:
            output: grades (N,) and labels (N,).

        Raises:
            ValueError: when one is out of range.
        """
        grades, labels = (values.detach().reshape(-1).long().to(self._device) for values in output)
        for name, values in (("grades", grades), ("labels", labels)):
            if len(values) and (int(values.min()) < 0 or int(values.max()) >= self.num_classes):
                raise ValueError(f"{name} {values.tolist()}; expected 0 to {self.num_classes - 1}")
        self._counts += torch.bincount(labels * self.num_classes + grades, minlength=self.num_classes**2)

    @sync_all_reduce("_counts")
    def compute(self) -> float:
        """The kappa of all cases."""
        counts = self._counts.cpu().numpy()
        labels, grades = divmod(torch.arange(len(counts)).numpy(), self.num_classes)
        if not counts.any():
            return float("nan")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of a value that is not there
            return float(cohen_kappa_score(labels, grades, weights="quadratic", sample_weight=counts))
