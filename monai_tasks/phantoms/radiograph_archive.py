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
from pydicom.dataset import FileDataset
from pydicom.uid import (
    BasicTextSRStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
)

from monai_tasks.datasets.radiographs import new_study, study_folder, write_overall, write_study
from monai_tasks.io.files import atomic_path
from monai_tasks.io.picture import write_png
from monai_tasks.io.tables import write_table
from monai_tasks.phantoms.radiograph_dicom import (
    CLASSES,
    Storage,
    add_body_part,
    add_pixels,
    body_part_text,
    header,
    study_identifier,
)
from monai_tasks.phantoms.radiograph_scenes import PARTS, other_part, two_arms
from monai_tasks.phantoms.radiograph_studies import (
    TRUTH_COLUMNS,
    StudyPlan,
    draw_image,
    plan_study,
    truth_row,
)

TRUTH = "truth.csv"
ARCHIVE = "archive"
LABELS = "labels.csv"
FAULTS = ("secondary_capture", "report", "truncated", "text", "other_modality")
FILE_COLUMNS = (
    "file", "kind", "study", "patient", "labelled", "body_part", "body_part_damaged", "instance", "frames", "parts",
    "inverted", "rotation_degrees", "photometric", "bits_stored", "shades", "transfer_syntax", *TRUTH_COLUMNS[1:],
)  # fmt: skip
_FOLDERS = ("DICOM", "export 2", "Röntgen/alt", "a/b/c", "0001F3", ".", "NO.NAME")
_NAMES = (
    "IM{:06d}",
    "image {:d}.dcm",
    "I{:d}.DCM",
    "{:08X}",
    "bild-{:d}.ima",
    "1.2.840.{:d}",
    "Aufnahme_ä{:d}.dcm",
)


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


def write_archive(
    folder: str | Path,
    studies: int,
    seed: int = 0,
    size: tuple[int, int] = (512, 341),
    other_share: float = 0.15,
    faults: bool = True,
    outlier: int = 0,
    **plan: Any,
) -> Path:
    """Write studies as DICOM files in mixed folders, as a hospital's export may look.

        FOLDER/archive/...    the files, to be imported
        FOLDER/labels.csv     study (StudyInstanceUID), label; some studies are missing, two labels have no study
        FOLDER/truth.csv      what each file is, by `FILE_COLUMNS`

    Window or LUT, colour scheme, bits and compression differ from file to file; so do names, which tell nothing.
    Personal fields hold `radiograph_dicom.LEAK`. A tenth of the wrists is shown with dark bone, a quarter turned,
    some images hold both arms, some files two frames.

    Args:
        folder: to write to; made if missing.
        studies: number of studies of the wrist.
        seed: another seed gives other studies.
        size: rows and columns of an image with upright fingers.
        other_share: number of studies of other body parts for each of the wrist.
        faults: whether there are files that are no radiographs or are damaged, and labels that fit no study.
        outlier: number of images of one more study, none for 0.
        plan: options of `plan_study`.

    Returns:
        The folder.
    """
    writer = _Archive(Path(folder), seed, size)
    labels = []
    for number in range(1, studies + 1):
        study = plan_study(number, seed, **plan)
        labelled = not (faults and number % 9 == 4)
        if labelled:
            labels.append({"study": study_identifier(seed, number), "label": study.label})
        writer.add_wrist(study, labelled)
    kinds = list(PARTS)
    for place in range(round(other_share * studies)):
        number = studies + 1 + place
        writer.add_other(number, kinds[place % len(kinds)])
        labels.append({"study": study_identifier(seed, number), "label": "not_broken"})
    if faults:
        number = studies + 10_000
        for place, kind in enumerate(FAULTS):
            writer.add_fault(number + place, kind)
            labels.append({"study": study_identifier(seed, number + place), "label": "not_broken"})
        for place in range(2):
            labels.append({"study": study_identifier(seed, number + 100 + place), "label": "broken"})
    if outlier:
        number = studies + 20_000
        writer.add_outlier(number, outlier)
        labels.append({"study": study_identifier(seed, number), "label": "broken"})
    write_table(writer.folder / LABELS, labels, ("study", "label"))
    write_table(writer.folder / TRUTH, writer.truth, FILE_COLUMNS)
    return writer.folder


@dataclass(frozen=True)
class _Numbers:
    """What a file's identifiers are made of."""

    seed: int
    patient: int
    study: int
    series: int = 1
    instance: int = 1


class _Archive:
    """Writes the files of an archive and remembers what they are.

    Args:
        folder: holds archive and tables.
        seed: of the archive.
        size: rows and columns.
    """

    def __init__(self, folder: Path, seed: int, size: tuple[int, int]) -> None:
        self.folder = folder
        self.truth: list[dict[str, Any]] = []
        self._seed = seed
        self._size = size

    def add_wrist(self, plan: StudyPlan, labelled: bool) -> None:
        """Write the images of a study, some of them in a series of their own."""
        rng = np.random.default_rng([self._seed, plan.number, 4])
        text, damaged = body_part_text(rng, "wrist")
        row = {
            "kind": "wrist",
            "labelled": _yes(labelled),
            "body_part": text,
            "body_part_damaged": _yes(damaged),
        }
        series = int(rng.integers(2))
        both, frames = rng.random() < 0.08 and plan.views[0] == "pa", 2 if rng.random() < 0.06 else 1
        for index, view in enumerate(plan.views):
            numbers = _Numbers(self._seed, plan.patient, plan.number, 1 + series * index, index + 1)
            inverted, rotation = bool(rng.random() < 0.1), _rotation(rng)
            size = self._size[::-1] if rotation in (90, 270) else self._size
            shown = draw_image(plan, index, self._seed, size, rotation_degrees=rotation, inverted=inverted)
            pixels, known = shown.pixels, truth_row(plan, index, shown)
            turned = {"parts": 1, "inverted": _yes(inverted), "rotation_degrees": round(rotation, 2)}
            if both and index == 0:
                fractures = (plan.fracture if plan.visible[0] else None, None)
                arms = two_arms(
                    rng, (size[0], 2 * size[0]), bool(rng.integers(2)), plan.person, fractures, inverted
                )
                pixels = arms.pixels
                known = truth_row(plan, index, arms.arms[0])
                turned |= {"parts": 2, "rotation_degrees": 0}
            if frames > 1:
                pixels = np.stack([pixels, pixels[:, ::-1]])
            self._add_image(numbers, pixels, text, view, {**row, **known, **turned, "frames": frames})

    def add_other(self, number: int, part: str) -> None:
        """Write a study of another part of the body."""
        rng = np.random.default_rng([self._seed, number, 5])
        text, damaged = body_part_text(rng, part)
        row = {"kind": part, "labelled": "yes", "body_part": text, "body_part_damaged": _yes(damaged)}
        pixels = other_part(rng, part, (self._size[0], self._size[0]))
        self._add_image(_Numbers(self._seed, number, number), pixels, text, "pa", {**row, "frames": 1})

    def add_outlier(self, number: int, images: int) -> None:
        """Write a study with an implausible number of images, all of them small and alike."""
        rng = np.random.default_rng([self._seed, number, 6])
        plan = plan_study(number, self._seed, broken_share=1.0, views=(1,))
        shown = draw_image(plan, 0, self._seed, (128, 86))
        row = {"kind": "outlier", "labelled": "yes", "body_part": "WRIST", "frames": 1}
        for instance in range(1, images + 1):
            noise = rng.integers(0, 256, shown.pixels.shape, dtype=np.uint16)
            numbers = _Numbers(self._seed, number, number, 1, instance)
            self._add_image(
                numbers, shown.pixels // 2 + noise, "WRIST", "pa", {**row, **truth_row(plan, 0, shown)}
            )

    def add_fault(self, number: int, kind: str) -> None:
        """Write a file that is not to be used."""
        rng = np.random.default_rng([self._seed, number, 7])
        numbers = _Numbers(self._seed, number, number)
        row = {"kind": kind, "labelled": "yes", "body_part": "WRIST"}
        if kind == "text":
            self._save(numbers, b"This is no image.\n", row)
            return
        if kind == "report":
            dataset = self._header(numbers, "SR", BasicTextSRStorage, "WRIST")
            self._save(numbers, dataset, row)
            return
        classes = {
            "secondary_capture": ("OT", SecondaryCaptureImageStorage),
            "other_modality": ("MR", MRImageStorage),
        }
        modality, sop_class = classes.get(kind, ("DX", CLASSES["DX"]))
        dataset = self._header(numbers, modality, sop_class, "WRIST")
        pixels = rng.integers(0, 65536, (96, 64), dtype=np.uint16)
        add_pixels(dataset, pixels, Storage(12, "MONOCHROME2", "none", ExplicitVRLittleEndian, modality))
        self._save(numbers, dataset, {**row, "frames": 1}, share=0.6 if kind == "truncated" else 1.0)

    def _header(self, numbers: _Numbers, modality: str, sop_class: str, text: str) -> FileDataset:
        dataset = header(vars(numbers), modality, sop_class)
        add_body_part(dataset, text)
        return dataset

    def _add_image(
        self, numbers: _Numbers, pixels: np.ndarray, text: str, view: str, row: dict[str, Any]
    ) -> None:
        """Write one image; how it is stored is drawn for it."""
        storage = Storage.draw(np.random.default_rng([self._seed, numbers.study, 8, numbers.instance]))
        dataset = self._header(numbers, storage.modality, CLASSES[storage.modality], text)
        dataset.ViewPosition = {"pa": "PA", "lateral": "LL"}[view]
        dataset.ImagerPixelSpacing = [0.15, 0.15]
        dataset.BurnedInAnnotation = "NO"
        add_pixels(dataset, pixels, storage)
        stored = {
            "photometric": storage.photometric,
            "bits_stored": storage.bits,
            "shades": storage.shades,
            "transfer_syntax": storage.syntax,
        }
        self._save(numbers, dataset, {**row, **stored})

    def _save(
        self, numbers: _Numbers, content: FileDataset | bytes, row: dict[str, Any], share: float = 1.0
    ) -> None:
        """Write a file under a name that tells nothing, and its row of the truth; `share` is how much of it."""
        count = len(self.truth)
        rng = np.random.default_rng([self._seed, count, 9])
        name = str(rng.choice(_NAMES)).format(count + 1)
        path = self.folder / ARCHIVE / str(rng.choice(_FOLDERS)) / name
        with atomic_path(path) as temporary:
            if isinstance(content, bytes):
                temporary.write_bytes(content)
            else:
                content.save_as(temporary, enforce_file_format=True)
            if share < 1:
                temporary.write_bytes(temporary.read_bytes()[: int(share * temporary.stat().st_size)])
        self.truth.append(
            {
                "file": path.relative_to(self.folder / ARCHIVE).as_posix(),
                "study": study_identifier(self._seed, numbers.study),
                "patient": numbers.patient,
                "instance": numbers.instance,
                **row,
            }
        )


def _rotation(rng: np.random.Generator) -> float:
    """Degrees by which the limb is turned in an image: mostly a few, sometimes quarters, sometimes any."""
    style = rng.random()
    if style < 0.75:
        return float(rng.normal(0, 4))
    return float(rng.choice([90, 180, 270])) if style < 0.9 else float(rng.uniform(-60, 60))


def _yes(value: bool) -> str:
    return "yes" if value else "no"
