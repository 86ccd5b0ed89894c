"""How far explanations of a trained network point at fractures that are known, on generated wrists.

For each image that shows its fracture, or each study with such an image, relevance and Grad-CAM are compared with the
box of the fracture, which goes through the bundle's own preprocessing, as an image of its own:

- times chance: the share of what is positive that lies in the box, divided by the box's share of the area. 1 is chance;
  over the image, and over the body, which asks more, as much of an image is background. Also with the box widened,
  as a fracture is seen at its edges, too, and, as a control, with the box of another patient over this body: what
  is above 1 there comes from pointing at where wrists break, not at this fracture. Medians.
- ranked: how often a pixel of the box has a higher value than one of the rest of the body. 0.5 is chance. Means.
- pointing: how often the highest value of the image lies in the widened box; chance is the box's share of the body.

Intervals are bootstrapped over patients.

    python benchmarks/relevance.py --weights model.pt --data FOLDER
    python benchmarks/relevance.py --bundle wrist_xray_fracture_study_classification --weights model.pt

Without a folder that `write_radiographs` wrote, one is generated with a seed that no training run here uses. Ways of
explaining are chosen on one set of studies and measured on another:

    python benchmarks/relevance.py --weights model.pt --data FOLDER --datalist FILE --part validation \\
        --late 0 0.25 0.5 1 --coarsest 24 48
"""

from __future__ import annotations

import argparse
import json
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
from monai_tasks.explain.grad_cam import GradientMap
from monai_tasks.explain.measure import points_at, ranked_higher, times_chance, widened
from monai_tasks.explain.picture import draw
from monai_tasks.explain.relevance import Relevance
from monai_tasks.inference.engine import IMAGE, Engine, resolve_device
from monai_tasks.inference.inputs import STUDIES
from monai_tasks.io.picture import write_png
from monai_tasks.io.radiograph import read_radiograph
from monai_tasks.io.tables import read_table
from monai_tasks.phantoms.radiograph_archive import TRUTH, write_radiographs
from monai_tasks.radiographs.foreground import body, reduced

BOX = ("rows0", "rows1", "cols0", "cols1")
WHITE = 65535
FACTORS = ("image", "body", "body, box widened", "body, another's box")
FIGURES = (*FACTORS, "ranked", "pointing", "its chance")
CHANCE = dict.fromkeys(FACTORS, 1.0) | {"ranked": 0.5}
NEAR = 1 / 64  # of the longer side: how far a box is widened
Explain = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Case:
    """A preprocessed image or study with the box of its fracture and the body, all of one shape."""

    name: str
    patient: str
    view: str
    image: torch.Tensor
    region: np.ndarray
    body: np.ndarray


def read_cases(
    folder: Path, by_study: bool, prepare: Compose, limit: int | None, patients: set[str] | None = None
) -> list[Case]:
    """The broken cases of a data set that show the fracture, in its order; those of some patients, where given."""
    patient_of = {row["image"]: row["patient"] for row in read_table(folder / "metadata.csv")}
    groups: dict[str, list[dict[str, str]]] = {}
    for row in read_table(folder / TRUTH):
        patient = patient_of[row["image"]]
        if patients is None or patient in patients:
            name = str(Path(row["image"]).parent) if by_study else row["image"]
            groups.setdefault(name, []).append({**row, "patient": patient})
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
        "" if by_study else rows[0]["view"],
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
    """The values of `FIGURES` of one explanation; NaN where there is none."""
    near = widened(case.region, NEAR * max(case.region.shape))
    there = (case.region & case.body).any()
    elsewhere = other is not None and (other.region & case.body).any()
    return [
        times_chance(explanation, case.region),
        times_chance(explanation, case.region, case.body) if there else np.nan,
        times_chance(explanation, near, case.body) if there else np.nan,
        times_chance(explanation, other.region, case.body) if elsewhere else np.nan,
        ranked_higher(explanation, case.region, case.body) if there else np.nan,
        float(points_at(explanation, near)) if there else np.nan,
        (near & case.body).sum() / case.body.sum() if there else np.nan,
    ]


def other_patient(case: Case, cases: Sequence[Case]) -> Case | None:
    """The first case of another patient with as many views."""
    others = (other for other in cases if other.patient != case.patient)
    return next((other for other in others if other.region.shape == case.region.shape), None)


def print_rows(title: str, values: np.ndarray, patients: np.ndarray) -> None:
    """Each figure with its interval, and how many cases are above chance."""
    print(title)
    for figure, column in zip(FIGURES, values.T, strict=True):
        known = np.isfinite(column)
        if not known.any():
            print(f"  {figure:<22}{0:>6}")
            continue
        statistic = np.median if figure in FACTORS else np.mean
        low, high = interval(column[known], patients[known], statistic)
        above = f"{(column[known] > CHANCE[figure]).mean():>11.0%}" if figure in CHANCE else ""
        spread = f"{low:.2f} to {high:.2f}"
        print(f"  {figure:<22}{known.sum():>6}{statistic(column[known]):>9.2f}{spread:>18}{above}")
    print(flush=True)


def interval(
    values: np.ndarray, patients: np.ndarray, statistic: Callable[[np.ndarray], float]
) -> tuple[float, float]:
    """The 95 % interval by the percentile bootstrap over patients, whose images go together."""
    names, subjects = np.unique(patients, return_inverse=True)
    resampled = [
        statistic(np.repeat(values, counts[subjects].astype(int)))
        for batch in draws(len(names), len(values))
        for counts in batch
    ]
    low, high, _ = percentile_interval(np.array(resampled))
    return low, high


def measure(
    name: str,
    explain: Explain,
    cases: Sequence[Case],
    called: np.ndarray,
    pictures: Path | None,
    shown: int,
) -> None:
    """Print how one explainer does on all cases, on those called broken and on each view; draw the first cases."""
    values, seconds = [], []
    for number, case in enumerate(cases):
        begun = time.perf_counter()
        explanation = explain(case.image).numpy()
        seconds.append(time.perf_counter() - begun)
        values.append(figures(explanation, case, other_patient(case, [*cases[number:], *cases[:number]])))
        if pictures is not None and number < shown:
            file = f"{case.name.replace('/', '_').removesuffix('.png')}_{name.replace(' ', '_')}.png"
            caption = f"{case.name}: {name}, {values[-1][1]:.1f} x chance over the body"
            draw(framed(case), explanation, pictures / file, caption)
    table, patients = np.array(values), np.array([case.patient for case in cases])
    print_rows(f"{name}, {statistics.median(seconds):.2f} s a case", table, patients)
    views = np.array([case.view for case in cases])
    groups = {"called broken": called} | {view: views == view for view in np.unique(views) if view}
    for group, members in groups.items():
        if members.any():
            print_rows(f"{name}, {group}", table[members], patients[members])


def framed(case: Case) -> np.ndarray:
    """The image with the edge of the box in white."""
    edge = widened(case.region, 1) & ~case.region
    return np.where(edge, np.float32(1), case.image.numpy())


def explainers(
    network: torch.nn.Module, late: Sequence[float], coarsest: Sequence[float]
) -> dict[str, Explain]:
    """The explainers that `infer` has, or the variants that are asked for, by name."""
    chosen: dict[str, Explain] = {f"relevance, late {share:g}": Relevance(network, share) for share in late}
    chosen |= {f"gradcam, coarsest {pixels:g}": GradientMap(network, pixels) for pixels in coarsest}
    return chosen or {name: explainer(name, network) for name in NAMES}


def called_broken(engine: Engine, cases: Sequence[Case]) -> np.ndarray:
    """Which cases the network calls broken at its operating point (N,)."""
    with torch.inference_mode():
        logits = torch.cat([engine.network(case.image[None].to(engine.device)).cpu() for case in cases])
    return logits.softmax(1)[:, CLASSES.index("broken")].numpy() >= engine.operating_point.threshold


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bundle", default="wrist_xray_fracture_classification", help="its name or folder")
    parser.add_argument("--weights", type=Path, help="the bundle's own if not given")
    parser.add_argument("--configs", nargs="*", default=[], help="configs of the bundle, merged in order")
    parser.add_argument("--data", type=Path, help="a folder that write_radiographs wrote, with truth.csv")
    parser.add_argument("--studies", type=int, default=150, help="generated where no folder is given")
    parser.add_argument("--seed", type=int, default=90210, help="of these")
    parser.add_argument("--datalist", type=Path, help="take only patients of a part of this datalist")
    parser.add_argument("--part", default="validation", help="of the datalist")
    parser.add_argument("--limit", type=int, help="cases at most")
    parser.add_argument("--late", type=float, nargs="*", default=[], help="variants of relevance")
    parser.add_argument("--coarsest", type=float, nargs="*", default=[], help="variants of Grad-CAM")
    parser.add_argument("--pictures", type=Path, help="a folder to draw the first cases to")
    parser.add_argument("--shown", type=int, default=8, help="how many cases are drawn")
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    torch.set_num_threads(1)

    bundle = open_bundle(options.bundle)
    weights = options.weights or bundle.root / "models" / "model.pt"
    engine = Engine(bundle, weights, resolve_device(options.device), options.configs)
    by_study = engine.inputs == STUDIES
    patients = None
    if options.datalist is not None:
        patients = {item["subject"] for item in json.loads(options.datalist.read_text())[options.part]}
    with tempfile.TemporaryDirectory() as generated:
        data = options.data or write_radiographs(generated, options.studies, options.seed)
        cases = read_cases(data, by_study, engine.chains.preprocessing, options.limit, patients)
    if not cases:
        raise SystemExit(f"{data}: no case shows a fracture; expected some, see --studies")
    called = called_broken(engine, cases)
    print(f"{bundle.name}: {len(cases)} cases that show their fracture, {called.mean():.0%} called broken")
    share = statistics.median((case.region & case.body).sum() / case.body.sum() for case in cases)
    print(f"a box takes {share:.1%} of the body (median), so that no median is much above {1 / share:.0f}")
    print(f"it is widened by {NEAR * max(cases[0].region.shape):.0f} pixels\n")
    print(f"{'':<24}{'cases':>6}{'value':>9}{'95 % interval':>18}{'above chance':>14}")
    for name, explain in explainers(engine.network, options.late, options.coarsest).items():
        measure(name, explain, cases, called, options.pictures, options.shown)


if __name__ == "__main__":
    main()
