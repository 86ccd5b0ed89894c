"""`monai-tasks datalist` writes the file, reports what is not used and fails with a sentence."""

from __future__ import annotations

import json

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner
from monai.data import load_decathlon_datalist

from monai_tasks.cli import main
from monai_tasks.datasets import brats, chestxray14, decathlon, mura
from monai_tasks.phantoms.brats import write_brats
from monai_tasks.phantoms.chestxray14 import write_chestxray14
from monai_tasks.phantoms.layouts import write_decathlon, write_ixi
from monai_tasks.phantoms.mura import write_mura


def run(*words):
    return CliRunner().invoke(main, ["datalist", *map(str, words)])


@pytest.fixture(scope="module")
def crops(tmp_path_factory):
    return write_decathlon(tmp_path_factory.mktemp("data") / "crops", 6, unlabelled=1)


def test_decathlon(crops, tmp_path):
    output = tmp_path / "new" / "datalist.json"
    result = run("decathlon", crops, "-o", output, "--seed", 3, "--folds", 2)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{output}: 4 training, 1 validation, 1 test, 0 not used\n"
    content = json.loads(output.read_text())
    assert content == decathlon.datalist(crops, seed=3, folds=2)
    assert content["labels"]["1"] == "Anterior"
    assert len(load_decathlon_datalist(str(output), data_list_key="training")) == 4


def test_ixi_reports_what_is_not_used(tmp_path):
    source = write_ixi(tmp_path / "ixi", 4, size=(86, 56, 36))
    next((source / "IXI-T2").glob("IXI002-*")).unlink()
    result = run("ixi", source, "-o", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert result.stderr == "not used: IXI002-IOP-0702: T2: no file IXI002-IOP-0702-T2.nii.gz\n"
    assert result.stdout.endswith("1 training, 1 validation, 1 test, 1 not used\n")
    assert [entry["subject"] for entry in json.loads((tmp_path / "out.json").read_text())["rejected"]] == [
        "IXI002-IOP-0702"
    ]


@pytest.fixture
def knees(tmp_path):
    """Three knees with maps in one file each, and one without."""
    rng = np.random.default_rng(0)
    # A coronal image: the third voxel axis, which has the widest spacing, runs to the front.
    affine = np.array([[1.0, 0, 0, 0], [0, 0, 4, 0], [0, 1, 0, 0], [0, 0, 0, 1]])
    (tmp_path / "knees" / "epi").mkdir(parents=True)
    for number in range(4):
        for name, shape in (("", (4, 5, 3)), ("_maps", (4, 5, 3, 3))):
            values = rng.integers(0, 2, shape).astype(np.uint8)
            if number < 3 or not name:
                path = tmp_path / "knees" / "epi" / f"k{number}{name}.nii.gz"
                nibabel.save(nibabel.Nifti1Image(values, affine), path)
    return tmp_path / "knees"


def test_knees_of_a_folder_and_of_a_manifest(knees, tmp_path):
    result = run("knee_mhd", knees, "-o", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    assert result.stderr == "not used: epi/k3: no maps\n"
    assert result.stdout == f"{tmp_path / 'out.json'}: 1 training, 1 validation, 1 test, 1 not used\n"
    rows = "".join(f"epi/k{number}.nii.gz,epi/k{number}_maps.nii.gz\n" for number in range(3))
    (knees / "knees.csv").write_text(f"image,maps\n{rows}")
    result = run("knee_mhd", knees / "knees.csv", "-o", tmp_path / "out.json")
    assert result.stdout.endswith("1 training, 1 validation, 1 test, 0 not used\n")
    (knees / "knees.csv").write_text(f"image,maps\n{rows}epi/k9.nii.gz,\n")
    result = run("knee_mhd", knees / "knees.csv", "-o", tmp_path / "none.json")
    assert result.exit_code == 1
    assert "knees.csv: row 4, image: no such file epi/k9.nii.gz" in result.stderr
    assert not (tmp_path / "none.json").exists()


def test_other_layouts_take_a_folder_only(tmp_path):
    (tmp_path / "list.csv").write_text("image\n")
    for layout in ("decathlon", "ixi"):
        result = run(layout, tmp_path / "list.csv", "-o", tmp_path / "out.json")
        assert result.exit_code == 2
        assert f"list.csv' is a file; expected a folder for layout {layout}." in result.stderr


def test_a_folder_without_cases_fails_with_a_sentence(tmp_path):
    result = run("decathlon", tmp_path, "-o", tmp_path / "out.json")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: {tmp_path}: no cases found; expected imagesTr")
    assert not (tmp_path / "out.json").exists()


def test_too_many_folds_fail_with_a_sentence(crops, tmp_path):
    result = run("decathlon", crops, "-o", tmp_path / "out.json", "--folds", 9)
    assert result.exit_code == 1
    assert "9 folds of 4 subjects; expected 2 to 4" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["nonsense", ".", "-o", "out.json"],
        ["decathlon", "no-such-folder", "-o", "out.json"],
        ["decathlon", "."],
        ["decathlon", ".", "-o", "out.json", "--folds", "1"],
        ["decathlon", ".", "-o", "out.json", "--seed", "-1"],
    ],
)
def test_wrong_usage(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*words).exit_code == 2
    assert list(tmp_path.iterdir()) == []


def test_grades_of_several_raters(tmp_path):
    source = tmp_path / "data"
    source.mkdir()
    for number in range(4):
        (source / f"{number}.ISQ").write_bytes(b"scan")
    rows = "".join(f"{number}.ISQ,tibia,p{number},2,3,5\n" for number in range(5))
    (tmp_path / "own.csv").write_text(f"image,site,subject,rater_1,rater_2,expert\n{rows}")
    output = tmp_path / "out.json"
    result = run("hrpqct", source, "--grades", tmp_path / "own.csv", "-o", output)
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{output}: 2 training, 1 validation, 1 test, 1 not used\n"
    assert result.stderr == "not used: p4 4.ISQ: no file 4.ISQ\n"
    assert {item["label"] for item in json.loads(output.read_text())["training"]} == {2}
    words = ["--rater", "expert", "--rater", "rater_1"]
    assert run("hrpqct", source, "--grades", tmp_path / "own.csv", "-o", output, *words).exit_code == 0
    assert {item["label"] for item in json.loads(output.read_text())["training"]} == {3}


def test_other_layouts_have_no_grades(crops, tmp_path):
    result = run("decathlon", crops, "-o", tmp_path / "out.json", "--rater", "a")
    assert result.exit_code == 2
    assert "--rater is for the layout hrpqct only." in result.stderr


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trees")
    write_chestxray14(folder / "chests", 25, size=(8, 8))
    write_brats(folder / "tumours", 9, size=(8, 8, 8))
    write_mura(folder / "bones", 20, size=(8, 8), regions=("forearm",))
    return folder


def test_options_of_published_trees(trees, tmp_path):
    output = tmp_path / "out.json"
    assert run("chestxray14", trees / "chests", "-o", output, "--negatives", "all").exit_code == 0
    assert json.loads(output.read_text()) == chestxray14.datalist(trees / "chests", negatives="all")
    words = ["--modality", "flair", "--modality", "t1", "--with-lgg", "--seed", 2]
    result = run("brats", trees / "tumours", "-o", output, *words)
    assert result.exit_code == 0, result.output
    expected = brats.datalist(trees / "tumours", seed=2, modalities=("flair", "t1"), with_lgg=True)
    assert json.loads(output.read_text()) == expected
    assert run("brats", trees / "tumours", "-o", output).exit_code == 0
    assert json.loads(output.read_text()) == brats.datalist(trees / "tumours")


def test_mura_reports_what_is_not_used(trees, tmp_path):
    result = run("mura", trees / "bones", "-o", tmp_path / "out.json")
    assert result.exit_code == 0, result.output
    lines = result.stderr.splitlines()
    assert [line.split(": ")[2].split("/")[0] for line in lines] == ["no file train", "no file train"]
    assert result.stdout.endswith("2 not used\n")
    content = json.loads((tmp_path / "out.json").read_text())
    assert content == mura.datalist(trees / "bones")


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--negatives", "all"], "--negatives is for the layout chestxray14 only."),
        (["--modality", "t1"], "--modality is for the layout brats only."),
        (["--with-lgg"], "--with-lgg is for the layout brats only."),
    ],
)
def test_options_of_other_layouts_are_refused(crops, tmp_path, words, text):
    result = run("decathlon", crops, "-o", tmp_path / "out.json", *words)
    assert result.exit_code == 2
    assert text in result.stderr
