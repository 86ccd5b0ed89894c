"""One fold of a cross-validation, as a run of its own."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from monai_tasks.experiments import runs

FOLDS = "folds"


@dataclass(frozen=True, kw_only=True)
class Task(runs.Task):
    """Training without one fold, and the answers for it; beside what every run has.

    Args:
        fold: its number, from 0.
    """

    fold: int

    @property
    def key(self) -> str:
        """`fold K`."""
        return f"fold {self.fold}"

    @property
    def folder(self) -> Path:
        """Where the run is written."""
        return self.output / FOLDS / str(self.fold)
