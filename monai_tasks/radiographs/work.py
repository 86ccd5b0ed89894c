"""What is done with one study, on whatever machine: read it, take it through the steps, write it."""

from __future__ import annotations

import logging
import shutil
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from monai_tasks.datasets.radiographs import new_study, read_study, study_folder, write_study
from monai_tasks.io.errors import InputError
from monai_tasks.io.picture import write_png
from monai_tasks.radiographs.pipeline import run_steps
from monai_tasks.radiographs.study import Image, Step, Study

logger = logging.getLogger(__name__)
LONGEST = 300  # letters of a reason


@dataclass(frozen=True)
class Task:
    """One study to do.

    Args:
        data: the data set, absolute.
        output: the data set to write, absolute.
        label: the class folder.
        study: the study's folder in it.
    """

    data: Path
    output: Path
    label: str
    study: str

    @property
    def key(self) -> str:
        """`LABEL/STUDY`, which is unique in a data set."""
        return f"{self.label}/{self.study}"


@dataclass(frozen=True)
class Result:
    """What became of a study.

    Args:
        images: how many were written.
        rejected: rows with `file`, `study` and `reason`.
        tallies: by the name of a step what it counted.
        changed: by the name of a step how many images it left out, split, or gave other pixels.
        seconds: of work.
        error: why the study failed as a whole; empty where it did not.
    """

    images: int = 0
    rejected: Sequence[dict[str, str]] = ()
    tallies: dict[str, dict[str, int]] = field(default_factory=dict)
    changed: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0
    error: str = ""


def failure(task: Task, error: BaseException) -> Result:
    """The result of a study that failed as a whole, with the reason in one line."""
    file = ""
    if isinstance(error, InputError):
        source = Path(error.source)
        # Of files elsewhere, which a step may need, the name is told and not the folder.
        inside = source.is_relative_to(task.data)
        file = source.relative_to(task.data).as_posix() if inside else ""
        text = error.reason if inside else f"{source.name}: {error.reason}"
    else:
        text = f"{type(error).__name__}: {error}"
    text = " ".join(text.split())
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    row = {"file": file, "study": task.study, "reason": text}
    return Result(rejected=(row,), error=f"{file}: {text}" if file else text)


def open_study(data: Path, label: str, study: str) -> Study:
    """A study with its images unread.

    Raises:
        InputError: if its table cannot be used, or names an image outside the study's folder.
    """
    folder = study_folder(data, label, study)
    images = []
    for row in read_study(folder):
        file = data / row["image"]
        if file.parent != folder:
            raise InputError(folder, f"an image {row['image']!r}", f"images in {label}/{study}")
        images.append(Image(row, file=file))
    return Study(study, label, tuple(images))


def process(task: Task, steps: Sequence[Step]) -> Result:
    """Take one study through the steps and write it.

    Args:
        task: the study.
        steps: in their order.

    Returns:
        What became of it, also where the study is at fault. Its folder in the output is complete, or absent where
        no image is left or the study failed.

    Raises:
        OSError: if a folder cannot be written to, which may be the machine's fault.
    """
    started = time.perf_counter()
    folder = study_folder(task.output, task.label, task.study)
    if folder.exists():
        shutil.rmtree(folder)
    study, changed = Study(task.study, task.label, ()), Counter()
    try:
        study = open_study(task.data, task.label, task.study)
        for after, changes in run_steps(study, steps):
            study = after
            changed.update(change.step for change in changes)
        _write(study, task.output)
        result = Result(len(study.images), study.rejected, changed=dict(changed))
    except OSError:
        raise
    except Exception as error:  # one study's failure must not end the others
        logger.debug("study %s failed", task.study, exc_info=error)
        result = failure(task, error)
    # What steps counted before another one failed belongs to the data set as well.
    tallies = {step: dict(counts) for step, counts in study.tallies.items()}
    return replace(result, tallies=tallies, seconds=round(time.perf_counter() - started, 3))


def process_on_worker(task: Task, steps: Sequence[Step]) -> Result:
    """Do the same in a process that others have set up, and whose other threads do other studies meanwhile."""
    if "SimpleITK" in sys.modules:
        sys.modules["SimpleITK"].ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    return process(task, steps)


def _write(study: Study, output: Path) -> None:
    """Write the folder of a study. Images whose pixels no step changed are copied as files."""
    folder = study_folder(output, study.label, study.name)
    if not study.images:
        return
    with new_study(folder) as temporary:
        for image in study.images:
            place = temporary / Path(image.row["image"]).name
            if (output / image.row["image"]).parent != folder:
                raise ValueError(f"image {image.row['image']!r}; expected one in {study.label}/{study.name}")
            if image.file is not None:
                shutil.copyfile(image.file, place)
            else:
                write_png(place, image.pixels)
        write_study(temporary, [image.row for image in study.images])
