"""How far explanations of a trained network point at fractures that are known, on generated wrists.

For each image that shows its fracture, or each study with such an image, relevance and Grad-CAM are taken, and the
share of what is positive that lies in the box of the fracture is divided by the box's share of the area: 1 is chance.
The box goes through the bundle's own preprocessing, as an image of its own. Three figures stand beside each other:
chance over the image; chance over the body, which asks more, as much of an image is background; and, as a control, the
same explanation in the box of another patient. What is above 1 there comes from pointing at wrists, not at fractures.
Intervals are bootstrapped over patients.

    python benchmarks/relevance.py --weights model.pt --data FOLDER
    python benchmarks/relevance.py --bundle wrist_xray_fracture_study_classification --weights model.pt

Without a folder that `write_radiographs` wrote, one is generated with a seed that no training run here uses.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from monai.transforms import Compose

from monai_tasks.catalog import open_bundle
from monai_tasks.datasets.radiographs import CLASSES
from monai_tasks.evaluation.subject_bootstrap import draws, percentile_interval
from monai_tasks.explain.explainers import NAMES, explainer
from monai_tasks.explain.measure import times_chance
from monai_tasks.explain.picture import draw
from monai_tasks.inference.engine import IMAGE, Engine, resolve_device
from monai_tasks.inference.inputs import STUDIES
from monai_tasks.io.radiograph import read_radiograph, write_png
from monai_tasks.io.tables import read_table
from monai_tasks.phantoms.radiograph_archive import TRUTH, write_radiographs
from monai_tasks.radiographs.foreground import body, reduced

BOX = ("rows0", "rows1", "cols0", "cols1")
WHITE = 65535
FIGURES = ("image", "body", "another patient's box")


@dataclass
class Case:
    """A preprocessed image or study with the region of its fracture and the body, all of one shape."""

    name: str
    patient: str
    image: torch.Tensor
    region: np.ndarray
    body: np.ndarray


def read_cases(folder: Path, by_study: bool, prepare: Compose, limit: int | None) -> list[Case]:
    """The broken cases of a data set that show the fracture, in its order."""
    patients = {row["image"]: row["patient"] for row in read_table(folder / "metadata.csv")}
    groups: dict[str, list[dict[str, str]]] = {}
    for row in read_table(folder / TRUTH):
        name = str(Path(row["image"]).parent) if by_study else row["image"]
        groups.setdefault(name, []).append({**row, "patient": patients[row["image"]]})
    shown = [(name, rows) for name, rows in groups.items() if any(row["rows0"] for row in rows)][:limit]
    with tempfile.TemporaryDirectory() as scratch:
        return [read_case(name, folder, rows, by_study, prepare, Path(scratch)) for name, rows in shown]


def read_case(
    name: str, folder: Path, rows: Sequence[dict[str, str]], by_study: bool, prepare: Compose, scratch: Path
) -> Case:
    """One case, whose box is written as an image and prepared as one."""
    images, boxes = [], []
    for number, row in enumerate(rows):
        images.append(folder / row["image"])
        boxes.append(scratch / f"{number}.png")
        box = np.zeros(read_radiograph(images[-1]).pixels.shape, np.uint16)
        box[0, 0] = 1  # far below half of white: an image of one value is refused
        if row["rows0"]:
            first_row, last_row, first_column, last_column = (int(row[column]) for column in BOX)
            box[first_row:last_row, first_column:last_column] = WHITE
        write_png(boxes[-1], box)
    image, box = (
        prepare({IMAGE: [str(path) for path in paths] if by_study else str(paths[0])})[IMAGE].as_tensor()
        for paths in (images, boxes)
    )
    return Case(
        name,
        rows[0]["patient"],
        image,
        box.numpy() > 0.5,
        np.stack([on_body(view) for view in image.numpy()]),
    )


def on_body(view: np.ndarray) -> np.ndarray:
    """The body in an image (H, W) or (1, H, W); the last rows and columns that fill no block are off it."""
    pixels = view.reshape(view.shape[-2:])
    small, edge = reduced(pixels)
    mask = np.kron(body(small), np.ones((edge, edge), bool))
    rest = [(0, side - filled) for side, filled in zip(pixels.shape, mask.shape, strict=True)]
    return np.pad(mask, rest).reshape(view.shape)


def figures(explanation: np.ndarray, case: Case, other: Case | None) -> list[float]:
    """The values of `FIGURES` of one explanation."""
    seen = case.region & case.body
    return [
        times_chance(explanation, case.region),
        times_chance(explanation, case.region, case.body) if seen.any() else float("nan"),
        times_chance(explanation, other.region) if other else float("nan"),
    ]


def other_patient(case: Case, cases: Sequence[Case]) -> Case | None:
    """The first case of another patient with as many views."""
    others = (other for other in cases if other.patient != case.patient)
    return next((other for other in others if other.region.shape == case.region.shape), None)


def print_rows(name: str, values: np.ndarray, patients: np.ndarray, seconds: Sequence[float]) -> None:
    """Median with its interval, and how many cases are above chance."""
    for figure, column in zip(FIGURES, values.T, strict=True):
        known = np.isfinite(column)
        if not known.any():
            print(f"{name:<11}{figure:<23}{0:>6}")
            continue
        low, high = interval_of_median(column[known], patients[known])
        middle, above = np.median(column[known]), (column[known] > 1).mean()
        interval = f"{low:.2f} to {high:.2f}"
        print(f"{name:<11}{figure:<23}{known.sum():>6}{middle:>9.2f}{interval:>18}{above:>11.0%}")
    print(f"{'':<11}{statistics.median(seconds):.2f} s a case\n")


def interval_of_median(values: np.ndarray, patients: np.ndarray) -> tuple[float, float]:
    """The 95 % interval of a median by the percentile bootstrap over patients, whose images go together."""
    names, subjects = np.unique(patients, return_inverse=True)
    resampled = [
        np.median(np.repeat(values, counts[subjects].astype(int)))
        for batch in draws(len(names), len(values))
        for counts in batch
    ]
    low, high, _ = percentile_interval(np.array(resampled))
    return low, high


def measure(name: str, engine: Engine, cases: Sequence[Case], pictures: Path | None, shown: int) -> None:
    """Print how one explainer does, and draw the first cases."""
    explain: Callable[[torch.Tensor], torch.Tensor] = explainer(name, engine.network)
    values, seconds = [], []
    for number, case in enumerate(cases):
        begun = time.perf_counter()
        explanation = explain(case.image).numpy()
        seconds.append(time.perf_counter() - begun)
        values.append(figures(explanation, case, other_patient(case, [*cases[number:], *cases[:number]])))
        if pictures is not None and number < shown:
            file = f"{case.name.replace('/', '_').removesuffix('.png')}_{name}.png"
            draw(
                case.image, explanation, pictures / file, f"{case.name}: {name}, {values[-1][0]:.1f} x chance"
            )
    print_rows(name, np.array(values), np.array([case.patient for case in cases]), seconds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="wrist_xray_fracture_classification", help="its name or folder")
    parser.add_argument("--weights", type=Path, help="the bundle's own if not given")
    parser.add_argument("--configs", nargs="*", default=[], help="configs of the bundle, merged in order")
    parser.add_argument("--data", type=Path, help="a folder that write_radiographs wrote, with truth.csv")
    parser.add_argument("--studies", type=int, default=150, help="generated where no folder is given")
    parser.add_argument("--seed", type=int, default=90210, help="of these")
    parser.add_argument("--limit", type=int, help="cases at most")
    parser.add_argument("--pictures", type=Path, help="a folder to draw the first cases to")
    parser.add_argument("--shown", type=int, default=8, help="how many cases are drawn")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)

    bundle = open_bundle(options.bundle)
    weights = options.weights or bundle.root / "models" / "model.pt"
    engine = Engine(bundle, weights, resolve_device(options.device), options.configs)
    by_study = engine.inputs == STUDIES
    with tempfile.TemporaryDirectory() as generated:
        data = options.data or write_radiographs(generated, options.studies, options.seed)
        cases = read_cases(data, by_study, engine.chains.preprocessing, options.limit)
    if not cases:
        raise SystemExit(f"{data}: no case shows a fracture; expected some, see --studies")
    with torch.inference_mode():
        logits = torch.cat([engine.network(case.image[None].to(engine.device)).cpu() for case in cases])
    found = (logits.argmax(1) == CLASSES.index("broken")).float().mean()
    print(f"{bundle.name}: {len(cases)} cases that show their fracture, {found:.0%} predicted broken")
    share = statistics.median(case.region.mean() for case in cases)
    print(f"a box takes {share:.1%} of the area (median), so that no median is much above {1 / share:.0f}\n")
    print(f"{'':<11}{'chance over':<23}{'cases':>6}{'median':>9}{'95 % interval':>18}{'above 1':>11}")
    for name in NAMES:
        measure(name, engine, cases, options.pictures, options.shown)


if __name__ == "__main__":
    main()
