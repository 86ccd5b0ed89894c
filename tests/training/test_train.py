"""A bundle's training from one call: its files, its resume after a kill, and what it refuses."""

from __future__ import annotations

import json
import logging
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from multiprocessing.dummy import DummyProcess
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from monai.bundle import ConfigParser

from monai_tasks.catalog import BundleError, open_bundle
from monai_tasks.cli import main
from monai_tasks.inference.configs import ConfigError
from monai_tasks.inference.engine import DeviceError
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import sha256
from monai_tasks.io.tables import read_table
from monai_tasks.training.train import OtherRunError, TrainingSummary, train

BUNDLE = "hippocampus_mri_segmentation"
EPOCHS = 2
MANY = 12  # enough that a run is still going on when its first epoch is seen


@pytest.fixture(scope="module")
def settings(tiny_highresnet) -> dict[str, Any]:
    return {
        "network_def": tiny_highresnet,
        "window": [16, 16, 16],
        "inference_window": [32, 32, 32],
        "learning_rate": 0.01,
    }


@pytest.fixture(scope="module")
def datalist(crops) -> Path:
    return crops / "datalist.json"


@pytest.fixture(scope="module")
def trained(tmp_path_factory, datalist, settings) -> tuple[Path, TrainingSummary]:
    """A finished run, which no test may change, and its summary."""
    output = tmp_path_factory.mktemp("trained") / "run"
    return output, train(BUNDLE, datalist, output, epochs=EPOCHS, device="cpu", settings=settings)


@pytest.fixture
def run(trained, tmp_path) -> Path:
    """A copy of the finished run."""
    return Path(shutil.copytree(trained[0], tmp_path / "run"))


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """The command sets up logging for its process; here others run in the same one."""
    root, package = logging.getLogger(), logging.getLogger("monai_tasks")
    before = root.handlers[:], root.level, package.level
    yield
    root.handlers[:] = before[0]
    root.setLevel(before[1])
    package.setLevel(before[2])


def words(settings: dict[str, Any]) -> list[str]:
    """Settings as the command line takes them."""
    return [word for name, value in settings.items() for word in ("--set", f"{name}={json.dumps(value)}")]


def command(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, ["train", *map(str, arguments)])


def times(folder: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def test_a_run_leaves_its_files(trained, settings):
    output, _ = trained
    assert {path.name for path in output.iterdir()} == {
        "model.pt",
        "last.pt",
        "record.csv",
        "curves.png",
        "run.json",
        "tensorboard",
    }
    assert list((output / "tensorboard").glob("events*"))
    assert (output / "curves.png").read_bytes().startswith(b"\x89PNG")
    parser = ConfigParser(ConfigParser.load_config_file(open_bundle(BUNDLE).config("train")))
    parser.update(settings)
    network = parser.get_parsed_content("network_def")
    network.load_state_dict(torch.load(output / "model.pt", weights_only=True))


def test_the_record_has_a_row_an_epoch_and_the_summary_its_best(trained):
    output, summary = trained
    rows = read_table(output / "record.csv")
    assert [row["epoch"] for row in rows] == ["1", "2"]
    dice = [float(row["val_mean_dice"]) for row in rows]
    for row, mean in zip(rows, dice, strict=True):
        labels = [float(row["val_dice_anterior"]), float(row["val_dice_posterior"])]
        assert sum(labels) / 2 == pytest.approx(mean, abs=1e-5)
        assert 0 < float(row["loss"]) < 5
        assert 0 <= float(row["data_wait_share"]) <= 1
    assert float(rows[1]["learning_rate"]) < float(rows[0]["learning_rate"]) == 0.01
    assert summary.weights == output / "model.pt"
    assert (summary.epochs, summary.metric) == (EPOCHS, "val_mean_dice")
    assert summary.best == pytest.approx(max(dice), abs=1e-6)
    assert summary.best_epoch == dice.index(max(dice)) + 1


def test_the_run_says_how_it_was_made(trained, datalist):
    facts = json.loads((trained[0] / "run.json").read_text())
    assert (facts["bundle"], facts["max_epochs"]) == (BUNDLE, EPOCHS)
    assert facts["configs"] == {"train": sha256(open_bundle(BUNDLE).config("train"))}
    assert facts["device"] == "cpu"
    assert facts["settings"]["window"] == "[16, 16, 16]"
    assert facts["versions"]["torch"] == torch.__version__
    assert facts["seed"] == 0
    assert facts["datalist_sha256"] == sha256(datalist)
    assert facts["git"] is None or len(facts["git"]["commit"]) == 40
    assert facts["begun_with"] == []
    assert facts["started_from"] == {}


def test_the_run_says_which_weights_it_started_from(trained, datalist, settings, tmp_path):
    weights, output = tmp_path / "start.pt", tmp_path / "run"
    shutil.copy(trained[0] / "model.pt", weights)
    arguments = {"epochs": 1, "device": "cpu", "settings": settings | {"start_weights": str(weights)}}
    train(BUNDLE, datalist, output, **arguments)
    kept = json.loads((output / "run.json").read_text())
    assert kept["started_from"] == {"start_weights": sha256(weights)}
    assert json.loads((output / "start.json").read_text())["weights_sha256"] == sha256(weights)
    shutil.copy(trained[0] / "last.pt", weights)  # another file under the same name
    before = times(output)
    with pytest.raises(OtherRunError, match=r"run: holds a run with started_from .*; expected the same"):
        train(BUNDLE, datalist, output, **arguments)
    assert times(output) == before
    weights.unlink()
    assert train(BUNDLE, datalist, output, **arguments).epochs == 1, "a finished run needs no start any more"


def test_the_run_says_what_came_of_it(trained):
    output, summary = trained
    metrics = json.loads((output / "run.json").read_text())["metrics"]
    rows = read_table(output / "record.csv")
    for name, epoch in (("best", summary.best_epoch), ("last", EPOCHS)):
        assert metrics[name] == {key: float(value) for key, value in rows[epoch - 1].items()}
    assert metrics["best"]["val_mean_dice"] == pytest.approx(summary.best, abs=1e-6)


def test_the_same_seed_gives_the_same_network(trained, datalist, settings, tmp_path):
    train(BUNDLE, datalist, tmp_path, epochs=EPOCHS, device="cpu", settings=settings)
    first, second = (torch.load(folder / "last.pt", weights_only=True) for folder in (trained[0], tmp_path))
    torch.testing.assert_close(second["network"], first["network"], rtol=1e-3, atol=1e-4)
    train(BUNDLE, datalist, tmp_path / "other", epochs=EPOCHS, device="cpu", settings=settings | {"seed": 1})
    other = torch.load(tmp_path / "other" / "last.pt", weights_only=True)["network"]
    assert not torch.allclose(
        other["blocks.0.conv.weight"], first["network"]["blocks.0.conv.weight"], atol=0.05
    )


def test_a_finished_run_is_left_as_it_is(run, trained, datalist, settings):
    (run / "curves.png").unlink()  # as where the run was killed between its last epoch and this
    before = times(run)
    again = train(BUNDLE, datalist, run, epochs=EPOCHS, device="cpu", settings=settings)
    after = times(run)
    assert after.pop(run / "curves.png")
    assert after == before
    assert (again.epochs, again.best) == (EPOCHS, trained[1].best)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"epochs": 5}, "max_epochs 2, not 5"),
        ({"settings": {"window": [24, 16, 16]}}, r"settings .*16, 16, 16.*, not .*24, 16, 16"),
        ({"configs": ["disk_cache"]}, r"configs {'train': '\w+'}, not {'train': '\w+', 'disk_cache': '\w+'}"),
        ({"datalist": True}, "datalist_sha256"),
    ],
)
def test_a_folder_with_another_run_is_refused(run, datalist, settings, tmp_path, change, text):
    before = times(run)
    arguments = {"epochs": EPOCHS, "device": "cpu", **change}
    arguments["settings"] = settings | change.get("settings", {})
    if arguments.pop("datalist", False):
        content = json.loads(datalist.read_text())
        content["training"].pop()
        datalist = tmp_path / "datalist.json"
        datalist.write_text(json.dumps(content))
    with pytest.raises(OtherRunError, match=rf"run: holds a run with {text}.*; expected the same"):
        train(BUNDLE, datalist, run, **arguments)
    assert times(run) == before


@pytest.mark.parametrize("name", ["learning_rat", "train#trainer#max_epoch", "train#handlers#99"])
def test_a_setting_that_would_do_nothing_is_refused(datalist, tmp_path, name):
    with pytest.raises(ConfigError, match=rf"no config id '{name}'; expected one of .*learning_rate"):
        train(BUNDLE, datalist, tmp_path / "run", device="cpu", settings={name: 1})
    assert not (tmp_path / "run").exists()


def test_what_is_not_there_is_named(datalist, tmp_path):
    with pytest.raises(BundleError, match="no bundle 'absent'"):
        train("absent", datalist, tmp_path / "run")
    with pytest.raises(BundleError, match="no config 'absent'"):
        train(BUNDLE, datalist, tmp_path / "run", configs=["absent"])
    with pytest.raises(DeviceError, match="cuda:99"):
        train(BUNDLE, datalist, tmp_path / "run", device="cuda:99")
    with pytest.raises(InputError, match=r"absent\.json: no such file"):
        train(BUNDLE, tmp_path / "absent.json", tmp_path / "run", device="cpu")
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_a_run_that_was_killed_goes_on(datalist, settings, tmp_path, caplog):
    output = tmp_path / "run"
    arguments = [BUNDLE, "--datalist", datalist, "-o", output, "--epochs", MANY, "--device", "cpu"]
    process = subprocess.Popen(
        [sys.executable, "-m", "monai_tasks", "train", *map(str, arguments), *words(settings)],
        cwd=tmp_path,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    while not (output / "last.pt").exists() and process.poll() is None:
        time.sleep(0.01)
    process.kill()
    said = process.communicate()[0]
    assert process.returncode == -signal.SIGKILL, said
    done = torch.load(output / "last.pt", weights_only=True)["epoch"]
    assert 1 <= done < MANY
    before = read_table(output / "record.csv")[:done]

    with caplog.at_level(logging.INFO, logger="monai_tasks"):
        summary = train(BUNDLE, datalist, output, epochs=MANY, device="cpu", settings=settings)
    assert f"going on after epoch {done}" in caplog.text
    assert summary.epochs == MANY
    rows = read_table(output / "record.csv")
    assert [int(row["epoch"]) for row in rows] == list(range(1, MANY + 1))
    assert rows[:done] == before
    rates = [float(row["learning_rate"]) for row in rows]
    assert rates == pytest.approx([0.01 * (1 - epoch / MANY) ** 0.9 for epoch in range(MANY)])
    assert (output / "curves.png").is_file()
    facts = json.loads((output / "run.json").read_text())
    assert facts["begun_with"] == [{name: facts[name] for name in ("git", "device", "versions")}]


def test_the_command_prints_the_best_epoch_and_the_weights(run, datalist, settings):
    arguments = [BUNDLE, "--datalist", datalist, "-o", run, "--epochs", EPOCHS, "--device", "cpu"]
    result = command(*arguments, *words(settings))
    assert result.exit_code == 0, result.output
    first, last = result.stdout.splitlines()
    assert first.startswith("2 epochs, best val_mean_dice 0.")
    assert last == str(run / "model.pt")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["absent_segmentation", "--datalist", "LIST", "-o", "OUT"], "no bundle 'absent_segmentation'"),
        ([BUNDLE, "-o", "OUT"], "Missing option '--datalist'"),
        ([BUNDLE, "--datalist", "LIST"], "Missing option '-o'"),
        ([BUNDLE, "--datalist", "absent.json", "-o", "OUT"], "absent.json: no such file"),
        ([BUNDLE, "--datalist", "LIST", "-o", "OUT", "--epochs", "0"], "0 is not in the range"),
        ([BUNDLE, "--datalist", "LIST", "-o", "OUT", "--device", "gpu"], "expected auto, cpu or cuda:N"),
        ([BUNDLE, "--datalist", "LIST", "-o", "OUT", "--config", "absent"], "no config 'absent'"),
        ([BUNDLE, "--datalist", "LIST", "-o", "OUT", "--set", "window"], "expected ID=VALUE"),
        ([BUNDLE, "--datalist", "LIST", "-o", "OUT", "--set", "windov=1"], "no config id 'windov'"),
    ],
)
def test_wrong_usage_is_status_2(datalist, tmp_path, arguments, text):
    places = {"LIST": datalist, "OUT": tmp_path / "out"}
    result = command(*(places.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert text in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()


def test_a_folder_with_another_run_is_status_1(run, datalist, settings):
    result = command(BUNDLE, "--datalist", datalist, "-o", run, "--device", "cpu", *words(settings))
    assert result.exit_code == 1, result.output
    assert "holds a run with max_epochs 2" in result.stderr
    assert "Traceback" not in result.output


def test_a_damaged_image_is_named_without_a_traceback(crops, datalist, settings, tmp_path):
    content = json.loads(datalist.read_text())
    damaged = tmp_path / "damaged.nii.gz"
    damaged.write_bytes(Path(content["training"][1]["image"]).read_bytes()[:2000])
    content["training"][1]["image"] = str(damaged)
    changed = tmp_path / "datalist.json"
    changed.write_text(json.dumps(content))
    output = tmp_path / "run"
    result = command(BUNDLE, "--datalist", changed, "-o", output, "--device", "cpu", *words(settings))
    assert result.exit_code == 1, result.output
    assert f"Error: {damaged}: " in result.stderr
    assert "Traceback" not in result.output
    readers = [thread for thread in threading.enumerate() if isinstance(thread, DummyProcess)]
    assert readers == []  # one that is still inside torch at the end would abort the process
    # Nothing was trained: the folder is free for a run with the image mended.
    train(BUNDLE, datalist, output, epochs=1, device="cpu", settings=settings)
    assert (output / "model.pt").is_file()
