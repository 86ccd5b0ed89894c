"""How unsure an answer is, and how far several opinions of one case differ."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

ENTROPY, DISAGREEMENT = "entropy", "disagreement"
COLUMNS = (ENTROPY, DISAGREEMENT)  # of the results
DIGITS = 6


@dataclass(frozen=True)
class Uncertainty:
    """What is known of a case's uncertainty.

    Args:
        entropy: from 0, certain, to 1, all classes alike; None where no opinion has found a label, so that there is no
            place to look at.
        disagreement: of the opinions, 0 for a single one. Of a classification in the unit of the entropy, of a
            segmentation the share of the labels that two opinions do not have in common.
    """

    entropy: float | None
    disagreement: float

    def columns(self) -> dict[str, float | str]:
        """The columns of the results."""
        entropy = "" if self.entropy is None else round(self.entropy, DIGITS)
        return {ENTROPY: entropy, DISAGREEMENT: round(self.disagreement, DIGITS)}


def normalised_entropy(probabilities: torch.Tensor) -> torch.Tensor:
    """The entropy over the logarithm of the number of classes: 0 is certain, 1 has all classes alike.

    Args:
        probabilities: (K, ...), which sum to 1 along the first axis; K is 2 at least.

    Returns:
        (...).
    """
    return (torch.special.entr(probabilities).sum(0) / math.log(len(probabilities))).clamp(0, 1)


def of_classes(opinions: torch.Tensor) -> Uncertainty:
    """The uncertainty of a classification.

    The disagreement is the mutual information of answer and network [Houlsby2011]: the entropy of the mean
    probabilities less the mean of the opinions' entropies. What is left of the entropy is what the opinions are in
    doubt about themselves.

    Args:
        opinions: (M, K), the probabilities by each opinion.
    """
    values = opinions.double()
    whole = float(normalised_entropy(values.mean(0)))
    own = float(normalised_entropy(values.T).mean())
    return Uncertainty(whole, max(0.0, whole - own))


def of_labels(votes: torch.Tensor, entropy: torch.Tensor, classes: int) -> Uncertainty:
    """The uncertainty of a segmentation.

    The entropy is the mean over the voxels in which any opinion has a label. The disagreement is one less the mean
    Dice of all pairs of opinions [Roy2019]. The Dice of a pair is the mean over the labels that one of both has; two
    opinions without any label agree.

    Args:
        votes: (M, ...), the label of each voxel by each opinion; 0 is background.
        entropy: (...), of the mean probabilities.
        classes: how many there are, with background.
    """
    region = (votes > 0).any(0)
    mean = float(entropy[region].double().mean()) if bool(region.any()) else None
    return Uncertainty(mean, 1.0 - mean_pairwise_dice(votes[:, region], classes))


def mean_pairwise_dice(votes: torch.Tensor, classes: int) -> float:
    """The mean Dice of all pairs of label maps; 1 for a single one.

    Args:
        votes: (M, N), the label of each voxel in each map.
        classes: how many there are, with background, which does not count.
    """
    count = len(votes)
    if count < 2:
        return 1.0
    total = torch.zeros(count, count, dtype=torch.float64, device=votes.device)
    labels = torch.zeros_like(total)
    for label in range(1, classes):
        mask = (votes == label).double()
        shared = mask @ mask.T
        sizes = shared.diagonal()
        sums = sizes[:, None] + sizes
        total += 2 * shared / sums.clamp(min=1)
        labels += sums > 0
    dice = torch.where(labels > 0, total / labels.clamp(min=1), 1.0)
    first, second = torch.triu_indices(count, count, 1, device=votes.device)
    return float(dice[first, second].mean())
