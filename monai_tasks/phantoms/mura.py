"""Write generated radiographs of the upper limb as MURA is laid out, with what is odd in the published one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from monai_tasks.datasets.mura import FOLDER, IMAGES, PUBLISHED, REGIONS, STUDIES
from monai_tasks.io.files import write_text
from monai_tasks.phantoms.bone_studies import BoneStudy
from monai_tasks.phantoms.picture import write_picture
from monai_tasks.phantoms.wrist_anatomy import VIEWS

FIRST_VALID = 11185  # number of the first patient of the published part `valid`
COUNTS = {1: 0.15, 2: 0.4, 3: 0.35, 4: 0.1}  # images of a study


def write_mura(
    folder: str | Path,
    studies: int,
    seed: int = 0,
    size: tuple[int, int] = (320, 256),
    regions: Sequence[str] = REGIONS,
    faults: bool = True,
) -> Path:
    """Write MURA-v1.1/train/XR_WRIST/patient00001/study1_positive/image1.png and so on, and the four tables.

    Of every five studies the last is a second one of the patient before, mostly of another region. Every fifth
    patient is in the part `valid`. About half of the studies are abnormal. Every third image is stored with three
    equal colours. A study depends on the seed, its number and `regions` alone: more studies change none.

    Args:
        folder: to write to; made if missing.
        studies: number of studies.
        seed: another seed gives other studies.
        size: rows and columns of an upright image; the two change places where a limb lies across.
        regions: some of `REGIONS`.
        faults: whether the first image of every thirteenth study, from the sixth on, is in the tables only, and a
            file that no program knows lies beside the images of some.

    Returns:
        The folder.

    Raises:
        ValueError: if a region is unknown, or there is none.
    """
    if not regions or not set(regions) <= set(REGIONS):
        raise ValueError(f"regions {tuple(regions)}; expected some of {', '.join(REGIONS)}")
    folder = Path(folder)
    images, labelled = ({part: [] for part in PUBLISHED} for _ in range(2))
    counted: dict[tuple[str, int], int] = {}
    for number in range(1, studies + 1):
        patient, second = number - number // 5, number % 5 == 0
        part = PUBLISHED[patient % 5 == 3]
        rng = np.random.default_rng([seed, number, 2])
        region = _region(seed, patient, second, regions)
        abnormal = _abnormal(seed, number)
        study = BoneStudy.draw(rng, region, abnormal, np.random.default_rng([seed, patient, 1]))
        counted[region, patient] = counted.get((region, patient), 0) + 1
        name = f"patient{patient + FIRST_VALID - 1 if part == 'valid' else patient:05d}"
        place = f"{FOLDER}/{part}/XR_{region.upper()}/{name}"
        place += f"/study{counted[region, patient]}_{'positive' if abnormal else 'negative'}/"
        labelled[part].append(f"{place},{int(abnormal)}")
        for index in range(int(rng.choice(list(COUNTS), p=list(COUNTS.values())))):
            path = f"{place}image{index + 1}.png"
            images[part].append(path)
            if faults and number % 13 == 6 and not index:
                continue
            pixels = study.image(np.random.default_rng([seed, number, 3, index]), VIEWS[index % 2], size)
            write_picture(folder / path, pixels, "RGB" if (number + index) % 3 == 0 else "L")
        if faults and number % 7 == 3:
            # As macOS leaves them; the published archive holds some.
            write_text(folder / place / "._image1.png", "no image")
    for part in PUBLISHED:
        for table, lines in ((IMAGES, images[part]), (STUDIES, labelled[part])):
            write_text(folder / FOLDER / table.format(part), "".join(f"{line}\n" for line in lines))
    return folder


def _region(seed: int, patient: int, second: bool, regions: Sequence[str]) -> str:
    """The region of a patient's first or second study; the regions take turns."""
    start = int(np.random.default_rng(seed).integers(len(regions)))
    again = second and np.random.default_rng([seed, patient, 4]).random() < 0.5
    return regions[(start + patient + again) % len(regions)]


def _abnormal(seed: int, number: int) -> bool:
    """Whether a study is abnormal: by steps of the golden ratio, so that of a few studies about half are."""
    return (number * 0.6180339887 + np.random.default_rng(seed).random()) % 1 < 0.5
