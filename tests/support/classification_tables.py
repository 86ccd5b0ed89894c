"""Tables of answers and of true classes, made by hand."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tasks.io.tables import write_table

CLASSES = ("whole", "cracked")


def write_bundle(root: Path, classes: Sequence[str] = CLASSES) -> Path:
    """A bundle that only says what its classes are."""
    (root / "configs").mkdir(parents=True)
    outputs = {"pred": {"channel_def": {str(number): name for number, name in enumerate(classes)}}}
    metadata = {"version": "0.1.0", "network_data_format": {"outputs": outputs}}
    (root / "configs" / "metadata.json").write_text(json.dumps(metadata))
    return root


def row(
    case: str,
    probability: float | Sequence[float] | None,
    *,
    image: Path | str = "",
    level: str = "image",
    study: str = "",
    decision: str = "",
    classes: Sequence[str] = CLASSES,
    **facts: Any,
) -> dict[str, Any]:
    """A row as `infer` writes it; a case without a probability has failed."""
    own = {
        "case": case,
        "input": image,
        "status": "done",
        "level": level,
        "study": study,
        "decision": decision,
    }
    if probability is None:
        return own | {"status": "failed", "reason": "a damaged file"} | facts
    values = [1 - probability, probability] if isinstance(probability, float) else probability
    own |= {f"probability_{name}": value for name, value in zip(classes, values, strict=True)}
    own["prediction"] = classes[max(range(len(values)), key=values.__getitem__)]
    return own | facts


def write_results(folder: Path, rows: Sequence[Mapping[str, Any]], classes: Sequence[str] = CLASSES) -> Path:
    """The table in the output folder of `infer`, which is returned."""
    columns = ["case", "input", "status", "reason", "note", "seconds", "level", "study"]
    columns += [f"probability_{name}" for name in classes] + ["prediction", "decision", "votes"]
    write_table(folder / "results.csv", rows, columns)
    return folder


def study_rows(
    folder: Path, study: str, probabilities: Sequence[float], threshold: float = 0.5
) -> list[dict[str, Any]]:
    """The rows of a study's images and, after them, of the study, as a bundle of single images gives them."""

    def decided(probability: float) -> str:
        return CLASSES[probability >= threshold]

    names = [f"{study}_{number}" for number in range(len(probabilities))]
    images = [
        row(name, value, image=folder / study / f"{name}.png", study=study, decision=decided(value))
        for name, value in zip(names, probabilities, strict=True)
    ]
    paths = ";".join(str(one["input"]) for one in images)
    highest = max(probabilities)
    whole = row(study, highest, image=paths, level="study", study=study, decision=decided(highest))
    votes = sum(value >= threshold for value in probabilities) / len(probabilities)
    return [*images, whole | {"votes": votes}]


def items(study: str, count: int, label: int | str, subject: str = "", **facts: Any) -> list[dict[str, Any]]:
    """The items of a study's images in a datalist in the folder of the images."""
    own = {"label": label, "subject": subject or f"patient of {study}", "study": study, **facts}
    return [{"image": f"{study}/{study}_{number}.png", **own} for number in range(count)]


def write_datalist(folder: Path, **parts: Sequence[Mapping[str, Any]]) -> Path:
    """A datalist with the parts."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "datalist.json").write_text(json.dumps(parts))
    return folder / "datalist.json"
