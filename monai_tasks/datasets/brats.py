"""The tree of BraTS 2018: brain tumours in four modalities, with maps of their parts [Menze2015] [Bakas2017].

    MICCAI_BraTS_2018_Data_Training/
      HGG/CASE/CASE_t1.nii.gz     of high grade; beside it CASE_t1ce, CASE_t2, CASE_flair and CASE_seg
      LGG/CASE/...                of low grade

The map has 1 necrotic and non-enhancing core, 2 oedema and 4 enhancing tumour; there is no 3. The tumour core is 1
and 4. Each case is of a person of its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from monai_tasks.datasets import grids, splits
from monai_tasks.io.errors import InputError

FOLDER = "MICCAI_BraTS_2018_Data_Training"
MODALITIES = ("t1", "t1ce", "t2", "flair")
GRADES = ("HGG", "LGG")
LABELS = {"0": "background", "1": "necrotic and non-enhancing core", "2": "oedema", "4": "enhancing tumour"}
SUFFIXES = (".nii.gz", ".nii")


def datalist(
    source: str | Path,
    seed: int = 0,
    folds: int | None = None,
    fractions: Sequence[float] = splits.FRACTIONS,
    modalities: Sequence[str] = ("t1", "t2"),
    with_lgg: bool = False,
) -> dict:
    """List the cases that have the modalities asked for and a map on one grid, split by case.

    A case is rejected, with the reason, if one of these files is missing, damaged at its beginning or on another
    grid.

    Args:
        source: the folder that holds HGG and LGG, or the one that holds MICCAI_BraTS_2018_Data_Training.
        seed: of the split.
        folds: number of folds of the training part, or None for no folds.
        fractions: shares of training, validation and test.
        modalities: of `MODALITIES`, in the order of the channels.
        with_lgg: True to list cases of low grade, too; both grades are spread alike over all parts then.

    Returns:
        Datalist with absolute paths; `image` is a list of the modalities' files, `label` the map with the values of
        `LABELS`, `subject` the case and `grade` HGG or LGG. See `splits.assemble`.

    Raises:
        ValueError: if a modality is unknown or there twice, or there is none.
        InputError: if no case can be used.
    """
    if not modalities or len(set(modalities)) < len(modalities) or not set(modalities) <= set(MODALITIES):
        raise ValueError(
            f"modalities {tuple(modalities)}; expected some of {', '.join(MODALITIES)}, each once"
        )
    source = Path(source).resolve()
    root = source / FOLDER if (source / FOLDER).is_dir() else source
    items, rejected = [], []
    for grade in GRADES if with_lgg else GRADES[:1]:
        for folder in _cases(root / grade):
            files = [_file(folder, name) for name in (*modalities, "seg")]
            reason = _problem(folder.name, files)
            if reason:
                rejected.append({"subject": folder.name, "reason": reason})
                continue
            *images, label = map(str, files)
            items.append({"image": images, "label": label, "subject": folder.name, "grade": grade})
    if not items:
        raise InputError(root, splits.nothing_usable(rejected), "HGG/CASE/CASE_t1.nii.gz and CASE_seg.nii.gz")
    result = splits.assemble(
        "BraTS 2018", LABELS, items, rejected, seed=seed, folds=folds, fractions=fractions, stratify="grade"
    )
    return {**result, "modalities": list(modalities)}


def _cases(folder: Path) -> list[Path]:
    """The folders of the cases of one grade; dot-folders are passed over."""
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def _file(folder: Path, name: str) -> Path:
    """The file of a modality or of the map, compressed or not, which need not exist."""
    paths = [folder / f"{folder.name}_{name}{suffix}" for suffix in SUFFIXES]
    return next((path for path in paths if path.is_file()), paths[0])


def _problem(case: str, files: Sequence[Path]) -> str | None:
    """Why a case cannot be used, or None where it can."""
    missing = [path.name for path in files if not path.is_file()]
    if missing:
        return f"no file {' and no file '.join(missing)}"
    differences = (grids.difference(files[0], path) for path in files[1:])
    return next((difference for difference in differences if difference), None)
