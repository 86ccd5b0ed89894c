"""The answers of all folds as one output folder, as if one run of `infer` had written it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from monai_tasks.catalog import Bundle
from monai_tasks.datasets.cases import Case
from monai_tasks.experiments.cross_validation_folds import FOLD, Item, images_of
from monai_tasks.experiments.cross_validation_run import Task
from monai_tasks.experiments.runs import INFERENCE, shared_settings
from monai_tasks.inference.configs import CONFIG, merged
from monai_tasks.inference.inputs import KINDS, Kind, kind_of
from monai_tasks.inference.report import REPORT
from monai_tasks.inference.results import RESULTS
from monai_tasks.inference.writer import PREDICTIONS, PREVIEWS
from monai_tasks.inference.writers import writer_class
from monai_tasks.io.files import TEMPORARY_MARK, write_json
from monai_tasks.io.radiograph_frames import split_frame
from monai_tasks.io.tables import read_table, write_table

OUT_OF_FOLD = "out_of_fold"  # also the name of the datalist and of the table


@dataclass(frozen=True)
class Answer:
    """A case that was held out in its fold.

    Args:
        case: its name, unique over all folds.
        items: of the datalist: one, or the images of a study.
        images: its paths, as in the datalist.
        row: of the pooled results.
        prediction: its file within the pooled folder; empty where there is none.
    """

    case: str
    items: tuple[Item, ...]
    images: tuple[str, ...]
    row: Mapping[str, str]
    prediction: str

    @property
    def subject(self) -> str:
        """Whose it is."""
        return str(self.items[0]["subject"])

    @property
    def fold(self) -> int:
        """In which it was held out."""
        return int(self.items[0][FOLD])


@dataclass(frozen=True)
class Pool:
    """The pooled output folder.

    Args:
        folder: with `predictions`, `previews`, `results.csv` and `report.json`.
        datalist: with all items of the folds as the part `test`.
        answers: a case each.
    """

    folder: Path
    datalist: Path
    answers: tuple[Answer, ...]


def pool(bundle: Bundle, tasks: Sequence[Task], items: Sequence[Item], output: Path) -> Pool:
    """Put the answers of all folds into one folder, under names that are unique over all folds.

    Files are linked where the file system can, else copied. What an earlier call has put there is replaced.

    Args:
        bundle: that was trained.
        tasks: the folds that are done.
        items: of all folds.
        output: folder of the cross-validation.
    """
    done = {task.fold for task in tasks}
    own = sorted((item for item in items if item[FOLD] in done), key=lambda item: item[FOLD])
    datalist = output / "datalists" / f"{OUT_OF_FOLD}.json"
    write_json(datalist, {"name": "all folds", "test": own})
    kind = _kind(bundle, tasks[0])
    names = {_key(case): case for case in kind.find([datalist], []).cases}
    of_image = {image: item for item in own for image in images_of(item)}
    suffix = writer_class(bundle).suffix
    folder = output / OUT_OF_FOLD
    building = output / f".{OUT_OF_FOLD}.{os.getpid()}{TEMPORARY_MARK}"
    for place in (PREDICTIONS, PREVIEWS):
        (building / place).mkdir(parents=True)
    try:
        cases, studies, columns = _gathered(tasks, kind, names, building, suffix)
        write_table(building / RESULTS, [*cases.values(), *studies], columns)
        # The evaluation reads there how the config calls the classes.
        told = json.loads((tasks[0].folder / INFERENCE / REPORT).read_text(encoding="utf-8"))
        write_json(building / REPORT, {name: told[name] for name in ("bundle", "version", "labels")})
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(building, folder)
    finally:
        shutil.rmtree(building, ignore_errors=True)
    answers = []
    for case in names.values():
        prediction = folder / PREDICTIONS / f"{case.name}{suffix}"
        row = cases[case.name]
        shown = str(prediction.relative_to(output)) if prediction.is_file() else ""
        found = {id(item): item for item in _items(case, of_image)}
        images = tuple(str(path) for path in case.paths)
        answers.append(Answer(case.name, tuple(found.values()), images, row, shown))
    return Pool(folder, datalist, tuple(answers))


def _gathered(
    tasks: Sequence[Task], kind: Kind, names: Mapping[tuple[str, ...], Case], folder: Path, suffix: str
) -> tuple[dict[str, dict[str, str]], list[dict[str, str]], list[str]]:
    """Link the files of all folds; the rows of cases by their new names, those of sums, and the columns."""
    cases: dict[str, dict[str, str]] = {}
    sums: list[dict[str, str]] = []
    columns: dict[str, None] = {}
    for task in tasks:
        inference = task.folder / INFERENCE
        of_name, of_study = {}, {}
        for case in kind.find([task.datalist], []).cases:
            of_name[case.name] = names[_key(case)]
            of_study[case.study or case.name] = names[_key(case)].study or names[_key(case)].name
        for row in read_table(inference / RESULTS):
            columns |= dict.fromkeys(row)
            renamed = row | ({"study": of_study.get(row["study"], row["study"])} if "study" in row else {})
            # A study that sums images up may be called as one of its images is.
            if row["case"] in of_name and not (_is_sum(row, kind)):
                name = of_name[row["case"]].name
                cases[name] = renamed | {"case": name}
                _link(
                    inference / PREDICTIONS / f"{row['case']}{suffix}",
                    folder / PREDICTIONS / f"{name}{suffix}",
                )
                _link(inference / PREVIEWS / f"{row['case']}.png", folder / PREVIEWS / f"{name}.png")
            else:
                sums.append(renamed | {"case": of_study[row["case"]]})
    return cases, sums, list(columns)


def _is_sum(row: Mapping[str, str], kind: Kind) -> bool:
    """Whether a row sums the images of a study up, which are cases of their own."""
    return kind is KINDS["radiographs"] and row.get("level") == "study"


def _kind(bundle: Bundle, task: Task) -> Kind:
    settings = shared_settings(bundle, task)
    return KINDS[kind_of(merged(bundle, (CONFIG, *task.configs)), settings)]


def _key(case: Case) -> tuple[str, ...]:
    return tuple(os.path.abspath(path) for path in case.paths)


def _items(case: Case, of_image: Mapping[str, Item]) -> Iterator[Item]:
    """The items that a case is made of; of a file with several frames the one of the file."""
    for path in case.paths:
        whole = os.path.abspath(split_frame(path)[0])
        yield of_image[os.path.abspath(path) if os.path.abspath(path) in of_image else whole]


def _link(source: Path, target: Path) -> None:
    if not source.is_file():
        return
    try:
        os.link(source, target)
    except OSError:  # a file system without such links, or one that ends here
        shutil.copy2(source, target)
