"""Entropy and disagreement against their definitions, written out in loops."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import numpy as np
import pytest
import torch

from monai_tasks.inference.uncertainty import (
    Uncertainty,
    mean_pairwise_dice,
    normalised_entropy,
    of_classes,
    of_labels,
)


def entropy(probabilities: Sequence[float]) -> float:
    """By the definition, in the unit of the highest one."""
    total = 0.0
    for value in probabilities:
        if value > 0:
            total -= value * math.log(value)
    return total / math.log(len(probabilities))


def dice_of_pair(one: Sequence[int], other: Sequence[int]) -> float:
    """The mean over the labels that one of two label maps has."""
    values = []
    for label in sorted((set(one) | set(other)) - {0}):
        shared = sum(a == label and b == label for a, b in zip(one, other, strict=True))
        values.append(2 * shared / (list(one).count(label) + list(other).count(label)))
    return sum(values) / len(values) if values else 1.0


def test_entropy_is_0_for_certain_and_1_for_alike():
    probabilities = torch.tensor([[1.0, 0.25, 0.5, 0.7], [0.0, 0.25, 0.5, 0.1], [0.0, 0.5, 0.0, 0.2]])
    found = normalised_entropy(probabilities)
    assert found.tolist() == pytest.approx([entropy(column) for column in probabilities.T.tolist()], abs=1e-6)
    assert found[0] == 0
    for classes in (2, 5):
        assert normalised_entropy(torch.full((classes, 1), 1 / classes)).item() == pytest.approx(1.0)


@pytest.mark.parametrize("classes", [2, 3, 5])
def test_classification_against_loops(classes):
    opinions = np.random.default_rng(classes).dirichlet([0.7] * classes, size=4)
    found = of_classes(torch.tensor(opinions))
    mean = [sum(row[k] for row in opinions) / 4 for k in range(classes)]
    assert found.entropy == pytest.approx(entropy(mean))
    assert found.disagreement == pytest.approx(entropy(mean) - sum(map(entropy, opinions)) / 4)
    assert 0 < found.disagreement < found.entropy < 1


def test_opinions_that_contradict_each_other_disagree_and_unsure_ones_do_not():
    contradicting = of_classes(torch.tensor([[1.0, 0.0], [0.0, 1.0]]))
    assert (contradicting.entropy, contradicting.disagreement) == (pytest.approx(1), pytest.approx(1))
    unsure = of_classes(torch.tensor([[0.5, 0.5], [0.5, 0.5]]))
    assert (unsure.entropy, unsure.disagreement) == (pytest.approx(1), pytest.approx(0, abs=1e-12))
    assert of_classes(torch.tensor([[0.9, 0.1]])).disagreement == 0


def test_segmentation_against_loops():
    rng = np.random.default_rng(4)
    opinions = rng.dirichlet([0.6, 0.3, 0.3], size=(3, 5, 4, 2)).transpose(0, 4, 1, 2, 3)
    votes = opinions.argmax(1)
    mean = opinions.mean(0)
    found = of_labels(
        torch.tensor(votes, dtype=torch.uint8), normalised_entropy(torch.tensor(mean)), classes=3
    )
    in_region, total = 0, 0.0
    for place in np.ndindex(5, 4, 2):
        if any(votes[(number, *place)] for number in range(3)):
            in_region += 1
            total += entropy([mean[(label, *place)] for label in range(3)])
    assert 0 < in_region < votes[0].size
    assert found.entropy == pytest.approx(total / in_region)
    pairs = [dice_of_pair(votes[a].ravel(), votes[b].ravel()) for a, b in combinations(range(3), 2)]
    assert found.disagreement == pytest.approx(1 - sum(pairs) / 3)


def test_a_label_that_one_of_two_lacks_counts_and_one_that_both_lack_does_not():
    one, other = [1, 1, 0, 0], [1, 1, 2, 0]
    assert dice_of_pair(one, other) == 0.5
    assert mean_pairwise_dice(torch.tensor([one, other]), classes=4) == 0.5
    assert mean_pairwise_dice(torch.tensor([one, [0, 0, 0, 0]]), classes=4) == 0


def test_nothing_found_has_no_entropy_and_no_disagreement():
    nothing = torch.zeros(2, 3, 3, 3, dtype=torch.uint8)
    found = of_labels(nothing, torch.full((3, 3, 3), 0.4), classes=3)
    assert found == Uncertainty(None, 0.0)
    assert found.columns() == {"entropy": "", "disagreement": 0.0}
    # One that has found something where the other has not is the most of disagreement.
    nothing[1, 0, 0, 0] = 2
    found = of_labels(nothing, torch.full((3, 3, 3), 0.4), classes=3)
    assert (found.entropy, found.disagreement) == (pytest.approx(0.4), 1.0)


def test_a_single_label_map_agrees_with_itself():
    assert mean_pairwise_dice(torch.tensor([[0, 1, 2]]), classes=3) == 1
