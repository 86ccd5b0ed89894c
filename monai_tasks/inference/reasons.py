"""Why a case failed, in words for the person who gave the image."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from monai_tasks.io.errors import InputError, input_error

# How torch's allocator for main memory words its errors, which are plain RuntimeErrors.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory")
_LONGEST = 300


def reason(error: BaseException, source: str, device: torch.device) -> str:
    """Put an error into one line.

    Args:
        error: what a stage raised.
        source: the input of the case, which the table names in a column of its own.
        device: where the network ran.
    """
    known = input_error(error)
    if isinstance(known, InputError):
        return _line(known.reason if known.source == source else str(known))
    root = error
    while root.__cause__ is not None:
        root = root.__cause__
    if is_out_of_memory(error):
        on_device = any(isinstance(link, torch.OutOfMemoryError) for link in chain(error))
        place = f"on {device}" if on_device else "in main memory"
        other = "" if device.type == "cpu" else ", --device cpu"
        return f"out of memory {place}; try --jobs 1{other} or a smaller window (--set)"
    if isinstance(root, OSError) and root.strerror:
        return _line(f"{root.strerror}: {root.filename}" if root.filename else root.strerror)
    if isinstance(root, ValueError) and type(root).__module__.startswith("monai_tasks."):
        return _line(str(root))
    return _line(f"{type(root).__name__}: {root}")


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that led to it, the first one last."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out, on a device or in the machine, here or in what led to the error."""
    return any(_says_out_of_memory(link) for link in chain(error))


def _says_out_of_memory(error: BaseException) -> bool:
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    return isinstance(error, RuntimeError) and any(text in str(error).lower() for text in _NO_MEMORY)


def _line(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
