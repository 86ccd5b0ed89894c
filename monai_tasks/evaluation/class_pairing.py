"""Find for every predicted image and study its true class."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from monai_tasks.datasets.cases import safe_name
from monai_tasks.evaluation.class_predictions import IMAGE, STUDY, Prediction
from monai_tasks.evaluation.class_references import Reference, References
from monai_tasks.evaluation.study_rules import rules
from monai_tasks.io.errors import InputError
from monai_tasks.io.radiograph_frames import frame_path, split_frame

DONE, FAILED, SKIPPED = "done", "failed", "skipped"
AS_WRITTEN = "results"  # the rule of study rows that are those of the table
MIXED = "mixed"


@dataclass(frozen=True)
class Row:
    """One case beside its true class.

    Args:
        level: `image` or `study`.
        rule: for a study how its answer was made: `results`, `at_least_one` or `majority`; empty for an image.
        case: its name.
        key: names the case in every run: the path of its image, or the study in the references.
        status: `done`, `failed` or `skipped`.
        reason: why it is not done.
        study: the study that it is or belongs to.
        subject: whose it is; where that is not known the study, or else the case.
        label: number of the true class, or None.
        probabilities: one a class; empty where there are none.
        decision: number of the class decided for, or None.
        groups: value of each column that the cases are grouped by.
        action: of ordered classes the number of the decision, or None.
        raters: of ordered classes the number of the class that each rater gave, by the rater's name.
    """

    level: str
    rule: str
    case: str
    key: str
    status: str
    reason: str = ""
    study: str = ""
    subject: str = ""
    label: int | None = None
    probabilities: tuple[float, ...] = ()
    decision: int | None = None
    groups: Mapping[str, str] = field(default_factory=dict)
    action: int | None = None
    raters: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Pairs:
    """All rows, and how many predictions belong to other parts of the references.

    Args:
        rows: images first, then studies by rule.
        elsewhere: predictions that are of other parts, and have no row.
    """

    rows: list[Row]
    elsewhere: int


def find_pairs(predictions: Sequence[Prediction], references: References, classes: int) -> Pairs:
    """Pair predictions with references.

    An image fits a reference by its path; where no path fits, as after a move to another computer, by its name. A
    study fits by its images in the same way, or else by its name. The class of a study is that of its images; of two
    classes the second, if any of them has it. Predicted images become studies by each rule of `study_rules`, too.

    Args:
        predictions: of `read_predictions`.
        references: of `read_references`.
        classes: how many there are.

    Returns:
        A row a case. References without a prediction are rows that failed.

    Raises:
        InputError: when no case is in both.
    """
    finder = _Finder(predictions, references)
    images, members, elsewhere = _image_rows(finder)
    studies, others = _study_rows(finder, classes)
    if not finder.used:
        there, asked = references.chosen[0].shown, predictions[0].case
        found = f"no case that was predicted (for example {there!r} here, {asked!r} there)"
        raise InputError(references.path, found, "images or studies of the predictions")
    return Pairs(images + studies + _rows_by_rules(members, finder, classes), elsewhere + others)


class _Finder:
    """Looks references up.

    Args:
        predictions: all of a table.
        references: those of a part, and the others.
    """

    def __init__(self, predictions: Sequence[Prediction], references: References) -> None:
        self.images = [one for one in predictions if one.level == IMAGE]
        self.study_rows = [one for one in predictions if one.level == STUDY]
        self.chosen = references.chosen
        self.used: set[int] = set()  # by identity
        self._chosen = {id(one) for one in self.chosen}
        self._by_name: dict[str, list[Reference]] = {}
        for reference in (*references.chosen, *references.others):
            for name in dict.fromkeys(reference.names):
                self._by_name.setdefault(name, []).append(reference)
        self.studies: dict[str, list[Reference]] = {}
        for reference in self.chosen:
            if reference.study:
                self.studies.setdefault(reference.study, []).append(reference)
        self._study_names = {safe_name(name): name for name in self.studies}
        self._by_path = {id(one): self._at(one.inputs) for one in self.images}
        # One path that fits shows that paths can; then an equal name is of another image.
        self._paths_fit = any(self._by_path.values()) or any(self._at(one.inputs) for one in self.study_rows)
        self._members: dict[str, list[Prediction]] = {}
        for one in self.images:
            if one.study:
                self._members.setdefault(one.study, []).append(one)

    def is_chosen(self, reference: Reference) -> bool:
        """Whether it is of the part."""
        return id(reference) in self._chosen

    def of_image(self, one: Prediction) -> list[Reference]:
        """The references of an image, those of the part if there are such."""
        at_path = self._by_path[id(one)]
        if at_path or (one.inputs and self._paths_fit):
            return self._taken(at_path)
        named = self._by_name.get(one.case, [])
        # Images of several parts may be called alike: then no part comes first, and the row says that it is unclear.
        return named if len(named) > 1 and self._taken(named) else self._taken(named)

    def of_study(self, one: Prediction) -> list[Reference]:
        """The references of the images of a study, those of the part if there are such."""
        members = self._members.get(one.study, [])
        found = self._at(one.inputs) + [reference for own in members for reference in self.of_image(own)]
        if not found and not (self._paths_fit and (one.inputs or members)):
            names = (one.study, self._study_names.get(one.study), one.case, self._study_names.get(one.case))
            found = next((self.studies[name] for name in names if name in self.studies), [])
            found = found or self._by_name.get(one.case, [])
        return self._taken(found)

    def _at(self, inputs: Iterable[str]) -> list[Reference]:
        found: list[Reference] = []
        for path in inputs:
            # A reference is of one frame of a file, or of the file with all of them.
            names = (str(one.resolve()) for one in (Path(path), split_frame(path)[0]))
            found += next((self._by_name[name] for name in names if name in self._by_name), [])
        return found

    def _taken(self, found: Iterable[Reference]) -> list[Reference]:
        unique = list({id(one): one for one in found}.values())
        taken = [one for one in unique if self.is_chosen(one)]
        self.used.update(map(id, taken))
        return taken or unique


class _Truth(NamedTuple):
    """What the references say of a study."""

    key: str
    label: int | None
    subject: str
    groups: Mapping[str, str]
    status: str = DONE
    reason: str = ""


Members = dict[str, list[tuple[Row, list[Reference]]]]


def _image_rows(finder: _Finder) -> tuple[list[Row], Members, int]:
    """A row for each image, the rows of each study, and how many images are of other parts."""
    rows: list[Row] = []
    members: Members = {}
    elsewhere = 0
    for one in finder.images:
        found = finder.of_image(one)
        if found and not finder.is_chosen(found[0]):
            elsewhere += 1
            continue
        rows.append(_image_row(one, found))
        if found and rows[-1].study:
            members.setdefault(rows[-1].study, []).append((rows[-1], found))
    if finder.images:
        for reference in finder.chosen:
            if id(reference) not in finder.used:
                rows.append(_without_prediction(IMAGE, "", reference))
                if reference.study:
                    members.setdefault(reference.study, []).append((rows[-1], [reference]))
    return rows, members, elsewhere


def _image_row(one: Prediction, found: Sequence[Reference]) -> Row:
    if not found:
        return Row(IMAGE, "", one.case, one.case, SKIPPED, "no reference", one.study)
    reference = found[0]
    problem = one.problem or reference.problem
    if len(found) > 1:
        problem = f"{len(found)} references: {', '.join(other.names[0] for other in found[:3])}"
    study = reference.study or one.study
    file, frame = split_frame(one.inputs[0] if one.inputs else "")
    is_of_file = frame is not None and str(file.resolve()) == reference.names[0]
    return Row(
        IMAGE,
        "",
        one.case,
        str(frame_path(file.resolve(), frame)) if is_of_file else reference.names[0],
        FAILED if problem else DONE,
        problem,
        study,
        reference.subject or study or one.case,
        reference.label,
        one.probabilities,
        one.decision,
        reference.groups,
        one.action,
        reference.raters,
    )


def _without_prediction(level: str, rule: str, reference: Reference) -> Row:
    subject = reference.subject or reference.study or reference.shown
    return Row(
        level,
        rule,
        reference.shown,
        reference.names[0],
        FAILED,
        "no prediction",
        reference.study,
        subject,
        reference.label,
        groups=reference.groups,
    )


def _study_rows(finder: _Finder, classes: int) -> tuple[list[Row], int]:
    """The studies of the table, those without a prediction, and how many are of other parts."""
    rows: list[Row] = []
    elsewhere = 0
    for one in finder.study_rows:
        found = finder.of_study(one)
        if not found:
            rows.append(Row(STUDY, AS_WRITTEN, one.case, one.case, SKIPPED, "no reference", one.study))
        elif not finder.is_chosen(found[0]):
            elsewhere += 1
        else:
            truth = _truth(found, one.study or one.case, finder, classes)
            answer = one.probabilities, one.decision
            rows.append(_study_row(AS_WRITTEN, one.case, truth, answer, one.problem))
    if finder.study_rows:
        seen = {row.key for row in rows}
        for name, own in finder.studies.items():
            if name not in seen:
                truth = _truth(own, name, finder, classes)
                rows.append(_study_row(AS_WRITTEN, name, truth, ((), None), "no prediction"))
        if not finder.images:
            alone = [one for one in finder.chosen if not one.study and id(one) not in finder.used]
            rows += [_without_prediction(STUDY, AS_WRITTEN, one) for one in alone]
    return rows, elsewhere


def _rows_by_rules(members: Members, finder: _Finder, classes: int) -> list[Row]:
    """The studies as the rules answer for them from their images."""
    rows = []
    for rule, answer_of in rules(classes).items():
        for name, own in members.items():
            truth = _truth([reference for _, found in own for reference in found], name, finder, classes)
            done = [row for row, _ in own if row.status == DONE]
            answer: tuple[tuple[float, ...], int | None] = (), None
            if done:
                score = answer_of(
                    np.array([row.probabilities for row in done]), np.array([row.decision for row in done])
                )
                answer = score.probabilities, score.decision
            rows.append(_study_row(rule, name, truth, answer, "" if done else "no image of it has an answer"))
    return rows


def _study_row(
    rule: str, case: str, truth: _Truth, answer: tuple[tuple[float, ...], int | None], problem: str
) -> Row:
    status, reason = (truth.status, truth.reason) if truth.reason or not problem else (FAILED, problem)
    probabilities, decision = answer
    return Row(
        STUDY,
        rule,
        case,
        truth.key,
        status,
        reason,
        truth.key,
        truth.subject,
        truth.label,
        probabilities,
        decision,
        truth.groups,
    )


def _truth(found: Sequence[Reference], name: str, finder: _Finder, classes: int) -> _Truth:
    """What is known of the study that some references belong to."""
    studies = sorted({one.study for one in found} - {""})
    if len(studies) == 1:
        name, found = studies[0], finder.studies.get(studies[0], found)
    subjects = sorted({one.subject for one in found} - {""})
    labels = {one.label for one in found if one.label is not None}
    groups = {
        column: values.pop() if len(values) == 1 else MIXED
        for column in found[0].groups
        if (values := {one.groups[column] for one in found})
    }
    label = max(labels) if labels and (classes == 2 or len(labels) == 1) else None
    truth = _Truth(name, label, subjects[0] if subjects else name, groups)
    for several, what in ((studies, "studies"), (subjects, "subjects")):
        if len(several) > 1:
            return truth._replace(
                status=FAILED, reason=f"its images are of {len(several)} {what} in the references"
            )
    problem = next((one.problem for one in found if one.problem), "")
    if problem:
        return truth._replace(status=FAILED, reason=problem)
    if label is None:
        return truth._replace(status=SKIPPED, reason="its images are of different classes")
    return truth
