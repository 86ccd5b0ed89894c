"""What is in a folder of mixed files: which of them are radiographs, and which belong together.

Only headers are read here. Identifiers become pseudonyms where they are read, and go no further.
"""

from __future__ import annotations

import logging
import os
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from pydicom.dataset import Dataset
from tqdm import tqdm

from monai_tasks.datasets.cases import walk
from monai_tasks.io.dicom_file import read_header, unchecked_values
from monai_tasks.io.errors import InputError
from monai_tasks.io.formats import DICOM_SUFFIXES
from monai_tasks.io.picture import PICTURE_SUFFIXES
from monai_tasks.io.radiograph import is_dicom_file
from monai_tasks.io.radiograph_frames import count_frames
from monai_tasks.io.radiograph_header import holds_personal, personal_parts
from monai_tasks.io.radiograph_kind import no_radiograph
from monai_tasks.radiographs.processes import over_processes
from monai_tasks.radiographs.pseudonyms import Pseudonyms

logger = logging.getLogger(__name__)

_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_LIKE_UID = re.compile(r"\d+(\.\d+){4,}")
_CHUNK = 64  # files whose headers one process reads at a time
_FEW = 1000  # headers that are read sooner than processes are there


@dataclass(frozen=True)
class Entry:
    """A file of the archive.

    Args:
        file: below the archive's folder.
        reason: why it is not used; empty where it may be.
        study: pseudonym of the study.
        patient: pseudonym of the patient's identifier; empty where there is none.
        person: pseudonym of name and birth date together; empty where one of them is missing.
        series: pseudonym of the series.
        instance: pseudonym of the image; copies of one image have one.
        accession: pseudonym of the accession number.
        place: series number and instance number, or infinity where the header tells none.
        frames: how many images it holds.
        hidden: which parts of `file` hold something personal.
        named: whether its header has the name of the patient, so that `hidden` can be relied on.
        state: size in bytes, and time of the last change.
    """

    file: str
    reason: str = ""
    study: str = ""
    patient: str = ""
    person: str = ""
    series: str = ""
    instance: str = ""
    accession: str = ""
    place: tuple[float, float] = (float("inf"), float("inf"))
    frames: int = 1
    hidden: tuple[int, ...] = ()
    named: bool = False
    state: tuple[int, int] = (0, 0)


def scan(
    source: Path,
    pseudonyms: Pseudonyms,
    exclude: Sequence[Path] = (),
    jobs: int = 1,
    progress: bool = True,
) -> list[Entry]:
    """Look at every file of an archive.

    Args:
        source: the archive.
        pseudonyms: for identifiers.
        exclude: files and folders that are passed over, as are names that begin with a dot.
        jobs: how many processes read.
        progress: show a progress bar where there is a terminal.

    Returns:
        The files, sorted by path.
    """
    left_out = {os.path.realpath(path) for path in exclude}
    paths = (path for _, files in walk(source, left_out) for path in files)
    paths = [path for path in paths if path.is_file() and os.path.realpath(path) not in left_out]
    chunks = [paths[start : start + _CHUNK] for start in range(0, len(paths), _CHUNK)]
    work = partial(look_at, source=source, pseudonyms=pseudonyms)
    entries: list[Entry] = []
    with tqdm(total=len(paths), unit="header", disable=None if progress else True) as bar:
        for chunk, found in over_processes(work, chunks, jobs if len(paths) > _FEW else 1):
            if isinstance(found, BaseException):
                raise found
            entries += found
            bar.update(len(chunk))
    return sorted(_hidden_alike(with_patients(entries)), key=lambda entry: entry.file)


def look_at(paths: Sequence[Path], source: Path, pseudonyms: Pseudonyms) -> list[Entry]:
    """The entries of some files of an archive, by their headers."""
    with unchecked_values():
        return [_entry(path, source, pseudonyms) for path in paths]


def _entry(path: Path, source: Path, pseudonyms: Pseudonyms) -> Entry:
    file, state = path.relative_to(source).as_posix(), path.stat()
    entry = Entry(file, hidden=_hidden(file, None), state=(state.st_size, state.st_mtime_ns))
    if path.suffix.lower() in PICTURE_SUFFIXES:
        return _of_picture(entry, pseudonyms)
    try:
        if not is_dicom_file(path):
            return replace(entry, reason="not a radiograph (no DICOM, PNG or JPEG file)")
        header = read_header(path)
        return _of_header(entry, header, pseudonyms)
    except InputError as error:
        return replace(entry, reason=error.reason)
    except Exception as error:  # noqa: BLE001 whatever a damaged file does to the parser, it must not end the others
        # Its type alone: what an error says may hold what the header says.
        logger.debug("a header ended in %s", type(error).__name__)
        return replace(entry, reason="a DICOM header that cannot be read")


def _of_picture(entry: Entry, pseudonyms: Pseudonyms) -> Entry:
    """A picture: its folder is the study, and nothing tells the patient."""
    study = pseudonyms("folder", Path(entry.file).parent.as_posix())
    return replace(entry, study=study, instance=pseudonyms("file", entry.file))


def _of_header(entry: Entry, header: Dataset, pseudonyms: Pseudonyms) -> Entry:
    uids = [_text(header, keyword) for keyword in _UIDS]
    study, series, instance = uids
    study = pseudonyms("study", study) or pseudonyms("folder", Path(entry.file).parent.as_posix())
    return replace(
        entry,
        reason=no_radiograph(header),
        study=study,
        patient=pseudonyms("patient", _text(header, "PatientID").casefold()),
        person=pseudonyms("person", _person(header)),
        series=pseudonyms("series", series),
        instance=pseudonyms("instance", instance) or pseudonyms("file", entry.file),
        accession=pseudonyms("accession", _text(header, "AccessionNumber")),
        place=(_number(header, "SeriesNumber"), _number(header, "InstanceNumber")),
        frames=count_frames(header),
        hidden=_hidden(entry.file, header),
        named=bool(_text(header, "PatientName")),
    )


def _person(header: Dataset) -> str:
    """Name and birth date together; empty where one of them is missing."""
    name, birth = (_text(header, keyword) for keyword in ("PatientName", "PatientBirthDate"))
    return f"{name.casefold()}\0{birth}" if name and birth else ""


def with_patients(entries: Sequence[Entry]) -> list[Entry]:
    """Give a patient to the files that have no identifier of one, by name and birth date.

    It is the patient whose identifier stands beside the same name and birth date in other files. Where there is none,
    or several as in archives in which all names are alike, the name and birth date count as a patient of their own.

    Args:
        entries: of one archive.

    Returns:
        The entries in their order.
    """
    known: dict[str, set[str]] = defaultdict(set)
    for entry in entries:
        if entry.patient and entry.person:
            known[entry.person].add(entry.patient)

    def patient(entry: Entry) -> str:
        owners = known.get(entry.person, set())
        return entry.patient or (next(iter(owners)) if len(owners) == 1 else entry.person)

    return [replace(entry, patient=patient(entry)) for entry in entries]


def _hidden(file: str, header: Dataset | None) -> tuple[int, ...]:
    """Which parts of a path hold something personal, or an identifier as DICOM makes them."""
    personal = frozenset() if header is None else personal_parts(header)
    uids = [] if header is None else [uid for uid in (_text(header, keyword) for keyword in _UIDS) if uid]
    return tuple(
        number
        for number, part in enumerate(file.split("/"))
        if _LIKE_UID.search(part) or any(uid in part for uid in uids) or holds_personal(part, personal)
    )


def _hidden_alike(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Hide a folder's name for all that lies in it: a file without a header does not tell that it is personal."""
    folders = {
        tuple(entry.file.split("/")[: number + 1])
        for entry in entries
        for number in entry.hidden
        if number < entry.file.count("/")
    }
    for entry in entries:
        parts = entry.file.split("/")
        above = {number for number in range(len(parts) - 1) if tuple(parts[: number + 1]) in folders}
        yield replace(entry, hidden=tuple(sorted(above | set(entry.hidden)))) if above else entry


def shown(entry: Entry, pseudonyms: Pseudonyms) -> str:
    """The path of a file as it may be passed on: with a pseudonym for each part that holds something personal.

    Where no header tells the patient's name, as that of a letter, a picture or a damaged file, any part may hold it.
    """
    parts = entry.file.split("/")
    for number in entry.hidden if entry.named else range(len(parts)):
        suffix = Path(parts[number]).suffix
        suffix = suffix if suffix.lower() in (*PICTURE_SUFFIXES, *DICOM_SUFFIXES) else ""
        parts[number] = f"~{pseudonyms('path', parts[number])}{suffix}"
    return "/".join(parts)


def _text(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    return "" if value is None else str(value).strip()


def _number(header: Dataset, keyword: str) -> float:
    """A number of order; infinity where there is none, so that it comes last."""
    try:
        return float(header.get(keyword))
    except (TypeError, ValueError):
        return float("inf")
