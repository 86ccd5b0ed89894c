"""What an ensemble of a cross-validation's networks gains, and whether its uncertainty finds the errors.

The networks of the folds never saw the test part, and nothing was chosen on it: each fold stops by a validation part of
its own. On the test part stand each network by itself, all of them, and all of them with the flips that the
bundle names; the metrics and the ranking of the errors are those that `monai-tasks evaluate` gives.

`hippocampus` are the real crops of Task04, `chest` the real radiographs of `chest_xray_pneumonia`. Sizes and numbers
are for two cores; what is finished is taken over.

    python benchmarks/ensembles.py hippocampus -o OUT
    python benchmarks/ensembles.py chest -o OUT
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from transfer_knee_to_chest import SETTINGS, TARGET, chests

from monai_tasks.datasets import decathlon
from monai_tasks.io.files import write_json, write_text

FOLDS = 5


@dataclass(frozen=True)
class Part:
    """One bundle and its data.

    Args:
        bundle: its name.
        data: folder in the shared data.
        epochs: of each fold.
        metric: of `summary.json`, for the table.
        settings: of the trainings.
        inference: those of them that the inference needs, too.
        flips: whether the bundle has flips that keep the answer.
    """

    bundle: str
    data: str
    epochs: int
    metric: str
    settings: Mapping[str, Any]
    inference: Sequence[str] = ()


PARTS = {
    "hippocampus": Part(
        "hippocampus_mri_segmentation",
        "hippocampus",
        6,
        "dice",
        {"window": [24, 32, 24], "learning_rate": 0.002, "val_interval": 2},
    ),
    "chest": Part(
        TARGET,
        "chest_xray_pneumonia",
        25,
        "auroc",
        {**SETTINGS, "label_names": ["pneumonia"]},
        ("size", "init_features", "growth_rate", "block_config", "hidden", "label_names"),
    ),
}


def main() -> None:
    """Cross-validate, predict the test part in each way, and print the table."""
    arguments = _arguments()
    part, output = PARTS[arguments.part], arguments.output
    output.mkdir(parents=True, exist_ok=True)
    data = arguments.data / part.data
    datalist = output / "datalist.json"
    write_json(datalist, decathlon.datalist(data) if arguments.part == "hippocampus" else chests(data))
    for name, ids in (("training", part.settings), ("prediction", part.inference)):
        chosen = dict(ids) if name == "training" else {one: part.settings[one] for one in ids}
        write_json(output / f"{name}.json", chosen)
    run = output / "run"
    words = [
        "--datalist",
        datalist,
        "--folds",
        FOLDS,
        "--epochs",
        part.epochs,
        "--config",
        output / "training.json",
    ]
    _run("cross-validate", part.bundle, *words, "-o", run, "--device", arguments.device)
    single = [(f"network {fold}", [run / "folds" / str(fold) / "model.pt"], []) for fold in range(FOLDS)]
    both = [("ensemble", [run], []), ("ensemble, flips", [run], ["--flips"])]
    rows = []
    for name, weights, flips in [*single, *both]:
        folder = output / "test" / name.replace(", ", "_").replace(" ", "_")
        own = [word for path in weights for word in ("--weights", path)]
        own += ["--uncertainty", *flips, "--config", output / "prediction.json", "--device", arguments.device]
        _run("infer", part.bundle, datalist, "-o", folder, "-q", *own)
        compared = ["--predictions", folder, "--references", datalist, "-o", folder / "evaluation"]
        _run("evaluate", part.bundle, "-q", *compared)
        rows += _rows(name, folder / "evaluation", part.metric)
    text = _table(rows)
    write_text(output / "table.md", text)
    print(text)


def _rows(name: str, evaluation: Path, metric: str) -> list[list[str]]:
    """A row for each uncertainty."""
    content = json.loads((evaluation / "summary.json").read_text(encoding="utf-8"))
    if metric == "dice":
        own = content["mean_of_labels"]["dice"]
        figure = _figure(own["mean"], own["low"], own["high"])
    else:
        own = next(table for table in content["tables"] if table["level"] == "image")["metrics"][metric]
        figure = _figure(own["value"], own["low"], own["high"])
    return [
        [name, figure, one["uncertainty"]]
        + [_figure(*(one[f"{what}{end}"] for end in ("", "_low", "_high"))) for what in ("spearman", "gain")]
        for one in content.get("uncertainty", ())
    ]


def _figure(value: float | None, low: float | None, high: float | None) -> str:
    if value is None:
        return "none"
    return f"{value:.3f}" if low is None else f"{value:.3f} ({low:.3f} to {high:.3f})"


def _table(rows: Sequence[Sequence[str]]) -> str:
    heads = ("opinions", "metric", "uncertainty", "rank correlation with the error", "gain")
    lines = [heads, ["---"] * len(heads), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _run(*words: Any) -> None:
    subprocess.run([sys.executable, "-m", "monai_tasks", *map(str, words)], check=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("part", choices=PARTS, help="which data")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the experiment")
    parser.add_argument("--data", type=Path, default=Path("../shared/data"), help="folder of the data sets")
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda:N")
    return parser.parse_args()


if __name__ == "__main__":
    main()
