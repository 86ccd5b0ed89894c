"""A cross-validation with trainings too small to learn much: what is run, resumed, taken over, pooled and told."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from monai_tasks.cli import main
from monai_tasks.experiments import runs
from monai_tasks.experiments.cross_validation import Summary, cross_validate
from monai_tasks.inference.configs import ConfigError
from monai_tasks.inference.members import gather
from monai_tasks.io.journal import JOURNAL
from monai_tasks.io.tables import read_table
from monai_tasks.training.run_state import RunState
from monai_tasks.training.train import OtherRunError

BUNDLE = "hippocampus_mri_segmentation"
EPOCHS = 2


@pytest.fixture(scope="module")
def call(crops, tiny_highresnet) -> Callable[..., Summary]:
    """Cross-validates the generated crops in two folds."""
    settings = {"network_def": tiny_highresnet, "window": [16, 16, 16], "inference_window": [32, 32, 32]}

    def called(output: Path, **changes: Any) -> Summary:
        options = {"folds": 2, "epochs": EPOCHS, "devices": ["cpu"], "progress": False, "settings": settings}
        return cross_validate(BUNDLE, crops / "datalist.json", output, **options | changes)

    return called


@pytest.fixture(scope="module")
def finished(call, tmp_path_factory) -> tuple[Path, Summary, list[Path]]:
    """A run that was interrupted in its second fold after an epoch and then went on; each epoch's folder."""
    output, save, saved = tmp_path_factory.mktemp("cv") / "run", RunState.save, []

    def interrupted(self: RunState, engine: Any) -> None:
        save(self, engine)
        saved.append(self.last.parent)
        if len(saved) == EPOCHS + 1:
            raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunState, "save", interrupted)
        with pytest.raises(KeyboardInterrupt):
            call(output)
        assert not (output / "report.html").exists()
        summary = call(output)
    return output, summary, saved


def test_an_interrupted_run_goes_on_at_the_fold_and_epoch_it_had(finished):
    output, summary, saved = finished
    assert (summary.done, summary.taken_over, summary.failures) == (1, 1, ())
    assert [folder.name for folder in saved] == ["0"] * EPOCHS + ["1"] * EPOCHS
    assert len(json.loads((output / "folds" / "1" / "run.json").read_text())["begun_with"]) == 1


def test_all_is_there_and_agrees(finished, crops):
    output, _, _ = finished
    rows = read_table(output / "out_of_fold.csv")
    datalist = json.loads((crops / "datalist.json").read_text())
    held = [item for part in ("training", "validation") for item in datalist[part]]
    assert sorted(row["image"] for row in rows) == sorted(item["image"] for item in held)
    assert sorted(row["label"] for row in rows) == sorted(item["label"] for item in held)
    content = json.loads((output / "cross_validation.json").read_text())
    assert (content["bundle"], content["folds"], content["subjects"]) == (BUNDLE, 2, len(held))
    dice = content["metrics"][0]
    assert (dice["of"], dice["metric"]) == ("mean of labels", "dice")
    assert dice["pooled"]["value"] == pytest.approx(
        sum(float(row["metric"]) for row in rows) / len(rows), abs=1e-5
    )
    for run in content["runs"]:
        own = [float(row["metric"]) for row in rows if int(row["fold"]) == run["fold"]]
        assert dice["folds"][str(run["fold"])]["value"] == pytest.approx(sum(own) / len(own), abs=1e-5)
        assert run["cases"]["test"] == len(own)
        assert run["seed"] == run["fold"]
        parts = json.loads((output / "datalists" / f"fold_{run['fold']}.json").read_text())
        subjects = [{item["subject"] for item in parts[part]} for part in ("training", "validation", "test")]
        assert sum(map(len, subjects)) == len(set.union(*subjects)) == len(held)
    page = (output / "report.html").read_text()
    for text in ("curves.png", "evaluation/report.html", "out_of_fold.csv", "folds/1/evaluation/report.html"):
        assert text in page
    assert (output / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not (output / "operating_point.json").exists()
    assert [path.parent.name for path in gather(output).files] == ["0", "1"]


def test_a_second_call_trains_nothing(finished, call, monkeypatch):
    output, _, _ = finished
    before = {path: path.stat().st_mtime_ns for path in output.rglob("*.pt")}
    lists = {path: path.stat().st_mtime_ns for path in output.glob("datalists/fold_*.json")}
    monkeypatch.setattr(runs, "train", None)
    again = call(output)
    assert (again.done, again.taken_over) == (0, 2)
    assert {path: path.stat().st_mtime_ns for path in output.rglob("*.pt")} == before
    assert {path: path.stat().st_mtime_ns for path in output.glob("datalists/fold_*.json")} == lists


@pytest.mark.parametrize("changes", [{"seed": 1}, {"folds": 3}, {"with_test": True}])
def test_other_folds_in_the_same_folder_are_refused(finished, call, changes):
    output, _, _ = finished
    before = (output / "datalists" / "fold_0.json").read_bytes()
    with pytest.raises(OtherRunError, match=r"holds the training of fold \d with other images"):
        call(output, **changes)
    assert (output / "datalists" / "fold_0.json").read_bytes() == before


def test_a_finished_run_is_not_overwritten_by_one_of_other_settings(finished, call):
    output, _, _ = finished
    before = (output / "cross_validation.json").read_bytes()
    with pytest.raises(
        OtherRunError, match="a cross-validation with other epochs; expected the same, or another"
    ):
        call(output, epochs=1000)
    assert (output / "cross_validation.json").read_bytes() == before


def test_ordered_classes_keep_the_meaning_that_the_evaluation_knows(tmp_path):
    scan = {"image": "a.nii.gz", "label": 0}
    parts = {
        "training": [scan | {"image": f"{n}.nii.gz", "label": n % 5, "subject": str(n)} for n in range(20)]
    }
    (tmp_path / "list.json").write_text(json.dumps(parts))
    with pytest.raises(ConfigError, match=r"rescan_from 2; expected .* as in its inference\.json"):
        cross_validate(
            "hrpqct_motion_classification",
            tmp_path / "list.json",
            tmp_path / "run",
            folds=2,
            settings={"rescan_from": 2},
        )
    assert not (tmp_path / "run").exists()


def test_a_fold_that_fails_is_named_and_the_others_are_reported(finished, tmp_path, crops, monkeypatch, call):
    output = Path(shutil.copytree(finished[0], tmp_path / "run"))
    journal = (output / JOURNAL).read_text().splitlines()
    (output / JOURNAL).write_text("\n".join(line for line in journal if '"fold 1"' not in line) + "\n")

    def failing(task: Any, device: str) -> Any:
        raise ValueError(f"{task.key} is not run here")

    monkeypatch.setattr(runs, "_run", failing)
    summary = call(output)
    assert summary.failures == (("fold 1", "fold 1 is not run here"),)
    rows = read_table(output / "out_of_fold.csv")
    assert {row["fold"] for row in rows} == {"0"}
    content = json.loads((output / "cross_validation.json").read_text())
    assert [run["status"] for run in content["runs"]] == ["done", "failed"]
    assert list(content["metrics"][0]["folds"]) == ["0"]
    assert "fold 1 is not run here" in (output / "report.html").read_text()
    monkeypatch.setattr(runs, "_run", failing)
    command = ["cross-validate", BUNDLE, "--datalist", str(crops / "datalist.json"), "--folds", "2"]
    result = CliRunner().invoke(main, [*command, "-o", str(tmp_path / "other"), "--device", "cpu"])
    assert result.exit_code == 1
    assert "fold 0: fold 0 is not run here" in result.stderr
    assert result.stdout.splitlines()[-1] == str(tmp_path / "other" / "report.html")
    assert "Failed folds" in (tmp_path / "other" / "report.html").read_text()


def test_wrong_usage(call, crops, tmp_path):
    with pytest.raises(ConfigError, match="no config id 'windows'"):
        call(tmp_path / "run", settings={"windows": 1})
    with pytest.raises(ConfigError, match="seed among the settings"):
        call(tmp_path / "run", settings={"seed": 1})
    assert not (tmp_path / "run").exists()

    def said(*words: str) -> str:
        command = [
            "cross-validate",
            BUNDLE,
            "--datalist",
            str(crops / "datalist.json"),
            "-o",
            str(tmp_path / "run"),
        ]
        result = CliRunner().invoke(main, [*command, *words])
        assert result.exit_code == 2
        return result.stderr

    assert "5 subjects for 6 folds" in said("--folds", "6", "--device", "cpu")
    assert "expected none beside --scheduler" in said(
        "--folds", "2", "--scheduler", "tcp://x:1", "--jobs", "2"
    )
    assert "Invalid value for '--folds'" in said("--folds", "1")


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_folds_on_a_cluster_and_in_processes_are_the_same_runs(call, tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://", dashboard_address=None
    )
    with cluster:
        summary = call(tmp_path / "cluster", epochs=1, scheduler=cluster.scheduler_address)
    assert (summary.done, summary.failures) == (2, ())
    assert call(tmp_path / "processes", epochs=1, jobs=2).failures == ()
    losses = []
    for way in ("cluster", "processes"):
        content = json.loads((tmp_path / way / "cross_validation.json").read_text())
        losses.append([run["train_loss"] for run in content["runs"]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][0] != losses[0][1]
    assert call(tmp_path / "cluster", epochs=1).taken_over == 2
