"""The grade of ordered classes and the decision on it, for NumPy and torch alike."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from monai_tasks.metrics.grades import Grades, grades_of, numbers_of

PROBABILITIES = [
    [1.0, 0.0, 0.0, 0.0, 0.0],
    [0.0, 0.5, 0.5, 0.0, 0.0],  # half way: the worse grade
    [0.5, 0.0, 0.0, 0.0, 0.5],  # nobody said 2, but it is the middle
    [0.4, 0.0, 0.3, 0.3, 0.0],
    [0.1, 0.1, 0.1, 0.3, 0.4],
]


@pytest.mark.parametrize("kind", [np.array, torch.tensor], ids=["numpy", "torch"])
def test_against_a_slow_restatement(kind):
    values = kind(PROBABILITIES)
    expected = Grades(5, 3)
    highest = Grades(5, 3, "highest")
    for place, row in enumerate(PROBABILITIES):
        mean = sum(number * share for number, share in enumerate(row))
        assert float(expected.mean(values)[place]) == pytest.approx(mean)
        assert int(expected.grade(values)[place]) == math.floor(round(mean, 9) + 0.5)
        assert int(highest.grade(values)[place]) == row.index(max(row))
        assert float(expected.again(values)[place]) == pytest.approx(row[3] + row[4])
    assert [int(grade) for grade in expected.grade(values)] == [0, 2, 2, 2, 3]
    assert int(expected.grade(values[1])) == 2  # of one case
    assert isinstance(expected.grade(values), type(values))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((5, 0), "rescan_from 0 of 5 classes; expected 1 to 4"),
        ((5, 5), "expected 1 to 4"),
        ((5, 2.0), "expected integers"),
        ((5, True), "expected integers"),
        ((5, 3, "median"), "grade_rule 'median'; expected one of expected, highest"),
    ],
)
def test_what_makes_no_decision_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        Grades(*arguments)


def test_the_config_says_whether_classes_have_an_order():
    assert grades_of({}, 5) is None
    assert grades_of({"ordinal": False, "rescan_from": 3}, 5) is None
    assert grades_of({"ordinal": True, "rescan_from": 3}, 5) == Grades(5, 3, "expected")
    assert grades_of({"ordinal": True, "rescan_from": 1, "grade_rule": "highest"}, 2) == Grades(
        2, 1, "highest"
    )
    with pytest.raises(ValueError, match="ordinal without rescan_from"):
        grades_of({"ordinal": True}, 5)


def test_grades_are_called_by_the_numbers_of_their_names():
    assert numbers_of(["grade_1", "grade_2", "grade_3"]) == (1, 2, 3)
    assert numbers_of(["kl0", "kl1"]) == (0, 1)
    assert numbers_of(["none", "mild", "severe"]) == (0, 1, 2)
    assert numbers_of(["b1", "b3"]) == (0, 1)
    assert numbers_of(["none", "b2", "b3"]) == (0, 1, 2)
