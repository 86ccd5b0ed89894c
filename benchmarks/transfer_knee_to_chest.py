"""Does a network of knee radiographs help with chest radiographs? A transfer experiment on real images.

The source learns osteoarthritis, grade 2 or more of Kellgren and Lawrence by the mean of both experts, from
`knee_xray_kl`, with near-identical copies in one part. The target is pneumonia in the children's chests of
`chest_xray_pneumonia`, split by patient. Written are both datalists and the plan; then the source is trained, and
`monai-tasks transfer` does the rest. Sizes are for one core; what is finished is taken over.

    python benchmarks/transfer_knee_to_chest.py -o OUT
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_tasks.datasets import splits
from monai_tasks.io.files import write_json
from monai_tasks.io.tables import read_table

SOURCE, TARGET = "bone_xray_abnormality_classification", "chest_xray_pneumothorax_classification"
EXPERTS = ("kl_expert1", "kl_expert2")
# A DenseNet of fewer and narrower layers: a tenth of the parameters, a seventh of the time.
NETWORK = {"init_features": 32, "growth_rate": 16, "block_config": [4, 8, 12, 8], "hidden": 128}
SETTINGS = {"size": [128, 128], "batch_size": 8, "learning_rate": 0.001, "rate_decay": 1.0, **NETWORK}
ENCODER = ["conv_0", "block_1", "block_2", "block_3", "block_4"]


def main() -> None:
    """Write what the experiment needs, and run it."""
    arguments = _arguments()
    output = arguments.output
    output.mkdir(parents=True, exist_ok=True)
    write_json(output / "knees.json", knees(arguments.data / "knee_xray_kl"))
    write_json(output / "chests.json", chests(arguments.data / "chest_xray_pneumonia"))
    write_json(
        output / "source.json",
        {**SETTINGS, "label_names": ["osteoarthritis"], "repeats": None, "patience": 15},
    )
    write_json(output / "plan.yaml", plan(arguments.epochs))  # JSON is YAML, too
    source = ["--datalist", output / "knees.json", "--config", output / "source.json", "--epochs", "60"]
    _run("train", SOURCE, *source, "-o", output / "source", "--device", arguments.device)
    _run("transfer", output / "plan.yaml", "-o", output / "transfer", "--device", arguments.device)


def knees(data: Path) -> dict[str, Any]:
    """The datalist of the source, a fifth of it for validation.

    Args:
        data: the folder with `index.csv`.
    """
    items = [
        {
            "image": str((data / "images" / row["image"]).resolve()),
            "label": int(sum(float(row[expert]) for expert in EXPERTS) / len(EXPERTS) >= 2),
            "subject": row["near_duplicate_group"],
            "study": row["image"],
            "region": "knee",
        }
        for row in read_table(data / "index.csv")
    ]
    return _assembled("knee_xray_kl", ["none or doubtful", "osteoarthritis"], items, (0.8, 0.2, 0.0))


def chests(data: Path) -> dict[str, Any]:
    """The datalist of the target: two fifths of the patients to train, one for validation and two for the test.

    Args:
        data: the folder with `index.csv`.
    """
    classes = ["normal", "pneumonia"]
    items = [
        {
            "image": str((data / "images" / row["image"]).resolve()),
            "label": classes.index(row["class"]),
            "subject": row["patient"],
        }
        for row in read_table(data / "index.csv")
    ]
    return _assembled("chest_xray_pneumonia", classes, items, (0.4, 0.2, 0.4))


def plan(epochs: int) -> dict[str, Any]:
    """The plan of the experiment; its paths are relative to its folder.

    Args:
        epochs: the most that a training runs.
    """
    return {
        "bundle": TARGET,
        "datalist": "chests.json",
        "source": "source/model.pt",
        "arms": [
            {"name": "scratch"},
            {"name": "source", "start": "source"},
            {"name": "source frozen", "start": "source", "frozen": ENCODER},
            {"name": "random frozen", "frozen": ENCODER, "random": True},
        ],
        "subsets": [30, 60, "all"],
        "seeds": [0, 1, 2],
        "epochs": epochs,
        "settings": {**SETTINGS, "label_names": ["pneumonia"], "patience": 12},
    }


def _assembled(
    name: str, classes: Sequence[str], items: Sequence[dict[str, Any]], fractions: Sequence[float]
) -> dict[str, Any]:
    labels = {str(number): own for number, own in enumerate(classes)}
    return splits.assemble(name, labels, items, [], fractions=fractions, stratify="label")


def _run(*words: Any) -> None:
    subprocess.run([sys.executable, "-m", "monai_tasks", *map(str, words)], check=True)


def _arguments() -> argparse.Namespace:
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("transfer_knee_to_chest_out"))
    parser.add_argument("--data", type=Path, default=shared, help="folder of both data sets")
    parser.add_argument("--epochs", type=int, default=40, help="the most that a training of the target runs")
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda:N")
    return parser.parse_args()


if __name__ == "__main__":
    main()
