"""Grade knee radiographs with the network and losses for motion grades, and print the table of what each came to.

The knees of `knee_xray_kl` have Kellgren and Lawrence's grades 0 to 4 by two experts. They stand for scans of one
slice, so that network, standard score and losses are those of HR-pQCT. All images are measured in turn by
cross-validation, with near-identical and mirrored copies in one fold. Nothing is chosen on the fold that is measured:
the number of epochs is given, and the weights are those of the last one.

Beside the losses stand the class that most training images have, the small network of [Walle2023] and the second expert
against the first. Intervals draw groups of copies; differences are to the first loss, on the same draws.

    python benchmarks/ordinal_knee.py -o OUT
"""

from __future__ import annotations

import argparse
import logging
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader, Dataset
from monai.transforms import (
    Compose,
    LoadImaged,
    RandAffined,
    RandFlipd,
    RandGaussianNoised,
    RandScaleIntensityd,
    Resized,
)
from monai.utils import set_determinism

from monai_tasks.datasets.hrpqct import consensus
from monai_tasks.datasets.splits import add_folds
from monai_tasks.evaluation.class_statistics import Scores
from monai_tasks.evaluation.classification import compare, measure
from monai_tasks.io.files import write_text
from monai_tasks.io.tables import read_table, write_table
from monai_tasks.losses.ordinal import ScanGradeLoss, inverse_frequency
from monai_tasks.networks.motion_net import MotionNet
from monai_tasks.networks.slice_grader import SliceGrader
from monai_tasks.networks.standard_score import StandardScoreNet
from monai_tasks.networks.walle import walle_net
from monai_tasks.training.standard_score import merged, moments

EXPERTS = ("kl_expert1", "kl_expert2")
GRADES = 5
METRICS = ("quadratic_kappa", "mean_absolute_error", "accuracy", "macro_f1")
COMPARED = METRICS[:3]


@dataclass(frozen=True)
class Variant:
    """One way to train.

    Args:
        name: for the table.
        network: makes it.
        kind: of the loss.
    """

    name: str
    network: Callable[[], torch.nn.Module]
    kind: str


VARIANTS = (
    Variant("cross-entropy, consensus", MotionNet, "consensus"),
    Variant("cross-entropy, both experts", MotionNet, "soft"),
    Variant("earth mover's distance", MotionNet, "ordinal"),
    Variant("network of Walle et al., consensus", walle_net, "consensus"),
)
RULES: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "most probable": lambda shares: shares.argmax(1),
    "rounded mean": lambda shares: np.floor(shares @ np.arange(GRADES) + 0.5).astype(int),
}


def main() -> None:
    """Train and measure."""
    arguments = _arguments()
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    items = [
        _loading(arguments.size)(item) for item in read_items(arguments.data, arguments.folds, arguments.seed)
    ]
    scores, rows = references(items), []
    for variant in VARIANTS:
        begun = time.perf_counter()
        shares = cross_validated(variant, items, arguments)
        seconds = time.perf_counter() - begun
        print(f"{variant.name}: {seconds:.0f} s", flush=True)
        for rule, decide in RULES.items():
            scores[f"{variant.name}; {rule}"] = _scores(items, shares, decide(shares))
        _write_predictions(arguments.output / f"{variant.name}.csv", items, shares)
    first = scores[f"{VARIANTS[0].name}; {next(iter(RULES))}"]
    for name, own in scores.items():
        rows.append({"": name} | _measured(own) | _compared(own, first, name))
    text = markdown(rows)
    write_text(arguments.output / "table.md", text)
    print(text)


def read_items(data: Path, folds: int, seed: int) -> list[dict[str, Any]]:
    """The images with their grades, dealt out into folds by near-identical copies.

    Args:
        data: the folder with `index.csv`.
        folds: how many.
        seed: of the folds.

    Returns:
        Items with `image`, `name`, `label`, `soft`, `grades`, `subject` and `fold`.
    """
    items = []
    for row in read_table(data / "index.csv"):
        texts = [row[name] for name in EXPERTS]
        if not all(text.isdigit() for text in texts):
            continue  # the same picture in two classes of one expert
        grades = [int(text) for text in texts]
        items.append(
            {
                "image": str(data / "images" / row["image"]),
                "name": row["image"],
                "label": consensus(grades),
                "soft": np.eye(GRADES, dtype=np.float32)[grades].mean(0),
                "grades": grades,
                "subject": row["near_duplicate_group"],
            }
        )
    return add_folds(items, folds, seed, stratify="label")


def references(items: Sequence[dict[str, Any]]) -> dict[str, Scores]:
    """What needs no network: the largest class of the other folds, and the second expert."""
    labels = [item["label"] for item in items]
    largest = [
        Counter(other["label"] for other in items if other["fold"] != item["fold"]).most_common(1)[0][0]
        for item in items
    ]
    first, second = (np.array([item["grades"][k] for item in items]) for k in range(2))
    subjects = [item["subject"] for item in items]
    return {
        "the largest class": Scores.of(labels, np.eye(GRADES)[largest], largest, subjects),
        "expert 2 against expert 1": Scores.of(first, np.eye(GRADES)[second], second, subjects),
    }


def cross_validated(
    variant: Variant, items: Sequence[dict[str, Any]], arguments: argparse.Namespace
) -> np.ndarray:
    """The probabilities of the grades of each image, (N, K), by the network that was trained on the other folds."""
    shares = np.zeros((len(items), GRADES))
    for fold in range(arguments.folds):
        unseen = np.array([item["fold"] == fold for item in items])
        training = [item for item, out in zip(items, unseen, strict=True) if not out]
        network = train(variant, training, arguments, seed=arguments.seed + fold)
        rest = torch.stack([item["image"] for item, out in zip(items, unseen, strict=True) if out])
        with torch.inference_mode():
            shares[unseen] = network(_as_scans(rest)).softmax(1).mean(-1).double().numpy()
    return shares


def train(
    variant: Variant, items: Sequence[dict[str, Any]], arguments: argparse.Namespace, seed: int
) -> torch.nn.Module:
    """A trained network in evaluation mode."""
    set_determinism(seed)
    network = StandardScoreNet(SliceGrader(variant.network()))
    network.set_statistics(*merged([moments(item["image"].as_tensor(), 1) for item in items]))
    data = Dataset(items, Compose(_augmentation()).set_random_state(seed))
    weights = inverse_frequency([item["label"] for item in items], GRADES, power=0.5)
    loss = ScanGradeLoss(variant.kind, GRADES, weights)
    optimizer = torch.optim.Adam(network.parameters(), weight_decay=1e-4)
    loader = DataLoader(data, batch_size=arguments.batch, shuffle=True, drop_last=True)
    steps = arguments.epochs * len(loader)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=arguments.rate, total_steps=steps)
    network.train()
    for _ in range(arguments.epochs):
        for batch in loader:
            optimizer.zero_grad()
            target = batch["soft"] if variant.kind == "soft" else batch["label"]
            loss(network(_as_scans(batch["image"])), target).backward()
            optimizer.step()
            schedule.step()
    return network.eval()


def _loading(size: Sequence[int]) -> Compose:
    load = LoadImaged("image", ensure_channel_first=True, image_only=True)
    return Compose([load, Resized("image", size, mode="bilinear")])


def _augmentation() -> list[Any]:
    # In pixels of 0 to 255.
    move = {"rotate_range": 0.15, "translate_range": 6, "scale_range": 0.08, "padding_mode": "border"}
    return [
        RandFlipd("image", prob=0.5, spatial_axis=0),  # a left knee and a right one
        RandAffined("image", prob=0.8, **move),
        RandScaleIntensityd("image", factors=0.15, prob=0.5),
        RandGaussianNoised("image", std=5, prob=0.5),
    ]


def _as_scans(images: torch.Tensor) -> torch.Tensor:
    """Images (B, 1, X, Y) as scans of one slice, (B, 1, X, Y, 1)."""
    return torch.as_tensor(images).as_subclass(torch.Tensor).unsqueeze(-1)


def _scores(items: Sequence[dict[str, Any]], shares: np.ndarray, decisions: np.ndarray) -> Scores:
    subjects = [item["subject"] for item in items]
    return Scores.of([item["label"] for item in items], shares, decisions, subjects)


def _measured(scores: Scores) -> dict[str, str]:
    found = {one.metric: one for one in measure(scores) if one.number is None}
    return {
        metric.replace(
            "_", " "
        ): f"{found[metric].value:.3f} ({found[metric].low:.3f} to {found[metric].high:.3f})"
        for metric in METRICS
    }


def _compared(scores: Scores, first: Scores, name: str) -> dict[str, str]:
    """The difference of the quadratic kappa to that of the first loss; the experts have other labels."""
    if scores is first or not np.array_equal(scores.labels, first.labels):
        return {"difference of quadratic kappa": ""}
    own = compare(scores, first, metrics=COMPARED[:1])[0]
    return {"difference of quadratic kappa": f"{own.difference:+.3f} ({own.low:+.3f} to {own.high:+.3f})"}


def _write_predictions(path: Path, items: Sequence[dict[str, Any]], shares: np.ndarray) -> None:
    names = [f"probability_{grade}" for grade in range(GRADES)]
    rows = [
        {"image": item["name"], "fold": item["fold"], "label": item["label"]}
        | dict(zip(names, own.round(5), strict=True))
        for item, own in zip(items, shares, strict=True)
    ]
    write_table(path, rows, list(rows[0]))


def markdown(rows: Sequence[dict[str, str]]) -> str:
    """The rows as a table of Markdown."""
    heads = list(rows[0])
    lines = [heads, ["---"] * len(heads), *([row[head] for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _arguments() -> argparse.Namespace:
    shared = Path(__file__).resolve().parents[2] / "shared" / "data" / "knee_xray_kl"
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("ordinal_knee_out"))
    parser.add_argument("--data", type=Path, default=shared, help="folder with index.csv")
    parser.add_argument("--folds", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.003, help="the highest learning rate")
    parser.add_argument("--size", type=int, nargs=2, default=(128, 128), help="of an image, in pixels")
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


if __name__ == "__main__":
    main()
