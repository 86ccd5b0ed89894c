"""The checks that MONAI offers for bundles, on every bundle and each of its override configs."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import ignite.distributed
import pytest
import torch
from monai.bundle import ConfigParser, ConfigWorkflow, ckpt_export, verify_net_in_out
from monai.data import load_net_with_metadata

from monai_tasks.catalog import Bundle, find_bundles

STANDARD = {"train", "evaluate", "inference", "multi_gpu_train"}


def parts_of(bundle: Bundle, name: str) -> set[str]:
    """The top-level ids that a config merges into."""
    keys = ConfigParser.load_config_file(bundle.config(name))
    return {key.partition("#")[0] for key in keys}


def overrides(bundle: Bundle) -> list[str]:
    return [name for name in bundle.configs if name not in STANDARD]


def of_inference(bundle: Bundle, name: str) -> bool:
    """Whether an override is for inference too: not where it changes engines that inference does not have."""
    return not parts_of(bundle, name) & {"train", "validate"}


TRAINING = [
    (bundle, ["train", *names])
    for bundle in find_bundles()
    for names in ([], ["evaluate"], *([name] for name in overrides(bundle)))
]
INFERENCE = [
    (bundle, ["inference", *names])
    for bundle in find_bundles()
    for names in ([], *([name] for name in overrides(bundle) if of_inference(bundle, name)))
]


def label(value: object) -> str:
    return value.name if isinstance(value, Bundle) else "+".join(value)


def files(bundle: Bundle, names: Sequence[str]) -> list[str]:
    return [str(bundle.config(name)) for name in names]


def workflow(bundle: Bundle, names: Sequence[str], kind: str, **settings: Any) -> ConfigWorkflow:
    return ConfigWorkflow(
        config_file=files(bundle, names),
        meta_file=str(bundle.config("metadata")),
        logging_file=False,
        workflow_type=kind,
        bundle_root=str(bundle.root),
        **settings,
    )


@pytest.fixture
def on_disk(tmp_path) -> dict[str, Any]:
    """Where training may write, so that it does not write into the bundle."""
    return {"output_dir": str(tmp_path / "out"), "model_dir": str(tmp_path / "out")}


@pytest.mark.parametrize(("bundle", "names"), TRAINING, ids=label)
def test_training_and_evaluation_have_all_properties(bundle, names, trial_of, on_disk):
    trial = trial_of(bundle, names[-1])
    checked = workflow(bundle, names, "train", datalist=str(trial.datalist), **on_disk, **trial.settings)
    checked.initialize()
    assert checked.check_properties() == []


@pytest.mark.parametrize(("bundle", "names"), INFERENCE, ids=label)
def test_inference_has_all_properties(bundle, names, trial_of, weights_for):
    trial = trial_of(bundle, names[-1])
    weights = weights_for(files(bundle, names), trial.inference)
    places = {"dataset_dir": str(trial.images), "checkpoint": str(weights)}
    checked = workflow(bundle, names, "infer", **places, **trial.inference)
    checked.initialize()
    assert checked.check_properties() == []


def test_training_in_several_processes_has_all_properties(bundle, trial, on_disk, monkeypatch):
    """Here in one process, which makes a group of its own."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    group = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "RANK": 0, "LOCAL_RANK": 0, "WORLD_SIZE": 1}
    for name, value in group.items():
        monkeypatch.setenv(name, str(value))
    names = ["train", "multi_gpu_train"]
    checked = workflow(bundle, names, "train", datalist=str(trial.datalist), **on_disk, **trial.settings)
    try:
        checked.initialize()
        assert torch.distributed.is_initialized()
        assert checked.check_properties() == []
    finally:
        ignite.distributed.sync()
        ignite.distributed.finalize()  # ends the group, and ignite knows of it in the tests that follow


def test_the_network_takes_and_gives_what_the_metadata_says(bundle):
    verify_net_in_out(
        net_id="network_def",
        meta_file=str(bundle.config("metadata")),
        config_file=str(bundle.config("inference")),
        device="cpu",
    )


def test_the_exported_network_gives_the_same(bundle, tmp_path, weights_for: Callable[..., Path]):
    config = str(bundle.config("inference"))
    weights = bundle.weights if bundle.weights.is_file() else weights_for([config], {})
    exported = tmp_path / "model.ts"
    ckpt_export(
        net_id="network_def",
        filepath=str(exported),
        ckpt_file=str(weights),
        meta_file=str(bundle.config("metadata")),
        config_file=config,
        bundle_root=str(bundle.root),
    )
    network = ConfigParser(ConfigParser.load_config_file(config)).get_parsed_content("network_def").eval()
    network.load_state_dict(torch.load(weights, weights_only=True))
    script, metadata, extra = load_net_with_metadata(str(exported), more_extra_files=["inference.json"])
    image = bundle.metadata["network_data_format"]["inputs"]["image"]
    shape = [min(size, 32) for size in image["spatial_shape"]]  # what four halvings divide
    window = torch.randn(1, image["num_channels"], *shape, generator=torch.Generator().manual_seed(3))
    with torch.inference_mode():
        torch.testing.assert_close(script.eval()(window), network(window))
    assert metadata["version"] == bundle.metadata["version"]
    assert extra["inference.json"]
