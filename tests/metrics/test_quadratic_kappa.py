"""The kappa that chooses the best epoch, against a slow restatement."""

from __future__ import annotations

import math

import pytest
import torch
from ignite.engine import Engine

from monai_tasks.metrics.quadratic_kappa import QuadraticKappa


def restated(grades: list[int], labels: list[int]) -> float:
    seen = sum((a - b) ** 2 for a, b in zip(grades, labels, strict=True)) / len(labels)
    dealt = sum((a - b) ** 2 for a in grades for b in labels) / len(labels) ** 2
    return 1 - seen / dealt


def measured(batches) -> float:
    engine = Engine(lambda engine, batch: batch)
    QuadraticKappa().attach(engine, "kappa")
    return engine.run(batches).metrics["kappa"]


def test_over_all_batches_of_tensors_or_of_single_values():
    grades, labels = [0, 1, 2, 4, 3, 3, 0], [0, 2, 2, 4, 1, 4, 1]
    expected = restated(grades, labels)
    tensors = [
        (torch.tensor(grades[part]), torch.tensor(labels[part])) for part in (slice(0, 3), slice(3, None))
    ]
    assert measured(tensors) == pytest.approx(expected)
    # As MONAI's engines give them: grades as tensors of one number, which may be floats, and labels as numbers.
    lists = [([torch.tensor(float(g)) for g in grades[:4]], labels[:4])]
    lists.append(([torch.tensor(float(g)) for g in grades[4:]], labels[4:]))
    assert measured(lists) == pytest.approx(expected)


def test_without_a_value_it_is_no_number():
    assert math.isnan(measured([(torch.tensor([2, 2]), torch.tensor([2, 2]))]))
    assert measured([(torch.tensor([2, 2]), torch.tensor([1, 3]))]) == 0
    assert math.isnan(QuadraticKappa().compute())


def test_counts_of_several_processes_add_up():
    """As ignite's reduction adds the attribute."""
    parts = [([0, 1, 4], [0, 2, 3]), ([3], [4])]
    kappas = [QuadraticKappa() for _ in parts]
    for kappa, (grades, labels) in zip(kappas, parts, strict=True):
        kappa.update((torch.tensor(grades), torch.tensor(labels)))
    kappas[0]._counts += kappas[1]._counts
    assert kappas[0].compute() == pytest.approx(restated([0, 1, 4, 3], [0, 2, 3, 4]))


def test_a_grade_that_there_is_not_is_refused():
    kappa = QuadraticKappa(num_classes=3)
    with pytest.raises(ValueError, match=r"grades \[3\]; expected 0 to 2"):
        kappa.update((torch.tensor([3]), torch.tensor([1])))
