"""Losses for grades: of a consensus, of several raters' grades, and one that knows the grades' order."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch.nn.functional import cross_entropy, one_hot

KINDS = ("consensus", "soft", "ordinal")


class ScanGradeLoss(torch.nn.Module):
    """The loss of grades of slices, where each slice has the target of its scan.

    - `consensus`: cross-entropy with the one grade that stands for all raters.
    - `soft`: cross-entropy with the distribution of the raters' grades, which keeps how unsure they were.
    - `ordinal`: the squared earth mover's distance [Hou2016], the sum over the grades of the squared differences of the
      two cumulative distributions. A grade that is wrong by two costs more than one that is wrong by one. It takes a
      grade or a distribution.

    Args:
        kind: one of `KINDS`.
        num_classes: the grades.
        class_weights: one a class, or None for equal ones. A scan weighs as its class does, one with a distribution as
            its raters' classes do on average. The loss is the weighted mean, so that its scale stays the same.

    Raises:
        ValueError: when there is no such kind, or the weights are not one a class, not negative and not all 0.

    Example:
        >>> loss = ScanGradeLoss("ordinal", class_weights=inverse_frequency([0, 0, 1, 2, 3, 4]))
        >>> loss(network(slices), labels)
    """

    def __init__(
        self,
        kind: str = "consensus",
        num_classes: int = 5,
        class_weights: Sequence[float] | torch.Tensor | None = None,
    ) -> None:
        super().__init__()
        if kind not in KINDS:
            raise ValueError(f"kind {kind!r}; expected one of {', '.join(KINDS)}")
        weights = torch.as_tensor([1.0] * num_classes if class_weights is None else class_weights).float()
        if weights.shape != (num_classes,) or not weights.ge(0).all() or not weights.sum().gt(0):
            raise ValueError(
                f"class_weights: {weights.tolist()}; expected {num_classes} of 0 or more, and one above 0"
            )
        self.kind = kind
        self.num_classes = num_classes
        self.register_buffer("class_weights", weights)

    def forward(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The weighted mean over all slices.

        Args:
            logits: (B, K, S), or (B, K) of one slice each.
            target: (B,) or (B, 1) integers from 0, or (B, K) distributions.

        Returns:
            A scalar; 0 where all scans weigh nothing.

        Raises:
            ValueError: when the logits or the target have another shape, the target is of the wrong kind, a class is
                out of range or a distribution does not sum to 1.
        """
        scores = (logits.unsqueeze(-1) if logits.dim() == 2 else logits).float()
        if scores.dim() != 3 or scores.shape[1] != self.num_classes:
            raise ValueError(
                f"logits of shape {tuple(logits.shape)}; expected (B, {self.num_classes}, S) or "
                f"(B, {self.num_classes})"
            )
        wanted = self._distribution(target, len(scores)).to(scores.device)
        each = wanted.unsqueeze(-1).expand_as(scores)
        if self.kind == "ordinal":
            difference = scores.softmax(1).cumsum(1) - each.cumsum(1)
            losses = difference.square().sum(1)
        else:
            losses = cross_entropy(scores, each, reduction="none")
        weights = wanted @ self.class_weights.to(wanted)
        # Without a scan that weighs anything the sum is 0 already.
        total = weights.sum().clamp(min=torch.finfo(weights.dtype).tiny)
        return (losses.mean(1) * weights).sum() / total

    def _distribution(self, target: torch.Tensor, count: int) -> torch.Tensor:
        """The target as (B, K) float32."""
        classes = self.num_classes
        if not target.is_floating_point() and target.shape in ((count,), (count, 1)) and self.kind != "soft":
            numbers = target.reshape(count).long()
            if count and (int(numbers.min()) < 0 or int(numbers.max()) >= classes):
                raise ValueError(f"target: classes {numbers.tolist()}; expected 0 to {classes - 1}")
            return one_hot(numbers, classes).float()
        if target.is_floating_point() and target.shape == (count, classes) and self.kind != "consensus":
            shares = target.float()
            if not shares.ge(0).all() or not torch.allclose(
                shares.sum(1), torch.ones(count).to(shares), atol=1e-4
            ):
                raise ValueError(
                    f"target: {shares.tolist()}; expected distributions, each of which sums to 1"
                )
            return shares
        form = {"consensus": "integers (B,)", "soft": "distributions (B, K)"}
        raise ValueError(
            f"target of shape {tuple(target.shape)} and {target.dtype}; expected, for {count} scans and "
            f"{classes} classes, {form.get(self.kind, ' or '.join(form.values()))}"
        )


def inverse_frequency(labels: Sequence[int], num_classes: int = 5, power: float = 1.0) -> list[float]:
    """Weights of classes for `ScanGradeLoss` that let rare classes count more.

    Args:
        labels: the class of each case of the training part, from 0.
        num_classes: how many there are.
        power: 1 gives all classes the same sum of weights, 0 all cases the same weight, 0.5 what lies between.

    Returns:
        One weight a class; over the cases they are 1 on average. A class without a case weighs as much as one with a
        single case.

    Raises:
        ValueError: when there is no label, or one is out of range.
    """
    numbers = torch.as_tensor(list(labels), dtype=torch.long)
    if not len(numbers) or int(numbers.min()) < 0 or int(numbers.max()) >= num_classes:
        raise ValueError(
            f"labels {sorted(set(numbers.tolist()))}; expected at least one, each from 0 to {num_classes - 1}"
        )
    counts = numbers.bincount(minlength=num_classes).double()
    weights = counts.clamp(min=1).pow(-power)
    return (weights * len(numbers) / (weights * counts).sum()).tolist()
