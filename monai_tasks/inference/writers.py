"""What becomes of a prediction, by the kind of the bundle."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import nibabel as nib
import numpy as np
import torch

from monai_tasks.catalog import Bundle, BundleError
from monai_tasks.inference.classification_writer import ClassificationWriter
from monai_tasks.inference.grade_writer import GradeWriter
from monai_tasks.inference.uncertainty import DISAGREEMENT, ENTROPY
from monai_tasks.inference.writer import Writer
from monai_tasks.io.files import atomic_path
from monai_tasks.report.page import Link, Section, Table
from monai_tasks.report.preview import grey, overlay

if TYPE_CHECKING:
    from monai_tasks.inference.engine import Engine

MEASURE = "volume_ml_"
# Bands of the entropy from `EDGES` on, by the values that have blue, yellow and red in a picture.
EDGES = (0.25, 0.5, 0.75)
BANDS = {2: "entropy from 0.25", 4: "from 0.5", 6: "from 0.75"}


class GridError(ValueError):
    """A label map that does not lie on the grid of its image."""


@dataclass(frozen=True)
class Source:
    """What is kept of an input while its case is under way.

    Args:
        shape: (X, Y, Z) of the file.
        affine: (4, 4), voxel indices to RAS+ millimetres.
        picture: (X, Y, Z) uint8 for the preview, or None without one.
    """

    shape: tuple[int, ...]
    affine: np.ndarray
    picture: np.ndarray | None


class SegmentationWriter(Writer):
    """Writes label maps on the grid of the input, their pictures, and measures the volumes.

    Args:
        output: the output folder.
        labels: value to name of each label.
        preview: whether to draw pictures.
    """

    suffix = ".nii.gz"
    unsure_by = DISAGREEMENT  # the overlap of several label maps foretells their error [Roy2019]

    def __init__(self, output: Path, labels: Mapping[int, str], preview: bool = True) -> None:
        super().__init__(output, preview)
        self._labels = dict(labels)

    @classmethod
    def of(cls, engine: Engine, output: Path, preview: bool) -> SegmentationWriter:
        return cls(output, engine.labels, preview)

    @property
    def labels(self) -> dict[int, str]:
        return self._labels

    @property
    def measures(self) -> list[str]:
        return [f"{MEASURE}{name}" for name in self.labels.values()]

    def why_unsure(self, row: Mapping[str, str]) -> str:
        if row[ENTROPY] == "":
            return "no opinion has found a label"
        apart = float(row[DISAGREEMENT])
        if apart == 0:
            return f"the voxels of the labels have an entropy of {float(row[ENTROPY]):.2f} on average"
        return f"the label maps of two opinions overlap by {1 - apart:.2f} on average (Dice)"

    def source(self, image: torch.Tensor) -> Source:
        """Keep the grid of a loaded image, and a small copy to draw.

        Args:
            image: a MetaTensor as it was loaded, (X, Y, Z) or (C, X, Y, Z).
        """
        array = image.numpy()
        array = array[0] if array.ndim == 4 else array
        affine = np.array(image.meta["original_affine"], dtype=np.float64)
        return Source(array.shape, affine, grey(array) if self.preview else None)

    def write(
        self, case: str, pred: torch.Tensor, source: Source, explanation: np.ndarray | None = None
    ) -> dict[str, float]:
        """Write the label map, and the preview before it: a label map that is there is complete.

        Args:
            case: name of the case.
            pred: a MetaTensor (1, X, Y, Z) of label values.
            source: what `source` kept.
            explanation: not used; label maps are not explained.

        Returns:
            Each measure: volumes in ml.

        Raises:
            GridError: if the label map is not on the grid of the input, or holds an unknown value.
        """
        labels = self._checked(pred, source)
        if source.picture is None:
            self.picture(case).unlink(missing_ok=True)
        else:
            overlay(source.picture, labels, self.labels, self.picture(case), affine=source.affine)
        save_volume(self.prediction(case), labels, source.affine)
        millilitres = abs(np.linalg.det(source.affine[:3, :3])) / 1000
        counts = (np.count_nonzero(labels == value) for value in self.labels)
        return {
            name: round(count * millilitres, 6) for name, count in zip(self.measures, counts, strict=True)
        }

    def write_uncertainty(self, case: str, values: torch.Tensor | None, source: Source) -> None:
        """Write the map, (1, X, Y, Z) from 0 to 1, as float32, and a picture of its bands.

        Raises:
            GridError: if it is not on the grid of the input.
        """
        super().write_uncertainty(case, None, source)
        if values is None:
            return
        # Weights of an interpolation may miss a sum of 1 by rounding.
        array = self._on_grid(values, source).float().clamp(0, 1).cpu().numpy()
        if source.picture is not None:
            bands = np.array([0, *BANDS], dtype=np.uint8)[np.digitize(array, EDGES)]
            overlay(source.picture, bands, BANDS, self.uncertainty_picture(case), affine=source.affine)
        save_volume(self.uncertainty(case), array, source.affine)

    def sections(self, rows: Sequence[Mapping[str, str]]) -> list[Section]:
        headings = {name: f"{name.removeprefix(MEASURE)} (ml)" for name in self.measures}
        shown = [
            {
                "case": Link(row["case"], self.prediction(row["case"]).relative_to(self.output)),
                "status": row["status"],
                "seconds": float(row["seconds"]),
                **{name: float(row[name]) for name in headings if row[name] != ""},
            }
            for row in rows
        ]
        columns = {"case": "Case", "status": "Status", **headings, "seconds": "Seconds"}
        formats = {"seconds": ".2f", **dict.fromkeys(headings, ".3f")}
        note = "Each name leads to the label map; all columns are in results.csv."
        return [Table(shown, columns, formats, title="Volumes", note=note)]

    def _on_grid(self, values: torch.Tensor, source: Source) -> torch.Tensor:
        if tuple(values.shape) != (1, *source.shape):
            raise GridError(f"a label map of shape {tuple(values.shape)}; expected {(1, *source.shape)}")
        if not np.allclose(np.asarray(values.affine.cpu()), source.affine, rtol=0, atol=1e-3):
            raise GridError("a label map with another affine than the image; expected the same")
        return values[0]

    def _checked(self, pred: torch.Tensor, source: Source) -> np.ndarray:
        labels = self._on_grid(pred, source).cpu().numpy().astype(np.uint8)
        highest = int(labels.max(initial=0))
        if highest > max(self.labels, default=0):
            raise GridError(f"a label map with value {highest}; expected the labels {list(self.labels)}")
        return labels


def save_volume(path: Path, values: np.ndarray, affine: np.ndarray) -> None:
    """Write a NIfTI label map, or another map.

    Args:
        path: the file, `.nii.gz`.
        values: (X, Y, Z), in the type of the file.
        affine: (4, 4), voxel indices to RAS+ millimetres; programs that read the qform find the same there.
    """
    image = nib.Nifti1Image(values, affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    if not np.allclose(image.get_qform(), affine, rtol=0, atol=1e-3):
        # A quaternion cannot express shear; then only the sform is valid, and the code says so.
        image.set_qform(None, code="unknown")
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        nib.save(image, temporary)


# One entry for each last word of a bundle's name.
WRITERS: dict[str, type[Writer]] = {
    "segmentation": SegmentationWriter,
    "classification": ClassificationWriter,
}


def writer_class(bundle: Bundle) -> type[Writer]:
    """The class that writes what a bundle predicts.

    Raises:
        BundleError: if there is none for its kind.
    """
    if bundle.kind not in WRITERS:
        kinds = " or ".join(WRITERS)
        raise BundleError(
            f"{bundle.name}: a bundle of kind {bundle.kind!r}; expected a name that ends in {kinds}"
        )
    return WRITERS[bundle.kind]


def make_writer(bundle: Bundle, engine: Engine, output: Path, preview: bool) -> Writer:
    """The writer of a run.

    Args:
        bundle: whose kind decides; of a classification the order of the classes, too.
        engine: what predicts.
        output: the output folder.
        preview: whether to draw pictures.

    Raises:
        BundleError: if there is none for the kind of the bundle.
    """
    chosen = writer_class(bundle)
    return (GradeWriter if engine.grades is not None else chosen).of(engine, output, preview)
