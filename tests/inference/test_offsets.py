"""Constants that are added to the scores of classes."""

from __future__ import annotations

import pytest
import torch
from monai.inferers import SimpleInferer

from monai_tasks.inference.offsets import OffsetInferer


def test_each_class_gets_its_own_number():
    scores = torch.randn(2, 3, 4, 5, 6, generator=torch.Generator().manual_seed(0))
    shifted = OffsetInferer(SimpleInferer(), [1.5, 0, -2])(scores, torch.nn.Identity())
    for number, offset in enumerate((1.5, 0, -2)):
        assert torch.equal(shifted[:, number], scores[:, number] + offset)


def test_two_dimensions_work_too_and_the_type_is_kept():
    scores = torch.zeros(1, 2, 3, 3, dtype=torch.float16)
    shifted = OffsetInferer(SimpleInferer(), [0, 1])(scores, torch.nn.Identity())
    assert shifted.dtype == torch.float16
    assert shifted.argmax(1).min() == 1


def test_another_number_of_classes_is_refused():
    with pytest.raises(ValueError, match="2 numbers; expected 3"):
        OffsetInferer(SimpleInferer(), [0, 1])(torch.zeros(1, 3, 2, 2, 2), torch.nn.Identity())
