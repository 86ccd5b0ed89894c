"""Plant mistakes in data sets and print how many of them `monai-tasks outliers` has in the first tenth of its list.

- hippocampus: real crops (`hippocampus`), a tenth of them with a label that is shifted, cropped, mirrored from left to
  right, of another case, or has anterior and posterior swapped;
- classification: generated chests, a tenth of them with the wrong class, or an image of another part of the body, or
  an image that is nearly that of another patient, mirrored or not, with that patient's class;
- untouched: the real crops as they are, and what the list begins with.

Each is cross-validated by `monai-tasks cross-validate` with a short training, and ranked. Beside the list stand the
order of the loss alone, that of the checks of the files alone, and chance. Intervals are Wilson's. Sizes are for one
core; what is finished is taken over.

    python benchmarks/planted_outliers.py -o OUT
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import subprocess
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from PIL import Image
from scipy import ndimage
from scipy.stats import binomtest
from sklearn.metrics import roc_auc_score

from monai_tasks.datasets import chestxray14, decathlon
from monai_tasks.datasets.mura import REGIONS
from monai_tasks.datasets.splits import shuffled
from monai_tasks.experiments.demo import DENSENETS
from monai_tasks.io.files import write_json, write_text
from monai_tasks.io.tables import read_table, write_table
from monai_tasks.phantoms.bone_studies import BoneStudy
from monai_tasks.phantoms.chestxray14 import write_chestxray14

HIPPOCAMPUS, CLASSIFICATION, UNTOUCHED = PARTS = ("hippocampus", "classification", "untouched")
BUNDLES = {
    HIPPOCAMPUS: "hippocampus_mri_segmentation",
    UNTOUCHED: "hippocampus_mri_segmentation",
    CLASSIFICATION: "chest_xray_pneumothorax_classification",
}
# The bundle's network with half of its features: a quarter of the parameters, 40 % of the time.
WIDTHS = {"conv_0": 8, "res_1": 8, "res_2": 16, "res_3": 32, "conv_1": 40}
NETWORK = {
    "_target_": "monai.networks.nets.HighResNet",
    "spatial_dims": 3,
    "in_channels": "@in_channels",
    "out_channels": "@out_channels",
    "layer_params": [
        {"name": name, "n_features": width, "kernels": [3, 3], "repeat": 3}
        if name.startswith("res")
        else {"name": name, "n_features": width, "kernel_size": 3 if name == "conv_0" else 1}
        for name, width in WIDTHS.items()
    ]
    + [{"name": "conv_2", "kernel_size": 1}],
}
CROPS = {"window": [24, 32, 24], "learning_rate": 0.003, "network_def": NETWORK}
SHARE = 0.1  # of the cases that mistakes are planted in, and of the list that is looked at
NEAR, FAR = 3, 6  # voxels, of a millimetre, that a label is shifted by
CHESTS = (144, 144)  # rows and columns
TELLS = 12  # cases of the untouched set that are printed


def main() -> None:
    """Plant, cross-validate, rank and print."""
    arguments = _arguments()
    for part in arguments.part or PARTS:
        folder = arguments.output / part
        make = _chests if part == CLASSIFICATION else _crops
        planted = make(arguments, folder, part)
        run = arguments.run if part == UNTOUCHED and arguments.run else folder / "run"
        if run == folder / "run":
            _cross_validate(arguments, folder, part)
        _run("outliers", BUNDLES[part], "--run", run, "-o", folder / "outliers", "-q")
        rows = read_table(folder / "outliers" / "review.csv")
        text = (
            _first(rows) if part == UNTOUCHED else _table(rows, planted, folder / "outliers" / "remarks.csv")
        )
        write_text(folder / "table.md", text)
        print(f"{part}\n\n{text}", flush=True)


def shifted(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A label that is moved along one axis by some millimetres; what leaves the image is cut off.

    Args:
        label: (X, Y, Z), voxels of 1 mm.
        rng: draws the axis, the way and the distance.
    """
    offset = np.zeros(3)
    offset[rng.integers(3)] = rng.choice([-1, 1]) * rng.integers(NEAR, FAR + 1)
    return ndimage.shift(label, offset, order=0)


def cropped(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A label of which a third to a half is erased, on one side of a plane across an axis.

    Args:
        label: (X, Y, Z).
        rng: draws the axis, the side and the share.
    """
    axis, far, share = rng.integers(3), rng.random() < 0.5, rng.uniform(1 / 3, 1 / 2)
    turned = np.moveaxis(np.flip(label, axis) if far else label, axis, 0).copy()
    gone = np.cumsum((turned > 0).sum(axis=(1, 2))) <= share * (label > 0).sum()
    turned[gone] = 0
    back = np.moveaxis(turned, 0, axis)
    return np.flip(back, axis) if far else back


def mirrored(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A label that is mirrored along the first axis, which runs from side to side."""
    return np.flip(label, 0)


def swapped(label: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A label whose values 1 and 2 have changed places."""
    return np.array([0, 2, 1], label.dtype)[label]


def foreign(label: np.ndarray, other: np.ndarray) -> np.ndarray:
    """The label of another case in the middle of this case's grid.

    Args:
        label: (X, Y, Z), for its shape.
        other: of the other case.
    """
    made = np.zeros_like(label)
    here, there = [], []
    for own, size in zip(label.shape, other.shape, strict=True):
        kept = min(own, size)
        here.append(slice((own - kept) // 2, (own - kept) // 2 + kept))
        there.append(slice((size - kept) // 2, (size - kept) // 2 + kept))
    made[tuple(here)] = other[tuple(there)]
    return made


CHANGES: dict[str, Callable[[np.ndarray, np.random.Generator], np.ndarray]] = {
    "shifted": shifted,
    "cropped": cropped,
    "swapped": swapped,
    "mirrored": mirrored,
}
LABEL_KINDS = ("shifted", "foreign", "cropped", "swapped", "mirrored")
WRONG, OTHER_PART, COPY = IMAGE_KINDS = ("wrong class", "foreign image", "near-duplicate")


def plant_labels(labels: Sequence[Path], seed: int) -> dict[str, str]:
    """Change a tenth of the label files, the kinds of mistakes in turn.

    Args:
        labels: the files, which are overwritten.
        seed: of the choice and of the changes.

    Returns:
        Name of each changed case to the kind.
    """
    names = {path.name.removesuffix(".nii.gz"): path for path in labels}
    order = shuffled(names, seed)
    chosen, others = order[: round(SHARE * len(order))], order[round(SHARE * len(order)) :]
    kinds = {}
    for number, name in enumerate(chosen):
        kind, rng = LABEL_KINDS[number % len(LABEL_KINDS)], np.random.default_rng([seed, number])
        image = nibabel.load(names[name])
        label = np.asarray(image.dataobj).astype(np.uint8)
        if kind in CHANGES:
            made = CHANGES[kind](label, rng)
        else:
            made = foreign(label, np.asarray(nibabel.load(names[others[number]]).dataobj).astype(np.uint8))
        nibabel.save(nibabel.Nifti1Image(np.ascontiguousarray(made), image.affine), names[name])
        kinds[name] = kind
    return kinds


def plant_images(items: list[dict[str, Any]], seed: int) -> dict[str, str]:
    """Change a tenth of the items and their files, the kinds of mistakes in turn.

    Args:
        items: of a datalist, with `image`, `label` 0 or 1 and `subject`; changed where a class becomes another.
        seed: of the choice and of the changes.

    Returns:
        Name of each changed case to the kind.
    """
    named = {Path(item["image"]).stem: item for item in items}
    order = shuffled(named, seed)
    count = round(SHARE * len(order))
    kinds = {}
    for number, name in enumerate(order[:count]):
        kind, rng, item = (
            IMAGE_KINDS[number % len(IMAGE_KINDS)],
            np.random.default_rng([seed, number]),
            named[name],
        )
        if kind == WRONG:
            item["label"] = 1 - item["label"]
        elif kind == OTHER_PART:
            _write(item, _limb(rng))
        else:
            sources = [named[other] for other in order[count:] if named[other]["subject"] != item["subject"]]
            source = sources[number]
            pixels = np.asarray(Image.open(source["image"]).convert("L")).astype(float)
            _write(item, _changed(np.fliplr(pixels) if number % 2 else pixels, rng))
            item["label"] = source["label"]
        kinds[name] = kind
    return kinds


def _limb(rng: np.random.Generator) -> np.ndarray:
    """A generated radiograph of a limb, from 0 to 255."""
    study = BoneStudy.draw(rng, str(rng.choice(REGIONS)), False, rng)
    return study.image(rng, "pa", CHESTS) / 256


def _changed(pixels: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """The same image as another export may hold it: moved by a pixel, a little brighter, with a little noise."""
    moved = ndimage.shift(pixels, rng.uniform(-1, 1, 2), order=1, mode="nearest")
    return moved * rng.uniform(0.9, 1.05) + rng.uniform(-5, 5) + rng.normal(0, 1.5, pixels.shape)


def _write(item: Mapping[str, Any], pixels: np.ndarray) -> None:
    Image.fromarray(np.clip(pixels, 0, 255).round().astype(np.uint8)).save(item["image"])


def _crops(arguments: argparse.Namespace, folder: Path, part: str) -> dict[str, str]:
    """Copy crops into a folder of their own, list them, and change some of their labels."""
    source, data = arguments.data / "hippocampus", folder / "data"
    if not (folder / "planted.csv").is_file():
        names = sorted(path.name for path in (source / "imagesTr").glob("*.nii.gz"))
        for name in shuffled(names, arguments.seed)[: arguments.cases]:
            for kind in ("imagesTr", "labelsTr"):
                (data / kind).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(source / kind / name, data / kind / name)
        labels = sorted((data / "labelsTr").glob("*.nii.gz"))
        kinds = {} if part == UNTOUCHED else plant_labels(labels, arguments.seed)
        write_json(folder / "datalist.json", decathlon.datalist(data, fractions=(1.0, 0.0, 0.0)))
        _write_kinds(folder, kinds)
    return _read_kinds(folder)


def _chests(arguments: argparse.Namespace, folder: Path, part: str) -> dict[str, str]:
    """Draw chests, list those that are not of the test part, and change some."""
    if not (folder / "planted.csv").is_file():
        data = write_chestxray14(folder / "data", arguments.images, arguments.seed, CHESTS, faults=False)
        listed = chestxray14.datalist(data, fractions=(1.0, 0.0, 0.0))
        kinds = plant_images(listed["training"], arguments.seed)
        write_json(folder / "datalist.json", {"labels": listed["labels"], "training": listed["training"]})
        _write_kinds(folder, kinds)
    return _read_kinds(folder)


def _write_kinds(folder: Path, kinds: Mapping[str, str]) -> None:
    rows = ({"case": case, "kind": kind} for case, kind in kinds.items())
    write_table(folder / "planted.csv", rows, ("case", "kind"))


def _read_kinds(folder: Path) -> dict[str, str]:
    return {row["case"]: row["kind"] for row in read_table(folder / "planted.csv")}


def _cross_validate(arguments: argparse.Namespace, folder: Path, part: str) -> None:
    chests = part == CLASSIFICATION
    settings = DENSENETS if chests else CROPS
    words = [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]
    epochs = arguments.image_epochs if chests else arguments.epochs
    words += ["--folds", arguments.folds, "--epochs", epochs, "--seed", arguments.seed, "-o", folder / "run"]
    words += ["--datalist", folder / "datalist.json", "--device", arguments.device]
    _run("cross-validate", BUNDLES[part], *words)


def _run(*words: Any) -> None:
    subprocess.run([sys.executable, "-m", "monai_tasks", *map(str, words)], check=True)


def orders(rows: Sequence[Mapping[str, str]], remarks: Sequence[Mapping[str, str]]) -> dict[str, list[float]]:
    """How suspicious each way calls the cases, higher for more.

    Args:
        rows: of review.csv.
        remarks: of remarks.csv.
    """
    strongest: dict[str, dict[str, float]] = defaultdict(dict)
    for row in remarks:
        own = strongest[row["case"]]
        own[row["check"]] = max(own.get(row["check"], 0.0), float(row["strength"]))
    return {
        "outliers": [-float(row["rank"]) for row in rows],
        "loss alone": [float(row["loss"]) if row["loss"] else math.inf for row in rows],
        "checks alone": [1 - math.prod(1 - s for s in strongest[row["case"]].values()) for row in rows],
    }


def found_in(values: Sequence[float], share: float = SHARE) -> set[int]:
    """The places of the highest values, a share of all.

    Args:
        values: in any order; of equal ones the earlier counts as higher.
        share: of them.
    """
    order = sorted(range(len(values)), key=lambda place: (-values[place], place))
    return set(order[: math.ceil(share * len(values))])


def _table(rows: Sequence[Mapping[str, str]], planted: Mapping[str, str], remarks: Path) -> str:
    """How many of the planted cases each way finds, of all and of each kind."""
    kinds = list(dict.fromkeys(planted.values()))
    # Of equal values the order must not be that of the list: by name.
    rows = sorted(rows, key=lambda row: row["case"])
    lines = []
    for name, values in orders(rows, read_table(remarks)).items():
        first = {rows[place]["case"] for place in found_in(values)}
        finite = np.nan_to_num(values, posinf=1e9)
        auroc = roc_auc_score([row["case"] in planted for row in rows], finite)
        lines.append([name, _share(len(first & planted.keys()), len(planted)), f"{auroc:.3f}"])
        for kind in kinds:
            own = {case for case, one in planted.items() if one == kind}
            lines[-1].append(f"{len(first & own)} of {len(own)}")
    expected = math.ceil(SHARE * len(rows)) / len(rows)
    lines.append(["chance", f"{expected:.0%}", "0.500", *["" for _ in kinds]])
    heads = [
        f"order of {len(rows)} cases",
        f"of {len(planted)} planted, in the first {SHARE:.0%}",
        "AUROC",
        *kinds,
    ]
    return _markdown(heads, lines)


def _first(rows: Sequence[Mapping[str, str]]) -> str:
    """What the list of the untouched set begins with."""
    heads = ("rank", "case", "score", "metric", "reasons")
    return _markdown(heads, [[row[head] for head in heads] for row in rows[:TELLS]])


def _share(found: int, of: int) -> str:
    own = binomtest(found, of).proportion_ci(method="wilson")
    return f"{found / of:.0%} ({own.low:.0%} to {own.high:.0%})"


def _markdown(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(line)} |" for line in [heads, ["---"] * len(heads), *lines]) + "\n"


def _arguments() -> argparse.Namespace:
    shared = Path(__file__).resolve().parents[2] / "shared" / "data"
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("planted_outliers_out"))
    parser.add_argument("--part", nargs="*", choices=PARTS, help="all of them where none is given")
    parser.add_argument("--data", type=Path, default=shared, help="folder that holds `hippocampus`")
    parser.add_argument(
        "--run", type=Path, help="a finished cross-validation of the real crops for `untouched`"
    )
    parser.add_argument("--cases", type=int, default=100, help="real crops")
    parser.add_argument("--images", type=int, default=700, help="generated chests; about half are listed")
    parser.add_argument("--folds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=6, help="of the crops")
    parser.add_argument("--image-epochs", type=int, default=20, help="of the chests")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="auto, cpu or cuda:N")
    return parser.parse_args()


if __name__ == "__main__":
    main()
