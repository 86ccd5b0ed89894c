"""A small data set of radiographs, and a step for tests that other processes can import."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest

from monai_tasks.datasets.radiographs import (
    COLUMNS,
    FOLDERS,
    new_study,
    study_folder,
    write_overall,
    write_study,
)
from monai_tasks.io.picture import write_png

# Inverts each image, tells which process did what, and makes trouble on request.
MODULE = """
import os
import signal
import time
import uuid
from dataclasses import dataclass
from pathlib import Path

from monai_tasks.radiographs.study import Study


@dataclass(frozen=True)
class Inverted:
    folder: str
    killed: dict = None  # study to how often the process that does it is killed
    failing: tuple = ()
    interrupted: tuple = ()
    while_there: str = ""
    left_out: tuple = ()
    seconds: float = 0.0

    name = "inverted"

    def __call__(self, study):
        Path(self.folder, f"{study.name}.{os.getpid()}.{uuid.uuid4().hex}").touch()
        done = len(list(Path(self.folder).glob(f"{study.name}.*")))
        if done <= (self.killed or {}).get(study.name, 0):
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds)
        if study.name in self.failing:
            raise ValueError("the step failed")
        if study.name in self.interrupted and Path(self.while_there).exists():
            raise KeyboardInterrupt
        if study.name in self.left_out:
            for image in study.images:
                study = study.without(image, "not wanted")
            return study
        return study.with_images([image.with_pixels(~image.pixels, colour_inverted="yes") for image in study.images])
"""


@pytest.fixture
def data(tmp_path: Path) -> Callable[..., Path]:
    """Writes a data set of studies S0, S1, ... with two noisy images each; S0 is not broken, S1 broken, and so on."""

    def write(studies: int, texts: Sequence[str] = ("MUÑECA",), size: tuple[int, int] = (12, 10)) -> Path:
        rng = np.random.default_rng(5)
        folder = tmp_path / "data"
        for number in range(studies):
            label, name = FOLDERS[number % len(FOLDERS)], f"S{number}"
            with new_study(study_folder(folder, label, name)) as place:
                rows = []
                for image in (1, 2):
                    file = f"S1_I{image}.png"
                    write_png(place / file, rng.integers(0, 65536, size).astype(np.uint16))
                    text = texts[(2 * number + image - 1) % len(texts)]
                    given = {"image": f"{label}/{name}/{file}", "label": label, "study": name}
                    given |= {"patient": f"P{number}", "body_part": text}
                    rows.append(dict.fromkeys(COLUMNS, "") | given)
                write_study(place, rows)
        write_overall(folder, [])
        return folder

    return write


class Plug:
    """The step of `MODULE`, in a folder on the path.

    Args:
        folder: where the module and its marks are.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "marks").mkdir(parents=True)
        (folder / "plugged_steps.py").write_text(MODULE)

    def config(self, **parameters: object) -> Path:
        """A config with this one step."""
        part = {"_target_": "plugged_steps.Inverted", "folder": str(self.folder / "marks"), **parameters}
        path = self.folder / "config.json"
        path.write_text(json.dumps({"steps": {"inverted": part}}))
        return path

    def marks(self) -> list[tuple[str, int]]:
        """Study and process of each time that the step was begun; sorted."""
        parts = (path.name.split(".") for path in (self.folder / "marks").iterdir())
        return sorted((study, int(process)) for study, process, _ in parts)


@pytest.fixture
def plug(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Plug:
    """The step, importable here and in the processes that this one starts."""
    made = Plug(tmp_path / "plug")
    monkeypatch.syspath_prepend(str(made.folder))
    return made
