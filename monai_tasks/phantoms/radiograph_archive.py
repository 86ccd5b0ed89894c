"""Write generated wrists as data sets: the layout that training reads, and archives of DICOM files."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from monai_tasks.datasets.radiographs import new_study, study_folder, write_overall, write_study
from monai_tasks.io.radiograph import write_png
from monai_tasks.io.tables import write_table
from monai_tasks.phantoms.radiograph_studies import TRUTH_COLUMNS, draw_image, plan_study, truth_row

TRUTH = "truth.csv"


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
            write_png(temporary / name, image.pixels)
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
