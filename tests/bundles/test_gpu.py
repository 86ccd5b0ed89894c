"""Every bundle on a CUDA device: it trains, it predicts what a CPU does, and how fast (`make test-gpu`)."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow

from monai_tasks.inference.autocast import lower_precision
from monai_tasks.inference.configs import parse
from monai_tasks.inference.engine import Engine
from monai_tasks.inference.runner import infer
from monai_tasks.io.tables import read_table
from monai_tasks.training.train import train

pytestmark = pytest.mark.gpu

EPOCHS = 40
AGREEMENT = 0.995
REPEATS = 20
SLICES = 8


@pytest.fixture(scope="module")
def device() -> torch.device:
    if not torch.cuda.is_available():
        pytest.skip("torch finds no CUDA device")
    return torch.device("cuda", 0)


@pytest.fixture(scope="module")
def trained(bundle, trial, device, tmp_path_factory) -> Path:
    """A run of the config as it is, but for its length, on generated images."""
    output = tmp_path_factory.mktemp("gpu") / "run"
    train(bundle, trial.datalist, output, epochs=EPOCHS, device=str(device))
    return output


@pytest.fixture
def say(capsys) -> Callable[[str], None]:
    """Prints although the test passes."""

    def show(text: str) -> None:
        with capsys.disabled():
            print(f"\n{text}")

    return show


def seconds(work: Callable[[], object], device: torch.device) -> float:
    """The time that one call takes, with what it left to do on the device."""
    work()  # the first call chooses kernels
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begun = time.perf_counter()
    for _ in range(REPEATS):
        work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return (time.perf_counter() - begun) / REPEATS


def test_training_learns(trained, trial, device, say):
    rows = read_table(trained / "record.csv")
    assert len(rows) == EPOCHS
    loss = [float(row["loss"]) for row in rows]
    assert np.isfinite(loss).all()
    assert np.mean(loss[-5:]) < 0.8 * np.mean(loss[:5])
    state = torch.load(trained / "model.pt", map_location="cpu", weights_only=True)
    assert all(torch.isfinite(value).all() for value in state.values())
    later = rows[1:]  # the first epoch begins with the choice of kernels
    step = np.mean([float(row["seconds"]) for row in later])
    waited = np.mean([float(row["data_wait_share"]) for row in later])
    say(f"{device}: {step:.2f} s an epoch, {100 * waited:.0f} % of it waiting for data")


def test_training_runs_in_16_bits_and_changes_every_weight(bundle, trial, device, tmp_path):
    workflow = ConfigWorkflow(
        config_file=str(bundle.config("train")),
        logging_file=False,
        bundle_root=str(bundle.root),
        datalist=str(trial.datalist),
        output_dir=str(tmp_path),
        model_dir=str(tmp_path),
        device=f"$torch.device('{device}')",
        max_epochs=1,
        run_id="training",
    )
    workflow.initialize()
    network = workflow.parser.get_parsed_content("network")
    before = {name: value.detach().clone() for name, value in network.named_parameters()}
    dtypes = set()
    for module in network.modules():
        if isinstance(module, torch.nn.Conv3d | torch.nn.Conv2d):
            module.register_forward_hook(lambda module, inputs, output: dtypes.add(output.dtype))
    workflow.run()
    assert dtypes == {lower_precision(device) or torch.float32}
    assert {value.device for value in network.parameters()} == {device}
    assert [name for name, value in network.named_parameters() if torch.equal(value, before[name])] == []


def test_label_maps_of_cpu_and_gpu_agree(bundle, trained, trial, device, tmp_path, say):
    if bundle.kind != "segmentation":
        pytest.skip("no label maps")
    weights = bundle.weights if bundle.weights.is_file() else trained / "model.pt"
    images = trial.data / "imagesTr" if (trial.data / "imagesTr").is_dir() else trial.images
    outputs = []
    for place in ("cpu", str(device)):
        batch = infer(
            bundle, images, tmp_path / place.replace(":", "_"), weights=weights, device=place, progress=False
        )
        assert batch.failed == 0
        outputs.append(batch)
    equal, voxels, found = 0, 0, 0
    for path in sorted((outputs[0].output / "predictions").iterdir()):
        cpu = np.asarray(nibabel.load(path).dataobj)
        gpu = np.asarray(nibabel.load(outputs[1].output / "predictions" / path.name).dataobj)
        equal += np.count_nonzero(cpu == gpu)
        found += np.count_nonzero(cpu)
        voxels += cpu.size
    say(
        f"{equal / voxels:.4%} of {voxels} voxels agree; {outputs[0].seconds:.1f} s on the CPU, "
        f"{outputs[1].seconds:.1f} s on {device}"
    )
    assert found > 0
    assert equal / voxels > AGREEMENT


def test_throughput_is_shown(bundle, trained, device, say):
    weights = bundle.weights if bundle.weights.is_file() else trained / "model.pt"
    engine = Engine(bundle, weights, device)
    image = bundle.metadata["network_data_format"]["inputs"]["image"]
    size = image["spatial_shape"]
    if bundle.kind == "segmentation":
        size = list(parse(bundle, ["inference"], device, {}).get_parsed_content("inference_window"))
        size += [SLICES] * (3 - len(size))  # a 2D network goes through the slices of a volume
    window = {"image": torch.randn(image["num_channels"], *size)}
    took = seconds(lambda: engine.predict(window), device)
    say(f"{device}: {1 / took:.1f} inputs of {'x'.join(map(str, size))} a second, {1000 * took:.1f} ms each")
