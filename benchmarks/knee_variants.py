"""Train the variants of the knee bundle on generated knees and write the table of what each came to.

Every variant sees the same training knees and is measured on the same unseen ones, on the images' own grids. The first
variant is the baseline of the ratios. The configs are as they are but for what so few images need: validation in every
tenth epoch, for an epoch has few steps, and a learning rate that reaches a tenth in the last epoch.

    python benchmarks/knee_variants.py -o OUT
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from monai_tasks.catalog import open_bundle
from monai_tasks.datasets import knee_mhd
from monai_tasks.evaluation.evaluate import evaluate
from monai_tasks.inference.configs import parse
from monai_tasks.inference.runner import infer
from monai_tasks.io.files import write_json, write_text
from monai_tasks.io.tables import read_table, write_table
from monai_tasks.phantoms.layouts import write_knee_mhd
from monai_tasks.training.train import train

BUNDLE = "knee_mri_bone_segmentation"
METRICS = {
    "F1": "dice",
    "precision": "precision",
    "recall": "sensitivity",
    "accuracy": "accuracy",
    "IoU": "jaccard",
}
FRACTIONS = (0.6, 0.1, 0.3)
VAL_INTERVAL = 10  # epochs: with few images an epoch is short


@dataclass(frozen=True)
class Variant:
    """One way to train the bundle.

    Args:
        name: for the table.
        configs: override configs.
        epochs: share of the other variants' epochs.
    """

    name: str
    configs: tuple[str, ...] = ()
    epochs: float = 1.0


VARIANTS = (
    Variant("merged, 2D"),
    Variant("three bones", ("three_bones",), epochs=2.0),
    Variant("three bones, naive", ("naive_three_bones",), epochs=2.0),
    Variant("merged, 2D, longer", epochs=2.5),
    Variant("merged, 3D", ("unet3d",), epochs=0.4),
    Variant("fibula", ("fibula",)),
    Variant("merged, F-beta", ("f_beta",)),
    Variant("merged, cross-entropy", ("cross_entropy",)),
    Variant("merged, two heads", ("two_heads",)),
    Variant("merged, min-max", ("min_max",)),
    Variant("merged, without N4", ("no_bias_correction",)),
    Variant("merged, 48 channels", ("channels48",)),
    Variant("merged, flips and shifts", ("flips_and_shifts",)),
    Variant("femur", ("femur",)),
    Variant("tibia", ("tibia",)),
)


def main() -> None:
    """Train and measure what the arguments ask for."""
    arguments = _arguments()
    logging.disable(logging.WARNING)
    output: Path = arguments.output
    write_knee_mhd(output / "data", arguments.cases, arguments.seed)
    write_json(
        output / "datalist.json",
        knee_mhd.datalist(output / "data", seed=arguments.seed, fractions=FRACTIONS),
    )
    chosen = [one for one in VARIANTS if not arguments.variants or one.name in arguments.variants]
    rows: list[dict[str, Any]] = []
    for variant in chosen:
        rows += measure(variant, output, arguments.epochs, arguments.seed)
        seconds = rows[0]["seconds an epoch"]
        for row in rows:
            row[f"time / {rows[0]['variant']}"] = round(row["seconds an epoch"] / seconds, 2)
        write_table(output / "table.csv", rows, list(rows[0]))
        write_text(output / "table.md", markdown(rows))
    print(markdown(rows))


def measure(variant: Variant, output: Path, epochs: int, seed: int) -> list[dict[str, Any]]:
    """Train one variant, predict the unseen knees and compare; a finished training is taken over.

    Returns:
        A row for each label.
    """
    folder = output / variant.name.replace(",", "").replace(" ", "_")
    shared = {"bias_field_cache": str((output / "bias_fields").resolve())}
    epochs = max(1, round(epochs * variant.epochs))
    settings = shared | {"seed": seed, "val_interval": VAL_INTERVAL, "epochs_to_a_tenth": epochs}
    datalist = output / "datalist.json"
    begun = time.perf_counter()
    trained = train(
        BUNDLE, datalist, folder / "training", epochs=epochs, configs=variant.configs, settings=settings
    )
    batch = infer(
        BUNDLE,
        datalist,
        folder / "inference",
        weights=trained.weights,
        configs=variant.configs,
        settings=shared,
        preview=False,
        progress=False,
    )
    compared = evaluate(
        BUNDLE, batch.output, datalist, folder / "evaluation", configs=variant.configs, progress=False
    )
    record = read_table(folder / "training" / "record.csv")
    facts = {
        "parameters": parameters(variant),
        "epochs": trained.epochs,
        # The first epoch chooses kernels and fills caches.
        "seconds an epoch": round(
            statistics.median(float(row["seconds"]) for row in record[1:] or record), 2
        ),
    }
    rows = []
    for label, about in compared.statistics["labels"].items():
        metrics = {name: round(about["metrics"][key]["mean"], 4) for name, key in METRICS.items()}
        rows.append({"variant": variant.name, "label": label} | metrics | facts)
    seconds = time.perf_counter() - begun
    failed = batch.failed + compared.failed
    print(f"{variant.name}: {seconds:.0f} s, {failed} failed, {batch.noted} with a note", flush=True)
    return rows


def parameters(variant: Variant) -> int:
    """How many numbers the variant's network learns."""
    parser = parse(open_bundle(BUNDLE), ("train", *variant.configs), torch.device("cpu"), {})
    return sum(value.numel() for value in parser.get_parsed_content("network_def").parameters())


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a table of Markdown."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([f"{row[head]}" for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("knee_variants_out"))
    parser.add_argument("--cases", type=int, default=30, help="generated knees, of both sources in turn")
    parser.add_argument("--epochs", type=int, default=45)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--variants", nargs="*", help="names; all of them where none is given")
    return parser.parse_args()


if __name__ == "__main__":
    main()
