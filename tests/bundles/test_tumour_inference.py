"""How images reach the tumour bundle: channels from several files or from one, on grids of their own."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from monai_tasks.catalog import open_bundle
from monai_tasks.inference.runner import Summary, infer
from monai_tasks.io.tables import read_table

BUNDLE = open_bundle("tumor_core_mri_segmentation")


@pytest.fixture(scope="module")
def trial(trial_of):
    """Generated tumours and small settings."""
    return trial_of(BUNDLE)


@pytest.fixture(scope="module")
def predict(trial, weights_for):
    """Runs `infer` with untrained weights."""

    def run(images: Path, output: Path, configs: tuple[str, ...] = ()) -> Summary:
        names = [str(BUNDLE.config(name)) for name in ("inference", *configs)]
        return infer(
            BUNDLE,
            images,
            output,
            weights=weights_for(names, trial.inference),
            configs=configs,
            device="cpu",
            progress=False,
            settings=trial.inference,
        )

    return run


def listed(folder: Path, images: list[list[str]]) -> Path:
    path = folder / "datalist.json"
    path.write_text(json.dumps({"test": [{"image": paths} for paths in images]}), encoding="utf-8")
    return path


def test_channels_of_several_files_and_of_one_give_the_same_label_map(trial, predict, tmp_path):
    (first, *_) = json.loads(trial.datalist.read_text(encoding="utf-8"))["test"]
    t1, t2 = (nibabel.load(path) for path in first["image"])
    both = np.stack([np.asarray(t1.dataobj), np.asarray(t2.dataobj)], axis=-1)
    (tmp_path / "in").mkdir()
    nibabel.save(nibabel.Nifti1Image(both, t1.affine), tmp_path / "in" / "both.nii.gz")
    apart = predict(listed(tmp_path, [first["image"]]), tmp_path / "apart")
    together = predict(tmp_path / "in", tmp_path / "together")
    assert (apart.done, together.done) == (1, 1)
    name = Path(first["image"][0]).name
    expected = nibabel.load(apart.output / "predictions" / name)
    found = nibabel.load(together.output / "predictions" / "both.nii.gz")
    assert found.shape == expected.shape == t1.shape
    np.testing.assert_allclose(found.affine, t1.affine, atol=1e-4)
    np.testing.assert_array_equal(np.asarray(found.dataobj), np.asarray(expected.dataobj))
    # What lies outside of the brain was cut off, and is background again.
    assert not np.asarray(found.dataobj)[(both == 0).all(-1)].all()


def test_a_case_with_another_count_of_channels_fails_alone_with_the_reason(trial, predict, tmp_path):
    first, *_ = json.loads(trial.datalist.read_text(encoding="utf-8"))["test"]
    batch = predict(listed(tmp_path, [first["image"], first["image"][:1]]), tmp_path / "out")
    assert (batch.done, batch.failed) == (1, 1)
    reasons = [row["reason"] for row in read_table(batch.results) if row["status"] == "failed"]
    assert "1 channels; expected 2 for this network" in reasons[0]


def write_thick(path: Path) -> None:
    """A head of few thick slices that lies as many scanners have it, with noise outside."""
    rng = np.random.default_rng(3)
    image = sitk.GetImageFromArray(rng.integers(0, 900, (9, 60, 60)).astype(np.int16))
    image.SetSpacing((3.2, 3.2, 18.0))
    image.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, 1))
    sitk.WriteImage(image, path)


@pytest.mark.parametrize("real", [False, True], ids=["generated", "real"])
def test_a_clinical_image_in_nrrd_gets_a_label_map_on_its_grid(request, predict, tmp_path, real):
    """One modality, thick slices and nothing cut off around the brain."""
    image = tmp_path / "head.nrrd"
    if real:
        image = request.getfixturevalue("shared_data") / "brain_mri" / "brain1_image.nrrd"
    else:
        write_thick(image)
    batch = predict(image, tmp_path / "out", ("one_modality",))
    assert (batch.done, batch.failed) == (1, 0)
    (path,) = (batch.output / "predictions").iterdir()
    sitk.WriteImage(sitk.ReadImage(image), tmp_path / "copy.nii.gz")
    given, found = nibabel.load(tmp_path / "copy.nii.gz"), nibabel.load(path)
    assert found.shape == given.shape
    np.testing.assert_allclose(found.affine, given.affine, atol=1e-3)
