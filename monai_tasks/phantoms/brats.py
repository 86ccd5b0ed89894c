"""Write generated brain tumours as a tree of BraTS 2018, with what is odd in the published one."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np

from monai_tasks.datasets.brats import FOLDER, GRADES
from monai_tasks.io.files import atomic_path
from monai_tasks.phantoms import brain_tumour

SIZE = (88, 104, 80)  # voxels, 2 mm each; the published grid has 240 x 240 x 155 of 1 mm


def write_brats(
    folder: str | Path,
    cases: int,
    seed: int = 0,
    size: tuple[int, int, int] = SIZE,
    faults: bool = True,
) -> Path:
    """Write MICCAI_BraTS_2018_Data_Training/HGG/CASE/CASE_t1.nii.gz and so on.

    Every fourth case is of low grade, and no tumour of these enhances but every third one; of high grade, all but
    every eighth do. A case depends on the seed and its number alone: more cases change none.

    Args:
        folder: to write to; made if missing.
        cases: number of cases.
        seed: another seed gives other cases.
        size: of the grid in voxels; it always spans the whole brain.
        faults: whether every ninth case, from the fifth on, lacks its T2.

    Returns:
        The folder.
    """
    folder = Path(folder)
    for number in range(1, cases + 1):
        low_grade = number % 4 == 0
        enhancing = number % 12 == 0 if low_grade else number % 8 != 3
        rng = np.random.default_rng([seed, number])
        images, parts, affine = brain_tumour.head(rng, size, enhancing, low_grade)
        case = f"Brats18_PHANTOM_{number:03d}_1"
        place = folder / FOLDER / GRADES[low_grade] / case
        for name, image in {**images, "seg": parts}.items():
            if faults and name == "t2" and number % 9 == 5:
                continue
            with atomic_path(place / f"{case}_{name}.nii.gz") as temporary:
                nibabel.save(nibabel.Nifti1Image(image, affine), temporary)
    return folder
