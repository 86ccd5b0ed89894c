"""What the knee bundle trains: from which labels, by which standard score, in which windows, how large a network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.bundle import ConfigParser

from monai_tasks.catalog import open_bundle
from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.inference.configs import parse
from monai_tasks.inference.runner import infer
from monai_tasks.networks.bottom_dropout_unet import BottomDropoutUNet
from monai_tasks.training.train import TrainingSummary, train

KNEE = open_bundle("knee_mri_bone_segmentation")
CPU = torch.device("cpu")
DATALIST = "datalist.json"
# The shipped networks with the number of their channels.
NETWORKS = {
    "": 32,
    "channels48": 48,
    "unet3d": 32,
    "three_bones": 32,
    "two_heads": 32,
    "three_bones+unet3d": 32,
    "three_bones+channels48+two_heads": 48,
}


class Trained(NamedTuple):
    """A short training.

    Args:
        output: its folder.
        fits: how many bias fields were fitted.
    """

    output: Path
    fits: int


@pytest.fixture(scope="module")
def trial(trial_of):
    """The bundle's generated knees and small settings."""
    return trial_of(KNEE)


@pytest.fixture(scope="module")
def few(trial, tmp_path_factory) -> Path:
    """A datalist with one case a part."""
    parts = json.loads(trial.datalist.read_text(encoding="utf-8"))
    parts |= {part: parts[part][:1] for part in ("training", "validation", "test")}
    path = tmp_path_factory.mktemp("few") / DATALIST
    path.write_text(json.dumps(parts), encoding="utf-8")
    return path


@contextmanager
def counted_fits() -> Iterator[list[tuple[int, ...]]]:
    """Collects the sizes of the images that N4 is run on."""
    fits = []

    class Counted(sitk.N4BiasFieldCorrectionImageFilter):
        def Execute(self, image, *others):
            fits.append(image.GetSize())
            return super().Execute(image, *others)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sitk, "N4BiasFieldCorrectionImageFilter", Counted)
        yield fits


def short_training(
    trial, output: Path, datalist: Path | None = None, configs: Sequence[str] = (), **settings: Any
) -> TrainingSummary:
    settings = trial.settings | {"max_epochs": 1} | settings
    return train(KNEE, datalist or trial.datalist, output, device="cpu", configs=configs, settings=settings)


def config(trial, output: Path, configs: Sequence[str] = (), **settings: Any) -> ConfigParser:
    """The merged config of a training with small settings."""
    places = {"datalist": str(trial.datalist), "output_dir": str(output)}
    return parse(KNEE, ["train", *configs], CPU, trial.settings | places | settings)


def cases(trial, *parts: str) -> list[dict[str, Any]]:
    return [item for part in parts for item in read_part(trial.datalist, part)]


def statistics(output: Path) -> tuple[float, float]:
    state = torch.load(output / "model.pt", weights_only=True)
    return state["mean"].item(), state["deviation"].item()


@pytest.fixture(scope="module")
def trained(trial, tmp_path_factory) -> Trained:
    output = tmp_path_factory.mktemp("trained")
    with counted_fits() as fits:
        short_training(trial, output)
    return Trained(output, len(fits))


def test_the_standard_score_is_that_of_the_training_part(trial, trained, tmp_path):
    prepare = config(trial, tmp_path).get_parsed_content("validate#preprocessing")
    images = [np.asarray(prepare(item)["image"], np.float64) for item in cases(trial, "training")]
    voxels = np.concatenate([image.ravel() for image in images])
    mean, deviation = statistics(trained.output)
    assert mean == pytest.approx(voxels.mean(), rel=1e-5)
    assert deviation == pytest.approx(np.sqrt(((voxels - voxels.mean()) ** 2).mean()), rel=1e-5)
    assert mean > 10  # in the unit of the images


def test_images_of_other_parts_do_not_change_the_standard_score(trial, trained, tmp_path):
    parts = json.loads(trial.datalist.read_text(encoding="utf-8"))
    for part in ("validation", "test"):
        assert parts[part]
        for number, item in enumerate(parts[part]):
            image = sitk.ReadImage(item["image"], sitk.sitkFloat32) * 10
            item["image"] = str(tmp_path / f"{part}_{number}.mhd")
            sitk.WriteImage(image, item["image"])
    datalist = tmp_path / DATALIST
    datalist.write_text(json.dumps(parts), encoding="utf-8")
    short_training(trial, tmp_path / "run", datalist)
    assert statistics(tmp_path / "run") == statistics(trained.output)


def test_min_max_takes_the_place_of_the_standard_score(trial, few, tmp_path):
    short_training(trial, tmp_path, few, configs=["min_max"])
    assert statistics(tmp_path) == (0.0, 1.0)
    prepare = config(trial, tmp_path, ["min_max"]).get_parsed_content("validate#preprocessing")
    image = prepare(cases(trial, "training")[0])["image"]
    assert (image.min().item(), image.max().item()) == (0.0, 1.0)


def test_bias_correction_evens_out_what_the_network_sees_of_the_bones(trial, tmp_path):
    """In knees beside one coil; quartiles, since the brightest voxels are far brighter than any tissue."""
    items = [item for item in cases(trial, "training", "validation", "test") if item["source"] == "epi"]
    assert len(items) == 3
    spread = []
    for configs in ((), ("no_bias_correction",)):
        prepare = config(trial, tmp_path, configs).get_parsed_content("validate#preprocessing")
        seen = [prepare(item) for item in items]
        inside = [np.percentile(item["image"][item["label"] > 0], [25, 50, 75]) for item in seen]
        spread.append(np.mean([(high - low) / middle for low, middle, high in inside]))
    assert spread[0] < 0.9 * spread[1]


def test_every_image_is_corrected_once(trial, trained, tmp_path):
    items = cases(trial, "training", "validation")
    assert trained.fits == len(items)
    assert len(list((trained.output / "bias_fields").iterdir())) == len(items)
    again = Path(shutil.copytree(trained.output, tmp_path / "again"))
    (again / "last.pt").unlink()  # so that it begins anew
    with counted_fits() as fits:
        short_training(trial, again)
    assert fits == []
    assert (again / "last.pt").is_file()


def test_inference_finds_the_bias_fields_of_an_earlier_run(trial, trained, tmp_path):
    numbers = []
    for _ in range(2):
        with counted_fits() as fits:
            summary = infer(
                KNEE,
                trial.images,
                tmp_path,
                weights=trained.output / "model.pt",
                device="cpu",
                overwrite=True,
                preview=False,
                progress=False,
                settings=trial.inference,
            )
        assert summary.failed == 0
        numbers.append(len(fits))
    assert numbers == [len(list(trial.images.iterdir())), 0]


@pytest.mark.parametrize(
    ("configs", "window"), [((), (16, 16)), (("unet3d",), (16, 16, 12))], ids=["2d", "3d"]
)
def test_a_network_learns_and_predicts_in_small_windows(configs, window, trial, few, tmp_path, monkeypatch):
    seen, forward = set(), BottomDropoutUNet.forward

    def watched(self, x):
        seen.add((self.training, tuple(x.shape[2:])))
        return forward(self, x)

    monkeypatch.setattr(BottomDropoutUNet, "forward", watched)
    strides = [[2, 2, 1]] * 2 if configs else [2, 2]
    shared = {"inference_window": list(window), "strides": strides, "bias_field_correction": False}
    settings = shared | {"window": [*window, 1][:3]}
    summary = short_training(trial, tmp_path / "run", few, configs, **settings)
    assert seen == {(True, window), (False, window)}
    seen.clear()
    batch = infer(
        KNEE,
        trial.images,
        tmp_path / "out",
        weights=summary.weights,
        configs=configs,
        device="cpu",
        preview=False,
        progress=False,
        settings=trial.inference | shared,
    )
    assert (batch.failed, batch.done) == (0, 2)
    assert seen == {(False, window)}


def test_labels_of_every_kind_are_the_same_to_the_network(trial, tmp_path):
    """One map a bone, one file of three channels, and one label map as annotation programs write it."""
    item = next(item for item in cases(trial, "training") if isinstance(item["label"], list))
    maps = [sitk.ReadImage(path) for path in item["label"]]
    sitk.WriteImage(sitk.Compose(maps), str(tmp_path / "channels.mhd"))
    values = sum(sitk.GetArrayFromImage(one) * value for value, one in enumerate(maps, start=1))
    label_map = sitk.GetImageFromArray(values.astype(np.uint8))
    label_map.CopyInformation(maps[0])
    sitk.WriteImage(label_map, str(tmp_path / "values.nii.gz"))
    kinds = [item["label"], str(tmp_path / "channels.mhd"), str(tmp_path / "values.nii.gz")]
    seen = {}
    for name in ("train", "three_bones", "fibula"):
        settings = {"bias_field_correction": False}
        parser = config(trial, tmp_path, [] if name == "train" else [name], **settings)
        prepare = parser.get_parsed_content("validate#preprocessing")
        labels = [prepare(item | {"label": kind})["label"] for kind in kinds]
        seen[name] = labels[0].numpy()
        assert seen[name].shape[0] == 1
        for other in labels[1:]:
            assert other.dtype == labels[0].dtype
            np.testing.assert_array_equal(other.numpy(), seen[name])
    assert np.unique(seen["three_bones"]).tolist() == [0, 1, 2, 3]
    np.testing.assert_array_equal(seen["train"], seen["three_bones"] > 0)
    np.testing.assert_array_equal(seen["fibula"], seen["three_bones"] == 3)


def test_flips_and_shifts_move_a_label_with_its_image(trial, tmp_path):
    shape = np.zeros((24, 80, 80), np.uint8)  # slices, rows, columns of a letter L
    shape[:, 20:30, 20:60] = shape[:, 20:60, 20:30] = 1
    item = {}
    for name, values in (("image", shape.astype(np.int16) * 100), ("label", shape)):
        volume = sitk.GetImageFromArray(values)
        volume.SetSpacing([2.0, 2.0, 4.4])
        volume.SetDirection([1, 0, 0, 0, 0, 1, 0, 1, 0])
        item[name] = str(tmp_path / f"{name}.mhd")
        sitk.WriteImage(volume, item[name])
    certain = {"flip_probability": 1.0, "shift_probability": 1.0, "bias_field_correction": False}
    sides, edges = [], set()
    for configs, settings in (((), {}), (("flips_and_shifts",), certain)):
        parser = config(trial, tmp_path, configs, **settings | {"bias_field_correction": False})
        prepare = parser.get_parsed_content("train#preprocessing").set_random_state(0)
        for sample in prepare(item):
            image, label = sample["image"][0] > 50, sample["label"][0] > 0
            assert (image & label).sum() > 0.45 * (image.sum() + label.sum()) > 0
        columns = label.sum(1)
        edges.add(int(columns.nonzero()[0, 0]))
        sides.append(bool(columns.argmax() > columns.nonzero().float().mean()))
    assert sides[0] != sides[1]
    assert len(edges) == 2


@pytest.mark.parametrize("name", NETWORKS)
def test_the_shipped_networks_are_small_and_built_as_described(name):
    """About 200,000 learned parameters, one number of channels, ELU, one dropout, slices never pooled."""
    configs = name.split("+") if name else []
    network = parse(KNEE, ["train", *configs], CPU, {}).get_parsed_content("network_def")
    count = sum(weights.numel() for weights in network.parameters() if weights.requires_grad)
    print(f"{name or 'train'}: {count:,} parameters")
    assert 150_000 <= count <= 260_000

    modules = list(network.modules())
    activations = [type(one) for one in modules if type(one).__module__ == torch.nn.ELU.__module__]
    assert set(activations) == {torch.nn.ELU}
    dropouts = [one for one in modules if type(one).__module__ == torch.nn.Dropout.__module__]
    assert [(type(one), one.p) for one in dropouts] == [(torch.nn.Dropout, 0.5)]
    convolutions = [one for one in modules if isinstance(one, torch.nn.modules.conv._ConvNd)]
    scores = (4 if "three_bones" in configs else 2) * (2 if "two_heads" in configs else 1)
    assert {one.out_channels for one in convolutions} == {NETWORKS[name], scores}

    depth = () if "unet3d" not in configs else (24,)
    if depth:
        assert {one.kernel_size for one in convolutions} == {(3, 3, 3)}
        assert {one.stride[2] for one in convolutions} == {1}
    bottom = []
    dropouts[0].register_forward_hook(lambda _, inputs, __: bottom.append(inputs[0].shape))
    with torch.inference_mode():
        found = network.eval()(torch.zeros(1, 1, 32, 32, *depth))
    assert found.shape == (1, scores, 32, 32, *depth)
    edge = 32 // 2 ** (3 if depth else 4)
    assert bottom == [(1, NETWORKS[name], edge, edge, *depth)]
