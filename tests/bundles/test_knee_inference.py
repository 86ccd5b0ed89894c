"""What a user gets from the knee bundle: label maps on every grid, for every slice, with volumes, notes and reasons."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk
import torch

from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.inference.configs import build, parse
from monai_tasks.inference.engine import Engine
from monai_tasks.inference.runner import Summary, infer
from monai_tasks.inference.weights import WeightsError
from monai_tasks.io.tables import read_table
from monai_tasks.io.volume_reader import VolumeReader
from monai_tasks.phantoms.knee import GRIDS, knee

KNEE = open_bundle("knee_mri_bone_segmentation")
CPU = torch.device("cpu")
WINDOW = 112.0  # mm, of 32 pixels of 3.5 mm
# The type of the scores is that of the inputs, so that what is computed by hand is the same.
SMALL = {"pixel": [3.5, 3.5], "field": [32, 32], "channels": 4, "slices": 24, "mixed_precision": False}
PLANE = SMALL | {"inference_window": [32, 32], "strides": [2, 2]}
VOLUME = SMALL | {"inference_window": [32, 32, 24]}


class Volume(NamedTuple):
    """An image, (X, Y, Z), and its affine, (4, 4) RAS."""

    array: np.ndarray
    affine: np.ndarray


class Drawn(NamedTuple):
    """A generated knee.

    Args:
        image: (X, Y, Z) int16, left-right, along the leg, front-back.
        maps: (3, X, Y, Z).
        affine: (4, 4), RAS.
        joint: (3,) RAS mm.
    """

    image: np.ndarray
    maps: np.ndarray
    affine: np.ndarray
    joint: np.ndarray


@pytest.fixture(scope="module")
def knees() -> dict[str, Drawn]:
    """A knee of each source: 41 and 24 slices."""
    return {
        name: Drawn(*knee(np.random.default_rng([7, 0]), grid.reduced(1.9))) for name, grid in GRIDS.items()
    }


def small(configs: Sequence[str]) -> dict[str, Any]:
    return VOLUME if "unet3d" in configs else PLANE


@pytest.fixture(scope="module")
def untrained(knees, tmp_path_factory) -> Callable[[Sequence[str]], Path]:
    """Makes weights of a U-Net that has learned nothing; its labels depend on the image, and each of them is there."""
    image = torch.from_numpy(knees["jopp"].image[10:74, 10:74].astype(np.float32))

    def make(configs: Sequence[str]) -> Path:
        parser = parse(KNEE, ["inference", *configs], CPU, small(configs))
        torch.manual_seed(0)
        network = build(parser, "network_def", KNEE.name)
        network.set_statistics(300.0, 400.0)
        with torch.inference_mode():
            for _ in range(30):  # until normalisation knows the mean of what it gets
                network.train()(image[None, None] if "unet3d" in configs else image.permute(2, 0, 1)[:, None])
        path = tmp_path_factory.mktemp("untrained") / "model.pt"
        torch.save(network.state_dict(), path)
        return path

    return make


def voxelwise(axes: int = 2) -> dict[str, Any]:
    """Settings for a network that labels a voxel by its own intensity."""
    convolution = {"_target_": f"torch.nn.Conv{axes}d", "kernel_size": 1}
    channels = {"in_channels": "@in_channels", "out_channels": "@out_channels"}
    score = "monai_tasks.networks.standard_score.StandardScoreNet"
    return {"network_def": {"_target_": score, "network": convolution | channels}}


def voxelwise_weights(path: Path, slopes: Sequence[float], offsets: Sequence[float], axes: int = 2) -> Path:
    """Each class scores slope * intensity + offset."""
    state = {
        "mean": torch.zeros(1),
        "deviation": torch.ones(1),
        "network.weight": torch.tensor(slopes).reshape(-1, 1, *[1] * axes),
        "network.bias": torch.tensor(offsets),
    }
    torch.save(state, path)
    return path


def everything(folder: Path, axes: int = 2) -> Path:
    """Weights with which all that the network is shown is bone."""
    return voxelwise_weights(folder / f"everything_{axes}.pt", [0.0, 0.0], [0.0, 1.0], axes)


def predict(
    images: Path, output: Path, weights: Path, configs: Sequence[str] = (), **settings: Any
) -> Summary:
    return infer(
        KNEE,
        images,
        output,
        weights=weights,
        configs=configs,
        device="cpu",
        preview=False,
        progress=False,
        settings=small(configs) | settings,
    )


def save(path: Path, image: np.ndarray, affine: np.ndarray) -> Path:
    """Write (X, Y, Z) as NIfTI, or as MetaImage."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.name.endswith(".nii.gz"):
        nibabel.save(nibabel.Nifti1Image(image, affine), path)
        return path
    written = sitk.GetImageFromArray(image.T)
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    written.SetSpacing(spacing.tolist())
    written.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    written.SetOrigin(lps[:3, 3].tolist())
    sitk.WriteImage(written, str(path))
    return path


def labels(summary: Summary, name: str) -> np.ndarray:
    """(X, Y, Z) of a case."""
    return np.asarray(nibabel.load(summary.output / "predictions" / f"{name}.nii.gz").dataobj)


def rows(summary: Summary) -> dict[str, dict[str, str]]:
    return {row["case"]: row for row in read_table(summary.results)}


def filled_box(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """First and last voxel of the labels, which must fill their box."""
    places = np.argwhere(array)
    first, last = places.min(0), places.max(0)
    assert np.prod(last - first + 1) == len(places)
    return first, last


def turned(affine: np.ndarray) -> np.ndarray:
    """The affine of a tilted acquisition."""
    turn = nibabel.eulerangles.euler2mat(*np.radians([21.0, -9.0, 14.0]))
    return nibabel.affines.from_matvec(turn @ affine[:3, :3], affine[:3, 3])


def restored(drawn: Drawn, order: Sequence[int], flipped: Sequence[int]) -> Volume:
    """The same image in space, the axes of its array in another order, then some of them reversed."""
    matrix = np.zeros((4, 4))
    matrix[3, 3] = 1
    for axis, old in enumerate(order):
        matrix[old, axis] = -1 if axis in flipped else 1
        matrix[old, 3] = drawn.image.shape[old] - 1 if axis in flipped else 0
    return Volume(reordered(drawn.image, order, flipped), drawn.affine @ matrix)


def reordered(array: np.ndarray, order: Sequence[int], flipped: Sequence[int]) -> np.ndarray:
    return np.flip(array.transpose(order), flipped)


def test_every_format_gives_one_label_map_on_its_own_grid(knees, untrained, tmp_path, dicom):
    """A tilted knee in its own pixels: NIfTI rounds a tilt, and resampled pixels would begin at another corner."""
    image, _, affine, _ = knees["jopp"]
    affine = turned(affine)
    suffixes = {"mhd": ".mhd", "mha": ".mha", "nifti": ".nii.gz"}
    files = {name: save(tmp_path / "in" / f"{name}{end}", image, affine) for name, end in suffixes.items()}
    files["dicom"] = tmp_path / "in" / "dicom"
    dicom.series(files["dicom"], Volume(image, affine))
    pixels = {"pixel": nibabel.affines.voxel_sizes(affine)[:2].tolist(), "field": [64, 64]}
    settings = pixels | {"inference_window": [64, 64]}
    weights = untrained(["three_bones"])
    summary = predict(tmp_path / "in", tmp_path / "out", weights, ["three_bones"], **settings)
    assert (summary.done, summary.failures) == (4, ())
    expected = nibabel.as_closest_canonical(nibabel.Nifti1Image(labels(summary, "mhd"), affine))
    assert set(np.unique(expected.dataobj)) == {0, 1, 2, 3}
    for name, path in files.items():
        array, meta = VolumeReader().get_data((path,))
        prediction = nibabel.load(summary.output / "predictions" / f"{name}.nii.gz")
        assert prediction.shape == array.shape
        np.testing.assert_allclose(prediction.affine, meta["affine"], atol=1e-3)
        # A DICOM series may count its rows and slices the other way.
        found = nibabel.as_closest_canonical(prediction)
        # A rounded tilt moves an intensity by a millionth: here and there a voxel between two labels may change.
        assert np.mean(np.asarray(found.dataobj) != np.asarray(expected.dataobj)) < 1e-4, name
        np.testing.assert_allclose(found.affine, expected.affine, atol=1e-3)


def test_a_tilted_knee_is_resampled_to_the_same_place_in_every_format(knees, tmp_path):
    image, _, affine, _ = knees["jopp"]
    for suffix in (".mhd", ".nii.gz"):
        save(tmp_path / "in" / f"knee{suffix}", image, turned(affine))
    weights = voxelwise_weights(tmp_path / "model.pt", [0.0, 1.0], [0.0, -400.0])
    fine = {"pixel": [1.0, 1.0], "field": [112, 112], "inference_window": [112, 112]}
    summary = predict(tmp_path / "in", tmp_path / "out", weights, **voxelwise(), **fine)
    first, second = (labels(summary, case) > 0 for case in rows(summary))
    dice = 2 * (first & second).sum() / (first.sum() + second.sum())
    by_a_voxel = (first & np.roll(first, 1, axis=0)).sum() / first.sum()
    print(f"Dice {dice:.4f}; {by_a_voxel:.4f} for a shift by one voxel")
    assert 1 - dice < (1 - by_a_voxel) / 2


def test_the_label_map_follows_the_axes_of_the_file(knees, untrained, tmp_path):
    drawn = knees["jopp"]
    codes = "".join(nibabel.aff2axcodes(drawn.affine))
    assert codes == "LIP"  # what the flips below come from
    stores = {
        "LIP": ((0, 1, 2), ()),
        "RSA": ((0, 1, 2), (0, 1, 2)),
        "LAS": ((0, 2, 1), (1, 2)),
        "LPS": ((0, 2, 1), (2,)),
        "AIL": ((2, 1, 0), (0,)),
    }
    for name, store in stores.items():
        image, affine = restored(drawn, *store)
        assert "".join(nibabel.aff2axcodes(affine)) == name
        save(tmp_path / "in" / f"{name}.mhd", image, affine)
        if name in ("LIP", "LPS"):
            save(tmp_path / "in" / f"{name}_turned.mhd", image, turned(affine))
    summary = predict(tmp_path / "in", tmp_path / "out", untrained(["three_bones"]), ["three_bones"])
    assert summary.failures == ()
    expected = labels(summary, "LIP")
    assert set(np.unique(expected)) == {0, 1, 2, 3}
    for case in (*stores, "LIP_turned", "LPS_turned"):
        store = stores[case.removesuffix("_turned")]
        np.testing.assert_array_equal(labels(summary, case), reordered(expected, *store), err_msg=case)


@pytest.mark.parametrize("configs", [[], ["unet3d"]], ids=["2d", "3d"])
def test_labels_can_lie_in_every_slice_and_in_the_window_alone(configs, knees, tmp_path):
    axes = 3 if configs else 2
    for name, drawn in knees.items():
        save(tmp_path / "in" / f"{name}.mhd", drawn.image, drawn.affine)
    summary = predict(
        tmp_path / "in", tmp_path / "out", everything(tmp_path, axes), configs, **voxelwise(axes)
    )
    assert (summary.done, summary.noted) == (2, 0)
    for name, depth in (("epi", 41), ("jopp", 24)):
        drawn, found = knees[name], labels(summary, name)
        assert found.shape == drawn.image.shape
        assert np.unique(found).tolist() == [0, 1]
        first, last = filled_box(found)
        assert (first[2], last[2]) == (0, depth - 1)
        spacing = nibabel.affines.voxel_sizes(drawn.affine)
        np.testing.assert_allclose((last - first + 1)[:2] * spacing[:2], WINDOW, atol=spacing[0])
        joint = nibabel.affines.apply_affine(np.linalg.inv(drawn.affine), drawn.joint)
        assert (np.abs((first + last) / 2 - joint) * spacing)[:2].max() < 12


def test_the_3d_network_gets_every_second_slice_and_predicts_all_41(knees, untrained, tmp_path):
    path = save(tmp_path / "epi.mhd", knees["epi"].image, knees["epi"].affine)
    weights = untrained(["unet3d"])
    summary = predict(path, tmp_path / "out", weights, ["unet3d"])
    engine = Engine(KNEE, weights, CPU, ["unet3d"], VOLUME, output_dir=tmp_path / "by hand")
    item = engine.chains.prepare(engine.chains.load(str(path)))
    assert item["image"].shape == (1, 32, 32, 41)
    padded = torch.zeros(1, 1, 32, 32, 48)
    padded[0, ..., 3:44] = item["image"].as_tensor()
    scores = torch.zeros(2, 32, 32, 48)
    with torch.inference_mode():
        for start in (0, 1):
            scores[..., start::2] = engine.network(padded[..., start::2])[0]
    expected = engine.chains.postprocessing({**item, "pred": scores[..., 3:44]})["pred"][0]
    np.testing.assert_array_equal(labels(summary, "epi"), expected.numpy())
    assert (labels(summary, "epi") == 1).any((0, 1)).all()


@pytest.mark.parametrize("configs", [[], ["unet3d"]], ids=["2d", "3d"])
def test_a_slice_tells_of_itself_in_2d_and_of_its_pass_in_3d(configs, knees, untrained, tmp_path):
    changed, drawn = 4, knees["epi"]
    other = drawn.image.copy()
    other[..., changed] = other[::-1, :, changed]  # far from the middle, where the joint is sought
    save(tmp_path / "in" / "before.mhd", drawn.image, drawn.affine)
    save(tmp_path / "in" / "after.mhd", other, drawn.affine)
    summary = predict(
        tmp_path / "in", tmp_path / "out", untrained(configs), configs, bias_field_correction=False
    )
    differing = (labels(summary, "before") != labels(summary, "after")).any((0, 1))
    numbers = np.flatnonzero(differing).tolist()
    assert changed in numbers
    if not configs:
        assert numbers == [changed]
    else:
        assert len(numbers) > 1
        assert {number % 2 for number in numbers} == {changed % 2}


@pytest.fixture(scope="module")
def mixed(knees, tmp_path_factory) -> Summary:
    """A knee, noise, a shin and a sagittal image; all that the network is shown becomes bone."""
    folder = tmp_path_factory.mktemp("mixed")
    drawn = knees["jopp"]
    save(folder / "in" / "knee.mhd", drawn.image, drawn.affine)
    noise = np.random.default_rng(0).rayleigh(100.0, drawn.image.shape).astype(np.int16)
    save(folder / "in" / "noise.mhd", noise, drawn.affine)
    save(folder / "in" / "shin.mhd", *shin(drawn))
    save(folder / "in" / "sagittal.mhd", drawn.image, drawn.affine[[1, 0, 2, 3]])
    return predict(folder / "in", folder / "out", everything(folder), **voxelwise())


def shin(drawn: Drawn) -> Volume:
    """What of a knee lies more than 32 mm below the joint; the array's second axis runs down."""
    row = nibabel.affines.apply_affine(np.linalg.inv(drawn.affine), drawn.joint)[1]
    first = round(row + 32 / nibabel.affines.voxel_sizes(drawn.affine)[1])
    affine = drawn.affine.copy()
    affine[:3, 3] += first * affine[:3, 1]
    return Volume(np.ascontiguousarray(drawn.image[:, first:]), affine)


@pytest.mark.parametrize("name", ["noise", "shin"])
def test_without_a_joint_the_leg_is_predicted_around_its_middle_and_that_is_noted(name, mixed, knees):
    row = rows(mixed)[name]
    assert (row["status"], row["note"]) == ("done", "joint not found: centred on the leg instead")
    image, affine = shin(knees["jopp"]) if name == "shin" else knees["jopp"][::2]
    first, last = filled_box(labels(mixed, name))
    spacing = nibabel.affines.voxel_sizes(affine)
    np.testing.assert_allclose((last - first + 1)[0] * spacing[0], WINDOW, atol=spacing[0])
    middle = (np.array(image.shape) - 1) / 2
    if name == "shin":
        bright = np.flatnonzero((image > 0.25 * np.percentile(image, 99)).mean((1, 2)) > 0.1)
        middle[0] = bright[[0, -1]].mean()
    assert (np.abs((first + last) / 2 - middle) * spacing)[:2].max() < 6


def test_a_joint_that_was_found_is_not_noted(mixed):
    assert rows(mixed)["knee"]["note"] == ""
    assert mixed.noted == 2


def test_a_sagittal_image_fails_alone_and_says_why(mixed):
    assert (mixed.done, mixed.failed) == (3, 1)
    row = rows(mixed)["sagittal"]
    assert row["status"] == "failed"
    assert "sagittal slices" in row["reason"]
    assert "expected coronal" in row["reason"]
    assert not (mixed.output / "predictions" / "sagittal.nii.gz").exists()


def test_three_bones_have_a_volume_each(knees, tmp_path):
    for name, drawn in knees.items():
        save(tmp_path / "in" / f"{name}.mhd", drawn.image, drawn.affine)
    # Straight lines of which each is the highest somewhere: from intensities of 100, 350 and 700.
    weights = voxelwise_weights(tmp_path / "model.pt", [0.0, 1.0, 2.0, 3.0], [0.0, -100.0, -450.0, -1150.0])
    summary = predict(tmp_path / "in", tmp_path / "out", weights, ["three_bones"], **voxelwise())
    for name, drawn in knees.items():
        found, row = labels(summary, name), rows(summary)[name]
        assert np.unique(found).tolist() == [0, 1, 2, 3]
        volumes = {column: float(row[column]) for column in row if column.startswith("volume")}
        voxel = np.prod(nibabel.affines.voxel_sizes(drawn.affine)) / 1000
        expected = {
            f"volume_ml_{bone}": pytest.approx(np.count_nonzero(found == value) * voxel, abs=1e-5)
            for value, bone in enumerate(("femur", "tibia", "fibula"), start=1)
        }
        assert volumes == expected


def test_windows_smaller_than_the_field_meet_without_a_seam(knees, tmp_path):
    path = save(tmp_path / "jopp.mhd", knees["jopp"].image, knees["jopp"].affine)
    weights = voxelwise_weights(tmp_path / "model.pt", [0.0, 1.0], [0.0, -700.0])
    whole = predict(path, tmp_path / "whole", weights, **voxelwise())
    small = predict(path, tmp_path / "small", weights, **voxelwise(), inference_window=[20, 12])
    assert 0.05 < labels(whole, "jopp").mean() < 0.4
    np.testing.assert_array_equal(labels(small, "jopp"), labels(whole, "jopp"))


def test_without_weights_the_way_to_get_some_is_told(knees, tmp_path):
    path = save(tmp_path / "jopp.mhd", knees["jopp"].image, knees["jopp"].affine)
    bare = Bundle(
        Path(shutil.copytree(KNEE.root, tmp_path / KNEE.name, ignore=shutil.ignore_patterns("models")))
    )
    with pytest.raises(WeightsError, match="ships no weights") as error:
        infer(bare, path, tmp_path / "out", device="cpu")
    told = str(error.value)
    train = f"monai-tasks train {KNEE.name} --datalist FILE -o RUN"
    steps = [told.index(step) for step in ("monai-tasks datalist", train, "--weights RUN/model.pt")]
    assert steps == sorted(steps)
    assert not (tmp_path / "out").exists()
