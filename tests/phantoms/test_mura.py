"""A generated MURA is read back by its layout, with what is odd in the published one."""

from __future__ import annotations

import pytest
from PIL import Image

from monai_tasks.datasets import mura
from monai_tasks.io.radiograph import read_radiograph
from monai_tasks.phantoms.mura import write_mura

STUDIES, SIZE = 35, (40, 32)


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    return write_mura(tmp_path_factory.mktemp("bones"), STUDIES, seed=2, size=SIZE)


def items(found):
    return [item for part in ("training", "validation", "test") for item in found[part]]


def test_it_is_read_back_and_missing_files_are_named(tree):
    found = mura.datalist(tree)
    assert [entry["reason"].split("/")[-1] for entry in found["rejected"]] == ["image1.png"] * 3
    assert {item["region"] for item in items(found)} == set(mura.REGIONS)
    labels = {item["study"]: item["label"] for item in items(found)}
    assert 0.35 < sum(labels.values()) / len(labels) < 0.65
    test = {item["subject"] for item in found["test"]}
    assert len(test) >= 5
    assert min(test) == "patient11187"


def test_patients_have_several_studies_and_studies_several_images(tree):
    found = items(mura.datalist(tree))
    subjects = {}
    for item in found:
        subjects.setdefault(item["subject"], set()).add(item["study"])
    assert sum(len(studies) == 2 for studies in subjects.values()) >= 5
    counts = [sum(item["study"] == study for item in found) for study in {item["study"] for item in found}]
    assert {1, 2, 3} <= set(counts)
    assert any("_study2_" in item["study"] for item in found)


def test_pictures_are_grey_or_have_equal_colours_and_lie_upright_or_across(tree):
    kinds = set()
    for item in items(mura.datalist(tree)):
        with Image.open(item["image"]) as picture:
            kinds.add((picture.mode, picture.size))
        read_radiograph(item["image"])
    assert {mode for mode, _ in kinds} == {"L", "RGB"}
    assert {size for _, size in kinds} == {SIZE, SIZE[::-1]}
    assert len(list(tree.rglob("._*.png"))) == 5


def test_more_studies_change_none_and_another_seed_all(tree, tmp_path):
    few = write_mura(tmp_path / "few", 6, seed=2, size=SIZE)
    other = write_mura(tmp_path / "other", 6, seed=3, size=SIZE)
    shared = [path.relative_to(few) for path in few.rglob("image*.png")]
    assert len(shared) > 6
    for path in shared:
        assert (few / path).read_bytes() == (tree / path).read_bytes()
        assert not (other / path).exists() or (other / path).read_bytes() != (tree / path).read_bytes()
    listed = (tree / "MURA-v1.1" / "train_image_paths.csv").read_text()
    assert listed.startswith((few / "MURA-v1.1" / "train_image_paths.csv").read_text())


def test_regions_can_be_chosen_and_without_faults_no_file_is_missing(tmp_path):
    write_mura(tmp_path, 13, size=SIZE, regions=("wrist", "hand"), faults=False)
    found = mura.datalist(tmp_path)
    assert {item["region"] for item in items(found)} == {"wrist", "hand"}
    assert found["rejected"] == []
    assert list(tmp_path.rglob("._*.png")) == []
    with pytest.raises(ValueError, match=r"regions \('knee',\); expected some of elbow"):
        write_mura(tmp_path, 1, regions=("knee",))
