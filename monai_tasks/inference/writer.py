"""What a batch asks of whatever writes its predictions."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from monai_tasks.datasets.cases import Case
from monai_tasks.inference.uncertainty import ENTROPY
from monai_tasks.report.page import Section

if TYPE_CHECKING:
    from monai_tasks.inference.engine import Engine

PREDICTIONS, PREVIEWS, EXPLANATIONS, UNCERTAINTIES = "predictions", "previews", "explanations", "uncertainty"


class Writer(ABC):
    """Writes the predictions of one kind of bundle, and says what of them is in tables and reports.

    The file of a prediction is written last of all files of a case: where it is, the others are complete.

    Args:
        output: the output folder.
        preview: whether to draw pictures.
    """

    suffix = ""  # of a prediction's file
    unsure_by = ENTROPY  # the measure that puts uncertain cases in order

    def __init__(self, output: Path, preview: bool = True) -> None:
        self.output = output
        self.preview = preview

    @classmethod
    @abstractmethod
    def of(cls, engine: Engine, output: Path, preview: bool) -> Writer:
        """The writer for what an engine predicts."""

    @property
    @abstractmethod
    def labels(self) -> Mapping[int, str]:
        """Value to name of each label or class."""

    @property
    @abstractmethod
    def measures(self) -> list[str]:
        """The columns of the results that this writer fills, with those that `given` does."""

    def given(self, case: Case) -> dict[str, Any]:
        """The columns that are known before a case is read, and are no part of what an earlier run has found."""
        return {}

    def is_case(self, row: Mapping[str, str]) -> bool:
        """Whether a row of the results is that of a case, and not one that sums cases up."""
        return True

    def prediction(self, case: str) -> Path:
        """Where the prediction of a case is written."""
        return self.output / PREDICTIONS / f"{case}{self.suffix}"

    def picture(self, case: str) -> Path:
        """Where the preview of a case is written."""
        return self.output / PREVIEWS / f"{case}.png"

    def explanation(self, case: str) -> Path:
        """Where the picture that explains a prediction is written."""
        return self.output / EXPLANATIONS / f"{case}.png"

    def uncertainty(self, case: str) -> Path:
        """Where the map of a segmentation's uncertainty is written."""
        return self.output / UNCERTAINTIES / f"{case}.nii.gz"

    def uncertainty_picture(self, case: str) -> Path:
        """Where the picture of this map is written."""
        return self.output / UNCERTAINTIES / f"{case}.png"

    @property
    def pictures(self) -> dict[str, Callable[[str], Path]]:
        """The kinds of pictures, by their headings in the report; each may be missing for a case."""
        return {
            "Previews": self.picture,
            "Uncertainty": self.uncertainty_picture,
            "Explanations": self.explanation,
        }

    @abstractmethod
    def why_unsure(self, row: Mapping[str, str]) -> str:
        """What makes a case uncertain, in words.

        Args:
            row: of the results, with the columns of the uncertainty.
        """

    def discard(self, case: str) -> None:
        """Remove what an earlier run wrote for a case."""
        for path in (
            self.prediction(case),
            self.picture(case),
            self.explanation(case),
            self.uncertainty(case),
            self.uncertainty_picture(case),
        ):
            path.unlink(missing_ok=True)

    def source(self, image: Any) -> Any:
        """Keep what is needed of a loaded image.

        Args:
            image: as the first transforms loaded it: a MetaTensor, or still the paths where a bundle loads later.
        """
        return None

    def prepared(self, source: Any, image: torch.Tensor) -> Any:
        """Add to what `source` kept what is needed of the image that goes to the network.

        Args:
            source: what `source` gave.
            image: without the axis of the batch.

        Returns:
            What `write` is given.
        """
        return source

    def answer(self, item: Mapping[str, Any]) -> Any:
        """What of a case's item `write` takes as its prediction.

        Args:
            item: as the postprocessing left it.
        """
        return item["pred"]

    def write_uncertainty(self, case: str, values: torch.Tensor | None, source: Any) -> None:
        """Write the map of how unsure each voxel is, and its picture, before the prediction is written.

        Args:
            case: its name.
            values: on the grid of the input; None removes what an earlier run wrote.
            source: what `prepared` gave.
        """
        for path in (self.uncertainty(case), self.uncertainty_picture(case)):
            path.unlink(missing_ok=True)

    @abstractmethod
    def write(
        self, case: str, pred: Any, source: Any, explanation: np.ndarray | None = None
    ) -> dict[str, Any]:
        """Write the files of a case.

        Args:
            case: its name.
            pred: what `answer` gave.
            source: what `prepared` gave.
            explanation: what speaks for and against the answer, in the shape of the network's image.

        Returns:
            Each measure that `given` does not know.

        Raises:
            ValueError: if the prediction is not what this writer takes.
        """

    @abstractmethod
    def sections(self, rows: Sequence[Mapping[str, str]]) -> list[Section]:
        """The part of a report that shows what was found.

        Args:
            rows: of the results, without the cases that failed.
        """
