"""One study of an archive: decode its files, write them as PNG, and say why a file is not used."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from monai_tasks.datasets.radiographs import new_study, study_folder, write_study
from monai_tasks.io.dicom_file import unchecked_values
from monai_tasks.io.errors import InputError
from monai_tasks.io.picture import write_png
from monai_tasks.io.radiograph import Radiograph, read_frames
from monai_tasks.radiographs.archive import Entry

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyTask:
    """A study to import.

    Args:
        source: the archive, absolute.
        output: the data set, absolute.
        label: its class.
        study: its pseudonym.
        patient: the patient's pseudonym.
        entries: its files, sorted by path.
    """

    source: Path
    output: Path
    label: str
    study: str
    patient: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class StudyResult:
    """What became of a study.

    Args:
        images: name of each image in the study's folder, and the place of its file among the entries.
        rejected: the place of each file that is not used, and the reason; a file of which frames are left out is here
            and in `images`.
        burned_in: how many images say that there is text in the pixels.
        error: the fault of the program or the machine that ended the work; empty where there was none.
    """

    images: Sequence[tuple[str, int]] = ()
    rejected: Sequence[tuple[int, str]] = ()
    burned_in: int = 0
    error: str = ""


@dataclass
class _Progress:
    """What is written so far."""

    rows: list[dict[str, Any]] = field(default_factory=list)
    images: list[tuple[str, int]] = field(default_factory=list)
    rejected: list[tuple[int, str]] = field(default_factory=list)


def import_study(task: StudyTask) -> StudyResult:
    """Write the folder of one study; it is complete, or absent where no file can be used.

    Copies of one image, which have one identifier, are tried in their order until one can be decoded.

    Args:
        task: the study.

    Returns:
        What became of its files.

    Raises:
        OSError: if the output cannot be written.
    """
    progress = _Progress()
    with unchecked_values(), new_study(study_folder(task.output, task.label, task.study)) as folder:
        for series, instance, copies in _numbered(task.entries):
            _import_copies(task, folder, (series, instance), copies, progress)
        if progress.rows:
            write_study(folder, progress.rows)
    burned_in = sum(row["burned_in_annotation"] == "YES" for row in progress.rows)
    return StudyResult(tuple(progress.images), tuple(sorted(progress.rejected)), burned_in)


def _numbered(entries: Sequence[Entry]) -> Iterator[tuple[int, int, list[int]]]:
    """Number series and images in the order that the headers give, and gather copies of one image."""
    series: dict[str, dict[str, list[int]]] = {}
    order = sorted(range(len(entries)), key=lambda place: (*entries[place].place, entries[place].file))
    known: dict[str, list[int]] = {}
    for place in order:
        entry = entries[place]
        # A copy belongs to the series where its image was first seen.
        copies = known.setdefault(entry.instance, [])
        if not copies:
            series.setdefault(entry.series, {})[entry.instance] = copies
        copies.append(place)
    for number, images in enumerate(series.values(), start=1):
        for image, copies in enumerate(images.values(), start=1):
            yield number, image, sorted(copies)


def _import_copies(
    task: StudyTask, folder: Path, numbers: tuple[int, int], copies: Sequence[int], progress: _Progress
) -> None:
    """Import the first of several copies of an image that can be decoded."""
    used = None
    for place in copies:
        if used is not None:
            progress.rejected.append((place, "a copy of an image that is used"))
            continue
        reasons = _import_file(task, folder, numbers, place, progress)
        if reasons:
            progress.rejected.append((place, "; ".join(dict.fromkeys(reasons))))
        if progress.images and progress.images[-1][1] == place:
            used = place


def _import_file(
    task: StudyTask, folder: Path, numbers: tuple[int, int], place: int, progress: _Progress
) -> list[str]:
    """Write the frames of one file; returns why it, or some of its frames, are not used."""
    entry, reasons = task.entries[place], []
    frames = _frames(task.source / entry.file)
    for number, radiograph in enumerate(frames, start=1):
        if isinstance(radiograph, InputError):
            frame = f"frame {number}: " if entry.frames > 1 and number <= entry.frames else ""
            reasons.append(f"{frame}{radiograph.reason}")
            continue
        several = radiograph.frames > 1
        name = f"S{numbers[0]}_I{numbers[1]}{f'_F{number}' if several else ''}.png"
        write_png(folder / name, radiograph.pixels)
        progress.rows.append(_row(task, name, numbers, number if several else None, radiograph))
        progress.images.append((name, place))
    return reasons


def _frames(path: Path) -> Iterator[Radiograph | InputError]:
    """The frames of a file, and an error in place of each that cannot be used, or of all."""
    try:
        yield from read_frames(path)
    except InputError as error:
        yield error
    except Exception as error:  # noqa: BLE001 whatever a damaged file does to a decoder, it must not end the others
        # Its type alone: what an error says may hold what the header says.
        logger.debug("a file ended in %s", type(error).__name__)
        yield InputError(path, f"a file that ends in {type(error).__name__}", "a complete radiograph")


def _row(
    task: StudyTask, name: str, numbers: tuple[int, int], frame: int | None, radiograph: Radiograph
) -> dict[str, Any]:
    header = radiograph.header
    rows, columns = radiograph.pixels.shape
    return {
        "image": f"{task.label}/{task.study}/{name}",
        "label": task.label,
        "study": task.study,
        "patient": task.patient,
        "series": numbers[0],
        "instance": numbers[1],
        "frame": frame,
        "body_part": header.body_part,
        "view_position": header.view_position,
        "laterality": header.laterality,
        "modality": header.modality,
        "rows": rows,
        "columns": columns,
        "pixel_spacing_mm": _spacing(header.pixel_spacing),
        "bits_stored": header.bits_stored,
        "photometric": header.photometric,
        "burned_in_annotation": header.burned_in_annotation,
    }


def _spacing(spacing: tuple[float, float] | None) -> str:
    """One number for square pixels, else `ROW x COLUMN`."""
    if spacing is None:
        return ""
    return f"{spacing[0]:g}" if spacing[0] == spacing[1] else f"{spacing[0]:g} x {spacing[1]:g}"
