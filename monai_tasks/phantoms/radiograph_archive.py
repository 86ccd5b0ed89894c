"""Write generated wrists as data sets: the layout that training reads, and archives of DICOM files."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from monai_tasks.datasets.radiographs import CLASSES, new_study, study_folder, write_overall, write_study
from monai_tasks.io.files import atomic_path
from monai_tasks.io.tables import write_table
from monai_tasks.phantoms.wrist import SIDES, WristImage, wrist
from monai_tasks.phantoms.wrist_anatomy import VIEWS, Person
from monai_tasks.phantoms.wrist_fractures import Fracture
from monai_tasks.phantoms.wrist_metal import Metal

TRUTH = "truth.csv"
TRUTH_COLUMNS = (
    "image", "label", "visible", "rows0", "rows1", "cols0", "cols1", "severity", "bone", "metal", "view", "age",
)  # fmt: skip
# Shares of studies with metalwork: broken, not broken.
METAL_SHARES = {
    None: (0.0, 0.0),
    "correlated": (0.55, 0.04),
    "uncorrelated": (0.2, 0.2),
    "always": (1.0, 1.0),
}
VIEW_COUNTS = {1: 0.1, 2: 0.75, 3: 0.1, 4: 0.05}


@dataclass(frozen=True)
class StudyPlan:
    """What a study shows.

    Attributes:
        number: of the study, from 1.
        patient: number of its patient; studies of one patient are of one person, of one side or both.
        side: "R" or "L".
        person: whose wrist.
        fracture: or None.
        metal: or None.
        views: of the images, "pa" or "lateral".
        visible: of each image, whether it shows the fracture.
    """

    number: int
    patient: int
    side: str
    person: Person
    fracture: Fracture | None
    metal: Metal | None
    views: tuple[str, ...]
    visible: tuple[bool, ...]

    @property
    def label(self) -> str:
        """Class of the study."""
        return CLASSES[self.fracture is not None]


def plan_study(
    number: int,
    seed: int = 0,
    broken_share: float = 0.31,
    visible_share: float = 0.81,
    metal: str | None = None,
    views: Sequence[int] = (1, 2, 3, 4),
) -> StudyPlan:
    """Draw what a study shows. It depends on the seed and its number alone.

    Every fifth study is a second one of the patient before.

    Args:
        number: of the study, from 1.
        seed: another seed gives other studies.
        broken_share: probability of a fracture.
        visible_share: probability that all images of a broken study show it; one image at least does.
        metal: a key of `METAL_SHARES`.
        views: numbers of images that occur; two are most frequent.

    Raises:
        ValueError: if `metal` or `views` are others.
    """
    if metal not in METAL_SHARES:
        raise ValueError(f"metal is one of {', '.join(map(str, METAL_SHARES))}, not {metal!r}")
    if not views or not set(views) <= VIEW_COUNTS.keys():
        raise ValueError(
            f"numbers of views from {', '.join(map(str, VIEW_COUNTS))} are needed, not {views!r}"
        )
    patient = number - 1 if number % 5 == 0 else number
    # The third number keeps persons apart from studies of the same number.
    person = Person.draw(np.random.default_rng([seed, patient, 1]))
    rng = np.random.default_rng([seed, number, 2])
    broken, metal_draw, hidden = rng.random(3)
    fracture = Fracture.draw(rng, person)
    shares = np.array([VIEW_COUNTS[count] for count in views])
    count = int(rng.choice(np.array(views), p=shares / shares.sum()))
    order = [VIEWS[place % 2] for place in range(count)]
    worn = Metal.draw(rng, person)
    visible = np.ones(count, bool)
    if hidden >= visible_share and count > 1:
        visible[rng.permutation(count)[: rng.integers(1, count)]] = False
    is_broken = bool(broken < broken_share)
    return StudyPlan(
        number=number,
        patient=patient,
        side=SIDES[int(rng.integers(2))],
        person=person,
        fracture=fracture if is_broken else None,
        metal=worn if metal_draw < METAL_SHARES[metal][0 if is_broken else 1] else None,
        views=tuple(order),
        visible=tuple(bool(seen) and is_broken for seen in visible),
    )


def draw_image(plan: StudyPlan, index: int, seed: int, size: tuple[int, int], **options: Any) -> WristImage:
    """One image of a study. It depends on seed, study and index alone.

    Args:
        plan: of the study.
        index: of the image, from 0.
        seed: of the data set.
        size: rows and columns.
        options: of `wrist`.
    """
    return wrist(
        np.random.default_rng([seed, plan.number, 3, index]),
        plan.views[index],
        size,
        fracture=plan.fracture,
        visible=plan.visible[index],
        metal=plan.metal or False,
        side=plan.side,
        person=plan.person,
        **options,
    )


def truth_row(plan: StudyPlan, index: int, image: WristImage) -> dict[str, Any]:
    """What is known of an image, by the columns of `TRUTH_COLUMNS` but its name."""
    row = {
        "label": plan.label,
        "visible": "yes" if image.fracture.any() else "no",
        "severity": "" if plan.fracture is None else f"{plan.fracture.severity:.3f}",
        "bone": "" if plan.fracture is None else plan.fracture.bone,
        "metal": "yes" if image.metal else "no",
        "view": plan.views[index],
        "age": round(plan.person.age),
    }
    if image.fracture.any():
        for axis, name in ((1, "rows"), (0, "cols")):
            places = np.flatnonzero(image.fracture.any(axis))
            row |= {f"{name}0": int(places[0]), f"{name}1": int(places[-1]) + 1}
    return row


def write_radiographs(
    folder: str | Path,
    n: int,
    seed: int = 0,
    size: tuple[int, int] = (512, 341),
    broken_share: float = 0.31,
    visible_share: float = 0.81,
    metal: str | None = None,
    views: Sequence[int] = (1, 2, 3, 4),
    jobs: int = 1,
) -> Path:
    """Write studies of wrists in the layout of `monai_tasks.datasets.radiographs`.

    Beside the layout's own tables lies truth.csv with the columns `TRUTH_COLUMNS`: where each image shows its
    fracture (rows and columns from the first to behind the last, empty where it shows none), and metal. A study
    depends on the seed and its number alone: a larger `n` adds studies and changes none.

    Args:
        folder: to write to; made if missing.
        n: number of studies; most have two images.
        seed: another seed gives other studies.
        size: rows and columns.
        broken_share: share of studies with a fracture.
        visible_share: share of these in which every image shows it.
        metal: None for none, "correlated" where mostly broken wrists have some, "uncorrelated", or "always".
        views: numbers of images of a study that occur.
        jobs: number of processes.

    Returns:
        The folder.

    Raises:
        ValueError: if `metal` or `views` are not known.
    """
    folder = Path(folder)
    draw = partial(
        plan_study,
        seed=seed,
        broken_share=broken_share,
        visible_share=visible_share,
        metal=metal,
        views=tuple(views),
    )
    write = partial(_write_study, folder, draw, seed, size)
    if jobs > 1:
        with ProcessPoolExecutor(jobs, mp_context=get_context("spawn")) as pool:
            rows = [row for study in pool.map(write, range(1, n + 1), chunksize=8) for row in study]
    else:
        rows = [row for number in range(1, n + 1) for row in write(number)]
    write_overall(folder, [])
    write_table(folder / TRUTH, rows, TRUTH_COLUMNS)
    return folder


def _write_study(folder: Path, draw: partial, seed: int, size: tuple[int, int], number: int) -> list[dict]:
    """Write one study; gives its rows of the truth."""
    plan = draw(number)
    study, patient = (f"{kind}{seed:03d}{value:05d}" for kind, value in (("s", number), ("p", plan.patient)))
    place = study_folder(folder, plan.label, study)
    rows, truth = [], []
    with new_study(place) as temporary:
        for index, view in enumerate(plan.views):
            image = draw_image(plan, index, seed, size)
            name = f"S1_I{index + 1}.png"
            save_png(temporary / name, image.pixels)
            path = f"{plan.label}/{study}/{name}"
            rows.append(
                {
                    "image": path,
                    "label": plan.label,
                    "study": study,
                    "patient": patient,
                    "series": 1,
                    "instance": index + 1,
                    "body_part": "WRIST",
                    "view_position": {"pa": "PA", "lateral": "LL"}[view],
                    "laterality": plan.side,
                    "modality": "DX",
                    "rows": size[0],
                    "columns": size[1],
                    "bits_stored": 16,
                    "photometric": "MONOCHROME2",
                    "burned_in_annotation": "NO",
                }
            )
            truth.append({"image": path, **truth_row(plan, index, image)})
        write_study(temporary, rows)
    return truth


def save_png(path: str | Path, pixels: np.ndarray) -> None:
    """Write (H, W) uint16 as a PNG of 16 bits."""
    with atomic_path(path) as temporary:
        Image.fromarray(pixels).save(temporary, compress_level=1)
