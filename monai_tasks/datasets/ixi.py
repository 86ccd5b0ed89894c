"""T1 and T2 images named as IXI names them, with FreeSurfer segmentations of the same subjects.

Files are found anywhere below the source folder:

- `IXI002-Guys-0828-T1.nii.gz` and `IXI002-Guys-0828-T2.nii.gz`: subject, site, scan number, sequence;
- `SUBJECT/mri/aseg.mgz` or `SUBJECT/mri/aseg.nii.gz`, where SUBJECT is the examination
  (`IXI002-Guys-0828`, with or without `-T1`) or, for a subject with one examination, the subject (`IXI002`).

T2 and segmentation must lie on the grid of T1. FreeSurfer puts its results on a grid of its own and IXI scans
T2 apart from T1: bring both onto T1 first, labels without interpolation. What does not fit is reported, never
resampled here.
"""

from __future__ import annotations

import re
import zlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import nibabel
import numpy as np

from monai_tasks.datasets import grids, splits
from monai_tasks.io.errors import InputError

LABELS = {"17": "left hippocampus", "53": "right hippocampus"}
IMAGE_NAME = re.compile(r"(?P<examination>(?P<subject>IXI\d+)-[^-]+-\d+)-(?P<sequence>T[12])\.nii(\.gz)?")
SEGMENTATIONS = ("aseg.mgz", "aseg.nii.gz")


@dataclass
class Examination:
    """What was found of one examination."""

    name: str
    subject: str
    images: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))
    segmentations: list[Path] = field(default_factory=list)


def datalist(
    source: str | Path,
    seed: int = 0,
    folds: int | None = None,
    fractions: Sequence[float] = splits.FRACTIONS,
) -> dict:
    """List the examinations that are complete and fit together, split by subject.

    An examination is rejected, with the reason, if T1, T2 or segmentation is missing or there several times,
    if grids differ, or if the segmentation lacks one hippocampus.

    Args:
        source: folder that holds images and FreeSurfer folders at any depth.
        seed: of the split.
        folds: number of folds of the training part, or None for no folds.
        fractions: shares of training, validation and test.

    Returns:
        Datalist with absolute paths; `image` is [T1, T2] and `label` the segmentation. See `splits.assemble`.

    Raises:
        InputError: if no examination can be used.
    """
    source = Path(source).resolve()
    items, rejected = [], []
    for examination in find_examinations(source):
        files, reason = _choose(examination)
        if reason is not None:
            rejected.append({"subject": examination.name, "reason": reason})
            continue
        t1, t2, label = map(str, files)
        items.append({"image": [t1, t2], "label": label, "subject": examination.subject})
    if not items:
        raise InputError(
            source,
            splits.nothing_usable(rejected),
            "IXI002-Guys-0828-T1.nii.gz, IXI002-Guys-0828-T2.nii.gz and IXI002/mri/aseg.mgz on one grid",
        )
    return splits.assemble("IXI", LABELS, items, rejected, seed=seed, folds=folds, fractions=fractions)


def find_examinations(source: Path) -> list[Examination]:
    """Find images and segmentations below a folder and sort them by examination.

    Args:
        source: folder to search.

    Returns:
        Examinations by name. A FreeSurfer folder that no image belongs to counts as one, too.
    """
    found: dict[str, Examination] = {}
    segmentations: dict[str, list[Path]] = defaultdict(list)
    for path in sorted(source.rglob("*")):
        match = IMAGE_NAME.fullmatch(path.name)
        if match:
            name = match["examination"]
            examination = found.setdefault(name, Examination(name, match["subject"]))
            examination.images[match["sequence"]].append(path)
        elif path.name in SEGMENTATIONS and path.parent.name == "mri":
            segmentations[path.parent.parent.name].append(path)
    examinations = list(found.values())
    for examination in examinations:
        owners = [examination.name, f"{examination.name}-T1"]
        if sum(other.subject == examination.subject for other in examinations) == 1:
            owners.append(examination.subject)
        for owner in owners:
            examination.segmentations += segmentations.get(owner, [])
    known = {name for examination in examinations for name in (examination.name, examination.subject)}
    for owner, paths in segmentations.items():
        if owner.removesuffix("-T1") not in known:
            found[owner] = Examination(owner, owner, segmentations=paths)
    return [found[name] for name in sorted(found)]


def _choose(examination: Examination) -> tuple[list[Path], str | None]:
    """The files [T1, T2, segmentation] and None, or a reason why they cannot be used.

    Headers are compared first; the pixels of the segmentation are read last.
    """
    chosen = []
    for sequence in ("T1", "T2"):
        files = examination.images[sequence]
        if len(files) != 1:
            found = f"{len(files)} files named" if files else "no file"
            return [], f"{sequence}: {found} {examination.name}-{sequence}.nii.gz"
        chosen += files
    difference = grids.difference(*chosen)
    if difference:
        return [], difference
    if not examination.segmentations:
        return [], f"no segmentation: no mri/{SEGMENTATIONS[0]} in a folder of this subject or examination"
    # FreeSurfer's own aseg.mgz often lies beside a copy on the grid of T1: the copy is the one to use.
    differences = {label: grids.difference(chosen[0], label) for label in examination.segmentations}
    fitting = [label for label, difference in differences.items() if difference is None]
    if len(fitting) != 1:
        several = f"{len(fitting)} segmentations on the grid of T1; which one is meant cannot be known"
        return [], several if fitting else next(iter(differences.values()))
    return [*chosen, *fitting], _missing_labels(fitting[0])


def _missing_labels(path: Path) -> str | None:
    try:
        values = np.asarray(nibabel.load(path).dataobj)
    except (OSError, EOFError, ValueError, zlib.error):
        return f"mri/{path.name}: unreadable, damaged or no image"
    missing = [f"{value} ({name})" for value, name in LABELS.items() if not (values == int(value)).any()]
    return f"mri/{path.name}: no label {' and no label '.join(missing)}" if missing else None
