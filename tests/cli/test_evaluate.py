"""`monai-tasks evaluate`."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
from click.testing import CliRunner

from monai_tasks.cli import main


def write(path, shift=0, values=(1, 2)):
    labels = np.zeros((10, 8, 6), np.int16)
    labels[1 + shift : 5 + shift, 1:4, 1:5] = values[0]
    labels[1 + shift : 5 + shift, 4:7, 1:5] = values[1]
    path.parent.mkdir(parents=True, exist_ok=True)
    nib.save(nib.Nifti1Image(labels, np.eye(4)), path)


@pytest.fixture
def run(tmp_path, example_bundle):
    def run(*words, references="labels"):
        folders = {"--predictions": "out", "--references": references, "-o": "result"}
        options = [word for name, folder in folders.items() for word in (name, str(tmp_path / folder))]
        return CliRunner().invoke(main, ["evaluate", str(example_bundle), *options, *words])

    return run


@pytest.fixture
def folders(tmp_path):
    for name, shift in (("a", 0), ("b", 1)):
        write(tmp_path / "out" / f"{name}.nii.gz", shift)
        write(tmp_path / "labels" / f"{name}.nii.gz")
    return tmp_path


def test_means_counts_and_the_page_are_printed(run, folders):
    result = run()
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("anterior: mean Dice 0.875, 95 % interval 0.750 to ")
    assert lines[-2:] == [
        "2 cases compared, 0 failed, 0 without a reference",
        str(folders / "result" / "report.html"),
    ]
    assert (folders / "result" / "summary.json").is_file()
    assert run("-q").stdout == ""


def test_a_failed_case_is_named_and_ends_with_1(run, folders):
    (folders / "out" / "a.nii.gz").write_text("no image")
    write(folders / "labels" / "c.nii.gz")
    result = run()
    assert result.exit_code == 1
    assert "failed: a: " in result.stderr
    assert "failed: c: no prediction" in result.stderr
    assert "1 cases compared, 2 failed" in result.stdout


def test_references_with_other_values_and_names(run, folders):
    for name in "ab":
        write(folders / "labels" / f"{name}.nii.gz", values=(17, 53))
    assert run().exit_code == 1
    config = folders / "sides.json"
    config.write_text('{"label_groups": [[17], [53]], "label_names": ["left", "right"]}')
    result = run("--config", str(config))
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines()[1].startswith("right: mean Dice 0.875")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "label_groups"], "'label_groups'; expected ID=VALUE"),
        (["--set", "label_group=[[17]]"], "no config id 'label_group'"),
        (["--config", "t3"], "no config 't3'"),
        (["--images", "/absent"], "does not exist"),
    ],
)
def test_wrong_words_end_with_2(run, folders, words, message):
    result = run(*words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_wrong_folders_end_with_2(run, folders):
    assert run(references="absent").exit_code == 2
    (folders / "empty").mkdir()
    result = run(references="empty")
    assert result.exit_code == 2
    assert "a folder without images" in result.stderr
