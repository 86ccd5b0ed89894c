"""One run: the machine that it asks for, and its folder."""

from __future__ import annotations

import importlib.metadata
from pathlib import Path

import pytest

from monai_tasks.experiments import runs
from monai_tasks.experiments.transfer_run import Task
from monai_tasks.io.journal import BusyError


def task(output: Path, devices: tuple[str, ...]) -> Task:
    places = {"output": output, "bundle": output, "training": output, "datalist": output}
    return Task(subset="2", arm="a", seed=0, devices=devices, **places)


def test_each_run_has_a_device_of_its_own(tmp_path):
    own = task(tmp_path, ("cuda:0", "cuda:1"))
    with runs._free_device(own) as first, runs._free_device(own) as second:
        assert (first, second) == ("cuda:0", "cuda:1")
        with pytest.raises(BusyError, match="no device is free"), runs._free_device(own):
            pass
    with runs._free_device(own) as again:
        assert again == "cuda:0"


def test_one_folder_takes_one_run_at_a_time(tmp_path):
    own = task(tmp_path, ("cpu",))
    with runs.Journal(own.folder):
        assert "another run is writing here" in runs.run(own).reason


def test_a_worker_must_fit(tmp_path):
    version = importlib.metadata.version("monai_tasks")
    assert runs.check_worker(tmp_path, version) == ""
    assert runs.check_worker(tmp_path / "none", version).startswith("no folder")
    assert runs.check_worker(tmp_path, "0.0.9") == f"monai_tasks {version}; expected 0.0.9"
