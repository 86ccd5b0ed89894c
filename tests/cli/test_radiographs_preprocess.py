"""`monai-tasks radiographs preprocess`: what it prints and the status it ends with."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from monai_tasks.cli import main
from monai_tasks.datasets.radiographs import COLUMNS, new_study, read_rows, write_overall, write_study
from monai_tasks.io.picture import write_png
from monai_tasks.radiographs import runner

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    for study, text in (("A", "CANELL"), ("B", "PEU")):
        with new_study(folder / "broken" / study) as place:
            write_png(place / "S1_I1.png", np.arange(12, dtype=np.uint16).reshape(3, 4))
            row = {"image": f"broken/{study}/S1_I1.png", "label": "broken", "study": study, "body_part": text}
            write_study(place, [dict.fromkeys(COLUMNS, "") | row])
    write_overall(folder, [])
    return folder


def run(*words: object) -> Result:
    return CliRunner().invoke(main, ["radiographs", "preprocess", *map(str, words)])


def test_says_what_was_done_and_where_it_is(data, tmp_path):
    output = tmp_path / "out"
    result = run(data, "-o", output, "--steps", "body_part", "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "2 studies: 2 done, 0 skipped, 0 failed",
        f"{output / 'metadata.csv'}: 1 images, 1 left out",
    ]
    assert [row["study"] for row in read_rows(output)] == ["A"]
    assert (output / "contact_sheets" / "body_part.png").is_file()
    again = run(data, "-o", output, "--steps", "body_part", "--jobs", 1)
    assert "0 done, 2 skipped" in again.stdout
    redone = run(data, "-o", output, "--steps", "body_part", "--jobs", 1, "--overwrite", "-q", "--sheets", 0)
    assert (redone.exit_code, redone.stdout) == (0, "")
    assert not list((output / "contact_sheets").iterdir())


def test_options_reach_the_run(data, tmp_path, monkeypatch):
    given = {}

    def preprocess(*words: object, **options: object) -> runner.Summary:
        given.update(options, words=words)
        return runner.Summary(tmp_path / "out", 1, 0, 0, 1, 0, 0.1)

    monkeypatch.setattr(runner, "preprocess", preprocess)
    config = tmp_path / "own.json"
    config.write_text("{}")
    words = ["--config", config, "--steps", "a, b", "--steps", "c", "--set", 'a#x=["1"]', "--set", "b#y=word"]
    result = run(data, "-o", tmp_path / "out", *words, "--scheduler", "tcp://h:1", "--sheets", 3, "-q")
    assert result.exit_code == 0, result.output
    assert given == {
        "words": (data, tmp_path / "out"),
        "steps": ["a", "b", "c"],
        "config": config,
        "settings": {"a#x": ["1"], "b#y": "word"},
        "jobs": None,
        "scheduler": "tcp://h:1",
        "sheets": 3,
        "overwrite": False,
        "progress": False,
    }
    # Every option is a parameter of the Python call.
    names = {option.name for option in main.get_command(None, "radiographs").commands["preprocess"].params}
    assert {name for name in names if name not in ("data", "output", "verbosity")} | {
        "progress"
    } == given.keys() - {"words"}


def test_a_failed_study_is_named_and_the_status_is_1(data, tmp_path):
    (data / "broken" / "A" / "metadata.csv").write_text("image\nbroken/A/S1_I1.png\n")
    result = run(data, "-o", tmp_path / "out", "--steps", "body_part", "--jobs", 1)
    assert result.exit_code == 1
    assert "1 done, 0 skipped, 1 failed" in result.stdout
    assert result.stderr.startswith("failed: broken/A: broken/A/metadata.csv: no column 'label'")
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        ([], 2, "Missing argument 'DATA'"),
        (["DATA"], 2, "Missing option '-o'"),
        (["DATA", "-o", "OUT", "--steps", "wings"], 2, "no step 'wings'; expected one or more of body_part"),
        (["DATA", "-o", "OUT", "--set", "body_part#wings=1"], 2, "cannot be built from its config"),
        (["DATA", "-o", "OUT", "--jobs", "0"], 2, "0 is not in the range"),
        (["DATA", "-o", "OUT", "--jobs", "2", "--scheduler", "tcp://h:1"], 2, "expected one of them"),
        (["DATA", "-o", "OUT", "--config", "absent.json"], 2, "'absent.json' does not exist"),
        (["DATA", "-o", "DATA"], 1, "expected a folder of its own"),
        (["EMPTY", "-o", "OUT"], 1, "no studies; expected a data set"),
        (["DATA", "-o", "OUT", "--scheduler", "nonsense://h"], 1, "no scheduler at 'nonsense://h'"),
    ],
)
def test_what_cannot_be_run_is_a_sentence(data, tmp_path, words, status, text):
    (tmp_path / "empty").mkdir()
    places = {"DATA": data, "OUT": tmp_path / "out", "EMPTY": tmp_path / "empty"}
    result = run(*(places.get(word, word) for word in words))
    assert result.exit_code == status, result.output
    assert text in " ".join(result.stderr.split())
    assert "Traceback" not in result.output


def test_an_interrupt_says_how_to_go_on(data, tmp_path, monkeypatch):
    def interrupted(*words: object, **options: object) -> None:
        signal.getsignal(signal.SIGTERM)(signal.SIGTERM, None)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(runner, "preprocess", interrupted)
    result = run(data, "-o", tmp_path / "out")
    assert result.exit_code == 130
    assert "the same command again goes on" in result.stderr
    assert signal.getsignal(signal.SIGTERM) is before


def test_the_documentation_names_every_option():
    section = (
        (ROOT / "docs" / "commands.md").read_text(encoding="utf-8").partition("### radiographs preprocess")[2]
    )
    section = section.partition("\n## ")[0].partition("\n### ")[0]
    params = main.get_command(None, "radiographs").commands["preprocess"].params
    words = [word for option in params if isinstance(option, click.Option) for word in option.opts]
    assert len(words) > 10
    assert [word for word in words if f"`{word}" not in section] == []


def test_the_group_loads_nothing_heavy():
    # The commands of the group are asked for their help in test_startup through the group alone.
    import subprocess

    code = (
        "import sys, json; from monai_tasks.cli import main\n"
        "main(['radiographs', 'preprocess', '--help'], standalone_mode=False)\n"
        "print(json.dumps([name for name in ('numpy', 'torch', 'PIL', 'rapidfuzz') if name in sys.modules]))"
    )
    child = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(child.stdout.splitlines()[-1]) == []
