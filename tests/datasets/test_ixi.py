"""IXI pairs and FreeSurfer maps are matched by name and grid; whatever does not fit is reported."""

from __future__ import annotations

import json
import shutil

import nibabel
import numpy as np
import pytest
from monai.data import load_decathlon_datalist

from monai_tasks.datasets import ixi
from monai_tasks.io.errors import InputError

AFFINE = np.diag([0.9375, 0.9375, 1.2, 1.0])
BOTH = (0, 17, 53)


def write(path, values=(1,), shape=(5, 6, 4), affine=AFFINE):
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = nibabel.MGHImage if path.suffix == ".mgz" else nibabel.Nifti1Image
    nibabel.save(kind(np.resize(values, shape).astype(np.int32), affine), path)


def write_subject(source, number, sites=("Guys", "Guys"), owner=None, label="aseg.mgz"):
    for sequence, site in zip(("T1", "T2"), sites, strict=True):
        write(source / f"IXI-{sequence}" / f"IXI{number:03d}-{site}-07{number:02d}-{sequence}.nii.gz")
    write(source / "freesurfer" / (owner or f"IXI{number:03d}") / "mri" / label, BOTH)


@pytest.fixture
def source(tmp_path):
    """Four good subjects."""
    for number in range(1, 5):
        write_subject(tmp_path, number)
    return tmp_path


def reasons(source):
    return {entry["subject"]: entry["reason"] for entry in ixi.datalist(source)["rejected"]}


def used(source):
    result = ixi.datalist(source)
    return {item["subject"]: item for part in ("training", "validation", "test") for item in result[part]}


def test_items(source):
    result = ixi.datalist(source, seed=1, fractions=(0.5, 0.25, 0.25))
    assert [len(result[part]) for part in ("training", "validation", "test")] == [2, 1, 1]
    assert result["rejected"] == []
    assert result["labels"] == {"17": "left hippocampus", "53": "right hippocampus"}
    assert used(source)["IXI002"] == {
        "image": [
            str(source / "IXI-T1" / "IXI002-Guys-0702-T1.nii.gz"),
            str(source / "IXI-T2" / "IXI002-Guys-0702-T2.nii.gz"),
        ],
        "label": str(source / "freesurfer" / "IXI002" / "mri" / "aseg.mgz"),
        "subject": "IXI002",
    }


def test_monai_reads_it(source, tmp_path):
    result = ixi.datalist(source)
    path = tmp_path / "lists" / "datalist.json"
    path.parent.mkdir()
    path.write_text(json.dumps(result))
    assert load_decathlon_datalist(str(path), data_list_key="training") == result["training"]


@pytest.mark.parametrize("owner", ["IXI009", "IXI009-Guys-0709", "IXI009-Guys-0709-T1"])
@pytest.mark.parametrize("label", ["aseg.mgz", "aseg.nii.gz"])
def test_names_of_freesurfer_folders(source, owner, label):
    write_subject(source, 9, owner=owner, label=label)
    assert used(source)["IXI009"]["label"].endswith(f"{owner}/mri/{label}")


def test_the_segmentation_on_the_grid_of_t1_is_chosen(source):
    mri = source / "freesurfer" / "IXI001" / "mri"
    write(mri / "aseg.mgz", BOTH, shape=(8, 8, 8))
    write(mri / "aseg.nii.gz", BOTH)
    assert used(source)["IXI001"]["label"] == str(mri / "aseg.nii.gz")


def test_missing_files(source):
    (source / "IXI-T2" / "IXI001-Guys-0701-T2.nii.gz").unlink()
    (source / "IXI-T1" / "IXI002-Guys-0702-T1.nii.gz").unlink()
    shutil.rmtree(source / "freesurfer" / "IXI003")
    write(source / "freesurfer" / "IXI088" / "mri" / "aseg.mgz", BOTH)
    write_subject(source, 5)
    write_subject(source, 6)
    assert reasons(source) == {
        "IXI001-Guys-0701": "T2: no file IXI001-Guys-0701-T2.nii.gz",
        "IXI002-Guys-0702": "T1: no file IXI002-Guys-0702-T1.nii.gz",
        "IXI003-Guys-0703": "no segmentation: no mri/aseg.mgz in a folder of this subject or examination",
        "IXI088": "T1: no file IXI088-T1.nii.gz",
    }
    assert set(used(source)) == {"IXI004", "IXI005", "IXI006"}


def test_images_of_two_examinations_are_no_pair(source):
    write_subject(source, 7, sites=("Guys", "HH"))
    assert reasons(source) == {
        "IXI007-Guys-0707": "T2: no file IXI007-Guys-0707-T2.nii.gz",
        "IXI007-HH-0707": "T1: no file IXI007-HH-0707-T1.nii.gz",
    }


def test_two_examinations_do_not_share_the_segmentation_of_the_subject(source):
    write_subject(source, 7)
    write_subject(source, 7, sites=("HH", "HH"))
    assert set(reasons(source)) == {"IXI007-Guys-0707", "IXI007-HH-0707"}


def test_two_examinations_of_a_subject_stay_in_one_part(source):
    for site in ("Guys", "HH"):
        write_subject(source, 7, sites=(site, site), owner=f"IXI007-{site}-0707")
    for seed in range(10):
        result = ixi.datalist(source, seed=seed)
        parts = [p for p in ("training", "validation", "test") for i in result[p] if i["subject"] == "IXI007"]
        assert len(parts) == 2
        assert len(set(parts)) == 1


def test_the_same_file_twice(source):
    write(source / "copy" / "IXI001-Guys-0701-T2.nii.gz")
    assert reasons(source) == {"IXI001-Guys-0701": "T2: 2 files named IXI001-Guys-0701-T2.nii.gz"}


def test_grids_that_differ(source):
    shifted = AFFINE.copy()
    shifted[0, 3] = 2.0
    write(source / "IXI-T2" / "IXI001-Guys-0701-T2.nii.gz", affine=shifted)
    write(source / "freesurfer" / "IXI002" / "mri" / "aseg.mgz", BOTH, shape=(8, 8, 8))
    write_subject(source, 5)
    found = reasons(source)
    assert found["IXI001-Guys-0701"].endswith("IXI001-Guys-0701-T2.nii.gz lie up to 2 mm apart")
    assert found["IXI002-Guys-0702"].endswith("has shape 5x6x4, mri/aseg.mgz 8x8x8")
    assert set(used(source)) == {"IXI003", "IXI004", "IXI005"}


@pytest.mark.parametrize(
    ("values", "reason"),
    [
        ((0, 17), "no label 53 (right hippocampus)"),
        ((0, 53), "no label 17 (left hippocampus)"),
        ((0, 2), "no label 17 (left hippocampus) and no label 53 (right hippocampus)"),
    ],
)
def test_segmentations_without_hippocampus(source, values, reason):
    write(source / "freesurfer" / "IXI001" / "mri" / "aseg.mgz", values)
    assert reasons(source) == {"IXI001-Guys-0701": f"mri/aseg.mgz: {reason}"}


@pytest.mark.parametrize("label", ["aseg.mgz", "aseg.nii.gz"])
def test_a_segmentation_that_is_cut_off(source, label):
    write_subject(source, 8, label=label)
    path = source / "freesurfer" / "IXI008" / "mri" / label
    noise = np.random.default_rng(0).integers(0, 9999, (40, 40, 40))
    for sequence in ("T1", "T2"):
        write(source / f"IXI-{sequence}" / f"IXI008-Guys-0708-{sequence}.nii.gz", shape=noise.shape)
    write(path, noise, noise.shape)
    path.write_bytes(path.read_bytes()[:20_000])
    assert reasons(source) == {"IXI008-Guys-0708": f"mri/{label}: unreadable, damaged or no image"}


def test_other_files_are_not_taken(source):
    for name in ("._IXI001-Guys-0701-T1.nii.gz", "IXI001-Guys-0701-PD.nii.gz", "notes.txt"):
        (source / "IXI-T1" / name).write_text("")
    (source / "freesurfer" / "IXI001" / "aseg.mgz").write_text("")
    assert reasons(source) == {}


def test_an_empty_folder_is_an_error(tmp_path):
    with pytest.raises(InputError, match="no cases found; expected IXI002-Guys-0828-T1"):
        ixi.datalist(tmp_path)


def test_nothing_usable_says_why(source):
    for path in (source / "IXI-T2").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"none of 4 cases usable, such as IXI001-Guys-0701 \(T2: no file"):
        ixi.datalist(source)
