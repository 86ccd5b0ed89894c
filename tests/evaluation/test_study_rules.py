"""From images to studies: one is enough, or most of them."""

from __future__ import annotations

import numpy as np
import pytest

from monai_tasks.evaluation.study_rules import at_least_one, majority, rules


def pairs(*values):
    return np.array([[1 - value, value] for value in values])


@pytest.mark.parametrize(
    ("values", "threshold", "one", "most"),
    [
        ([0.2, 0.9, 0.3], 0.5, 1, 0),
        ([0.6, 0.9, 0.3], 0.5, 1, 1),
        ([0.6, 0.3], 0.5, 1, 0),  # half of the votes are not most of them
        ([0.6, 0.3], 0.3, 1, 1),
        ([0.6, 0.3], 0.7, 0, 0),
        ([0.8], 0.5, 1, 1),
    ],
)
def test_two_classes(values, threshold, one, most):
    probabilities = pairs(*values)
    decisions = (probabilities[:, 1] >= threshold).astype(int)
    found = at_least_one(probabilities, decisions)
    assert (found.decision, found.probabilities) == (one, pytest.approx((1 - max(values), max(values))))
    found = majority(probabilities, decisions)
    votes = sum(value >= threshold for value in values) / len(values)
    assert (found.decision, found.probabilities) == (most, pytest.approx((1 - votes, votes)))


def test_the_class_with_most_votes_and_of_equal_ones_the_more_probable():
    probabilities = np.array([[0.5, 0.1, 0.4], [0.4, 0.1, 0.5], [0.3, 0.4, 0.3]])
    assert majority(probabilities, np.array([0, 2, 2])).decision == 2
    tied = majority(probabilities[:2], np.array([0, 2]))
    assert (tied.decision, tied.probabilities) == (0, (0.5, 0.0, 0.5))
    probabilities[1, 2] = 0.7
    assert majority(probabilities[:2], np.array([0, 2])).decision == 2


def test_several_classes_have_no_positive_one():
    assert list(rules(2)) == ["at_least_one", "majority"]
    assert list(rules(3)) == ["majority"]
    with pytest.raises(ValueError, match="3 classes; expected 2"):
        at_least_one(np.full((1, 3), 1 / 3), np.array([0]))


@pytest.mark.parametrize("rule", [at_least_one, majority])
def test_a_study_without_images_has_no_answer(rule):
    with pytest.raises(ValueError, match="at least one image"):
        rule(np.zeros((0, 2)), np.zeros(0, int))
    with pytest.raises(ValueError, match="expected"):
        rule(pairs(0.5), np.array([0, 1]))
