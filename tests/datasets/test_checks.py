"""What is found in a case, and that a case that cannot be read ends nothing."""

from __future__ import annotations

import pickle

import nibabel
import numpy as np
import pytest

from monai_tasks.datasets.checks import examine
from monai_tasks.io.picture import write_png


@pytest.fixture
def case(tmp_path):
    """An image of two channels with a label."""
    rng = np.random.default_rng(4)
    labels = np.zeros((12, 14, 10), np.uint8)
    labels[3:8, 4:9, 3:7], labels[8:10, 4:9, 3:7] = 17, 53
    paths = {}
    for name, array in (
        ("t1", rng.normal(size=labels.shape)),
        ("t2", rng.normal(size=labels.shape)),
        ("seg", labels),
    ):
        paths[name] = str(tmp_path / f"{name}.nii.gz")
        nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), paths[name])
    return {"image": [paths["t1"], paths["t2"]], "label": paths["seg"], "subject": "S1"}


def test_a_segmentation(case):
    found = examine(case, "segmentation")
    assert (found.subject, found.problems, found.value) == ("S1", (), None)
    assert [image.name.split("/")[1] for image in found.images] == ["t1.nii.gz", "t2.nii.gz"]
    assert sorted(found.label.measures) == [17, 53]
    assert {"inside_1", "inside_2"} <= found.label.measures[17].keys()
    assert sorted(examine(case, "segmentation", values=[53]).label.measures) == [53]


def test_what_is_kept_is_small_and_can_be_sent(case):
    packed = pickle.dumps(examine(case, "segmentation"))
    assert len(packed) < 30_000
    assert pickle.loads(packed).label.measures.keys() == {17, 53}


def test_a_study_of_views(tmp_path):
    rng = np.random.default_rng(4)
    paths = [tmp_path / "S" / f"{view}.png" for view in "ab"]
    paths[0].parent.mkdir()
    for path in paths:
        write_png(path, rng.integers(0, 65535, (20, 30), dtype=np.uint16))
    found = examine({"image": [str(path) for path in paths], "label": 1}, "classification")
    assert (found.value, len(found.images), found.label) == (1, 2, None)
    assert found.subject == str(paths[0])
    # A view that cannot be read leaves the others.
    paths[0].write_bytes(b"")
    found = examine({"image": [str(path) for path in paths], "label": 1}, "classification")
    assert found.problems == ("S/a.png: an empty file (0 bytes); expected a radiograph",)
    assert [image.name for image in found.images] == ["S/b.png"]


def test_files_that_cannot_be_read(case, tmp_path):
    missing = examine({**case, "image": str(tmp_path / "gone.nii.gz")}, "segmentation")
    (problem,) = missing.problems
    assert problem.startswith(f"{tmp_path.name}/gone.nii.gz: no such file")
    assert missing.images == ()
    assert missing.label.measures  # the label is looked at all the same
    (tmp_path / "seg.nii.gz").write_bytes(b"no label")
    broken = examine(case, "segmentation")
    assert broken.label is None
    assert len(broken.images) == 2
    assert broken.problems[0].startswith(f"{tmp_path.name}/seg.nii.gz: ")


def test_a_scan_without_contrast_is_a_problem_of_its_case(tmp_path):
    nibabel.save(nibabel.Nifti1Image(np.zeros((8, 8, 12), np.float32), np.eye(4)), tmp_path / "blank.nii.gz")
    found = examine({"image": str(tmp_path / "blank.nii.gz"), "label": 0}, "classification")
    assert found.images == ()
    assert found.problems[0].startswith(f"{tmp_path.name}/blank.nii.gz: all voxels looked at equal")


def test_wrong_items_are_errors(case):
    with pytest.raises(ValueError, match="kind 'detection'; expected one of segmentation, classification"):
        examine(case, "detection")
    with pytest.raises(ValueError, match="without an image"):
        examine({"label": 1}, "classification")
