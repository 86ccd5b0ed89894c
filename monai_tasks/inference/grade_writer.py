"""Grades of scans: probabilities of ordered classes, whether to scan again, and what each slice says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from monai_tasks.datasets.cases import Case
from monai_tasks.inference.classification_writer import (
    MEASURE,
    ClassificationWriter,
    Explain,
    ProbabilityError,
    drawer,
)
from monai_tasks.inference.engine import PRED, Engine
from monai_tasks.inference.inputs import VOLUMES
from monai_tasks.inference.operating_point import HeldPoint
from monai_tasks.inference.results import FAILED
from monai_tasks.inference.studies import IMAGE
from monai_tasks.io.files import write_json
from monai_tasks.metrics.grades import DECISIONS, Grades, numbers_of
from monai_tasks.report.classification_preview import draw, views
from monai_tasks.report.page import Facts, Link, Section, Table

SLICES = "pred_slices"  # what the postprocessing leaves of each slice, (K, S)
INDICES = "slice_indices"  # in the metadata of the image
AGAIN = f"{MEASURE}{DECISIONS[1]}"
ASK = "yes"


class Answer(NamedTuple):
    """What the network says of a case.

    Args:
        scan: (K,), the probability of each class.
        slices: (K, S), that of each slice; None where the network looks at all at once.
    """

    scan: torch.Tensor
    slices: torch.Tensor | None


class Prepared(NamedTuple):
    """What is kept of the image that goes to the network.

    Args:
        image: (1, X, Y, S), or (C, H, W) of a radiograph.
        indices: of the slices in their scan; empty where there are none.
    """

    image: np.ndarray
    indices: tuple[int, ...]


class GradeWriter(ClassificationWriter):
    """Writes the grade of a scan, the decision whether to take it again, and where a person should be asked.

    Args:
        output: the output folder.
        classes: the names of all classes, in their order.
        preview: whether to draw pictures.
        grades: what the order of the classes means.
        point: the probability of all classes that are scanned again, from which on the decision is to do so.
        confidence: a person is asked where neither decision is at least as probable as this.
        volumes: whether cases are scans, and no radiographs.
        explain: draws an explanation, see `ClassificationWriter`.
    """

    def __init__(
        self,
        output: Path,
        classes: Sequence[str],
        preview: bool = True,
        *,
        grades: Grades,
        point: HeldPoint,
        confidence: float = 0.0,
        volumes: bool = True,
        explain: Explain | None = None,
    ) -> None:
        super().__init__(output, classes, preview, point=point, explain=explain)
        self.grades, self.confidence, self.volumes = grades, confidence, volumes
        self._lowest = numbers_of(self.classes)[0]

    @classmethod
    def of(cls, engine: Engine, output: Path, preview: bool) -> GradeWriter:
        return cls(
            output,
            engine.classes,
            preview,
            grades=engine.grades,
            point=engine.operating_point,
            confidence=engine.confidence,
            volumes=engine.inputs == VOLUMES,
            explain=drawer() if engine.explain else None,
        )

    @property
    def measures(self) -> list[str]:
        return [
            "level",
            *(MEASURE + name for name in self.classes),
            *("prediction", "expected_grade", AGAIN, "decision", "ask", "slices", "slice_grades"),
        ]

    def given(self, case: Case) -> dict[str, Any]:
        return {"level": IMAGE}

    def prepared(self, source: Any, image: torch.Tensor) -> Prepared:
        """Keep the image that goes to the network, and which slices it is made of."""
        indices = getattr(image, "meta", {}).get(INDICES, ())
        return Prepared(torch.as_tensor(image).cpu().numpy(), tuple(int(index) for index in indices))

    def answer(self, item: Mapping[str, Any]) -> Answer:
        return Answer(item[PRED], item.get(SLICES))

    def write(
        self, case: str, pred: Answer, source: Prepared, explanation: np.ndarray | None = None
    ) -> dict[str, Any]:
        """Write the pictures, and the probabilities after them.

        Args:
            case: its name.
            pred: what `answer` gave.
            source: what `prepared` kept.
            explanation: of the shape of the image.

        Returns:
            The columns of the results. All are taken from the rounded probabilities, so that the table agrees with
            itself. Slices and their grades are numbers with blanks between them; slices count from 0.

        Raises:
            ProbabilityError: if the prediction is something else.
        """
        found = self._checked(pred.scan)
        values = np.array(list(found.values()))
        again = round(float(self.grades.again(values)), 6)
        grade = int(self.grades.grade(values))
        slices = self._slices(pred.slices, source)
        row = {
            "prediction": self.classes[grade],
            "expected_grade": round(float(self.grades.mean(values)) + self._lowest, 3),
            AGAIN: again,
            "decision": DECISIONS[again >= self.point.threshold],
            "ask": ASK if max(again, 1 - again) < self.confidence else "",
        }
        if self.preview:
            self._draw_scan(case, source, found, row, slices)
        else:
            self.picture(case).unlink(missing_ok=True)
        if explanation is not None and self.explain is not None:
            image, shown = self._as_views(source.image), self._as_views(explanation)
            caption = f"for a higher grade; expected {row['expected_grade']:.2f}"
            self.explain(image, shown, self.explanation(case), caption)
        else:
            self.explanation(case).unlink(missing_ok=True)
        content = {"case": case, "level": IMAGE, "probabilities": found, **row}
        content |= {"operating_point": self.point.threshold, "confidence": self.confidence, "slices": slices}
        write_json(self.prediction(case), content)
        listed = {
            "slices": " ".join(str(one["slice"]) for one in slices),
            "slice_grades": " ".join(str(one["grade"]) for one in slices),
        }
        return {MEASURE + name: value for name, value in found.items()} | row | listed

    def _slices(self, pred: torch.Tensor | None, source: Prepared) -> list[dict[str, Any]]:
        """Index, grade and probabilities of each slice."""
        if pred is None:
            return []
        values = torch.as_tensor(pred).detach().cpu().double().numpy()
        count = source.image.shape[-1]
        indices = source.indices or tuple(range(count))
        if values.shape != (len(self.classes), count) or len(indices) != count:
            raise ProbabilityError(
                f"predictions of shape {values.shape} for slices {list(indices)}; expected "
                f"({len(self.classes)}, {count}), one a class and slice"
            )
        slices = []
        for index, own in zip(indices, values.T, strict=True):
            rounded = [round(float(value), 6) for value in own]
            grade = int(self.grades.grade(np.array(rounded))) + self._lowest
            slices.append({"slice": index, "grade": grade, "probabilities": rounded})
        return slices

    def _as_views(self, image: np.ndarray) -> np.ndarray:
        """(S, 1, Y, X) of a scan, rows from the top; a radiograph as it is."""
        return image.transpose(3, 0, 2, 1) if self.volumes else image

    def _draw_scan(
        self,
        case: str,
        source: Prepared,
        found: Mapping[str, float],
        row: Mapping[str, Any],
        slices: Sequence[Mapping[str, Any]],
    ) -> None:
        decision = row["decision"].replace("_", " ")
        lines = [
            f"expected grade {row['expected_grade']:.2f}",
            f"{DECISIONS[1].replace('_', ' ')}: {row[AGAIN]:.3f}; decision: {decision} "
            f"({DECISIONS[1].replace('_', ' ')} from {self.point.threshold:g})",
        ]
        if row["ask"]:
            lines.append(f"unsure: ask a person (neither decision has {self.confidence:g})")
        captions = [f"slice {one['slice']}: grade {one['grade']}" for one in slices]
        planes = views(self._as_views(source.image))
        draw(planes, found, lines, self.picture(case), row["prediction"], captions)

    def sections(self, rows: Sequence[Mapping[str, str]]) -> list[Section]:
        good = [row for row in rows if row["status"] != FAILED]
        asked = sum(row["ask"] == ASK for row in good)
        sums = Counter(row["decision"] for row in good)
        cards: dict[str, object] = {name.replace("_", " "): sums[name] for name in DECISIONS}
        if self.confidence:
            cards["a person is asked"] = asked
        facts = {"Operating point of scanning again": str(self.point)}
        if self.confidence:
            facts["A person is asked"] = f"where neither decision has a probability of {self.confidence:g}"
        return [Facts(cards, cards=True), self._by_class(good), self._scans(good), Facts(facts)]

    def _by_class(self, rows: Sequence[Mapping[str, str]]) -> Table:
        counts = Counter((row["prediction"], row["decision"]) for row in rows)
        sums = [
            {"class": name} | {decision: counts[name, decision] for decision in DECISIONS}
            for name in self.classes
        ]
        columns = {"class": "Grade"} | {name: name.replace("_", " ").capitalize() for name in DECISIONS}
        return Table(sums, columns, title="Sums by grade")

    def _scans(self, rows: Sequence[Mapping[str, str]]) -> Table:
        numbers = ("expected_grade", AGAIN, "seconds")
        shown = []
        for row in rows:
            link = Link(row["case"], self.prediction(row["case"]).relative_to(self.output))
            values = {name: float(row[name]) for name in numbers if row[name] != ""}
            shown.append({**row, "case": link, "decision": row["decision"].replace("_", " "), **values})
        marked = [place for place, row in enumerate(rows) if row["ask"] == ASK]
        columns = {
            "case": "Case",
            "status": "Status",
            "prediction": "Grade",
            "expected_grade": "Expected grade",
        }
        columns |= {AGAIN: "Probability of scanning again", "decision": "Decision", "ask": "Ask a person"}
        columns |= {"slices": "Slices", "slice_grades": "Their grades", "seconds": "Seconds"}
        formats = {"seconds": ".2f", "expected_grade": ".2f", AGAIN: ".3f"}
        note = "Each name leads to the prediction; all columns are in results.csv."
        if marked:
            note += " A person should look at those that are marked."
        return Table(shown, columns, formats, title="Scans", note=note, marked=marked)
