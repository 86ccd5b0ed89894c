"""What a case that failed leaves behind: no file, no memory."""

from __future__ import annotations

import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from monai_tasks.datasets.cases import Case
from monai_tasks.inference.batch import Batch, _Task
from monai_tasks.inference.results import Journal
from monai_tasks.inference.writers import SegmentationWriter


def _wrapped_error(kept: list[weakref.ref]) -> RuntimeError:
    """An error as MONAI gives it; the frame of its cause holds an array."""

    def allocate() -> None:
        image = np.zeros(9)
        kept.append(weakref.ref(image))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    try:
        try:
            allocate()
        except torch.OutOfMemoryError as cause:
            raise RuntimeError("applying transform <Network>") from cause
    except RuntimeError as error:
        return error


def test_memory_is_given_back_whatever_wraps_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    engine = SimpleNamespace(device=torch.device("cuda", 0))
    kept: list[weakref.ref] = []
    error = _wrapped_error(kept)
    assert kept[0]() is not None
    with Journal(tmp_path) as journal:
        batch = Batch(engine, SegmentationWriter(tmp_path, {1: "head"}), journal, "run")
        row = batch._failed(_Task(0, Case("a", Path("a.nii")), "stamp"), error)
    assert row["reason"].startswith("out of memory on cuda:0")
    assert emptied == [True]
    assert kept[0]() is None, "the frame of the cause still holds the image"
