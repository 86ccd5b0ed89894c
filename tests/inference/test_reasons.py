"""Errors become one line that a person understands."""

from __future__ import annotations

import errno

import pytest
import torch

from monai_tasks.inference.reasons import is_out_of_memory, reason
from monai_tasks.inference.writers import GridError
from monai_tasks.io.errors import InputError

CPU, CUDA = torch.device("cpu"), torch.device("cuda:1")


def _wrapped(cause: Exception) -> Exception:
    """As MONAI's Compose gives it."""
    try:
        try:
            raise cause
        except type(cause) as error:
            raise RuntimeError("applying transform <Loader>") from error
    except RuntimeError as error:
        return error


def test_an_input_error_is_found_behind_monais_own() -> None:
    error = _wrapped(InputError("a.nii", "4 dimensions", "3"))
    assert reason(error, "a.nii", CPU) == "4 dimensions; expected 3"
    # With several files in a case the reason says which.
    assert reason(error, "a.nii;b.nii", CPU) == "a.nii: 4 dimensions; expected 3"


@pytest.mark.parametrize(
    ("error", "device", "expected"),
    [
        (MemoryError(), CPU, "out of memory in main memory; try --jobs 1 or a smaller window (--set)"),
        (
            RuntimeError("[enforce fail at alloc_cpu.cpp] . DefaultCPUAllocator: can't allocate memory: 9"),
            CPU,
            "out of memory in main memory; try --jobs 1 or a smaller window (--set)",
        ),
        (
            torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB."),
            CUDA,
            "out of memory on cuda:1; try --jobs 1, --device cpu or a smaller window (--set)",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), CPU, "No space left on device"),
        (PermissionError(errno.EACCES, "Permission denied", "b.nii"), CPU, "Permission denied: b.nii"),
        (GridError("a label map with value 3"), CPU, "a label map with value 3"),
        (KeyError("image"), CPU, "KeyError: 'image'"),
    ],
)
def test_known_errors_are_translated(error: Exception, device: torch.device, expected: str) -> None:
    assert reason(error, "a.nii", device) == expected
    assert reason(_wrapped(error), "a.nii", device) == expected


def test_memory_that_ran_out_is_seen_behind_other_errors() -> None:
    assert is_out_of_memory(_wrapped(torch.OutOfMemoryError("CUDA out of memory.")))
    # As code raises it that cleans up after an error and fails.
    error = KeyError("image")
    error.__context__ = MemoryError()
    assert is_out_of_memory(error)
    assert reason(error, "a.nii", CPU).startswith("out of memory in main memory")
    assert not is_out_of_memory(_wrapped(KeyError("image")))


def test_a_reason_is_one_short_line() -> None:
    text = reason(RuntimeError("line\n" * 500), "a.nii", CPU)
    assert "\n" not in text
    assert len(text) == 300
