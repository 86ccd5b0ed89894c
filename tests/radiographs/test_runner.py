"""The runner: same layout out as in, resume, failures in rows, killed processes, and what it refuses."""

from __future__ import annotations

import json
import logging
import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from monai_tasks.datasets.radiographs import read_rejected, read_rows, read_study, study_folders
from monai_tasks.io.errors import InputError
from monai_tasks.io.journal import Journal
from monai_tasks.io.radiograph import read_radiograph
from monai_tasks.io.tables import read_table
from monai_tasks.radiographs.processes import over_processes
from monai_tasks.radiographs.runner import preprocess

pytestmark = pytest.mark.timeout(400)


def run(data, output, config, **options):
    return preprocess(data, output, config=config, **{"jobs": 1, "sheets": 0, "progress": False, **options})


def content(folder: Path) -> dict[str, bytes]:
    """Every image and table of a data set."""
    files = [*folder.rglob("*.png"), *folder.rglob("*.csv")]
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


def test_the_output_is_a_data_set_of_the_same_layout(data, plug, tmp_path):
    source, output = data(4), tmp_path / "out"
    summary = run(source, output, plug.config(left_out=["S3"]))
    assert (summary.done, summary.skipped, summary.failed, summary.images, summary.rejected) == (
        4,
        0,
        0,
        6,
        2,
    )
    assert [folder.relative_to(output).as_posix() for folder in study_folders(output)] == [
        "not_broken/S0",
        "broken/S1",
        "unlabelled/S2",
    ]
    rows = read_rows(output)
    assert rows == [row for folder in study_folders(output) for row in read_study(folder)]
    assert {row["colour_inverted"] for row in rows} == {"yes"}
    assert {row["patient"] for row in rows} == {"P0", "P1", "P2"}
    for row in rows:
        before, after = (read_radiograph(folder / row["image"]).pixels for folder in (source, output))
        np.testing.assert_array_equal(after, 65535 - before)
    assert read_rejected(output) == [
        {"file": f"not_broken/S3/S1_I{number}.png", "study": "S3", "reason": "not wanted"}
        for number in (1, 2)
    ]


def test_files_that_no_step_changed_are_taken_over_as_they_are(data, tmp_path):
    source, output = data(3, texts=("MUÑECA", "PIE", "")), tmp_path / "out"
    preprocess(source, output, steps=["body_part"], jobs=1, sheets=0, progress=False)
    rows = read_rows(output)
    assert len(rows) == 4
    assert all((output / row["image"]).read_bytes() == (source / row["image"]).read_bytes() for row in rows)
    assert [row["reason"] for row in read_rejected(output)] == ["body part foot; expected wrist"] * 2
    histogram = read_table(output / "body_part_histogram.csv")
    assert [(row["value"], row["count"], row["kept"]) for row in histogram] == [
        ("", "2", "yes"),
        ("MUÑECA", "2", "yes"),
        ("PIE", "2", "no"),
    ]
    # The second time, of its own output, nothing changes.
    preprocess(output, tmp_path / "again", steps=["body_part"], jobs=1, sheets=0, progress=False)
    unchanged = {
        name: part for name, part in content(output).items() if "/" in name or name == "metadata.csv"
    }
    assert unchanged.items() <= content(tmp_path / "again").items()
    assert read_rejected(tmp_path / "again") == []


def test_processes_give_what_one_gives(data, plug, tmp_path):
    source = data(5)
    config = plug.config(left_out=["S1"])
    run(source, tmp_path / "one", config)
    run(source, tmp_path / "two", config, jobs=2)
    assert content(tmp_path / "one") == content(tmp_path / "two")
    processes = {process for _, process in plug.marks()}
    assert len(processes - {os.getpid()}) in (1, 2)


def test_a_second_run_does_what_is_new(data, plug, tmp_path):
    source, output, config = data(4), tmp_path / "out", plug.config(left_out=["S3"])
    run(source, output, config)
    first = content(output)
    summary = run(source, output, config)
    assert (summary.done, summary.skipped, summary.images, summary.rejected) == (0, 4, 6, 2)
    assert content(output) == first
    assert len(plug.marks()) == 4
    # Another input file, a folder that was removed, another parameter, and a wish.
    shutil.copyfile(source / "not_broken/S0/S1_I1.png", source / "not_broken/S0/S1_I2.png")
    shutil.rmtree(output / "broken" / "S1")
    assert (run(source, output, config).done, len(plug.marks())) == (2, 6)
    assert (output / "broken" / "S1" / "metadata.csv").is_file()
    assert run(source, output, plug.config(left_out=["S2"])).done == 4
    assert not (output / "unlabelled" / "S2").exists()
    assert (output / "not_broken" / "S3").exists()
    assert run(source, output, plug.config(left_out=["S2"]), overwrite=True).done == 4


def test_a_failing_study_is_a_row_and_is_tried_again(data, plug, tmp_path):
    source, output = data(4), tmp_path / "out"
    (source / "broken" / "S1" / "S1_I2.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    summary = run(source, output, plug.config(failing=["S2"]))
    assert (summary.done, summary.failed, summary.images) == (2, 2, 4)
    assert dict(summary.failures)["unlabelled/S2"] == "ValueError: the step failed"
    rows = {row["study"]: row for row in read_rejected(output)}
    assert (rows["S1"]["file"], rows["S2"]["file"]) == ("broken/S1/S1_I2.png", "")
    assert "cannot be decoded" in rows["S1"]["reason"]
    assert {row["study"] for row in read_rows(output)} == {"S0", "S3"}
    before = len(plug.marks())
    assert run(source, output, plug.config(failing=["S2"])).skipped == 2
    assert {study for study, _ in plug.marks()} == {"S0", "S1", "S2", "S3"}
    assert len(plug.marks()) == before + 2
    # What an earlier run had made of a study that now fails does not stay.
    assert run(source, output, plug.config(failing=["S0"])).failed == 2
    assert not (output / "not_broken" / "S0").exists()


def test_an_interrupted_run_is_continued(data, plug, tmp_path):
    source, output = data(4), tmp_path / "out"
    stop = plug.folder / "stop"
    stop.mkdir()
    with pytest.raises(KeyboardInterrupt):
        run(source, output, plug.config(interrupted=["S2"], while_there=str(stop)))
    assert [study for study, _ in plug.marks()] == ["S0", "S1", "S2"]
    # What a kill leaves behind.
    with (output / "journal.jsonl").open("ab") as stream:
        stream.write(b'{"study": "broken/S')
    half = output / "unlabelled" / ".S2.1-00000000.tmp"
    half.mkdir(parents=True)
    (half / "S1_I1.png").write_bytes(b"half")
    stop.rmdir()
    summary = run(source, output, plug.config(interrupted=["S2"], while_there=str(stop)))
    assert (summary.done, summary.skipped, summary.images) == (2, 2, 8)
    assert [study for study, _ in plug.marks()] == ["S0", "S1", "S2", "S2", "S3"]
    assert not list(output.rglob(".*"))
    assert run(source, output, plug.config(interrupted=["S2"], while_there=str(stop))).skipped == 4


def test_a_killed_process_costs_no_study(data, plug, tmp_path, caplog):
    source, output = data(8), tmp_path / "out"
    with caplog.at_level(logging.WARNING):
        summary = run(source, output, plug.config(killed={"S3": 1}), jobs=2)
    assert (summary.done, summary.failed, summary.images) == (8, 0, 16)
    assert "a process was killed" in caplog.text
    assert [study for study, _ in plug.marks()].count("S3") == 2
    assert {row["study"] for row in read_rows(output)} == {f"S{number}" for number in range(8)}
    assert not list(output.rglob(".*"))


def test_a_study_that_kills_every_process_is_given_up(data, plug, tmp_path):
    source, output = data(6), tmp_path / "out"
    summary = run(source, output, plug.config(killed={"S2": 99}), jobs=2)
    assert (summary.done, summary.failed) == (5, 1)
    assert summary.failures == (
        ("unlabelled/S2", "WorkerDiedError: its process was killed twice, or ran out of memory"),
    )
    assert [row["study"] for row in read_rejected(output)] == ["S2"]


def test_what_was_counted_before_a_step_failed_is_in_the_histogram(data, plug, tmp_path):
    source = data(3, texts=("MUÑECA", "PIE"))
    config = json.loads(plug.config(failing=["S1"]).read_text())
    body_part = {"_target_": "monai_tasks.radiographs.body_part.BodyPartFilter"}
    (tmp_path / "both.json").write_text(json.dumps({"steps": {"body_part": body_part, **config["steps"]}}))
    assert run(source, tmp_path / "out", tmp_path / "both.json").failed == 1
    histogram = read_table(tmp_path / "out" / "body_part_histogram.csv")
    assert {row["value"]: row["count"] for row in histogram} == {"MUÑECA": "3", "PIE": "3"}


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_one_task_is_given_and_the_others_are_done(jobs):
    done = dict(over_processes(int, ["1", "x", "3"], jobs))
    assert isinstance(done.pop("x"), ValueError)
    assert done == {"1": 1, "3": 3}


def test_only_a_few_tasks_are_taken_ahead():
    taken, given = [], 0
    tasks = (taken.append(number) or number for number in range(40))
    for task, result in over_processes(abs, tasks, 2):
        given += 1
        assert result == task
        assert len(taken) - given <= 4
    assert given == 40


def test_what_was_run_can_be_run_again(data, tmp_path):
    source = data(3, texts=("MUÑECA", "mano"))
    preprocess(source, tmp_path / "out", steps=["body_part"], settings={"body_part#parts": ["hand"]}, jobs=1)
    facts = json.loads((tmp_path / "out" / "pipeline.json").read_text())
    assert facts["steps"]["body_part"]["parts"] == ["hand"]
    assert facts["changed"] == {"body_part": 3}
    assert {"monai_tasks", "numpy", "python"} <= facts["versions"].keys()
    again = preprocess(source, tmp_path / "again", config=tmp_path / "out" / "pipeline.json", jobs=1)
    assert (again.images, again.rejected) == (3, 3)


def test_what_cannot_be_is_refused_before_anything_is_written(data, plug, tmp_path):
    source, config = data(2), plug.config()
    for output in (source, source / "broken", tmp_path):
        with pytest.raises(InputError, match="in it or around it; expected a folder of its own"):
            run(source, output, config)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no studies; expected a data set with"):
        run(tmp_path / "empty", tmp_path / "out", config)
    assert not (tmp_path / "out").exists()
    run(source, tmp_path / "out", config)
    (source / "broken" / "S1").rename(source / "broken" / "S9")
    with pytest.raises(
        InputError, match=r"study broken/S1, which .* does not have; expected an empty folder"
    ):
        run(source, tmp_path / "out", config)


def test_two_runs_do_not_write_to_one_folder(data, plug, tmp_path):
    source = data(1)
    with Journal(tmp_path / "out"), pytest.raises(InputError, match="another run is writing here"):
        run(source, tmp_path / "out", plug.config())


def test_a_table_that_names_files_elsewhere_fails_its_study(data, plug, tmp_path):
    source = data(2)
    table = source / "broken" / "S1" / "metadata.csv"
    table.write_text(
        table.read_text().replace("broken/S1/S1_I2.png", "broken/S1/../../not_broken/S0/S1_I2.png")
    )
    summary = run(source, tmp_path / "out", plug.config())
    assert [study for study, _ in summary.failures] == ["broken/S1"]
    assert "expected images in broken/S1" in summary.failures[0][1]
