"""The layouts of data sets that can be listed, by name; a layout's module is imported where it is used."""

from __future__ import annotations

import importlib
from collections.abc import Callable

# Each the name of a module of this package with a function `datalist`.
LAYOUTS = ("brats", "chestxray14", "decathlon", "hrpqct", "ixi", "knee_mhd", "mura", "radiographs")


def lister(layout: str) -> Callable[..., dict]:
    """The function `datalist` of a layout.

    Args:
        layout: one of `LAYOUTS`.

    Returns:
        A function of the folder, `seed`, `folds` and `fractions`.
    """
    return importlib.import_module(f"monai_tasks.datasets.{layout}").datalist
