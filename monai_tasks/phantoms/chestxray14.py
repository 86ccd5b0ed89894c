"""Write generated chests as ChestX-ray14 is laid out, with what is odd in the published one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from monai_tasks.datasets.chestxray14 import FINDING, LISTS, NOTHING, TABLES
from monai_tasks.io.files import write_text
from monai_tasks.phantoms.chest import Chest, chest
from monai_tasks.phantoms.chest_findings import FINDINGS
from monai_tasks.phantoms.picture import write_picture

# The published table has commas within the names of its last columns, and one at the end of each line.
HEADER = (
    "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
    "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
)
NOTHING_SHARE = 0.45
A_FOLDER = 50  # images


def write_chestxray14(
    folder: str | Path,
    images: int,
    seed: int = 0,
    size: tuple[int, int] = (256, 256),
    pneumothorax_share: float = 0.3,
    faults: bool = True,
) -> Path:
    """Write Data_Entry_2017.csv, the two lists and images_001/images/00000001_000.png and so on.

    Of five images two and two are of one patient; every fourth patient is in test_list.txt. Beside pneumothorax there
    may be another finding, and on a part of the others something else is found. Every eleventh image is stored with
    colours. An image depends on the seed and its number alone: more images change none.

    Args:
        folder: to write to; made if missing.
        images: number of images.
        seed: another seed gives other images.
        size: rows and columns.
        pneumothorax_share: share of images with pneumothorax, below 0.55; nothing is found on 45 per cent.
        faults: whether every seventeenth image, from the ninth on, is in the tables only.

    Returns:
        The folder.
    """
    folder = Path(folder)
    rows, lists = [HEADER], {name: [] for name in LISTS}
    for number in range(1, images + 1):
        patient, follow_up = _patient(number)
        name = f"{patient:08d}_{follow_up:03d}.png"
        findings = _findings(seed, number, pneumothorax_share)
        person = Chest.draw(np.random.default_rng([seed, patient, 1]))
        image = chest(np.random.default_rng([seed, number, 2]), size, findings, person)
        row = _row(seed, patient, follow_up, image.view, size)
        rows.append(f"{name},{'|'.join(findings) or NOTHING},{row}")
        lists[LISTS[patient % 4 == 0]].append(name)
        if not faults or number % 17 != 9:
            place = folder / f"images_{(number - 1) // A_FOLDER + 1:03d}" / "images" / name
            write_picture(place, image.pixels, "RGBA" if number % 11 == 4 else "L")
    write_text(folder / TABLES[0], "\n".join(rows) + "\n")
    for name, names in lists.items():
        # As published, without an end of the last line.
        write_text(folder / name, "\n".join(names))
    return folder


def _patient(number: int) -> tuple[int, int]:
    """The patient of an image, and which image of theirs it is: of five images the patients are 1 2 2 3 3."""
    block, place = divmod(number - 1, 5)
    return 3 * block + 1 + (place + 1) // 2, int(place in (2, 4))


def _findings(seed: int, number: int, share: float) -> tuple[str, ...]:
    """What is found on an image, in the order of the alphabet."""
    rng = np.random.default_rng([seed, number, 3])
    # Steps of the golden ratio: even in a few images the shares are about right.
    draw = (number * 0.6180339887 + np.random.default_rng(seed).random()) % 1
    others = [finding for finding in FINDINGS if finding != FINDING]
    chosen = rng.choice(others, 2, replace=False).tolist()
    if draw < share:
        second = [str(rng.choice(["Effusion", "Emphysema", "Infiltration"]))] if rng.random() < 0.3 else []
        return tuple(sorted([FINDING, *second]))
    if draw < share + NOTHING_SHARE:
        return ()
    return tuple(sorted(chosen[: 1 + (rng.random() < 0.3)]))


def _row(seed: int, patient: int, follow_up: int, view: str, size: tuple[int, int]) -> str:
    """The columns of the table after the findings; age and sex are made up."""
    rng = np.random.default_rng([seed, patient, 4])
    age, sex = rng.integers(18, 90) + follow_up, rng.choice(["M", "F"])
    return f"{follow_up},{patient},{age:03d}Y,{sex},{view},{size[1]},{size[0]},0.143,0.143,"
