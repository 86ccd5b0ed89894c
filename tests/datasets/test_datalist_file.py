"""Parts of a datalist, or of a Decathlon folder that is split when it is read."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_tasks.datasets import brats, decathlon, knee_mhd
from monai_tasks.datasets.datalist_file import image_items, read_part
from monai_tasks.io.errors import InputError
from monai_tasks.phantoms.brats import write_brats

PARTS = ("training", "validation", "test")


@pytest.fixture
def source(tmp_path):
    """A Decathlon folder of ten cases."""
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / "set" / folder).mkdir(parents=True)
        for number in range(10):
            image = nibabel.Nifti1Image(np.ones((3, 4, 5), np.uint8), np.eye(4))
            nibabel.save(image, tmp_path / "set" / folder / f"case_{number}.nii.gz")
    return tmp_path / "set"


@pytest.fixture
def write(tmp_path):
    def write_file(content: object, name: str = "datalist.json") -> Path:
        path = tmp_path / name
        path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
        return path

    return write_file


def test_the_parts_of_a_file_are_those_that_were_written(source, write):
    datalist = decathlon.datalist(source, seed=3)
    file = write(datalist)
    for part in PARTS:
        assert read_part(file, part) == datalist[part]
        assert read_part(str(file), part, dataset_dir="elsewhere", seed=8) == datalist[part]


def test_paths_are_relative_to_the_file_and_channels_are_lists(tmp_path, write):
    item = {"image": ["a/t1.nii.gz", "a/t2.nii.gz"], "label": "a/aseg.mgz", "subject": "a"}
    (found,) = read_part(write({"training": [item]}), "training")
    assert [Path(path) for path in found["image"]] == [tmp_path / "a/t1.nii.gz", tmp_path / "a/t2.nii.gz"]
    assert Path(found["label"]) == tmp_path / "a/aseg.mgz"
    assert found["subject"] == "a"


def test_without_a_file_the_folder_is_split_by_the_seed(source):
    first, second = decathlon.datalist(source, seed=0), decathlon.datalist(source, seed=1)
    assert first["training"] != second["training"]
    for part in PARTS:
        assert read_part(None, part, dataset_dir=source) == first[part]
        assert read_part(None, part, dataset_dir=str(source), seed=1) == second[part]


def write_knees(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    affine = np.array([[0, 1, 0, 0], [0, 0, 3.0, 0], [1, 0, 0, 0], [0, 0, 0, 1]])
    for source in ("epi", "jopp"):
        (folder / source).mkdir(parents=True)
        for number in range(4):
            for name in ("", "_femur", "_tibia", "_fibula"):
                values = rng.integers(0, 2, (4, 5, 3)).astype(np.uint8)
                nibabel.save(nibabel.Nifti1Image(values, affine), folder / source / f"k{number}{name}.nii.gz")
    return folder


def test_the_layout_of_the_folder_can_be_named(tmp_path):
    folder = write_knees(tmp_path / "data")
    for part in PARTS:
        items = read_part(None, part, dataset_dir=folder, seed=2, layout="knee_mhd")
        assert items == knee_mhd.datalist(folder, seed=2)[part]
    with pytest.raises(InputError, match=r"layout 'knees'; expected one of .*decathlon, .*knee_mhd"):
        read_part(None, "training", dataset_dir=folder, layout="knees")


def test_a_folder_is_listed_once_for_all_parts(source, monkeypatch):
    calls = []

    def lister(layout):
        calls.append(layout)
        return decathlon.datalist

    monkeypatch.setattr("monai_tasks.datasets.datalist_file.lister", lister)
    monkeypatch.chdir(source.parent)
    for folder in (source, str(source), "set"):
        for part in PARTS:
            read_part(None, part, dataset_dir=folder).clear()
            read_part(None, part, dataset_dir=folder)[0].clear()
            assert read_part(None, part, dataset_dir=folder) == decathlon.datalist(source)[part]
    assert calls == ["decathlon"]
    read_part(None, "test", dataset_dir=source, seed=1)
    assert len(calls) == 2


def test_what_a_layout_takes_besides_reaches_it(tmp_path):
    """Another choice of modalities is another datalist of the same folder."""
    folder = write_brats(tmp_path / "data", 8, size=(22, 26, 20))
    for modalities in (["t1"], ["flair", "t2"], ["t1"]):
        for part in PARTS:
            items = read_part(None, part, folder, 1, "brats", {"modalities": modalities, "with_lgg": True})
            assert items == brats.datalist(folder, seed=1, modalities=modalities, with_lgg=True)[part]


def test_labels_of_channels_and_names_come_back_from_a_file(tmp_path):
    """MONAI's reader takes a name for a path where something of this name lies beside the file."""
    folder = write_knees(tmp_path / "data")
    (folder / "epi" / "k1").mkdir()
    datalist = knee_mhd.datalist(folder)
    (folder / "datalist.json").write_text(json.dumps(datalist))
    assert [read_part(folder / "datalist.json", part) for part in PARTS] == [datalist[part] for part in PARTS]
    item = {"image": "epi/k0.nii.gz", "label": ["epi/k0_femur.nii.gz", "epi/k0_tibia.nii.gz"]}
    (folder / "own.json").write_text(json.dumps({"test": [item]}))
    (found,) = read_part(folder / "own.json", "test")
    assert found["label"] == [str(folder / name) for name in item["label"]]


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"none\.json: no such file; expected a datalist"):
        read_part(tmp_path / "none.json", "training")


@pytest.mark.parametrize("content", [{"training": [{"image": "a", "label": "b"}]}, {}])
def test_a_missing_part_is_named(write, content):
    with pytest.raises(InputError, match=r"datalist\.json: no part 'validation'; expected the parts"):
        read_part(write(content), "validation")


def test_an_empty_part_is_named(write):
    with pytest.raises(InputError, match=r"datalist\.json: no case in part 'test'"):
        read_part(write({"test": []}), "test")


@pytest.mark.parametrize(
    "content",
    ["", "not json", "[1, 2]", {"training": 3}, {"training": ["a"]}, {"training": [{"image": "a"}]}],
)
def test_a_file_of_another_kind_is_named(write, content):
    with pytest.raises(InputError, match=r"datalist\.json: .*expected a datalist"):
        read_part(write(content), "training")


def test_a_file_that_is_no_text_is_named(tmp_path):
    (tmp_path / "list.json").write_bytes(b"\x1f\x8b\xff\x00")
    with pytest.raises(InputError, match=r"list\.json: .*expected a datalist"):
        read_part(tmp_path / "list.json", "training")


def test_a_folder_without_cases_is_named(tmp_path):
    with pytest.raises(InputError, match=str(tmp_path)):
        read_part(None, "training", dataset_dir=tmp_path)


def test_image_items_are_paths_or_lists_of_channels(source, write):
    datalist = write({"testing": [{"image": ["set/imagesTr/case_1.nii.gz", "set/imagesTr/case_2.nii.gz"]}]})
    files = sorted((source / "imagesTr").iterdir())
    expected = [{"image": str(file)} for file in files] + [{"image": [str(files[1]), str(files[2])]}]
    assert image_items([source / "imagesTr", str(datalist)]) == expected


def test_image_items_refuses_what_is_not_there(tmp_path):
    with pytest.raises(InputError, match="nothing_here"):
        image_items([tmp_path / "nothing_here"])
