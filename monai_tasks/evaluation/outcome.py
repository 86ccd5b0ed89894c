"""What every evaluation gives back, whatever the kind of the bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

TABLE, STATISTICS, PAGE = "metrics.csv", "summary.json", "report.html"


@dataclass(frozen=True)
class Summary:
    """What an evaluation found.

    Args:
        output: the folder written.
        done: cases compared.
        failed: cases that could not be compared, or have no prediction.
        skipped: predictions without a reference.
        statistics: the content of `summary.json`.
        failures: the failed cases and their reasons.
    """

    output: Path
    done: int
    failed: int
    skipped: int
    statistics: dict[str, Any]
    failures: tuple[tuple[str, str], ...] = ()

    @property
    def table(self) -> Path:
        """The table of metrics."""
        return self.output / TABLE

    @property
    def page(self) -> Path:
        """The report for a person."""
        return self.output / PAGE
