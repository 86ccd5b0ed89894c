"""Catches the figures that a module saves."""

from __future__ import annotations

from types import ModuleType
from typing import Any


def keep_figures(monkeypatch: Any, module: ModuleType) -> list:
    """The list that every figure joins which the module saves by its `save`, beside being saved."""
    figures, save = [], module.save

    def keep(figure, path):
        figures.append(figure)
        save(figure, path)

    monkeypatch.setattr(module, "save", keep)
    return figures
