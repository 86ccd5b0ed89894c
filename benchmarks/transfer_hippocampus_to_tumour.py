"""Does the hippocampus network help with tumour cores, and which of its layers should be frozen? A transfer experiment.

The source are the weights that hippocampus_mri_segmentation ships; they have one channel, and so has the target: T1 of
generated heads with tumours, written as a tree of BraTS 2018. The grid has the layers of the source frozen from none to
all five, random weights, and random layers frozen. Sizes are for one core; what is finished is taken over.

    python benchmarks/transfer_hippocampus_to_tumour.py -o OUT
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path
from typing import Any

from monai_tasks.datasets import brats
from monai_tasks.io.files import write_json
from monai_tasks.phantoms.brats import write_brats

SOURCE, TARGET = "hippocampus_mri_segmentation", "tumor_core_mri_segmentation"
LAYERS = ("conv_0", "res_1", "res_2", "res_3", "conv_1")
# Voxels of 5 mm: windows of a sixth of the published edge see nearly as much of the head.
SETTINGS = {
    "spacing": [5.0, 5.0, 5.0],
    "window": [16, 16, 16],
    "learning_rate": 0.003,
    "val_interval": 2,
    "patience": 6,
}
CASES, FRACTIONS = 48, (24 / 48, 4 / 48, 20 / 48)


def main() -> None:
    """Write what the experiment needs, and run it."""
    arguments = _arguments()
    output = arguments.output
    tree = output / "brats"
    if not tree.is_dir():
        write_brats(tree, CASES, seed=3, size=(36, 42, 32))
    write_json(
        output / "heads.json", brats.datalist(tree, fractions=FRACTIONS, modalities=("t1",), with_lgg=True)
    )
    write_json(output / "plan.yaml", plan(arguments))  # JSON is YAML, too
    words = ["transfer", output / "plan.yaml", "-o", output / "transfer", "--device", arguments.device]
    subprocess.run([sys.executable, "-m", "monai_tasks", *map(str, words)], check=True)


def plan(arguments: argparse.Namespace) -> dict[str, Any]:
    """The plan of the experiment; its paths are relative to its folder.

    Args:
        arguments: of the command line.
    """
    frozen = [
        {"name": f"source {number} frozen", "start": "source", "frozen": list(LAYERS[:number])}
        for number in range(1, len(LAYERS) + 1)
    ]
    return {
        "bundle": TARGET,
        "datalist": "heads.json",
        "source": SOURCE,
        "arms": [
            {"name": "scratch"},
            {"name": "source", "start": "source"},
            *frozen,
            {"name": "random 5 frozen", "frozen": list(LAYERS), "random": True},
        ],
        "subsets": [size if size == "all" else int(size) for size in arguments.subsets],
        "seeds": arguments.seeds,
        "epochs": arguments.epochs,
        "configs": ["one_modality"],
        "settings": SETTINGS,
    }


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("transfer_hippocampus_to_tumour_out"))
    parser.add_argument(
        "--subsets", nargs="+", default=["8"], help="numbers of heads to train with, or all 24"
    )
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="of the trainings")
    parser.add_argument("--epochs", type=int, default=30, help="the most that a training runs")
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda:N")
    return parser.parse_args()


if __name__ == "__main__":
    main()
