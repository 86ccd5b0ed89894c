"""Pictures of suspicious cases: the image with its label and what networks that had not seen it said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from monai_tasks.catalog import Bundle
from monai_tasks.datasets.checks_read import read_classified
from monai_tasks.evaluation.by_kind import CLASSIFICATION
from monai_tasks.evaluation.evaluate import Scheme, ground_of, label_scheme
from monai_tasks.evaluation.segmentation import LabelMap, read_label_map
from monai_tasks.experiments.outliers_cases import PROBABILITY, Case
from monai_tasks.io.errors import InputError
from monai_tasks.io.grid import farthest_corner, is_apart
from monai_tasks.report.classification_preview import COLUMNS, draw
from monai_tasks.report.preview import overlay

PREDICTION = "prediction"  # what the legend calls the white contours
MOST_VIEWS = 2 * COLUMNS


class Pictures:
    """Draws cases of one run.

    Args:
        bundle: whose cases they are.
        configs: that the run merged onto the bundle's.
        settings: of the run that the bundle's inference has, too.

    Raises:
        ConfigError: when a config or an id of them is not there.
    """

    def __init__(
        self, bundle: Bundle, configs: Sequence[str] = (), settings: Mapping[str, object] | None = None
    ):
        self.kind = bundle.kind
        self._scheme: Scheme | None = (
            None if self.kind == CLASSIFICATION else label_scheme(bundle, configs, settings or {})
        )

    @property
    def labels(self) -> dict[int, str]:
        """What values of a label's file are called; nothing for a classification."""
        if self._scheme is None:
            return {}
        names = self._scheme.labels.values()
        return {
            value: name for name, group in zip(names, self._scheme.groups, strict=True) for value in group
        }

    def draw(self, case: Case, path: Path) -> str:
        """Draw a case.

        Args:
            case: the case.
            path: the PNG to write.

        Returns:
            Why there is no picture; empty where there is one.
        """
        try:
            if self._scheme is None:
                _draw_classes(case, path)
            else:
                _draw_labels(case, self._scheme, path)
        except (InputError, OSError, MemoryError) as error:
            return error.reason if isinstance(error, InputError) else f"{type(error).__name__}: {error}"
        return ""


def _draw_labels(case: Case, scheme: Scheme, path: Path) -> None:
    """The label in colours and the prediction as white contours; of the two the one that can be read."""
    label = _label(case.label, scheme)
    predicted = None if case.prediction is None else read_label_map(case.prediction, scheme.labels)
    shown = predicted if label is None else label
    if shown is None:
        raise InputError(case.label[0], "neither a label nor a prediction that can be read", "one of them")
    both = label is not None and predicted is not None and _on_one_grid(label, predicted)
    ground = ground_of(Path(case.images[0]), shown.values.shape, shown.affine)
    overlay(
        ground,
        shown.values,
        scheme.labels,
        path,
        reference=predicted.values if both else None,
        affine=shown.affine,
        white=PREDICTION,
    )


def _label(paths: Sequence[str], scheme: Scheme) -> LabelMap | None:
    try:
        return read_label_map(paths, scheme.labels, scheme.mapping, scheme.groups, scheme.background)
    except InputError:  # the remarks say what is wrong with it
        return None


def _on_one_grid(label: LabelMap, predicted: LabelMap) -> bool:
    shape = label.values.shape
    apart = farthest_corner(shape, label.affine, predicted.affine)
    return predicted.values.shape == shape and not is_apart(apart, label.affine)


def _draw_classes(case: Case, path: Path) -> None:
    planes: list[np.ndarray] = []
    for image in case.images[:MOST_VIEWS]:
        array = read_classified(Path(image)).array
        planes += [array] if array.ndim == 2 else [array[..., index].T for index in range(array.shape[2])]
    probabilities = case.numbers(PROBABILITY)
    names, number = list(probabilities), int(case.label[0])
    true = names[number] if number < len(names) else str(number)
    draw(planes, probabilities, [f"labelled {true}"], path, marked=true)
