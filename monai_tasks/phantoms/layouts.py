"""Write generated images as folders that `monai_tasks.datasets` reads."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import nibabel
import numpy as np
import SimpleITK as sitk

from monai_tasks.io.files import write_json
from monai_tasks.io.formats import LPS_TO_RAS
from monai_tasks.phantoms import brain, hippocampus
from monai_tasks.phantoms import knee as knees

KNEE_PIXELS = {"epi": 0.5, "jopp": 0.625}  # mm; the scanners' own, 0.2 and 0.3125, take far longer to draw


def write_decathlon(folder: str | Path, n: int, seed: int = 0, unlabelled: int = 2) -> Path:
    """Write hippocampus crops as a Decathlon folder: imagesTr, labelsTr, imagesTs and dataset.json.

    A case depends on the seed and its number alone: a larger `n` adds cases and changes none.

    Args:
        folder: to write to; made if missing.
        n: number of cases with labels.
        seed: another seed gives other cases.
        unlabelled: number of cases in imagesTs, without labels.

    Returns:
        The folder.
    """
    folder = Path(folder)
    training, test = [], []
    for number in range(1, n + 1):
        image, label, affine = hippocampus.crop(np.random.default_rng([seed, number]))
        name = f"phantom_{number:03d}.nii.gz"
        _save(folder / "imagesTr" / name, image, affine)
        _save(folder / "labelsTr" / name, label, affine)
        training.append({"image": f"./imagesTr/{name}", "label": f"./labelsTr/{name}"})
    for number in range(1, unlabelled + 1):
        # The third number keeps these apart from the labelled cases of the same seed.
        image, _, affine = hippocampus.crop(np.random.default_rng([seed, number, 1]))
        name = f"phantom_ts_{number:03d}.nii.gz"
        _save(folder / "imagesTs" / name, image, affine)
        test.append(f"./imagesTs/{name}")
    description = {
        "name": "Hippocampus phantom",
        "description": "Generated crops around one hippocampus",
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": hippocampus.LABELS,
        "numTraining": n,
        "numTest": unlabelled,
        "training": training,
        "test": test,
    }
    write_json(folder / "dataset.json", description)
    return folder


def write_ixi(
    folder: str | Path, n: int, seed: int = 0, size: tuple[float, float, float] = brain.SIZE
) -> Path:
    """Write heads as IXI and FreeSurfer lay them out.

    Files are IXI-T1/IXI002-Guys-0828-T1.nii.gz, the same with T2, and freesurfer/IXI002/mri/aseg.mgz, all of
    one subject on one grid. Site and scan number are made up.

    Args:
        folder: to write to; made if missing.
        n: number of subjects.
        seed: another seed gives other subjects.
        size: of the block of brain in mm, towards right, front and top.

    Returns:
        The folder.
    """
    folder = Path(folder)
    for number in range(1, n + 1):
        t1, t2, aseg, affine = brain.head(np.random.default_rng([seed, number]), size)
        subject = f"IXI{number:03d}"
        examination = f"{subject}-{('Guys', 'HH', 'IOP')[number % 3]}-{700 + number:04d}"
        _save(folder / "IXI-T1" / f"{examination}-T1.nii.gz", t1, affine)
        _save(folder / "IXI-T2" / f"{examination}-T2.nii.gz", t2, affine)
        _save(folder / "freesurfer" / subject / "mri" / "aseg.mgz", aseg, affine)
    return folder


def write_knee_mhd(
    folder: str | Path,
    n: int,
    seed: int = 0,
    pixels: Mapping[str, float] = KNEE_PIXELS,
    three_channel: Collection[str] = ("jopp",),
) -> Path:
    """Write knees of two sources as MetaImage files: epi/knee_001.mhd, jopp/knee_002.mhd and so on.

    The maps lie beside the image: knee_001_femur.mhd, knee_001_tibia.mhd and knee_001_fibula.mhd, or all
    three as the channels of knee_002_maps.mhd. A case depends on the seed, its number and its pixels alone:
    a larger `n` adds cases and changes none.

    Args:
        folder: to write to; made if missing.
        n: number of cases; odd ones are of source epi, even ones of jopp.
        seed: another seed gives other cases.
        pixels: edge of a pixel in the plane in mm, for each source.
        three_channel: sources whose maps go to one file of three channels.

    Returns:
        The folder.

    Raises:
        ValueError: if a pixel is smaller than the source's own.
    """
    folder = Path(folder)
    grids = {source: grid.reduced(pixels[source]) for source, grid in knees.GRIDS.items()}
    for number in range(1, n + 1):
        source = list(grids)[(number - 1) % len(grids)]
        image, maps, affine, _ = knees.knee(np.random.default_rng([seed, number]), grids[source])
        stem = folder / source / f"knee_{number:03d}"
        stem.parent.mkdir(parents=True, exist_ok=True)
        _save_mhd(stem.with_name(f"{stem.name}.mhd"), image, affine)
        if source in three_channel:
            _save_mhd(stem.with_name(f"{stem.name}_maps.mhd"), maps, affine)
            continue
        for bone, drawn in zip(knees.BONES, maps, strict=True):
            _save_mhd(stem.with_name(f"{stem.name}_{bone}.mhd"), drawn, affine)
    return folder


def _save_mhd(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    """Write (X, Y, Z), or (C, X, Y, Z) as C values a voxel; maps are compressed, as ITK's programs offer it."""
    image = sitk.GetImageFromArray(array.T, isVector=array.ndim == 4)
    lps = LPS_TO_RAS @ affine
    spacing = nibabel.affines.voxel_sizes(lps)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(image, str(path), useCompression=array.dtype == np.uint8)


def _save(path: Path, array: np.ndarray, affine: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = nibabel.MGHImage if path.suffix == ".mgz" else nibabel.Nifti1Image
    nibabel.save(kind(array, affine), path)
