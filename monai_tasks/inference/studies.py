"""What the images of a study say together, where a bundle looks at one image at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monai_tasks.datasets.cases import Case
from monai_tasks.inference.results import DONE, FAILED, SKIPPED
from monai_tasks.inference.uncertainty import COLUMNS, ENTROPY

STUDY, IMAGE = "study", "image"  # levels of a row


@dataclass
class _Study:
    """What has been seen of a study."""

    files: list[str] = field(default_factory=list)
    probability: float = 0.0
    positive: int = 0
    statuses: dict[str, int] = field(default_factory=lambda: dict.fromkeys((DONE, SKIPPED, FAILED), 0))
    seconds: float = 0.0
    uncertainty: dict[str, Any] = field(default_factory=dict)


class StudyTally:
    """Sums the rows of images up to a row a study, by the rule that one positive image makes a study positive.

    Args:
        cases: all images, each with its study.
        classes: the names of the two classes, the positive one last.
        threshold: of the probability, at or above which an image is positive.
    """

    def __init__(self, cases: Sequence[Case], classes: Sequence[str], threshold: float) -> None:
        self.negative, self.positive = classes
        self.threshold = threshold
        self._studies: dict[str, _Study] = {}
        for case in cases:
            study = self._studies.setdefault(case.study or case.name, _Study())
            study.files.extend(map(str, case.paths))

    def add(self, case: Case, row: Mapping[str, Any]) -> None:
        """Take the row of an image that is through, in whatever order."""
        study = self._studies[case.study or case.name]
        study.statuses[row["status"]] += 1
        study.seconds += row["seconds"]
        if row["status"] != FAILED:
            probability = row[f"probability_{self.positive}"]
            # The answer of the highest image is that of the study, and so is its uncertainty.
            if (probability, row.get(ENTROPY, 0)) >= (study.probability, study.uncertainty.get(ENTROPY, 0)):
                study.uncertainty = {name: row[name] for name in COLUMNS if name in row}
            study.probability = max(study.probability, probability)
            study.positive += row["decision"] == self.positive

    def rows(self) -> list[dict[str, Any]]:
        """A row for each study, in the order of their first images."""
        return [self._row(name, study) for name, study in self._studies.items()]

    def _row(self, name: str, study: _Study) -> dict[str, Any]:
        failed, images = study.statuses[FAILED], sum(study.statuses.values())
        row = {
            "case": name,
            "input": ";".join(study.files),
            "seconds": round(study.seconds, 3),
            "level": STUDY,
            "study": name,
        }
        if failed == images:
            return row | {"status": FAILED, "reason": "no image of it could be used"}
        highest = study.probability
        return row | {
            "status": SKIPPED if study.statuses[SKIPPED] + failed == images else DONE,
            "note": f"{failed} of {images} images failed" if failed else "",
            f"probability_{self.negative}": round(1 - highest, 6),
            f"probability_{self.positive}": highest,
            "prediction": self.positive if highest > 0.5 else self.negative,
            "decision": self.positive if highest >= self.threshold else self.negative,
            "votes": round(study.positive / (images - failed), 6),
            **study.uncertainty,
        }
