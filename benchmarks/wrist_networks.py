"""Train the networks of the wrist bundles on generated studies and write the table of what each came to.

Images are half as high and wide as the configs have them, and ResNet18 has half its channels, for 2 cores. All networks
see the same training studies and are measured on the same unseen ones, image by image and study by study.
The study networks start from the image network of their kind; each is compared with voting over the images of that one,
by paired differences. Then metalwork: networks that learned where mostly broken wrists have some, and where it means
nothing, are measured on unseen wrists of their own kind and on wrists without any.

    python benchmarks/wrist_networks.py -o OUT
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from monai_tasks.datasets import radiographs
from monai_tasks.evaluation.evaluate_classification import evaluate
from monai_tasks.inference.runner import infer
from monai_tasks.io.files import write_json, write_text
from monai_tasks.io.tables import read_table, write_table
from monai_tasks.phantoms.radiograph_archive import write_radiographs
from monai_tasks.training.train import train

IMAGE, STUDY = "wrist_xray_fracture_classification", "wrist_xray_fracture_study_classification"
METRICS = ("auroc", "accuracy", "sensitivity", "specificity")
PARTS = ("training", "validation", "test")
# Half the channels of a ResNet18, and the rate that suits so few steps.
SMALL = {"widen_factor": 0.5}
TRAINING = {"learning_rate": 0.001}
CONFIG = "small.json"


@dataclass(frozen=True)
class Variant:
    """One network.

    Args:
        name: for the table.
        bundle: of which it is.
        configs: override configs.
        start: name of the variant whose encoder it starts from and whose votes it is compared with.
        data: what metalwork its training studies have, see `write_radiographs`.
        epochs: share of the epochs that are asked for.
    """

    name: str
    bundle: str = IMAGE
    configs: tuple[str, ...] = ()
    start: str = ""
    data: str = "uncorrelated"
    epochs: float = 1.0


VARIANTS = (
    Variant("ResNet18"),
    Variant("ResNet18, studies", STUDY, start="ResNet18", epochs=0.5),
    Variant("ResNet18, studies, frozen", STUDY, ("frozen",), start="ResNet18", epochs=0.5),
    Variant("Rx Lite", configs=("rx_lite",)),
    Variant("Rx Large", configs=("rx_large",)),
    Variant("Rx Large, studies", STUDY, ("rx_large",), start="Rx Large", epochs=0.5),
    Variant("ResNet18, telling metalwork", data="correlated"),
)


def main() -> None:
    """Train and measure what the arguments ask for."""
    arguments = _arguments()
    logging.disable(logging.WARNING)
    output: Path = arguments.output
    chosen = [one for one in VARIANTS if not arguments.variants or one.name in arguments.variants]
    for data in dict.fromkeys(["uncorrelated", *(one.data for one in chosen)]):
        _write(output / data, arguments.studies, arguments.seed, data, arguments.jobs)
    _write(output / "none", arguments.unseen, arguments.seed + 1, None, arguments.jobs)
    # What `infer` and benchmarks/relevance.py need beside the weights.
    write_json(output / CONFIG, SMALL | {"size": list(arguments.size)})
    rows: list[dict[str, Any]] = []
    for variant in chosen:
        rows += measure(variant, output, arguments.epochs, arguments.seed, arguments.size)
        write_table(output / "table.csv", rows, list(rows[0]))
        write_text(output / "table.md", markdown(rows))
    print(markdown(rows))


def measure(
    variant: Variant, output: Path, epochs: int, seed: int, size: Sequence[int]
) -> Iterator[dict[str, Any]]:
    """Train one network and measure it on unseen studies like its own and on such without metalwork.

    A finished training is taken over.

    Yields:
        A row for each unseen set, level and rule.
    """
    folder = output / _file_name(variant.name)
    epochs = max(1, round(epochs * variant.epochs))
    shared = SMALL | {"size": list(size)}
    settings: dict[str, Any] = shared | {"seed": seed} | TRAINING
    if variant.start:
        settings["encoder_weights"] = str(
            (output / _file_name(variant.start) / "training/model.pt").resolve()
        )
    begun = time.perf_counter()
    trained = train(
        variant.bundle,
        output / variant.data / "datalist.json",
        folder / "training",
        epochs=epochs,
        configs=variant.configs,
        settings=settings,
    )
    record = read_table(folder / "training" / "record.csv")
    facts = {
        "epochs": trained.epochs,
        "seconds an epoch": sorted(float(row["seconds"]) for row in record)[len(record) // 2],
    }
    for name in dict.fromkeys((variant.data, "none")):
        datalist = output / name / ("datalist.json" if name == variant.data else "unseen.json")
        batch = infer(
            variant.bundle,
            datalist,
            folder / f"inference_{name}",
            weights=trained.weights,
            configs=variant.configs,
            settings=shared,
            preview=False,
            progress=False,
        )
        other = output / _file_name(variant.start) / f"inference_{name}" if variant.start else None
        compared = evaluate(
            variant.bundle,
            batch.output,
            datalist,
            folder / f"evaluation_{name}",
            part="test",
            compare=other,
            progress=False,
        )
        for table in compared.statistics["tables"]:
            yield {"network": variant.name, "unseen studies": name} | _row(table) | facts
    print(f"{variant.name}: {time.perf_counter() - begun:.0f} s", flush=True)


def _row(table: dict[str, Any]) -> dict[str, Any]:
    values: dict[str, Any] = {"level": table["level"], "rule": table["rule"]}
    for metric in METRICS:
        about = table["metrics"][metric]
        values[metric] = f"{about['value']:.3f} ({about['low']:.3f} to {about['high']:.3f})"
    return values


def _write(folder: Path, studies: int, seed: int, metal: str | None, jobs: int) -> None:
    """Write studies with a datalist; `unseen.json` has all of them in the test part."""
    if (folder / "datalist.json").is_file():
        return
    write_radiographs(folder / "data", studies, seed, metal=metal, jobs=jobs)
    split = radiographs.datalist(folder / "data", seed=seed)
    everything = [item for part in PARTS for item in split[part]]
    write_json(folder / "unseen.json", split | {"training": [], "validation": [], "test": everything})
    write_json(folder / "datalist.json", split)


def _file_name(name: str) -> str:
    return name.replace(",", "").replace(" ", "_")


def markdown(rows: list[dict[str, Any]]) -> str:
    """The rows as a table of Markdown."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([f"{row[head]}" for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("wrist_networks_out"))
    parser.add_argument("--studies", type=int, default=2000, help="generated studies of each kind")
    parser.add_argument("--unseen", type=int, default=150, help="generated studies without metalwork")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--size", type=int, nargs=2, default=(256, 171), help="rows and columns of an image")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes that draw")
    parser.add_argument("--variants", nargs="*", help="names; all of them where none is given")
    return parser.parse_args()


if __name__ == "__main__":
    main()
