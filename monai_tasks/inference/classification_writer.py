"""Probabilities of classes: a small file and a picture a case, and the decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from monai_tasks.datasets.cases import Case
from monai_tasks.inference.engine import Engine
from monai_tasks.inference.inputs import STUDIES, VOLUMES
from monai_tasks.inference.operating_point import HeldPoint
from monai_tasks.inference.results import FAILED
from monai_tasks.inference.studies import IMAGE, STUDY
from monai_tasks.inference.uncertainty import DISAGREEMENT, ENTROPY
from monai_tasks.inference.writer import Writer
from monai_tasks.io.files import write_json
from monai_tasks.report.classification_preview import Planes, draw, slices, views
from monai_tasks.report.page import Link, Section, Table

MEASURE = "probability_"
TOLERANCE = 1e-3  # by which probabilities may miss a sum of 1, as those of 16-bit arithmetic do

Explain = Callable[[np.ndarray, np.ndarray, Path, str], None]


class ProbabilityError(ValueError):
    """A prediction that is not one probability a class."""


class ClassificationWriter(Writer):
    """Writes probabilities, and the decision at the operating point where there are two classes.

    Args:
        output: the output folder.
        classes: the names of all classes in the order of the network's channels.
        preview: whether to draw pictures.
        point: the operating point of two classes; None without one.
        level: what a case is: `image` or `study`.
        planes: cuts an image as the network takes it into what is drawn.
        explain: draws an explanation: called with the image, the explanation, the path and a caption.
    """

    suffix = ".json"

    def __init__(
        self,
        output: Path,
        classes: Sequence[str],
        preview: bool = True,
        *,
        point: HeldPoint | None = None,
        level: str = IMAGE,
        planes: Planes = views,
        explain: Explain | None = None,
    ) -> None:
        super().__init__(output, preview)
        self.classes = list(classes)
        self.point, self.level, self.planes, self.explain = point, level, planes, explain

    @classmethod
    def of(cls, engine: Engine, output: Path, preview: bool) -> ClassificationWriter:
        return cls(
            output,
            engine.classes,
            preview,
            point=engine.operating_point,
            level=STUDY if engine.inputs == STUDIES else IMAGE,
            planes=slices if engine.inputs == VOLUMES else views,
            explain=drawer() if engine.explain else None,
        )

    @property
    def labels(self) -> dict[int, str]:
        return dict(enumerate(self.classes))

    @property
    def measures(self) -> list[str]:
        return [
            "level",
            "study",
            *(MEASURE + name for name in self.classes),
            "prediction",
            "decision",
            "votes",
        ]

    def given(self, case: Case) -> dict[str, Any]:
        return {"level": self.level, "study": case.study or ""}

    def is_case(self, row: Mapping[str, str]) -> bool:
        return row["level"] == self.level

    def why_unsure(self, row: Mapping[str, str]) -> str:
        answer = row["prediction"]
        told = f"{answer} has a probability of {float(row[MEASURE + answer]):.2f}"
        whole, apart = float(row[ENTROPY]), float(row[DISAGREEMENT])
        if apart == 0:
            return told
        # What is not disagreement of the entropy is the mean entropy of the opinions.
        cause = "the opinions differ" if apart > whole / 2 else "each opinion is unsure itself"
        return f"{told}, mostly because {cause}"

    def prepared(self, source: Any, image: torch.Tensor) -> np.ndarray:
        """Keep the image that goes to the network: (C, H, W[, D]), or the views of a study (V, C, H, W)."""
        return torch.as_tensor(image).cpu().numpy()

    def write(
        self, case: str, pred: torch.Tensor, source: np.ndarray, explanation: np.ndarray | None = None
    ) -> dict[str, Any]:
        """Write the pictures, and the probabilities after them.

        Args:
            case: its name.
            pred: (K,), the probability of each class.
            source: the image that `prepared` kept.
            explanation: of its shape.

        Returns:
            The probabilities, rounded to six digits, the prediction (the class of the highest) and the decision (empty
            without an operating point). Both are taken from the rounded ones, so that the table agrees with itself.

        Raises:
            ProbabilityError: if the prediction is something else.
        """
        found = self._checked(pred)
        prediction = self.classes[int(np.argmax(list(found.values())))]
        decision = self._decision(found[self.classes[-1]])
        if self.preview:
            self._draw(case, source, found, decision or prediction)
        else:
            self.picture(case).unlink(missing_ok=True)
        if explanation is not None and self.explain is not None:
            # Of two classes the second is explained, whichever is predicted.
            name = self.classes[-1] if len(self.classes) == 2 else prediction
            self.explain(source, explanation, self.explanation(case), f"{name}: {found[name]:.3f}")
        else:
            self.explanation(case).unlink(missing_ok=True)
        content = {"case": case, "level": self.level, "probabilities": found, "prediction": prediction}
        if self.point is not None:
            content |= {"decision": decision, "operating_point": self.point.threshold}
        write_json(self.prediction(case), content)
        named = {MEASURE + name: value for name, value in found.items()}
        return named | {"prediction": prediction, "decision": decision}

    def _checked(self, pred: torch.Tensor) -> dict[str, float]:
        values = torch.as_tensor(pred).detach().cpu().double().numpy()
        if values.shape != (len(self.classes),):
            expected = f"({len(self.classes)},), one probability for each of {', '.join(self.classes)}"
            raise ProbabilityError(f"a prediction of shape {tuple(values.shape)}; expected {expected}")
        # NaN is refused too.
        if not ((values >= 0) & (values <= 1)).all() or abs(values.sum() - 1) > TOLERANCE:
            shown = ", ".join(f"{value:g}" for value in values)
            raise ProbabilityError(f"a prediction of {shown}; expected probabilities that sum to 1")
        return {name: round(float(value), 6) for name, value in zip(self.classes, values, strict=True)}

    def _decision(self, probability: float) -> str:
        if self.point is None:
            return ""
        return self.classes[probability >= self.point.threshold]

    def _draw(self, case: str, image: np.ndarray, found: Mapping[str, float], shown: str) -> None:
        if self.point is None:
            lines = [f"highest probability: {shown}"]
        else:
            positive = self.classes[-1]
            lines = [f"decision: {shown} ({positive} from a probability of {self.point.threshold:g})"]
        draw(self.planes(image), found, lines, self.picture(case), shown)

    def sections(self, rows: Sequence[Mapping[str, str]]) -> list[Section]:
        levels = [
            (level, own)
            for level in (STUDY, IMAGE)
            if (own := [row for row in rows if row["level"] == level and row["status"] != FAILED])
        ]
        sections: list[Section] = [self._sums(levels)]
        for level, own in levels:
            sections.append(self._table(level, own))
        return sections

    def _sums(self, levels: Sequence[tuple[str, Sequence[Mapping[str, str]]]]) -> Table:
        """How many cases of each level are of each class."""
        sums = []
        for level, rows in levels:
            predicted, decided = (
                Counter(row[column] for row in rows) for column in ("prediction", "decision")
            )
            for name in self.classes:
                one = {"level": level, "class": name, "prediction": predicted[name]}
                sums.append(one | ({"decision": decided[name]} if self.point else {}))
        columns = {"level": "Level", "class": "Class", "prediction": "Highest probability"}
        note = ""
        if self.point is not None:
            columns["decision"] = "Decision"
            note = f"The operating point is {self.point}."
        return Table(sums, columns, title="Sums by class", note=note)

    def _table(self, level: str, rows: Sequence[Mapping[str, str]]) -> Table:
        is_summed = level != self.level
        headings = {MEASURE + name: f"Probability of {name}" for name in self.classes}
        numbers = (*headings, "seconds", *(("votes",) if is_summed else ()))
        shown = []
        for row in rows:
            link = Link(row["case"], self.prediction(row["case"]).relative_to(self.output))
            values = {name: float(row[name]) for name in numbers if row[name] != ""}
            shown.append({**row, "case": row["case"] if is_summed else link, **values})
        columns = {"case": level.capitalize(), "status": "Status", **headings, "prediction": "Prediction"}
        columns |= {"decision": "Decision"} if self.point else {}
        columns |= {"votes": "Votes", "note": "Note"} if is_summed else {"seconds": "Seconds"}
        if is_summed:
            note = "A study's probability is the highest of its images; votes are the share of images decided positive."
        else:
            note = "Each name leads to the prediction; all columns are in results.csv."
        formats = {"seconds": ".2f", "votes": ".2f", **dict.fromkeys(headings, ".3f")}
        titles = {STUDY: "Studies", IMAGE: "Images"}
        return Table(shown, columns, formats, title=titles[level], note=note)


def drawer() -> Explain:
    """What draws explanations; imported late, since most runs have none."""
    from monai_tasks.explain.picture import draw as draw_explanation

    return draw_explanation
