"""`monai-tasks infer`: what it prints and the status it ends with."""

from __future__ import annotations

import json
import re
import signal
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from cross_validations import finish

from monai_tasks.cli import main
from monai_tasks.inference import runner
from monai_tasks.io.tables import read_table


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle of one 1x1x1 convolution, label 1 where a voxel is above the mean."""
    root = tmp_path / "tiny_segmentation"
    (root / "configs").mkdir(parents=True)
    (root / "models").mkdir()
    metadata = {
        "version": "0.0.1",
        "network_data_format": {"outputs": {"pred": {"channel_def": {"1": "bright"}}}},
    }
    loader = {"_target_": "monai_tasks.io.volume_reader.VolumeReader"}
    config = {
        "network": "$torch.nn.Conv3d(1, 2, 1)",
        "inferer": {"_target_": "SimpleInferer"},
        "preprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "LoadImaged", "keys": "image", "reader": loader, "ensure_channel_first": True},
                {"_target_": "NormalizeIntensityd", "keys": "image"},
            ],
        },
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {"_target_": "Invertd", "keys": "pred", "orig_keys": "image", "transform": "@preprocessing"},
            ],
        },
    }
    for name, content in {"metadata": metadata, "inference": config}.items():
        (root / "configs" / f"{name}.json").write_text(json.dumps(content))
    torch.save(
        {"weight": torch.tensor([0.0, 1.0]).reshape(2, 1, 1, 1, 1), "bias": torch.zeros(2)}, _weights(root)
    )
    return root


def _weights(root: Path) -> Path:
    return root / "models" / "model.pt"


@pytest.fixture
def image(tmp_path: Path) -> Path:
    array = np.random.default_rng(5).normal(size=(6, 7, 8)).astype(np.float32)
    path = tmp_path / "head.nii.gz"
    nib.save(nib.Nifti1Image(array, np.eye(4)), path)
    return path


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["infer", *map(str, arguments)])


def test_says_what_was_done_and_where_the_report_is(bundle: Path, image: Path, tmp_path: Path) -> None:
    result = _run(bundle, image, "-o", tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "1 case: 1 done, 0 skipped, 0 failed",
        str(tmp_path / "out" / "report.html"),
    ]
    assert (tmp_path / "out" / "predictions" / "head.nii.gz").is_file()
    assert (tmp_path / "out" / "previews" / "head.png").is_file()
    again = _run(bundle, image, "-o", tmp_path / "out", "--device", "cpu")
    assert "0 done, 1 skipped" in again.stdout
    redone = _run(bundle, image, "-o", tmp_path / "out", "--device", "cpu", "--overwrite")
    assert "1 done, 0 skipped" in redone.stdout


def test_a_failed_case_is_named_and_the_status_is_1(bundle: Path, image: Path, tmp_path: Path) -> None:
    (tmp_path / "empty.nii").write_bytes(b"")
    result = _run(bundle, image, tmp_path / "empty.nii", "-o", tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 1
    assert "1 done, 0 skipped, 1 failed" in result.stdout
    assert "failed: empty: an empty file" in result.stderr
    assert "Traceback" not in result.output
    verbose = _run(bundle, tmp_path / "empty.nii", "-o", tmp_path / "out", "--device", "cpu", "-v")
    assert "Traceback" in verbose.stderr


def test_says_how_many_cases_have_a_note(bundle: Path, image: Path, tmp_path: Path) -> None:
    note = {
        "_target_": "Lambdad",
        "keys": "image",
        "func": "$lambda image: image.meta.update(notes=['unsure']) or image",
    }
    file = bundle / "configs" / "inference.json"
    config = json.loads(file.read_text())
    config["preprocessing"]["transforms"].append(note)
    file.write_text(json.dumps(config))
    result = _run(bundle, image, "-o", tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 0, result.output
    results = tmp_path / "out" / "results.csv"
    assert result.stdout.startswith(f"1 case: 1 done, 0 skipped, 0 failed; 1 with a note, see {results}\n")


def test_quiet_prints_failures_only(bundle: Path, image: Path, tmp_path: Path) -> None:
    arguments = (bundle, image, "-o", tmp_path / "out", "--device", "cpu", "-q", "--no-preview")
    result = _run(*arguments)
    assert (result.exit_code, result.stdout) == (0, "")
    assert not (tmp_path / "out" / "previews").exists()
    image.write_bytes(b"")
    result = _run(*arguments)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "failed: head" in result.stderr


def test_options_reach_the_run(bundle: Path, image: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.pt"
    torch.save({"weight": torch.zeros(2, 1, 1, 1, 1), "bias": torch.tensor([0.0, 1.0])}, other)
    (bundle / "configs" / "named.json").write_text(json.dumps({"label_names": ["whole"]}))
    options = ("--device", "cpu", "--weights", other, "--config", "named", "--jobs", 3, "-v")
    result = _run(bundle, image, "-o", tmp_path / "out", *options, "--set", "inferer#_target_=SimpleInferer")
    assert result.exit_code == 0, result.output
    facts = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (facts["weights"], facts["jobs"]) == ("other.pt", 3)
    assert list(facts["configs"]) == ["inference", "named"]
    assert facts["settings"] == {"inferer#_target_": "SimpleInferer"}
    assert float(read_table(tmp_path / "out" / "results.csv")[0]["volume_ml_whole"]) == 0.336


def test_several_weights_and_the_folder_of_a_cross_validation(
    bundle: Path, image: Path, tmp_path: Path
) -> None:
    files = [tmp_path / "cv" / "folds" / str(number) / "model.pt" for number in range(2)]
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True)
        weight = torch.tensor([0.0, 1.0 + number]).reshape(2, 1, 1, 1, 1)
        torch.save({"weight": weight, "bias": torch.zeros(2)}, file)
    finish(tmp_path / "cv")
    config = bundle / "configs" / "inference.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"flips": [[0]]}))
    both = ("--weights", files[0], "--weights", files[1])
    result = _run(bundle, image, "-o", tmp_path / "out", "--device", "cpu", *both)
    assert result.exit_code == 0, result.output
    again = _run(bundle, image, "-o", tmp_path / "out", "--device", "cpu", "--weights", tmp_path / "cv")
    assert "0 done, 1 skipped" in again.stdout
    (row,) = read_table(tmp_path / "out" / "results.csv")
    assert 0 < float(row["entropy"]) < 1
    assert (tmp_path / "out" / "uncertainty" / "head.nii.gz").is_file()
    flipped = _run(
        bundle, image, "-o", tmp_path / "out", "--device", "cpu", *both, "--flips", "--no-uncertainty"
    )
    assert flipped.exit_code == 0, flipped.output
    facts = json.loads((tmp_path / "out" / "report.json").read_text())
    assert (facts["flips"], len(facts["members"]), "uncertainty" in facts) == ([[0]], 2, False)
    assert "entropy" not in read_table(tmp_path / "out" / "results.csv")[0]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ([], "Missing argument"),
        (["absent_segmentation", "IMAGE", "-o", "OUT"], "no bundle 'absent_segmentation'"),
        (["BUNDLE", "-o", "OUT"], "Missing argument 'INPUT...'"),
        (["BUNDLE", "IMAGE"], "Missing option '-o'"),
        (["BUNDLE", "absent.nii", "-o", "OUT"], "absent.nii: no such file"),
        (["BUNDLE", "IMAGE", "-o", "OUT", "--jobs", "0"], "0 is not in the range"),
        (["BUNDLE", "IMAGE", "-o", "OUT", "--device", "gpu"], "expected auto, cpu or cuda:N"),
        (["BUNDLE", "IMAGE", "-o", "OUT", "--device", "cuda:99"], "'cuda:99': torch .* finds"),
        (["BUNDLE", "IMAGE", "-o", "OUT", "--config", "absent"], "no config 'absent'"),
        (["BUNDLE", "IMAGE", "-o", "OUT", "--weights", "absent.pt"], "'absent.pt' does not exist"),
        (["BUNDLE", "IMAGE", "-o", "OUT", "--flips"], "no config id 'flips'"),
        (["BUNDLE", "IMAGE", "-o", "OUT", "--set", "spacing"], "expected ID=VALUE"),
        (["BUNDLE", "IMAGE", "-o", "OUT", "--set", "nonsense=1"], "no config id 'nonsense'"),
    ],
)
def test_wrong_usage_is_status_2(
    bundle: Path, image: Path, tmp_path: Path, arguments: list, text: str
) -> None:
    places = {"BUNDLE": bundle, "IMAGE": image, "OUT": tmp_path / "out"}
    result = _run(*(places.get(argument, argument) for argument in arguments))
    assert result.exit_code == 2, result.output
    assert re.search(text, " ".join(result.stderr.split())), result.stderr
    assert not (tmp_path / "out").exists()


def test_weights_that_do_not_fit_end_the_run_before_it_begins(
    bundle: Path, image: Path, tmp_path: Path
) -> None:
    torch.save({"weight": torch.zeros(1)}, _weights(bundle))
    result = _run(bundle, image, "-o", tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 1
    assert "model.pt: weights do not fit Conv3d" in result.stderr
    _weights(bundle).unlink()
    result = _run(bundle, image, "-o", tmp_path / "out", "--device", "cpu")
    assert "ships no weights" in result.stderr
    assert f"monai-tasks train {bundle.name} --datalist FILE -o RUN" in " ".join(result.stderr.split())


def test_an_interrupt_says_how_to_go_on(bundle: Path, image: Path, tmp_path: Path, monkeypatch) -> None:
    handlers = []

    def interrupted(*arguments: object, **options: object) -> None:
        handlers.append(signal.getsignal(signal.SIGTERM))
        handlers[0](signal.SIGTERM, None)

    before = signal.getsignal(signal.SIGTERM)
    monkeypatch.setattr(runner, "infer", interrupted)
    result = _run(bundle, image, "-o", tmp_path / "out", "--device", "cpu")
    assert result.exit_code == 130
    assert "the same command again goes on" in result.stderr
    assert signal.getsignal(signal.SIGTERM) is before
    assert handlers[0] is not before
