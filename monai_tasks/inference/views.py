"""Read a study whose views cannot all be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from monai_tasks.io.errors import InputError, input_error

T = TypeVar("T")


def read_views(paths: Sequence[str], read: Callable[[list[str]], T]) -> tuple[T, str]:
    """Read the views of a study, without those that cannot be.

    Args:
        paths: of the views.
        read: reads the views of some paths; an InputError with one of these as its source says that this one cannot
            be read. It is called again for the others.

    Returns:
        What `read` gave, and a note of the views that it is without; empty where it has all.

    Raises:
        InputError: if none of several views can be read.
    """
    left, refused = list(paths), []
    while True:
        try:
            found = read(left)
        except (RuntimeError, ValueError) as error:  # MONAI wraps what a reader says
            known = input_error(error)
            if known is None or known.source not in left or len(paths) == 1:
                raise
            left.remove(known.source)
            # The error itself would keep the images of the other views.
            refused.append(f"{Path(known.source).name}: {known.reason}")
            if not left:
                told = f"none of {len(paths)} views can be read ({refused[0]})"
                raise InputError(";".join(paths), told, "one at least") from error
        else:
            note = f"without {len(refused)} of {len(paths)} views ({'; '.join(refused)})" if refused else ""
            return found, note
