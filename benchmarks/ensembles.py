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
# Who answers: its name, where its weights are in the run, and what infer is told.
WAYS = (
    *((f"network {fold}", f"folds/{fold}/model.pt", ()) for fold in range(FOLDS)),
    ("ensemble", ".", ()),
    ("ensemble, flips", ".", ("--flips",)),
)


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
    """Do what is asked for."""
    arguments = _arguments()
    for name in arguments.parts:
        compare(name, arguments.data, arguments.output / name, arguments.device)


def compare(name: str, shared: Path, output: Path, device: str) -> None:
    """Cross-validate, predict the test part in each way, and print the table.

    Args:
        name: of the part.
        shared: folder of the data sets.
        output: folder to write to.
        device: of the trainings.
    """
    part, data = PARTS[name], shared / PARTS[name].data
    output.mkdir(parents=True, exist_ok=True)
    datalist = output / "datalist.json"
    write_json(datalist, decathlon.datalist(data) if name == "hippocampus" else chests(data))
    write_json(output / "training.json", dict(part.settings))
    write_json(output / "prediction.json", {one: part.settings[one] for one in part.inference})
    run = output / "run"
    words = ["--datalist", datalist, "--folds", FOLDS, "--epochs", part.epochs]
    words += ["--config", output / "training.json", "--device", device]
    _run("cross-validate", part.bundle, *words, "-o", run)
    rows = []
    for opinions, weights, flips in WAYS:
        folder = output / "test" / opinions.replace(", ", "_").replace(" ", "_")
        own = ["--weights", run / weights, "--uncertainty", *flips, "--device", device]
        _run("infer", part.bundle, datalist, "-o", folder, "-q", *own, "--config", output / "prediction.json")
        compared = ["--predictions", folder, "--references", datalist, "-o", folder / "evaluation"]
        _run("evaluate", part.bundle, "-q", *compared)
        rows += _rows(opinions, folder / "evaluation", part.metric)
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
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", default=list(PARTS), help=f"which data: {' and '.join(PARTS)}")
    parser.add_argument("-o", "--output", type=Path, default=Path("ensembles_out"))
    parser.add_argument("--data", type=Path, default=shared, help="folder of the data sets")
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda:N")
    return parser.parse_args()


if __name__ == "__main__":
    main()
