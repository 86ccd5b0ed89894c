"""Transfer experiments with trainings too small to learn much: what is run, taken over, resumed, and told."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from click.testing import CliRunner
from torch.utils.data import DistributedSampler

from monai_tasks.cli import main
from monai_tasks.experiments import runs
from monai_tasks.experiments.transfer_grid import transfer
from monai_tasks.experiments.transfer_run import Task
from monai_tasks.inference.configs import ConfigError
from monai_tasks.inference.engine import DeviceError
from monai_tasks.io.files import sha256
from monai_tasks.io.tables import read_table
from monai_tasks.training.run_state import RunState

BUNDLE = "hippocampus_mri_segmentation"
EPOCHS = 2


@pytest.fixture(scope="module")
def weights(tmp_path_factory, tiny_highresnet) -> Path:
    """Weights of the network, which a training could have left."""
    from monai.bundle import ConfigParser

    parser = ConfigParser({"in_channels": 1, "out_channels": 3, "network": tiny_highresnet})
    file = tmp_path_factory.mktemp("source") / "model.pt"
    torch.manual_seed(7)
    torch.save(parser.get_parsed_content("network").state_dict(), file)
    return file


@pytest.fixture(scope="module")
def write(crops, tiny_highresnet, weights, tmp_path_factory) -> Callable[..., Path]:
    """Writes a plan of two arms on two subsets of the generated crops."""

    def written(**changes: Any) -> Path:
        content = {
            "bundle": BUNDLE,
            "datalist": str(crops / "datalist.json"),
            "source": str(weights),
            "arms": [{"name": "scratch"}, {"name": "source", "start": "source", "frozen": ["conv_0"]}],
            "subsets": [2, "all"],
            "seeds": [0],
            "epochs": EPOCHS,
            "settings": {
                "network_def": tiny_highresnet,
                "window": [16, 16, 16],
                "inference_window": [32, 32, 32],
                "learning_rate": 0.01,
            },
        }
        file = tmp_path_factory.mktemp("plan") / "plan.yaml"
        file.write_text(yaml.safe_dump(content | changes))
        return file

    return written


@pytest.fixture(scope="module")
def orders() -> Iterator[dict[str, list[list[int]]]]:
    """The order in which each training took its images, epoch by epoch."""
    seen: dict[str, list[list[int]]] = defaultdict(list)
    under_way = ""
    iterate, run = DistributedSampler.__iter__, runs._run

    def noted(self: DistributedSampler) -> Iterator[int]:
        order = list(iterate(self))
        seen[under_way].append(order)
        return iter(order)

    def named(task: Task, device: str) -> Any:
        nonlocal under_way
        under_way = task.key
        return run(task, device)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(DistributedSampler, "__iter__", noted)
        patch.setattr(runs, "_run", named)
        yield seen


@pytest.fixture(scope="module")
def finished(write, tmp_path_factory, orders) -> tuple[Path, Path, Any]:
    """A plan, the folder of its experiment, which no test may change, and what the command said."""
    arms = [
        {"name": "scratch"},
        {"name": "unfit", "start": "unfit.pt"},
        {"name": "source", "start": "source", "frozen": ["conv_0"]},
    ]
    plan = write(arms=arms)
    torch.save({"other.weight": torch.zeros(3)}, plan.parent / "unfit.pt")
    output = tmp_path_factory.mktemp("experiment") / "out"
    command = ["transfer", str(plan), "-o", str(output), "--device", "cpu"]
    return plan, output, CliRunner().invoke(main, command)


def rows_of(output: Path) -> dict[str, dict[str, str]]:
    rows = read_table(output / "table.csv")
    return {f"{row['subset']}/{row['arm']}/{row['seed']}": row for row in rows}


def test_every_run_has_a_row_and_a_failing_arm_stops_no_other(finished):
    _, output, result = finished
    assert result.exit_code == 1, result.output
    rows = rows_of(output)
    assert list(rows) == [
        f"{subset}/{arm}/0" for subset in ("2", "all") for arm in ("scratch", "unfit", "source")
    ]
    for key, row in rows.items():
        if "unfit" in key:
            assert row["status"] == "failed"
            assert "nothing fits HighResNet" in row["reason"]
            assert f"{key}: {row['reason']}" in result.stderr
            continue
        assert (row["status"], row["reason"]) == ("done", "")
        assert (row["subjects"], row["images"]) == (("2", "2") if row["subset"] == "2" else ("4", "4"))
        for column in ("train", "train_loss", "validation", "test", "seconds", "data_wait_share"):
            assert 0 <= float(row[column]) < 100
        steps = 1 if row["subset"] == "2" else 2  # of two images each
        assert int(row["best_iteration"]) == steps * int(row["best_epoch"])
        assert int(row["epochs"]) == EPOCHS


def test_the_page_and_the_summary_say_what_came_out(finished):
    _, output, result = finished
    content = json.loads((output / "summary.json").read_text())
    assert content["answer"] in result.stdout
    assert result.stdout.splitlines()[-1] == str(output / "report.html")
    assert "2 runs failed" in content["answer"]
    assert (content["metric"], content["reference"], content["subjects"]) == ("dice", "scratch", 1)
    assert [(one["subset"], one["arm"], one["other"]) for one in content["differences"]] == [
        ("2", "source", "scratch"),
        ("all", "source", "scratch"),
    ]
    rows = rows_of(output)
    for one in content["differences"]:
        own, other = (float(rows[f"{one['subset']}/{arm}/0"]["test"]) for arm in ("source", "scratch"))
        assert one["value"] == pytest.approx(own - other)
    page = (output / "report.html").read_text()
    for name in ("losses.png", "validation.png", "boxes.png", "learning_curves.png"):
        assert (output / name).read_bytes().startswith(b"\x89PNG")
        assert name in page
    assert "nothing fits HighResNet" in page
    assert "Time waiting for data" in page


def test_all_arms_take_the_images_in_one_order(finished, orders):
    own = orders["all/scratch/0"]
    assert len(own) >= EPOCHS
    assert all(sorted(order) == [0, 1, 2, 3] for order in own)
    assert orders["all/source/0"] == own
    assert any(order != own[0] for order in own)


def test_layers_were_started_and_frozen(finished, weights):
    _, output, _ = finished
    source = torch.load(weights, weights_only=True)
    folder = output / "runs" / "all" / "source" / "0"
    trained = torch.load(folder / "model.pt", weights_only=True)
    frozen = [name for name in source if name.startswith("blocks.0.")]
    assert frozen
    assert all(torch.equal(source[name], trained[name]) for name in frozen)
    assert any(not torch.equal(source[name], trained[name]) for name in source)
    assert json.loads((folder / "start.json").read_text())["weights"] == weights.name


def test_a_second_call_takes_over_what_is_finished_and_adds_what_is_new(
    finished, write, tmp_path, monkeypatch
):
    plan, output, _ = finished
    content = yaml.safe_load(plan.read_text())
    torch.save({"other.weight": torch.zeros(3)}, tmp_path / "unfit.pt")
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(content))
    begun: list[str] = []

    def noted(task: Task, device: str) -> Any:
        begun.append(task.key)
        raise ValueError("is not run here")

    monkeypatch.setattr(runs, "_run", noted)
    before = (output / "runs" / "2" / "scratch" / "0" / "model.pt").stat().st_mtime_ns
    summary = transfer(tmp_path / "plan.yaml", output, devices=["cpu"], progress=False)
    assert begun == ["2/unfit/0", "all/unfit/0"]
    assert (summary.done, summary.taken_over, len(summary.failures)) == (0, 4, 2)
    # Another plan in the same folder does not pass for the first: a run of it says so.
    changed = content | {"settings": content["settings"] | {"learning_rate": 0.02}, "subsets": [2]}
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(changed))
    again = transfer(tmp_path / "plan.yaml", output, devices=["cpu"], progress=False)
    assert (
        "holds a run that differs in settings; expected the same plan" in dict(again.failures)["2/scratch/0"]
    )
    assert (output / "runs" / "2" / "scratch" / "0" / "model.pt").stat().st_mtime_ns == before


@pytest.mark.slow
def test_an_interrupted_experiment_goes_on_where_it_was(write, tmp_path, monkeypatch):
    plan, output = write(subsets=["all"]), tmp_path / "out"
    save, saved = RunState.save, []

    def interrupted(self: RunState, engine: Any) -> None:
        save(self, engine)
        saved.append(self.last.parent)
        if len(saved) == EPOCHS + 1:  # in the second run
            raise KeyboardInterrupt

    monkeypatch.setattr(RunState, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        transfer(plan, output, devices=["cpu"], progress=False)
    assert not (output / "table.csv").exists()
    summary = transfer(plan, output, devices=["cpu"], progress=False)
    assert (summary.done, summary.taken_over, summary.failures) == (1, 1, ())
    # The first epoch of the second run was not done again.
    assert [folder.parent.name for folder in saved] == ["scratch"] * EPOCHS + ["source"] * EPOCHS
    record = read_table(output / "runs" / "all" / "source" / "0" / "record.csv")
    assert [row["epoch"] for row in record] == ["1", "2"]
    assert (
        len(json.loads((output / "runs" / "all" / "source" / "0" / "run.json").read_text())["begun_with"])
        == 1
    )


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_the_workers_of_a_cluster_do_the_runs(write, tmp_path):
    distributed = pytest.importorskip("distributed", reason="the extra `cluster` is not installed")
    plan = write(subsets=[2], epochs=1)
    # A worker of two threads: two trainings in one process would share torch's random numbers if they could.
    cluster = distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://", dashboard_address=None
    )
    with cluster:
        summary = transfer(plan, tmp_path / "out", scheduler=cluster.scheduler_address, progress=False)
    assert (summary.done, summary.failures) == (2, ())
    alone = transfer(plan, tmp_path / "alone", devices=["cpu"], progress=False)
    assert alone.failures == ()
    for key, row in rows_of(tmp_path / "alone").items():
        assert rows_of(tmp_path / "out")[key]["train_loss"] == row["train_loss"]
    assert transfer(plan, tmp_path / "out", devices=["cpu"], progress=False).taken_over == 2


def test_what_the_bundle_cannot_do_is_refused_before_a_training(write, tmp_path):
    arms = [{"name": "a", "start": "imagenet"}]
    plan = write(arms=arms, imagenet_weights="densenet.pth")
    (plan.parent / "densenet.pth").write_text("")
    with pytest.raises(ConfigError, match="no config id 'imagenet_weights'; expected one of"):
        transfer(plan, tmp_path / "out", devices=["cpu"], progress=False)
    with pytest.raises(DeviceError, match="device 'gpu'"):
        transfer(write(), tmp_path / "out", devices=["gpu"], progress=False)
    assert not (tmp_path / "out" / "runs").exists()


def test_wrong_usage_of_the_command(write, tmp_path):
    def said(*words: str) -> str:
        result = CliRunner().invoke(main, ["transfer", str(write()), "-o", str(tmp_path / "out"), *words])
        assert result.exit_code == 2
        return result.stderr

    assert "expected none beside --scheduler" in said("--scheduler", "tcp://x:1", "--jobs", "2")
    assert "device 'gpu'" in said("--device", "gpu")


@pytest.mark.slow
def test_a_classification_is_compared_by_the_area_under_its_curve(tmp_path):
    from sklearn.metrics import roc_auc_score

    from monai_tasks.datasets import chestxray14
    from monai_tasks.phantoms.chestxray14 import write_chestxray14

    folder = write_chestxray14(tmp_path / "chests", 40, seed=2, size=(48, 48))
    (tmp_path / "list.json").write_text(json.dumps(chestxray14.datalist(folder)))
    small = {"init_features": 4, "growth_rate": 2, "block_config": [1, 1], "hidden": 4, "size": [24, 24]}
    content = {
        "bundle": "chest_xray_pneumothorax_classification",
        "datalist": "list.json",
        "arms": [{"name": "scratch"}, {"name": "random", "frozen": 1, "random": True}],
        "subsets": ["all"],
        "seeds": [3],
        "epochs": 1,
        "settings": {**small, "batch_size": 4},
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(content))
    summary = transfer(tmp_path / "plan.yaml", tmp_path / "out", devices=["cpu"], progress=False)
    assert summary.failures == ()
    rows = rows_of(tmp_path / "out")
    assert list(rows) == ["all/scratch/3", "all/random/3"]
    for key, row in rows.items():
        answers = read_table(tmp_path / "out" / "runs" / key / "evaluation" / "predictions.csv")
        answers = [one for one in answers if one["level"] == "image"]
        true = [one["label"] == "pneumothorax" for one in answers]
        expected = roc_auc_score(true, [float(one["probability_pneumothorax"]) for one in answers])
        assert float(row["test"]) == pytest.approx(expected)
    told = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert (told["metric"], told["validation_metric"], told["cases"]) == ("auroc", "val_auroc", len(answers))
    assert not (tmp_path / "out" / "order.json").exists()  # the bundle has a sampler of its own


@pytest.mark.slow
def test_studies_are_compared_of_networks_that_look_at_images_and_start_from_imagenet(tmp_path):
    from monai.networks.nets import DenseNet

    from monai_tasks.datasets import mura
    from monai_tasks.phantoms.mura import write_mura

    folder = write_mura(tmp_path / "limbs", 40, seed=2, size=(40, 32), regions=("wrist",))
    (tmp_path / "list.json").write_text(json.dumps(mura.datalist(folder)))
    small = {"init_features": 4, "growth_rate": 2, "block_config": [1, 1]}
    colours = DenseNet(2, 3, 7, **small).state_dict()
    # Torchvision's files call a layer of a block so.
    renamed = {re.sub(r"\.layers\.(norm|conv)([12])", r".\1.\2", name): v for name, v in colours.items()}
    torch.save(renamed, tmp_path / "densenet.pth")
    content = {
        "bundle": "bone_xray_abnormality_classification",
        "datalist": "list.json",
        "imagenet_weights": "densenet.pth",
        "arms": [{"name": "scratch"}, {"name": "imagenet", "start": "imagenet"}],
        "subsets": ["all"],
        "seeds": [0],
        "epochs": 1,
        "level": "study",
        "settings": {**small, "hidden": 4, "size": [24, 24], "batch_size": 8},
    }
    (tmp_path / "plan.yaml").write_text(yaml.safe_dump(content))
    summary = transfer(tmp_path / "plan.yaml", tmp_path / "out", devices=["cpu"], progress=False)
    assert summary.failures == ()
    for key, row in rows_of(tmp_path / "out").items():
        run = tmp_path / "out" / "runs" / key
        highest = defaultdict(float)  # of a study's images
        label = {}
        for one in read_table(run / "evaluation" / "predictions.csv"):
            if one["level"] == "image":
                study = one["subject"], one["study"]
                highest[study] = max(highest[study], float(one["probability_abnormal"]))
                label[study] = one["label"] == "abnormal"
        true, false = ([highest[study] for study in label if label[study] == of] for of in (True, False))
        right = sum((a > b) + (a == b) / 2 for a in true for b in false)
        assert float(row["test"]) == pytest.approx(right / (len(true) * len(false)))
    start = json.loads((run / "start.json").read_text())
    assert (start["weights"], start["weights_sha256"]) == ("densenet.pth", sha256(tmp_path / "densenet.pth"))
    assert f"Measured by AUROC on {len(label)} studies of" in summary.words
    page = (tmp_path / "out" / "report.html").read_text()
    assert "Test AUROC of studies" in page
    assert "Train and validation are of images, which the network looks at; the test is of studies." in page
