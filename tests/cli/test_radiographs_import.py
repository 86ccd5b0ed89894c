"""`monai-tasks radiographs import` says what it made, and what became of the rest."""

from __future__ import annotations

import pytest
from archive_files import write_archive
from click.testing import CliRunner

from monai_tasks.cli import main
from monai_tasks.datasets.radiographs import read_rows
from monai_tasks.radiographs import importing


def run(*words):
    return CliRunner().invoke(main, ["radiographs", "import", *map(str, words)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("cli")
    write_archive(path)
    return path


def test_import(folder):
    data = folder / "data"
    words = (folder / "archive", "-o", data, "--labels", folder / "labels.csv", "--jobs", 1)
    result = run(*words, "--key", folder / "my.key")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0] == "studies: 3 broken, 2 not_broken, 1 unlabelled (0 of an earlier run)"
    assert lines[1] == f"{data / 'metadata.csv'}: {len(read_rows(data))} images"
    assert lines[2] == "burned_in_annotation is YES for 1: they may show names or dates"
    assert lines[3] == f"{data / 'rejected.csv'}: 11 rows"
    assert "  1 secondary capture" in lines
    assert lines[-1] == f"keep to yourself: {folder / 'my.key'} and {folder / 'data.files.csv'}"
    assert "leak" not in result.output.lower()
    again = run(*words, "--key", folder / "my.key", "-q")
    assert (again.exit_code, again.output) == (0, "")


def test_limits_of_images(folder):
    result = run(folder / "archive", "-o", folder / "few", "--max-images", 1, "--jobs", 1)
    assert "4 a study of 2 images; expected at most 1" in result.stdout
    result = run(folder / "archive", "-o", folder / "many", "--min-images", 2, "--jobs", 1)
    assert "a study of 1 image; expected at least 2" in result.stdout


def test_what_cannot_be_used_fails_with_a_sentence(folder, tmp_path):
    (tmp_path / "labels.csv").write_text("study,label\na,1\na,0\n")
    result = run(folder / "archive", "-o", tmp_path / "data", "--labels", tmp_path / "labels.csv")
    assert result.exit_code == 1
    assert "row 2 says not_broken where row 1 says broken of the same study" in result.stderr
    result = run(folder / "archive", "-o", tmp_path / "data", "--key", tmp_path / "data" / "key")
    assert "a key inside the data set" in result.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["labels.csv"]


def test_a_fault_of_the_machine_ends_with_status_1(folder, tmp_path, monkeypatch):
    def dying(work, tasks, jobs):
        for number, task in enumerate(tasks):
            yield task, MemoryError() if number == 0 and hasattr(task, "study") else work(task)

    monkeypatch.setattr(importing, "over_processes", dying)
    result = run(folder / "archive", "-o", tmp_path / "data", "--jobs", 1)
    assert result.exit_code == 1
    assert "failed: MemoryError" in result.stderr
    monkeypatch.undo()
    again = run(folder / "archive", "-o", tmp_path / "data", "--jobs", 1)
    assert again.exit_code == 0
    assert "6 unlabelled (5 of an earlier run)" in again.stdout


def test_ctrl_c_says_how_to_go_on(folder, tmp_path, monkeypatch):
    def interrupted(task):
        raise KeyboardInterrupt

    monkeypatch.setattr(importing, "import_study", interrupted)
    result = run(folder / "archive", "-o", tmp_path / "data", "--jobs", 1)
    assert result.exit_code == 130
    assert "the same command again goes on with the other studies" in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["no-such", "-o", "out"],
        ["."],
        [".", "-o", "out", "--jobs", "0"],
        [".", "-o", "out", "--max-images", "0"],
        [".", "-o", "out", "--min-images", "3", "--max-images", "2"],
    ],
)
def test_wrong_usage(words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert run(*words).exit_code == 2
    assert list(tmp_path.iterdir()) == []
