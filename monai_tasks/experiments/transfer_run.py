"""One run of a transfer experiment."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from monai_tasks.experiments import runs
from monai_tasks.io.files import write_json
from monai_tasks.training.train import OtherRunError

ARM = "arm.json"


@dataclass(frozen=True, kw_only=True)
class Task(runs.Task):
    """One arm on one subset with one seed; beside what every run has.

    Args:
        subset: name of the training subset.
        arm: name of the arm.
    """

    subset: str
    arm: str

    @property
    def key(self) -> str:
        """`SUBSET/ARM/SEED`, which is unique in an experiment."""
        return f"{self.subset}/{self.arm}/{self.seed}"

    @property
    def folder(self) -> Path:
        """Where the run is written."""
        return self.output / "runs" / self.subset / self.arm / str(self.seed)

    def claim(self) -> None:
        """Say in the folder what is run there.

        Raises:
            OtherRunError: when another training was begun there.
        """
        facts, file = self.facts(), self.folder / ARM
        if file.is_file() and (self.folder / "last.pt").is_file():
            kept = json.loads(file.read_text(encoding="utf-8"))
            differing = [name for name, value in facts.items() if kept.get(name) != value]
            if differing:
                raise OtherRunError(
                    f"{self.folder}: holds a run that differs in {', '.join(differing)}; expected the same plan, or "
                    "another output folder"
                )
        write_json(file, facts)
