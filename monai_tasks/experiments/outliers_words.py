"""Why a case is suspicious, in plain words."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence

from monai_tasks.datasets.checks_compare import Remark
from monai_tasks.evaluation.by_kind import CLASSIFICATION
from monai_tasks.experiments.outliers_cases import DICE, PROBABILITY, Case
from monai_tasks.experiments.outliers_score import Scored

NOTABLE = 0.2  # share of the cases with the highest losses, of which the loss is a reason


def reasons(scored: Scored, remarks: Sequence[Remark], kind: str, labels: Mapping[int, str]) -> list[str]:
    """What speaks against a case, the strongest first; for one without any sign, that there is none.

    Args:
        scored: the case.
        remarks: all of them on the case.
        kind: of the bundle.
        labels: value in a label's file to its name.
    """
    told = [(one.strength, named(one.text, labels)) for one in remarks]
    case, share = scored.case, scored.share
    if share is None:
        told.append((1.0, f"no prediction: {case.reason}"))
    elif share <= NOTABLE:
        said = _classified(case) if kind == CLASSIFICATION else _segmented(case)
        rare = f"its loss of {case.loss:.3g} is among the highest {100 * share:.2g} %"
        told.append((1 - math.sqrt(share), f"{said}, {rare}"))
    if not told:
        told.append(
            (
                0.0,
                f"nothing unusual: {100 * share:.2g} % of the cases have its loss of {case.loss:.3g} or a higher one",
            )
        )
    return [text.replace(";", ",") for _, text in sorted(told, key=lambda one: -one[0])]


def joined(told: Sequence[str]) -> str:
    """Reasons as one field of a table.

    Args:
        told: as `reasons` gives them.
    """
    return "; ".join(told)


def named(text: str, labels: Mapping[int, str]) -> str:
    """A remark's text with the names of the labels that it gives by number.

    Args:
        text: of a remark.
        labels: value in a label's file to its name.
    """
    return re.sub(r"\blabel (\d+)\b", lambda found: _label(int(found[1]), labels), text)


def _label(value: int, labels: Mapping[int, str]) -> str:
    return f"label {value} ({labels[value]})" if value in labels else f"label {value}"


def _segmented(case: Case) -> str:
    own = ", ".join(f"{value:.2f} for {name}" for name, value in case.numbers(DICE).items())
    return f"the label and a network that had not seen it differ: Dice {own or case.metric}"


def _classified(case: Case) -> str:
    probabilities = case.numbers(PROBABILITY)
    names, number = list(probabilities), int(case.label[0])
    likeliest = max(probabilities, key=probabilities.__getitem__)
    true = names[number] if number < len(names) else str(number)
    value = f"with a probability of {probabilities[likeliest]:.2f}"
    if likeliest == true:
        return f"labelled {true}, as a network that had not seen it says {value} only"
    return f"labelled {true}, but a network that had not seen it says {likeliest} {value}"
