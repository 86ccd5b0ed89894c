"""The runner on a Dask cluster: a real scheduler, and workers that are processes of their own."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest

from monai_tasks.datasets.radiographs import read_rejected, read_rows
from monai_tasks.radiographs.cluster import ClusterError, over_cluster
from monai_tasks.radiographs.processes import over_processes
from monai_tasks.radiographs.runner import preprocess

distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
pytestmark = pytest.mark.timeout(400)


@pytest.fixture
def scheduler() -> Iterator[distributed.LocalCluster]:
    """A scheduler without workers."""
    import dask

    with (
        dask.config.set({"distributed.scheduler.allowed-failures": 1}),
        distributed.LocalCluster(n_workers=0, dashboard_address=None) as cluster,
    ):
        yield cluster


@pytest.fixture
def start_worker(scheduler, plug, tmp_path) -> Iterator[Callable[[], subprocess.Popen]]:
    """Starts a worker of one thread that nobody starts again when it dies."""
    command = [sys.executable, "-m", "distributed.cli.dask_worker", scheduler.scheduler_address]
    command += ["--no-nanny", "--nthreads", "1", "--no-dashboard"]
    # In the common folder, workers of other tests that start at this moment clear up after each other.
    command += ["--local-directory", str(tmp_path / "workers")]
    paths = [str(plug.folder), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    started: list[subprocess.Popen] = []

    def start(bare: bool = False) -> subprocess.Popen:
        own = environment | ({"PYTHONPATH": os.environ.get("PYTHONPATH", "")} if bare else {})
        started.append(
            subprocess.Popen(command, env=own, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        return started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def run(source: Path, output: Path, config: Path, scheduler: distributed.LocalCluster, **options: object):
    address = scheduler.scheduler_address
    return preprocess(source, output, config=config, scheduler=address, sheets=0, progress=False, **options)


def test_a_killed_worker_loses_nothing(data, plug, tmp_path, scheduler, start_worker):
    source, output = data(24), tmp_path / "out"
    workers = [start_worker(), start_worker()]
    scheduler.wait_for_workers(2, timeout=60)
    summary = run(source, output, plug.config(killed={"S6": 1}, seconds=0.05), scheduler)
    assert (summary.done, summary.failed, summary.images) == (24, 0, 48)
    assert {row["study"] for row in read_rows(output)} == {f"S{number}" for number in range(24)}
    assert read_rejected(output) == []
    assert not list(output.rglob(".*"))
    # One of two was killed on the way, both had worked, and the other did the rest.
    assert sorted(worker.poll() or 0 for worker in workers) == [-signal.SIGKILL, 0]
    doers = {
        worker.pid: [study for study, process in plug.marks() if process == worker.pid] for worker in workers
    }
    dead, alive = sorted(workers, key=lambda worker: worker.poll() is None)
    assert "S6" in doers[dead.pid]
    # However much each had done before: the studies go by name, in which these come last.
    assert set(doers[alive.pid]) >= {"S6", "S8", "S9"}
    # What it did is what one process does.
    run_alone = preprocess(source, tmp_path / "alone", config=plug.config(), jobs=1, sheets=0, progress=False)
    assert run_alone.images == 48
    names = [row["image"] for row in read_rows(output)]
    assert all((output / name).read_bytes() == (tmp_path / "alone" / name).read_bytes() for name in names)


def test_a_study_that_kills_workers_is_given_up_and_a_failing_one_is_a_row(
    data, plug, tmp_path, scheduler, start_worker
):
    source, output = data(6), tmp_path / "out"
    for _ in range(3):
        start_worker()
    scheduler.wait_for_workers(3, timeout=60)
    summary = run(source, output, plug.config(killed={"S1": 99}, failing=["S4"]), scheduler)
    assert (summary.done, summary.failed) == (4, 2)
    reasons = dict(summary.failures)
    assert reasons["broken/S1"].startswith("KilledWorker: ")
    assert reasons["broken/S4"] == "ValueError: the step failed"
    assert [row["study"] for row in read_rejected(output)] == ["S1", "S4"]
    # The next run goes on on this machine, which takes the journal over.
    marks = len(plug.marks())
    with pytest.raises(ClusterError, match=r"no worker is left at the scheduler .* The same command goes on"):
        list(over_cluster(os._exit, [1], scheduler.scheduler_address, seconds=1.0))
    assert len(plug.marks()) == marks


def test_only_a_few_tasks_are_taken_ahead(scheduler, start_worker):
    start_worker()
    scheduler.wait_for_workers(1, timeout=60)
    taken, given = [], 0
    tasks = (taken.append(number) or number for number in range(30))
    for task, result in over_cluster(abs, tasks, scheduler.scheduler_address):
        given += 1
        assert result == task
        assert len(taken) - given <= 1  # for one thread
    assert given == 30


def test_a_worker_that_cannot_do_the_work_is_named(data, plug, tmp_path, scheduler, start_worker):
    start_worker()
    scheduler.wait_for_workers(1, timeout=60)
    with pytest.raises(ClusterError, match=r"^worker tcp://.*: no folder here$"):
        next(over_cluster(abs, [1], scheduler.scheduler_address, check=partial(str, "no folder here")))


@pytest.mark.parametrize(
    ("bare", "said"), [(False, "another version"), (True, "No module named 'later_check'")]
)
def test_a_worker_that_joins_later_is_checked_before_its_work_counts(
    tmp_path, plug, scheduler, start_worker, bare, said
):
    (plug.folder / "later_check.py").write_text(
        "import os, pathlib\n"
        "def check(file):\n"
        "    path = pathlib.Path(file)\n"
        "    path.write_text(path.read_text() if path.exists() else str(os.getpid()))\n"
        "    return '' if path.read_text() == str(os.getpid()) else 'another version'\n"
        "def who(seconds):\n"
        "    import time\n"
        "    time.sleep(seconds)\n"
        "    return os.getpid()\n"
    )
    import later_check

    first = start_worker()
    scheduler.wait_for_workers(1, timeout=60)
    check = partial(later_check.check, str(tmp_path / "first"))
    results = over_cluster(later_check.who, itertools.repeat(0.05), scheduler.scheduler_address, check)
    assert next(results)[1] == first.pid
    later = start_worker(bare)
    doers = {first.pid}
    with pytest.raises(ClusterError, match=f"^worker tcp://.*: .*{said}"):
        # Without the other worker this would go on for ever.
        doers.update(doer for _, doer in itertools.takewhile(lambda _: later.poll() is None, results))
    assert doers == {first.pid}


def test_an_error_of_the_tasks_is_not_taken_for_one_of_the_scheduler(scheduler, start_worker):
    start_worker()
    scheduler.wait_for_workers(1, timeout=60)

    def tasks() -> Iterator[int]:
        yield 1
        raise PermissionError("a folder that cannot be read")

    with pytest.raises(PermissionError, match="a folder that cannot be read"):
        list(over_cluster(abs, tasks(), scheduler.scheduler_address))


def test_a_cluster_that_is_not_there_is_named(scheduler):
    with pytest.raises(ClusterError, match=r"no scheduler at 'tcp://127\.0\.0\.1:9'"):
        next(over_cluster(abs, [1], "tcp://127.0.0.1:9", seconds=0.5))
    with pytest.raises(ClusterError, match="no scheduler at 'nonsense://x'"):
        next(over_cluster(abs, [1], "nonsense://x", seconds=0.5))
    with pytest.raises(ClusterError, match=r"no worker at the scheduler .* after 1 s"):
        next(over_cluster(abs, [1], scheduler.scheduler_address, seconds=0.6))


def test_what_a_cluster_began_goes_on_here(data, plug, tmp_path, scheduler, start_worker):
    source, output, config = data(4), tmp_path / "out", plug.config(failing=["S2"])
    start_worker()
    scheduler.wait_for_workers(1, timeout=60)
    assert run(source, output, config, scheduler).done == 3
    summary = preprocess(source, output, config=config, jobs=1, sheets=0, progress=False)
    assert (summary.done, summary.skipped, summary.failed) == (0, 3, 1)


def test_a_scheduler_that_goes_away_ends_the_run_with_a_sentence(tmp_path):
    import dask

    file = tmp_path / "scheduler.json"
    modules = {
        "scheduler": ["--host", "127.0.0.1", "--port", "0"],
        "worker": ["--no-nanny", "--nthreads", "1"],
    }
    shared = ["--no-dashboard", "--scheduler-file", str(file)]
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", f"distributed.cli.dask_{name}", *words, *shared],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for name, words in modules.items()
    ]
    try:
        while not file.exists():
            time.sleep(0.05)
        address = json.loads(file.read_text())["address"]
        with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
            results = over_cluster(time.sleep, itertools.repeat(0.01), address)
            next(results)
            processes[0].kill()
            with pytest.raises(
                ClusterError, match=r"the scheduler at .* went away; .* The same command goes on"
            ):
                for _ in results:
                    pass
    finally:
        for process in processes:
            process.kill()
            process.wait()


def test_without_a_cluster_nothing_of_dask_is_needed(monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    assert list(over_processes(abs, [-1], 1)) == [(-1, 1)]
    with pytest.raises(ClusterError, match=r"expected `pip install monai_tasks\[cluster\]`"):
        next(over_cluster(abs, [1], "tcp://127.0.0.1:9"))
