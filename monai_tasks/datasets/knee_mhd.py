"""Coronal knee images with maps of femur, tibia and fibula, in one folder a source or named by a CSV manifest.

In a folder, the maps lie beside their image. CASE stands for the image's name without its suffix:

- `SOURCE/epi/CASE.mhd`: the image, of the source `epi`;
- `CASE_femur.mhd`, `CASE_tibia.mhd` and `CASE_fibula.mhd`: one map a bone; or
- `CASE_maps.mhd`: all three in one file, as channels in this order, or as one label map with the values 1 to 3 in
  this order. `map`, `bones`, `seg` and `label` may stand for `maps`.

The files may lie in further folders, such as one a patient, `SOURCE/epi/P1/CASE.mhd`. Maps in another folder of the
source than their image are found where it is the only image of their name and no map is there twice.

A hyphen may stand for the underscore, upper case for lower, and any volume format for MetaImage. A map of one bone,
or a channel, is inside where it is above 0.

A manifest has the columns `image`, `femur`, `tibia` and `fibula`, or `maps` in place of the three, and may have
`subject` and `source`; paths are relative to its folder.

The networks go through coronal slices: sagittal and axial images are reported and left out, as is all that does
not fit together.
"""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from monai_tasks.datasets import grids, splits
from monai_tasks.datasets.cases import walk
from monai_tasks.io.errors import InputError
from monai_tasks.io.formats import volume_suffix
from monai_tasks.io.tables import read_table
from monai_tasks.io.volume_reader import VolumeReader
from monai_tasks.transforms.plane import acquisition_plane

BONES = ("femur", "tibia", "fibula")
LABELS = {str(value): bone for value, bone in enumerate(BONES, start=1)}
MAPS = "maps"
NAME = re.compile(r"(?P<case>.+)[_-](?P<role>femur|tibia|fibula|maps?|bones|seg|label)", re.IGNORECASE)


@dataclass
class Knee:
    """What was found of one image.

    Args:
        name: shown where it is left out.
        subject: whose knee it is.
        source: where it comes from.
        images: its files; one where all is well.
        maps: files by bone, and under `maps` those with all bones; one each where all is well.
    """

    name: str
    subject: str
    source: str
    images: list[Path] = field(default_factory=list)
    maps: dict[str, list[Path]] = field(default_factory=lambda: defaultdict(list))


def datalist(
    source: str | Path,
    seed: int = 0,
    folds: int | None = None,
    fractions: Sequence[float] = splits.FRACTIONS,
) -> dict:
    """List the knees that are complete and fit together, split by subject and spread by source.

    Images in two folders are of two persons, `epi/knee_001` and `jopp/knee_001`, or `epi/P1/knee` and `epi/P2/knee`,
    unless a manifest names the subject. A knee is rejected, with the reason, if its image is not coronal, a map is
    missing or there twice, grids differ, a file is damaged or its voxels are refused by training, or all maps are
    empty.

    Args:
        source: folder of sources, or a CSV manifest.
        seed: of the split.
        folds: number of folds of the training part, or None for no folds.
        fractions: shares of training, validation and test.

    Returns:
        Datalist with absolute paths; `label` is [femur, tibia, fibula], or the file with all three. Items also have
        their `source`. See `splits.assemble`.

    Raises:
        InputError: if no knee can be used, or the manifest lacks a column or names a file that is not there.
    """
    # Not resolved: a link's own name is that of the image, not its target's.
    source = Path(os.path.abspath(source))
    knees = _listed(source) if source.is_file() else find_knees(source)
    items, rejected = [], []
    for knee in knees:
        label, reason = _choose(knee)
        if reason is not None:
            rejected.append({"subject": knee.name, "reason": reason})
            continue
        files = {"image": str(knee.images[0]), "label": label}
        items.append({**files, "subject": knee.subject, "source": knee.source})
    if not items:
        expected = (
            "SOURCE/epi/CASE.mhd beside CASE_femur.mhd, CASE_tibia.mhd and CASE_fibula.mhd, or CASE_maps.mhd"
        )
        raise InputError(source, splits.nothing_usable(rejected), expected)
    options = {"seed": seed, "folds": folds, "fractions": fractions, "stratify": "source"}
    return splits.assemble("Knee MRI", LABELS, items, rejected, **options)


def find_knees(folder: Path) -> list[Knee]:
    """Find images and maps below a folder and sort them by source and name.

    Args:
        folder: its folders are the sources; files that lie in it directly have the source ''.

    Returns:
        Knees by subject, which is the image's path below the folder. Maps that no image belongs to count as one, too.
    """
    found: dict[tuple[Path, str], Knee] = {}
    volumes = (path for _, paths in walk(folder) for path in paths if volume_suffix(path))
    for path in volumes:
        match = NAME.fullmatch(_stem(path))
        case = match["case"] if match else _stem(path)
        place = path.parent.relative_to(folder)
        source = place.parts[0] if place.parts else ""
        knee = found.setdefault((place, case.casefold()), Knee("", "", source))
        if match:
            knee.maps[_role(match["role"])].append(path)
        else:
            knee.images.append(path)
        # The image's own spelling of the name goes before that of its maps.
        if not match or not knee.name:
            knee.name = knee.subject = (place / case).as_posix()
    return sorted(_joined(found), key=lambda knee: knee.subject)


def _joined(found: Mapping[tuple[Path, str], Knee]) -> list[Knee]:
    """Give maps that lie in other folders to the only image of their name, where each is then there once."""
    named = defaultdict(list)
    for (_, case), knee in found.items():
        named[knee.source, case].append(knee)
    joined = []
    for knees in named.values():
        images = [knee for knee in knees if knee.images]
        given = [role for knee in knees for role in knee.maps]
        bones = [bone for role in given for bone in (BONES if role == MAPS else [role])]
        if len(images) == 1 and len(bones) == len(set(bones)):
            for knee in knees:
                images[0].maps.update(knee.maps)
            knees = images
        joined.extend(knees)
    return joined


def _listed(manifest: Path) -> list[Knee]:
    """The knees of a manifest, in its order."""
    rows = [
        {column.strip().lower(): text.strip() for column, text in row.items()} for row in read_table(manifest)
    ]
    _check_columns(manifest, rows)
    knees: list[Knee] = []
    unnamed: dict[str, Knee] = {}
    for number, row in enumerate(rows, start=1):
        if not row["image"]:
            raise InputError(manifest, f"row {number} names no image", "a path in the column image")
        image = _file(manifest, number, "image", row["image"])
        source = row.get("source", "")
        name = f"{source}/{_stem(image)}" if source else _stem(image)
        knee = Knee(row["image"], row.get("subject") or name, source)
        if not row.get("subject"):
            knee = unnamed.setdefault(name.casefold(), knee)
        if not knee.images:
            knees.append(knee)
        knee.images.append(image)
        for role in (*BONES, MAPS):
            if row.get(role):
                knee.maps[role].append(_file(manifest, number, role, row[role]))
    return knees


def _check_columns(manifest: Path, rows: Sequence[Mapping[str, str]]) -> None:
    expected = "the columns image, femur, tibia, fibula (or maps in place of the three), subject, source"
    if not rows:
        raise InputError(manifest, "no rows", expected)
    bones = () if MAPS in rows[0] else BONES
    missing = [column for column in ("image", *bones) if column not in rows[0]]
    if missing:
        raise InputError(manifest, f"no column {' and no column '.join(missing)}", expected)


def _file(manifest: Path, number: int, column: str, text: str) -> Path:
    path = Path(os.path.abspath(manifest.parent / text))
    if not path.is_file():
        raise InputError(
            manifest, f"row {number}, {column}: no such file {text}", "paths from the manifest's folder"
        )
    return path


def _choose(knee: Knee) -> tuple[str | list[str], str | None]:
    """The label of an item and None, or a reason why the knee cannot be used.

    Headers are looked at first; pixels are read last.
    """
    if len(knee.images) != 1:
        found = f"{len(knee.images)} images of this name: {_names(knee.images)}" if knee.images else ""
        return [], found or "no image of this name beside its maps"
    image = knee.images[0]
    reason = _not_coronal(image) or _incomplete(knee.maps)
    if reason:
        return [], reason
    merged = knee.maps[MAPS]
    maps = merged or [knee.maps[bone][0] for bone in BONES]
    channels = (1, len(BONES)) if merged else (1,)
    differences = (grids.difference(image, path, channels) for path in maps)
    reason = next(filter(None, differences), None) or _unusable(image, maps, bool(merged))
    return str(maps[0]) if merged else [str(path) for path in maps], reason


def _not_coronal(image: Path) -> str | None:
    try:
        header = grids.header_of(image)
    except ValueError as error:
        return str(error)
    plane = acquisition_plane(header.affine)
    if plane in (None, "coronal"):
        return None
    spacing = np.linalg.norm(header.affine[:3, :3], axis=0)
    return f"a {plane} image (slices {spacing.max():.3g} mm apart); expected a coronal one"


def _incomplete(maps: Mapping[str, Sequence[Path]]) -> str | None:
    """Say what is missing of the maps, or there too often."""
    given = {role: paths for role, paths in maps.items() if paths}
    if not given:
        return "no maps"
    for role, paths in given.items():
        if len(paths) > 1:
            return f"{len(paths)} files for {role}: {_names(paths)}"
    if MAPS in given:
        bones = [path for role, paths in given.items() if role != MAPS for path in paths]
        several = f"{_names(given[MAPS])} and {_names(bones)}; which are meant cannot be known"
        return several if bones else None
    missing = [bone for bone in BONES if bone not in given]
    return f"no map of the {' and no map of the '.join(missing)}" if missing else None


def _unusable(image: Path, maps: Sequence[Path], merged: bool) -> str | None:
    """Read all files to their ends, as training does, which ends with the first that it refuses."""
    filled = False
    for path in (image, *maps):
        # A map of one bone may be empty, an image may not.
        reader = VolumeReader(allow_constant=path is not image, allow_channels=path is not image)
        try:
            array, _ = reader.get_data(reader.read(path))
        except InputError as error:
            return f"{grids.short_name(path)}: {error.reason}"
        filled |= path is not image and bool((array > 0).any())
        if merged and path is not image and array.ndim == 3:
            foreign = np.unique(array[~np.isin(array, [0, *map(int, LABELS)])])
            if foreign.size:
                found = ", ".join(f"{value:g}" for value in foreign[:5]) + (
                    ", ..." if foreign.size > 5 else ""
                )
                return f"{grids.short_name(path)}: label values {found}; expected only 0, {', '.join(LABELS)}"
    return None if filled else f"empty maps: {_names(maps)}"


def _role(word: str) -> str:
    """The bone, or `maps` for all words of a file with all bones."""
    return word.lower() if word.lower() in BONES else MAPS


def _stem(path: Path) -> str:
    return path.name[: len(path.name) - len(volume_suffix(path))]


def _names(paths: Iterable[Path]) -> str:
    return ", ".join(grids.short_name(path) for path in paths)
