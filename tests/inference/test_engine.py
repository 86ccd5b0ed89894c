"""A bundle's parts are built once, checked, and copied for each case under way."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from monai.transforms import Invertd, SaveImaged

from monai_tasks.catalog import Bundle, BundleError
from monai_tasks.inference.configs import ConfigError
from monai_tasks.inference.engine import DeviceError, Engine, resolve_device
from monai_tasks.inference.weights import WeightsError
from monai_tasks.io.errors import InputError

CPU = torch.device("cpu")


def _engine(root: Path, **options: object) -> Engine:
    bundle = Bundle(root)
    return Engine(bundle, bundle.weights, CPU, **options)


def test_loads_the_weights_and_leaves_saving_to_the_writer(bundle: Path) -> None:
    engine = _engine(bundle)
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(value, state[key]) for key, value in engine.network.state_dict().items())
    assert not engine.network.training
    assert not any(isinstance(step, SaveImaged) for step in engine.chains.postprocessing.transforms)


def test_a_copied_chain_inverts_its_own_preprocessing(bundle: Path) -> None:
    chains = _engine(bundle).chains
    copies = [chains.copy() for _ in range(2)]
    inverted = [
        next(step for step in one.postprocessing.transforms if isinstance(step, Invertd)).transform
        for one in copies
    ]
    assert [inner is one.preprocessing for inner, one in zip(inverted, copies, strict=True)] == [True, True]
    assert inverted[0] is not inverted[1]


def test_loading_and_the_rest_make_the_whole_preprocessing(bundle: Path, images: Path) -> None:
    chains = _engine(bundle).chains
    path = str(images / "case_0.nii.gz")
    loaded = chains.load(path)
    assert loaded["image"].shape == (8, 9, 7)
    torch.testing.assert_close(
        chains.prepare(loaded)["image"], chains.preprocessing({"image": path})["image"]
    )


def test_predicts_scores_of_every_class(bundle: Path) -> None:
    engine = _engine(bundle)
    image = torch.tensor([-1.0, 1.0, 3.0]).reshape(1, 3, 1, 1)
    scores = engine.predict({"image": image, "kept": 1})
    torch.testing.assert_close(
        scores["pred"].flatten(1), torch.tensor([[0.0, 0.0, 0.0], [-1.5, 0.5, 2.5], [-4.5, -0.5, 3.5]])
    )
    assert scores["kept"] == 1
    assert scores["pred"].is_inference()


def test_refuses_another_number_of_channels(bundle: Path) -> None:
    with pytest.raises(InputError, match="3 channels; expected 1"):
        _engine(bundle).predict({"image": torch.zeros(3, 4, 4, 4)})


def test_the_number_of_channels_may_stand_beside_the_network(bundle: Path) -> None:
    (bundle / "configs" / "made.json").write_text(json.dumps({"network_def": "$torch.nn.Conv3d(1, 3, 1)"}))
    with pytest.raises(InputError, match="3 channels; expected 1"):
        _engine(bundle, configs=["made"]).predict({"image": torch.zeros(3, 4, 4, 4)})


def test_what_the_transforms_keep_goes_to_the_output_folder(bundle: Path, tmp_path: Path) -> None:
    keeps = {"output_dir": "$@bundle_root + '/kept'", "label_names": "$[@output_dir]"}
    (bundle / "configs" / "keeps.json").write_text(json.dumps(keeps))
    assert _engine(bundle, configs=["keeps"]).labels == {1: f"{bundle}/kept"}
    assert _engine(bundle, configs=["keeps"], output_dir=tmp_path).labels == {1: str(tmp_path)}
    own = {"output_dir": "elsewhere"}
    assert _engine(bundle, configs=["keeps"], settings=own, output_dir=tmp_path).labels == {1: "elsewhere"}


def test_names_come_from_the_config_before_the_metadata(bundle: Path) -> None:
    assert _engine(bundle).labels == {1: "middle", 2: "bright"}
    (bundle / "configs" / "sides.json").write_text(json.dumps({"label_names": ["left", "right"]}))
    assert _engine(bundle, configs=["sides"]).labels == {1: "left", 2: "right"}


def test_a_later_config_and_then_a_setting_wins(bundle: Path) -> None:
    (bundle / "configs" / "wide.json").write_text(json.dumps({"in_channels": 2}))
    with pytest.raises(WeightsError, match=r"weight is \(3, 1, 1, 1, 1\), not \(3, 2, 1, 1, 1\)"):
        _engine(bundle, configs=["wide"])
    assert _engine(bundle, configs=["wide"], settings={"in_channels": 1}).channels == 1


@pytest.mark.parametrize(
    ("options", "error", "text"),
    [
        ({"configs": ["absent"]}, BundleError, "no config 'absent'"),
        ({"settings": {"spacng": 1}}, ConfigError, "no config id 'spacng'; expected one of .*spacing"),
        ({"settings": {"network": "@absent"}}, ConfigError, "network cannot be built"),
        ({"settings": {"inferer": "$1 +"}}, ConfigError, "inferer cannot be built"),
    ],
)
def test_refuses_a_config_that_cannot_run(bundle: Path, options: dict, error: type, text: str) -> None:
    with pytest.raises(error, match=text):
        _engine(bundle, **options)


def test_refuses_a_config_that_lacks_a_part(bundle: Path) -> None:
    path = bundle / "configs" / "inference.json"
    config = json.loads(path.read_text())
    del config["postprocessing"]
    path.write_text(json.dumps(config))
    with pytest.raises(ConfigError, match="the config lacks postprocessing"):
        _engine(bundle)


def test_devices_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    names = {"auto": "cuda:0", "cuda": "cuda:0", "cuda:1": "cuda:1", "cpu": "cpu"}
    assert {name: str(resolve_device(name)) for name in names} == names
    with pytest.raises(DeviceError, match=r"'cuda:2': .* finds 2 CUDA devices"):
        resolve_device("cuda:2")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == CPU
    with pytest.raises(DeviceError, match="finds no CUDA device; expected auto or cpu"):
        resolve_device("cuda:0")
    for name in ("gpu", "meta", ""):
        with pytest.raises(DeviceError, match="expected auto, cpu or cuda:N"):
            resolve_device(name)
