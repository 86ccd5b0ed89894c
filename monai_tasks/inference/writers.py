"""What becomes of a prediction, by the kind of the bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import nibabel as nib
import numpy as np
import torch

from monai_tasks.catalog import Bundle, BundleError
from monai_tasks.io.files import atomic_path
from monai_tasks.report.preview import grey, overlay

PREDICTIONS, PREVIEWS = "predictions", "previews"
MEASURE = "volume_ml_"


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


class SegmentationWriter:
    """Writes label maps on the grid of the input, their pictures, and measures the volumes.

    Args:
        output: the output folder.
        labels: value to name of each label.
        preview: whether to draw pictures.
    """

    def __init__(self, output: Path, labels: Mapping[int, str], preview: bool = True) -> None:
        self.output = output
        self.labels = dict(labels)
        self.preview = preview

    @property
    def measures(self) -> list[str]:
        """The names of what `write` measures."""
        return [f"{MEASURE}{name}" for name in self.labels.values()]

    def prediction(self, case: str) -> Path:
        """Where the label map of a case is written."""
        return self.output / PREDICTIONS / f"{case}.nii.gz"

    def picture(self, case: str) -> Path:
        """Where the preview of a case is written."""
        return self.output / PREVIEWS / f"{case}.png"

    def discard(self, case: str) -> None:
        """Remove what an earlier run wrote for a case."""
        self.prediction(case).unlink(missing_ok=True)
        self.picture(case).unlink(missing_ok=True)

    def source(self, image: torch.Tensor) -> Source:
        """Keep the grid of a loaded image, and a small copy to draw.

        Args:
            image: a MetaTensor as it was loaded, (X, Y, Z) or (C, X, Y, Z).
        """
        array = image.numpy()
        array = array[0] if array.ndim == 4 else array
        affine = np.array(image.meta["original_affine"], dtype=np.float64)
        return Source(array.shape, affine, grey(array) if self.preview else None)

    def write(self, case: str, pred: torch.Tensor, source: Source) -> dict[str, float]:
        """Write the label map, and the preview before it: a label map that is there is complete.

        Args:
            case: name of the case.
            pred: a MetaTensor (1, X, Y, Z) of label values.
            source: what `source` kept.

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
        save_labels(self.prediction(case), labels, source.affine)
        millilitres = abs(np.linalg.det(source.affine[:3, :3])) / 1000
        counts = (np.count_nonzero(labels == value) for value in self.labels)
        return {
            name: round(count * millilitres, 6) for name, count in zip(self.measures, counts, strict=True)
        }

    def _checked(self, pred: torch.Tensor, source: Source) -> np.ndarray:
        if tuple(pred.shape) != (1, *source.shape):
            raise GridError(f"a label map of shape {tuple(pred.shape)}; expected {(1, *source.shape)}")
        if not np.allclose(np.asarray(pred.affine.cpu()), source.affine, rtol=0, atol=1e-3):
            raise GridError("a label map with another affine than the image; expected the same")
        labels = pred[0].cpu().numpy().astype(np.uint8)
        highest = int(labels.max(initial=0))
        if highest > max(self.labels, default=0):
            raise GridError(f"a label map with value {highest}; expected the labels {list(self.labels)}")
        return labels


def save_labels(path: Path, labels: np.ndarray, affine: np.ndarray) -> None:
    """Write a NIfTI label map.

    Args:
        path: the file, `.nii.gz`.
        labels: (X, Y, Z) uint8.
        affine: (4, 4), voxel indices to RAS+ millimetres; programs that read the qform find the same there.
    """
    image = nib.Nifti1Image(labels, affine)
    image.set_sform(affine, code="scanner")
    image.set_qform(affine, code="scanner")
    if not np.allclose(image.get_qform(), affine, rtol=0, atol=1e-3):
        # A quaternion cannot express shear; then only the sform is valid, and the code says so.
        image.set_qform(None, code="unknown")
    image.header.set_xyzt_units("mm")
    with atomic_path(path) as temporary:
        nib.save(image, temporary)


# One entry for each last word of a bundle's name.
WRITERS = {"segmentation": SegmentationWriter}


def writer_class(bundle: Bundle) -> type[SegmentationWriter]:
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
