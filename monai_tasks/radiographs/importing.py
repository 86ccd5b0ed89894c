"""Make a data set of radiographs of an archive: a folder of mixed files, and a table of labels."""

from __future__ import annotations

import hashlib
import importlib.metadata
import logging
import os
import shutil
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import asdict, dataclass, field
from pathlib import Path

from tqdm import tqdm

from monai_tasks.datasets.radiographs import (
    FOLDERS,
    METADATA,
    REJECTED,
    UNLABELLED,
    study_folder,
    study_folders,
    write_overall,
)
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import remove_leftovers
from monai_tasks.io.journal import Journal
from monai_tasks.io.tables import write_table
from monai_tasks.radiographs.archive import Entry, scan, shown
from monai_tasks.radiographs.import_study import StudyResult, StudyTask, import_study
from monai_tasks.radiographs.labels import Label, read_labels
from monai_tasks.radiographs.processes import cores, over_processes
from monai_tasks.radiographs.pseudonyms import Pseudonyms, key_beside, load_pseudonyms

logger = logging.getLogger(__name__)

MIN_IMAGES, MAX_IMAGES = 1, 20
ORIGIN_COLUMNS = ("name", "file")


@dataclass(frozen=True)
class Summary:
    """What an import came to.

    Args:
        output: the data set.
        key: the file with the key of the pseudonyms.
        origins: the table that says which file each image was, and which file a name in `rejected.csv` means that
            holds pseudonyms; it is not to be passed on.
        studies: the number of studies of each class, by its name.
        images: in the data set.
        burned_in: images whose header says that there is text in the pixels.
        skipped: studies that an earlier run had finished.
        reasons: the rows of `rejected.csv` by their reason.
        failures: studies whose work was ended by a fault of the machine, and the fault; the next run does them again.
        seconds: wall time of the run.
    """

    output: Path
    key: Path
    origins: Path
    studies: Mapping[str, int]
    images: int
    burned_in: int
    skipped: int
    reasons: Mapping[str, int]
    failures: tuple[tuple[str, str], ...]
    seconds: float

    @property
    def metadata(self) -> Path:
        """The table with a row for every image."""
        return self.output / METADATA

    @property
    def rejects(self) -> Path:
        """The table with a row for every file that is not used."""
        return self.output / REJECTED


def import_archive(
    source: str | Path,
    output: str | Path,
    labels: str | Path | None = None,
    key: str | Path | None = None,
    *,
    min_images: int = MIN_IMAGES,
    max_images: int = MAX_IMAGES,
    jobs: int | None = None,
    progress: bool = True,
) -> Summary:
    """Make a data set of the radiographs in a folder.

    One study is in memory at a time in each process. A file that cannot be used costs a row of `rejected.csv`. A second
    run into the same folder, also after a kill, skips the studies whose files and labels are as they were. With several
    jobs a script must call this below `if __name__ == "__main__":`, for the processes import it.

    Args:
        source: the archive: DICOM, PNG and JPEG files in any folders, among other files.
        output: the data set, see `monai_tasks.datasets.radiographs`; made if missing.
        labels: a table of labels, see `monai_tasks.radiographs.labels.read_labels`. Studies that are not in it are
            imported as unlabelled and listed in `rejected.csv`. Without a table all studies are unlabelled.
        key: the key of the pseudonyms; `OUT.key` beside the output where not given, made if missing.
        min_images: a study of which the headers promise fewer images is not used.
        max_images: one of which they promise more is not used, either.
        jobs: how many processes; as many as cores where not given.
        progress: show progress bars where there is a terminal.

    Returns:
        What came of it.

    Raises:
        InputError: if the folders, the key or the table of labels cannot be used, or no file is a radiograph.
    """
    started = time.time()
    source, output = Path(source).resolve(), Path(output).resolve()
    labels = None if labels is None else Path(labels).resolve()
    _check_folders(source, output)
    table = {} if labels is None else read_labels(labels)
    key = key_beside(output) if key is None else Path(key).resolve()
    if not key.exists() and study_folders(output):
        raise InputError(key, "no such file", f"the key that the studies in {output} were named with")
    pseudonyms = load_pseudonyms(key, output)
    origins = _origins(output, key)
    jobs = jobs or cores()
    with Journal(output) as journal:
        remove_leftovers([output, *(output / name for name in FOLDERS)])
        exclude = [path for path in (output, key, origins, labels) if path is not None]
        entries = scan(source, pseudonyms, exclude, jobs, progress)
        run = _Run(source, output, pseudonyms, journal, labels)
        tasks = run.plan(entries, table, (min_images, max_images))
        with tqdm(total=len(tasks), unit="study", disable=None if progress else True) as bar:
            run.bar = bar
            workers = max(1, min(jobs, len(tasks)))
            for task, result in over_processes(import_study, run.unfinished(tasks), workers):
                run.finish(task, result)
        run.explain_labels(table)
        images = run.write(origins)
    return Summary(
        output,
        key,
        origins,
        Counter(folder.parent.name for folder in study_folders(output)),
        images,
        sum(result.burned_in for result in run.results.values()),
        run.skipped,
        Counter(row["reason"] for row in run.rejected),
        tuple((study, result.error) for study, result in sorted(run.results.items()) if result.error),
        time.time() - started,
    )


@dataclass
class _Run:
    """What is known of the archive's studies, and their results as they come."""

    source: Path
    output: Path
    pseudonyms: Pseudonyms
    journal: Journal
    labels: Path | None
    bar: tqdm | None = None
    skipped: int = 0
    rejected: list[dict[str, str]] = field(default_factory=list)
    tasks: dict[str, StudyTask] = field(default_factory=dict)
    results: dict[str, StudyResult] = field(default_factory=dict)
    origins: dict[str, str] = field(default_factory=dict)
    _used_rows: dict[int, set[str]] = field(default_factory=lambda: defaultdict(set))
    _stamps: dict[str, str] = field(default_factory=dict)

    def plan(
        self, entries: Sequence[Entry], table: Mapping[str, Label], limits: tuple[int, int]
    ) -> list[StudyTask]:
        """The studies to import, whose numbers of images are within limits; all other files are rejected."""
        by_pseudonym = {
            self.pseudonyms(kind, study): label
            for study, label in table.items()
            for kind in ("study", "accession", "folder")
        }
        studies: dict[str, list[Entry]] = defaultdict(list)
        for entry in entries:
            for name in (entry.study, entry.accession):
                if name in by_pseudonym:
                    self._used_rows[by_pseudonym[name].row].add(entry.study)
            if entry.reason:
                self.reject(entry, entry.reason)
            else:
                studies[entry.study].append(entry)
        for study, own in sorted(studies.items()):
            found = {by_pseudonym[name] for name in _names(own) if name in by_pseudonym}
            reason = _implausible(own, *limits)
            if len({label.label for label in found}) > 1:
                reason = "labels that contradict each other, by study and by accession number"
            if reason:
                for entry in own:
                    self.reject(entry, reason)
                continue
            label = next(iter(found)).label if found else UNLABELLED
            # A study of which no file tells the patient counts as one of its own.
            patient = next((entry.patient for entry in own if entry.patient), study)
            if self.labels is not None and not found:
                text = f"study without label; kept as {UNLABELLED}"
                self.rejected.append({"file": "", "study": study, "reason": text})
            self.tasks[study] = StudyTask(self.source, self.output, label, study, patient, tuple(own))
        self._check_output({entry.study for entry in entries})
        return list(self.tasks.values())

    def unfinished(self, tasks: Sequence[StudyTask]) -> Iterator[StudyTask]:
        """The studies to do; those that an earlier run finished are taken over on the way."""
        for task in tasks:
            stamp = _stamp(task)
            record = self.journal.content(task.study, stamp)
            written = study_folder(self.output, task.label, task.study) / METADATA
            if record is not None and (written.is_file() or not record["images"]):
                self.results[task.study] = StudyResult(**record)
                self.skipped += 1
                self.bar.update()
                continue
            self.journal.forget(task.study)
            for name in FOLDERS:  # its label may have been another one
                if (folder := study_folder(self.output, name, task.study)).exists():
                    shutil.rmtree(folder)
            self._stamps[task.study] = stamp
            yield task

    def finish(self, task: StudyTask, result: StudyResult | BaseException) -> None:
        """Record what became of a study. One that a fault ended is done again by the next run."""
        if isinstance(result, BaseException):
            logger.debug("study %s ended in %s", task.study, type(result).__name__)
            fault = getattr(result, "strerror", None)  # without the path, which the whole text has
            text = f"failed: {type(result).__name__}{f' ({fault})' if fault else ''}"
            rejected = [(place, text) for place in range(len(task.entries))]
            result = StudyResult(rejected=rejected, error=text)
        else:
            self.journal.add(task.study, self._stamps[task.study], asdict(result))
        self.results[task.study] = result
        self.bar.update()

    def reject(self, entry: Entry, reason: str) -> None:
        """List a file that is not used."""
        file = shown(entry, self.pseudonyms)
        self.rejected.append({"file": file, "study": entry.study, "reason": reason})
        if file != entry.file:
            self.origins[file] = entry.file

    def explain_labels(self, table: Mapping[str, Label]) -> None:
        """List the rows of the table of labels that came to nothing."""
        used = {study for study, result in self.results.items() if result.images}
        for label in table.values():
            studies = self._used_rows.get(label.row, set())
            if studies & used:
                continue
            text = "label without study" if not studies else "label of a study of which no file is used"
            study = min(studies, default="")
            row = {"file": f"{self.labels.name}, row {label.row}", "study": study, "reason": text}
            self.rejected.append(row)

    def write(self, origins: Path) -> int:
        """Write the tables; returns the number of images."""
        for study, result in self.results.items():
            task = self.tasks[study]
            for place, reason in result.rejected:
                self.reject(task.entries[place], reason)
            for name, place in result.images:
                self.origins[f"{task.label}/{study}/{name}"] = task.entries[place].file
        self.rejected.sort(key=lambda row: (row["file"], row["study"], row["reason"]))
        rows = write_overall(self.output, self.rejected)
        before = os.umask(0o077)  # for its owner alone: paths may hold names
        try:
            pairs = (dict(zip(ORIGIN_COLUMNS, pair, strict=True)) for pair in sorted(self.origins.items()))
            write_table(origins, pairs, ORIGIN_COLUMNS)
        finally:
            os.umask(before)
        return len(rows)

    def _check_output(self, known: Set[str]) -> None:
        """Refuse an output with studies of another archive, or of another key; remove those not used any more."""
        folders = [folder for folder in study_folders(self.output) if folder.name not in self.tasks]
        for folder in folders:
            if folder.name not in known:
                found = f"study {folder.parent.name}/{folder.name}, which this archive and key do not give"
                expected = "an empty folder, or what an earlier run made of the same archive"
                raise InputError(self.output, found, expected)
        for folder in folders:
            self.journal.forget(folder.name)
            shutil.rmtree(folder)


def _names(entries: Sequence[Entry]) -> set[str]:
    return {name for entry in entries for name in (entry.study, entry.accession) if name}


def _implausible(entries: Sequence[Entry], min_images: int, max_images: int) -> str:
    """Why the files of a study are no examination of one patient; empty where they may be."""
    if len({entry.patient for entry in entries} - {""}) > 1:
        return "a study of several patients"
    images = sum({entry.instance: entry.frames for entry in entries}.values())
    if images > max_images:
        return f"a study of {images} images; expected at most {max_images}"
    if images < min_images:
        return f"a study of {images} image{'s' if images > 1 else ''}; expected at least {min_images}"
    return ""


def _check_folders(source: Path, output: Path) -> None:
    if not source.is_dir():
        raise InputError(source, "no such folder", "a folder of radiographs")
    if output == source or source.is_relative_to(output):
        raise InputError(output, "the archive, or a folder around it", "a folder of its own")


def _stamp(task: StudyTask) -> str:
    """Tells whether a study is the one that was there before: by its label, and name, size and time of its files."""
    files = (f"{entry.file} {entry.state[0]} {entry.state[1]}" for entry in task.entries)
    lines = [importlib.metadata.version("monai_tasks"), task.label, task.patient, *files]
    return hashlib.sha256("\n".join(lines).encode("utf-8", "surrogateescape")).hexdigest()[:16]


def _origins(output: Path, key: Path) -> Path:
    """Beside the key; where that is not beside the output, outputs of one name get tables of different names."""
    place = "" if key.parent == output.parent else f".{hashlib.sha256(str(output).encode()).hexdigest()[:8]}"
    return key.parent / f"{output.name}{place}.files.csv"
