"""The tree of MURA, radiographs of the upper limb, as published [Rajpurkar2018].

    MURA-v1.1/
      train_image_paths.csv       a line an image: MURA-v1.1/train/XR_WRIST/patient00001/study1_positive/image1.png
      train_labeled_studies.csv   a line a study: MURA-v1.1/train/XR_WRIST/patient00001/study1_positive/,1
      valid_image_paths.csv       likewise
      valid_labeled_studies.csv
      train/XR_WRIST/patient00001/study1_positive/image1.png

The tables have no header lines and are the truth; other files in the tree are not used. The published part `valid`
is the test part, as the authors keep theirs to themselves.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from monai_tasks.datasets import splits
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table

FOLDER = "MURA-v1.1"
PUBLISHED = ("train", "valid")
CLASSES = ("normal", "abnormal")  # a label's number is its place here
REGIONS = ("elbow", "finger", "forearm", "hand", "humerus", "shoulder", "wrist")
IMAGES, STUDIES = "{}_image_paths.csv", "{}_labeled_studies.csv"
# What comes before the name of the published part is the name that the folder had.
STUDY = re.compile(
    r"(?P<part>train|valid)/XR_(?P<region>[A-Z]+)/(?P<patient>patient\d+)/(?P<study>study\d+_(positive|negative))"
)


def datalist(
    source: str | Path,
    seed: int = 0,
    folds: int | None = None,
    fractions: Sequence[float] = splits.FRACTIONS,
) -> dict:
    """List the images with the label of their study; the published training part is split by patient.

    Normal and abnormal studies of each region are spread alike over training and validation. An image is rejected,
    with the reason, if its file is missing or empty, or its study has no label, another label in its name than in
    the table, or an unknown region. A labelled study of which no image is listed is rejected, too.

    Args:
        source: the folder MURA-v1.1, whatever its name is, or the one that holds it.
        seed: of the split of the published training part.
        folds: number of folds of the training part, or None for no folds.
        fractions: shares of training, validation and test; only the ratio of the first two counts, as the test part
            is the published one.

    Returns:
        Datalist with absolute paths; `label` is 0 for normal and 1 for abnormal, `subject` the patient, `study` the
        study and `region` one of `REGIONS`. See `splits.assemble`.

    Raises:
        InputError: if a table is missing or is no such table, or no image of a published part can be used.
        ValueError: if a patient is in both published parts.
    """
    source = Path(source).resolve()
    root = source / FOLDER if (source / FOLDER).is_dir() else source
    parts: dict[str, list[dict]] = {}
    rejected: list[dict] = []
    for part in PUBLISHED:
        parts[part], unused = _published(root, part)
        rejected += unused
        if not parts[part]:
            raise InputError(
                root / part, splits.nothing_usable(unused), "XR_WRIST/patient00001/study1_positive"
            )
    return splits.assemble(
        "MURA",
        {str(number): name for number, name in enumerate(CLASSES)},
        parts["train"],
        rejected,
        seed=seed,
        folds=folds,
        fractions=fractions,
        stratify=("region", "label"),
        test=parts["valid"],
    )


def _published(root: Path, part: str) -> tuple[list[dict], list[dict]]:
    """The items of a published part, and what of it cannot be used."""
    labels = _labels(root / STUDIES.format(part))
    items, rejected, seen = [], [], set()
    for row in read_table(root / IMAGES.format(part), ["image"]):
        match = STUDY.search(row["image"])
        name = match[0] if match else row["image"]
        seen.add(name)
        item, reason = _item(root, row["image"], match, labels)
        if reason:
            rejected.append({"subject": match["patient"] if match else name, "reason": reason})
        else:
            items.append(item)
    for name in sorted(labels.keys() - seen):
        match = STUDY.search(name)
        rejected.append(
            {"subject": match["patient"] if match else name, "reason": f"no image listed of {name}"}
        )
    return items, rejected


def _labels(table: Path) -> dict[str, str]:
    """The label of each study, by its path from the name of the published part on."""
    labels = {}
    for number, row in enumerate(read_table(table, ["study", "label"]), start=1):
        if row["label"].strip() not in ("0", "1"):
            raise InputError(table, f"label {row['label']!r} in row {number}", "0 or 1")
        match = STUDY.search(row["study"])
        labels[match[0] if match else row["study"].rstrip("/")] = row["label"].strip()
    return labels


def _item(
    root: Path, image: str, match: re.Match[str] | None, labels: dict[str, str]
) -> tuple[dict[str, Any], str]:
    """The item of an image, and why it cannot be used; empty where it can."""
    if match is None:
        return {}, f"another path than train/XR_WRIST/patient00001/study1_positive: {image}"
    region, label = match["region"].lower(), labels.get(match[0])
    path = root / image[match.start() :]
    if region not in REGIONS:
        return {}, f"region {match['region']}; expected one of {', '.join(REGIONS).upper()}"
    if label is None:
        return {}, f"no label of the study {match[0]}"
    if (label == "1") != match["study"].endswith("positive"):
        return {}, f"label {label} of the study {match[0]}, which its name contradicts"
    if not path.is_file():
        return {}, f"no file {image[match.start() :]}"
    if not path.stat().st_size:
        return {}, f"an empty file {image[match.start() :]}"
    study = f"{match['patient']}_{region}_{match['study']}"
    return {
        "image": str(path),
        "label": int(label),
        "subject": match["patient"],
        "study": study,
        "region": region,
    }, ""
