"""The radiographs that a command's inputs stand for, each with its study."""

from __future__ import annotations

import csv
import os
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from monai_tasks.datasets.cases import Case, Found, read_items, unique_names, walk
from monai_tasks.io.dicom_file import unchecked_values
from monai_tasks.io.dicom_series import search_header
from monai_tasks.io.errors import InputError
from monai_tasks.io.formats import DICOM_SUFFIXES
from monai_tasks.io.journal import JOURNAL
from monai_tasks.io.picture import PICTURE_SUFFIXES
from monai_tasks.io.radiograph import is_dicom_file
from monai_tasks.io.radiograph_frames import count_frames, frame_path, split_frame
from monai_tasks.io.radiograph_kind import no_radiograph
from monai_tasks.io.tables import read_table

FORMATS = "PNG, JPEG or DICOM"
# A file with more frames is no study's few views, but a film or a volume: it is one case, which fails when read.
MOST_FRAMES = 1000
# Of files whose study nothing but their folder tells: a folder with more of them holds many patients, and is no study.
MOST_OF_FOLDER = 20
# The table that a data set of radiographs, and each of its studies, has; see `monai_tasks.datasets.radiographs`.
TABLE = "metadata.csv"
TABLE_COLUMNS = {"image", "study"}
# What the folder of an earlier `infer` holds, beside its pictures.
OF_RESULTS = {"results.csv", JOURNAL}


class PassedOver(NamedTuple):
    """A DICOM file of a folder that was searched which holds no radiograph.

    Args:
        file: the file.
        reason: what it is instead.
    """

    file: Path
    reason: str


@dataclass(frozen=True)
class Search:
    """What inputs stand for.

    Args:
        cases: an image each.
        passed_over: the DICOM files that are none of them.
    """

    cases: list[Case]
    passed_over: list[PassedOver] = field(default_factory=list)


@dataclass(frozen=True)
class _Study:
    """What tells a study from others, and what it may be called by.

    Args:
        key: equal for the images of one study; an identifier from a header may be in it, and goes nowhere else.
        stem: its own name; empty where its images must say.
        folder: tells it from others of this name.
    """

    key: tuple[str, ...]
    stem: str = ""
    folder: Path = Path()


class _Radiograph(NamedTuple):
    path: Path
    study: _Study
    below: bool = False  # whether it lies in a folder below the one that was searched
    frame: int | None = None  # from 1; None where the file is one image

    @property
    def image(self) -> Path:
        return self.path if self.frame is None else frame_path(self.path, self.frame)

    @property
    def stem(self) -> str:
        return _stem(self.path) if self.frame is None else f"{_stem(self.path)}_F{self.frame}"


def find_radiographs(inputs: Sequence[Path], exclude: Sequence[Path] = ()) -> list[Case]:
    """The cases of `search_radiographs`, without what was passed over."""
    return search_radiographs(inputs, exclude).cases


def search_radiographs(inputs: Sequence[Path], exclude: Sequence[Path] = ()) -> Search:
    """Find the radiographs that inputs stand for, without reading pixels; each image is a case.

    An input is

    - a file, whatever it is: one case (a file that is no radiograph fails when it is read, with a reason);
    - a data set of radiographs, or a study of it: the images that its `metadata.csv` lists, also those that are
      missing, which fail when read;
    - another folder: searched with its subfolders for PNG and JPEG files, DICOM files and data sets. DICOM files
      that hold no radiograph, such as reports, secondary captures and slices, are listed with the reason. Folders with
      results of `infer` are passed over;
    - a datalist (.json), as `find_cases` takes it. An item with a list of images is a study.

    Each frame of a DICOM file with several is an image, whose path is that of `radiograph_frames.frame_path`; such a
    path may be an input, too.

    Images belong together by the `study` of a datalist's item or of a table; else by the study that a DICOM header
    names; else, where they lie in a folder below the one that was searched, by that folder, unless it holds more than
    `MOST_OF_FOLDER` of them. An image without any
    of these is a study of its own. A study that a header names is called by the folder that holds all of it, with a
    number where that holds several, or by its only file. Nothing in a name is from a header.

    Args:
        inputs: the paths.
        exclude: folders that are not searched, such as the one for results.

    Returns:
        The cases, each with its study, in the order of the inputs, sorted by path within each; and the DICOM files
        that are none. An image that is found twice is one case.

    Raises:
        InputError: if an input does not exist, a folder holds no radiograph, or a datalist is not usable.
    """
    excluded = frozenset(os.path.realpath(folder) for folder in exclude)
    images: dict[str, _Radiograph] = {}
    passed_over: dict[str, PassedOver] = {}
    # Warnings of values that are not as DICOM has them would show the values.
    with unchecked_values():
        for found in (found for path in inputs for found in _find(Path(path), excluded)):
            if isinstance(found, PassedOver):
                passed_over.setdefault(os.path.abspath(found.file), found)
            else:
                images.setdefault(os.path.abspath(found.image), found)
    radiographs = list(_without_crowds(list(images.values())))
    names = unique_names([_found(one) for one in radiographs])
    studies = _study_names(radiographs)
    cases = [
        Case(name, one.image, studies[one.study.key]) for name, one in zip(names, radiographs, strict=True)
    ]
    files = {os.path.abspath(one.path) for one in radiographs}
    return Search(cases, [one for file, one in passed_over.items() if file not in files])


def of_radiograph(image: Path) -> Found:
    """The case of one image, whatever its study.

    Args:
        image: the file, or a frame of it as `radiograph_frames.frame_path` names it.
    """
    file, frame = split_frame(image)
    return _found(_Radiograph(file, _alone(file), frame=frame))


def _found(one: _Radiograph) -> Found:
    return Found(one.image, one.stem, one.path.parent)


def group_studies(cases: Sequence[Case]) -> list[Case]:
    """Join the images of each study into one case, which is called by the study.

    Args:
        cases: as `find_radiographs` gives them.

    Returns:
        The studies, in the order of their first images; `image` is a tuple of paths where there are several.
    """
    paths: dict[str, list[Path]] = {}
    for case in cases:
        paths.setdefault(case.study or case.name, []).extend(case.paths)
    return [Case(name, tuple(own) if len(own) > 1 else own[0], name) for name, own in paths.items()]


def image_items(inputs: Sequence[str | Path], by_study: bool = False) -> list[dict[str, Any]]:
    """The radiographs of files, folders, data sets and datalists, as a MONAI dataset takes them.

    Args:
        inputs: as for `search_radiographs`.
        by_study: give an item a study instead of an item an image.

    Returns:
        Items with `image`: a path; a list of paths where `by_study` is set.

    Raises:
        InputError: when an input does not exist or holds no radiograph.
    """
    cases = find_radiographs([Path(item) for item in inputs])
    if by_study:
        return [{"image": [str(path) for path in case.paths]} for case in group_studies(cases)]
    return [{"image": str(case.image)} for case in cases]


def _find(path: Path, excluded: frozenset[str]) -> Iterator[_Radiograph | PassedOver]:
    if not split_frame(path)[0].exists():
        raise InputError(path, "no such file or folder", f"radiographs ({FORMATS}), a folder or a datalist")
    if path.is_dir():
        yield from _folder(path, excluded)
    elif path.suffix.lower() == ".json":
        yield from _datalist(path)
    else:
        yield from _of_file(path)


def _folder(folder: Path, excluded: frozenset[str]) -> list[_Radiograph | PassedOver]:
    found = list(_search(folder, excluded))
    others = sum(isinstance(one, PassedOver) for one in found)
    if others == len(found):
        beside = f", with {others} DICOM files that are none" if others else ""
        raise InputError(folder, f"a folder without radiographs{beside}", f"radiographs ({FORMATS})")
    return found


def _search(folder: Path, excluded: frozenset[str]) -> Iterator[_Radiograph | PassedOver]:
    """What is in a folder and its subfolders, sorted by path."""
    done_with = None
    for current, paths in walk(folder, excluded):
        if done_with is not None and current.is_relative_to(done_with):
            continue  # a table has listed what lies here, or it is no input
        rows = _table(current / TABLE) if current / TABLE in paths else None
        if rows is not None:
            done_with = current
            yield from _of_rows(current, rows)
            continue
        if current != folder and {path.name for path in paths} >= OF_RESULTS:
            done_with = current
            continue
        for path in paths:
            if path.suffix.lower() in PICTURE_SUFFIXES or is_dicom_file(path):
                header = _header(path)
                reason = no_radiograph(header) if header else ""
                if reason:
                    yield PassedOver(path, reason)
                else:
                    yield from _images(path, header, below=current != folder)


def _table(path: Path) -> list[dict[str, str]] | None:
    """The rows of a data set's table; None where a table of this name is another one."""
    try:
        with path.open(encoding="utf-8-sig", errors="surrogateescape", newline="") as stream:
            columns = next(csv.reader(stream), [])
    except (OSError, csv.Error):  # it is not ours, then, and the images are found without it
        return None
    return read_table(path) if set(columns) >= TABLE_COLUMNS else None


def _of_rows(folder: Path, rows: list[dict[str, str]]) -> Iterator[_Radiograph]:
    """The images of a data set, or of one of its studies, whose table counts from the data set too."""
    for row in rows:
        if row["image"]:
            path, beside = folder / row["image"], folder / Path(row["image"]).name
            path = beside if beside.is_file() and not path.is_file() else path
            study = _named(folder, row["study"]) if row["study"] else _alone(path)
            yield from (one._replace(study=study) for one in _of_file(path))


def _datalist(path: Path) -> Iterator[_Radiograph]:
    for number, (images, item) in enumerate(read_items(path), start=1):
        name = item.get("study") if isinstance(item, dict) else None
        study = None if name in (None, "") else _named(path, str(name))
        if study is None and len(images) > 1:
            study = _Study(("item", os.path.abspath(path), str(number)), _stem(images[0]), images[0].parent)
        for image in images:
            yield from (one._replace(study=study) if study else one for one in _of_file(image))


def _of_file(path: Path) -> Iterator[_Radiograph]:
    """The images of a file that was named, or the one frame of it that was."""
    file, frame = split_frame(path)
    header = _header(file)
    return iter([_Radiograph(file, _study(file, header), frame=frame)]) if frame else _images(file, header)


def _images(path: Path, header: Any, below: bool = False) -> Iterator[_Radiograph]:
    """A file, or each of its frames, with the study that its header names; else that of its folder, or of its own."""
    study, frames = _study(path, header, below), count_frames(header)
    for frame in range(1, frames + 1) if 1 < frames <= MOST_FRAMES else (None,):
        yield _Radiograph(path, study, below, frame)


def _study(path: Path, header: Any, below: bool = False) -> _Study:
    uid = str(header.get("StudyInstanceUID") or "")
    return _Study(("header", uid)) if uid else _of_folder(path.parent) if below else _alone(path)


def _header(path: Path) -> Any:
    """The first fields of a DICOM file; empty where it is none, or damaged, as the reader will say."""
    if not is_dicom_file(path):
        return {}
    try:
        return search_header(path)
    except InputError:
        return {}


def _without_crowds(radiographs: Sequence[_Radiograph]) -> Iterator[_Radiograph]:
    """Make each image a study of its own where its folder holds too many to be one."""
    files: dict[_Study, set[Path]] = defaultdict(set)
    for one in radiographs:
        files[one.study].add(one.path)
    for one in radiographs:
        is_crowd = one.study.key[0] == "folder" and len(files[one.study]) > MOST_OF_FOLDER
        yield one._replace(study=_alone(one.path)) if is_crowd else one


def _of_folder(folder: Path) -> _Study:
    path = Path(os.path.abspath(folder))
    return _Study(("folder", str(path)), path.name, path.parent)


def _named(where: Path, name: str) -> _Study:
    path = Path(os.path.abspath(where))
    return _Study(("named", str(path), name), name, path.parent)


def _alone(path: Path) -> _Study:
    return _Study(("file", os.path.abspath(path)), _stem(path), path.parent)


def _stem(path: Path) -> str:
    """A file's name without a suffix that tells the format; names made of UIDs have none."""
    return path.stem if path.suffix.lower() in (*PICTURE_SUFFIXES, *DICOM_SUFFIXES) else path.name


def _study_names(radiographs: Sequence[_Radiograph]) -> dict[tuple[str, ...], str]:
    """A unique and safe name for each study, by its key."""
    images: dict[_Study, list[_Radiograph]] = defaultdict(list)
    for one in radiographs:
        images[one.study].append(one)
    # The studies of headers, by the folder that holds all images of one.
    sharing: dict[Path, list[_Study]] = defaultdict(list)
    for study, own in sorted(images.items(), key=lambda item: min(one.path for one in item[1])):
        if not study.stem:
            sharing[Path(os.path.commonpath([os.path.abspath(one.path.parent) for one in own]))].append(study)
    found = {study: Found(own[0].path, study.stem, study.folder) for study, own in images.items()}
    for folder, studies in sharing.items():
        for number, study in enumerate(studies, start=1):
            first = images[study][0]
            stem = folder.name if len(studies) == 1 else f"{folder.name}_{number}"
            if len({one.path for one in images[study]}) == 1 and not (first.below and len(studies) == 1):
                found[study] = Found(first.path, _stem(first.path), folder)
            else:
                found[study] = Found(first.path, stem, folder.parent)
    return {study.key: name for study, name in zip(found, unique_names(list(found.values())), strict=True)}
