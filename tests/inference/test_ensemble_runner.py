"""Several networks in one command: the mean of their probabilities, how sure it is, and what is told of them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import pytest
import torch
from classification_bundles import level_of, probability, write_bundle, write_image
from cross_validations import finish

from monai_tasks.inference.configs import ConfigError
from monai_tasks.inference.runner import Summary, infer
from monai_tasks.inference.weights import WeightsError
from monai_tasks.io.files import sha256
from monai_tasks.io.picture import write_png
from monai_tasks.io.tables import read_table

# What is added to the biases of a segmentation's three scores by each member.
SHIFTS = ([0.0, 0.0, 0.0], [0.0, 1.5, 0.0], [0.3, -1.0, 2.0])
# A network that answers otherwise to a mirrored image: with a score that grows along the first axis.
RAMP = (
    "$lambda inputs, network: network(inputs) + torch.tensor([0.0, 1.0, -0.5]).reshape(1, 3, 1, 1, 1) "
    "* 0.2 * torch.arange(inputs.shape[2]).reshape(1, 1, -1, 1, 1)"
)


def run(bundle: Path, inputs: object, output: Path, **options: object) -> Summary:
    return infer(bundle, inputs, output, **({"device": "cpu", "preview": False, "progress": False} | options))


def members(bundle: Path, folder: Path, key: str = "bias", shifts: Sequence[Any] = SHIFTS) -> list[Path]:
    """Files of weights that differ from the bundle's in one tensor."""
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    files = []
    for number, shift in enumerate(shifts):
        files.append(folder / "folds" / str(number) / "model.pt")
        files[-1].parent.mkdir(parents=True)
        torch.save({**state, key: state[key] + torch.tensor(shift)}, files[-1])
    finish(folder)
    return files


def configured(bundle: Path, **content: Any) -> Path:
    """The bundle with more in its config."""
    file = bundle / "configs" / "inference.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | content))
    return bundle


def opinion(array: np.ndarray, shift: Sequence[float], ramp: np.ndarray | float = 0.0) -> np.ndarray:
    """The probabilities (3, ...) that one member of the segmentation gives."""
    z = (array - array.mean()) / array.std()
    scores = np.stack([0 * z, z - 0.5 + ramp, 2 * z - 2.5 - 0.5 * ramp])
    scores = np.exp(scores + np.reshape(shift, (3, 1, 1, 1)))
    return scores / scores.sum(0)


def entropy(probabilities: np.ndarray) -> np.ndarray:
    return -(probabilities * np.log(probabilities)).sum(0) / np.log(len(probabilities))


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def test_label_maps_and_uncertainty_are_those_of_the_mean_on_every_grid(bundle, grids, tmp_path):
    for name, grid in grids.items():
        nib.save(nib.Nifti1Image(grid.array, grid.affine), tmp_path / f"{name}.nii.gz")
    files = [tmp_path / f"{name}.nii.gz" for name in grids]
    summary = run(bundle, files, tmp_path / "out", weights=members(bundle, tmp_path), jobs=2)
    rows = {row["case"]: row for row in read_table(summary.results)}
    assert summary.failed == 0
    for name, grid in grids.items():
        opinions = [opinion(grid.array, shift) for shift in SHIFTS]
        mean = np.mean(opinions, axis=0)
        labels = nib.load(tmp_path / "out" / "predictions" / f"{name}.nii.gz")
        np.testing.assert_array_equal(np.asarray(labels.dataobj), mean.argmax(0))
        found = nib.load(tmp_path / "out" / "uncertainty" / f"{name}.nii.gz")
        assert found.get_data_dtype() == np.float32
        np.testing.assert_allclose(found.affine, grid.affine, atol=1e-5)
        np.testing.assert_allclose(np.asarray(found.dataobj), entropy(mean), atol=1e-4)
        region = np.any([one.argmax(0) > 0 for one in opinions], axis=0)
        assert float(rows[name]["entropy"]) == pytest.approx(entropy(mean)[region].mean(), abs=1e-4)
        votes = [one.argmax(0) for one in opinions]
        shared = [
            np.mean([dice(a == label, b == label) for label in (1, 2)]) for a, b in combinations(votes, 2)
        ]
        assert float(rows[name]["disagreement"]) == pytest.approx(1 - np.mean(shared), abs=1e-5)


def test_the_map_is_interpolated_where_the_network_has_another_grid(bundle, grids, tmp_path):
    grid = grids["oblique"]
    nib.save(nib.Nifti1Image(grid.array, grid.affine), tmp_path / "oblique.nii.gz")
    files = members(bundle, tmp_path)
    fine = run(bundle, tmp_path / "oblique.nii.gz", tmp_path / "fine", weights=files)
    settings = {"spacing": [1.0, 1.0, 1.0]}
    other = run(bundle, tmp_path / "oblique.nii.gz", tmp_path / "other", weights=files, settings=settings)
    assert fine.failed == other.failed == 0
    maps = [nib.load(summary.output / "uncertainty" / "oblique.nii.gz") for summary in (fine, other)]
    np.testing.assert_allclose(maps[1].affine, grid.affine, atol=1e-5)
    exact, resampled = (np.asarray(one.dataobj) for one in maps)
    assert 0 <= resampled.min() < resampled.max() <= 1
    assert np.corrcoef(exact.ravel(), resampled.ravel())[0, 1] > 0.8
    # Labels take the next voxel's value, the map takes what lies between.
    assert len(np.unique(resampled)) > 0.9 * resampled.size


def test_mirror_images_are_answered_and_turned_back(bundle, grids, tmp_path):
    grid = grids["RAS"]
    nib.save(nib.Nifti1Image(grid.array, grid.affine), tmp_path / "head.nii.gz")
    configured(bundle, inferer=RAMP, flips=[[0]])
    summary = run(bundle, tmp_path / "head.nii.gz", tmp_path / "out", flips=True)
    assert summary.failed == 0
    ramp = 0.2 * np.arange(grid.array.shape[0])[:, None, None] * np.ones(grid.array.shape)
    mean = (opinion(grid.array, SHIFTS[0], ramp) + opinion(grid.array, SHIFTS[0], ramp[::-1])) / 2
    labels = np.asarray(nib.load(tmp_path / "out" / "predictions" / "head.nii.gz").dataobj)
    np.testing.assert_array_equal(labels, mean.argmax(0))
    straight = run(bundle, tmp_path / "head.nii.gz", tmp_path / "straight")
    assert not np.array_equal(
        labels, np.asarray(nib.load(straight.output / "predictions" / "head.nii.gz").dataobj)
    )
    content = json.loads(summary.report.read_text())
    assert (content["flips"], content["uncertainty"], "members" in content) == ([[0]], True, False)
    assert "along the axes [0]" in summary.page.read_text()


def test_only_the_channels_of_classes_are_averaged(bundle, images, tmp_path):
    """As of a network with a second head, whose scores come after those of the first."""
    files = members(bundle, tmp_path)
    first = run(bundle, images / "case_0.nii.gz", tmp_path / "first", weights=files)
    cut = [{"_target_": "Lambdad", "keys": "pred", "func": "$lambda scores: scores[:@out_channels]"}]
    steps = json.loads((bundle / "configs" / "inference.json").read_text())["postprocessing"]["transforms"]
    configured(
        bundle,
        out_channels=3,
        postprocessing={"_target_": "Compose", "transforms": cut + steps},
        inferer="$lambda inputs, network: torch.cat([network(inputs), 9 + network(inputs)], 1)",
    )
    second = run(bundle, images / "case_0.nii.gz", tmp_path / "second", weights=files)
    for folder in ("predictions", "uncertainty"):
        one, other = (
            np.asarray(nib.load(summary.output / folder / "case_0.nii.gz").dataobj)
            for summary in (first, second)
        )
        np.testing.assert_array_equal(one, other)


def test_one_network_answers_as_ever(bundle, images, tmp_path):
    plain = run(bundle, images, tmp_path / "plain")
    one = run(bundle, images, tmp_path / "one", weights=[bundle / "models" / "model.pt"])
    unsure = run(bundle, images, tmp_path / "unsure", uncertainty=True)
    for summary in (one, unsure):
        for file in (plain.output / "predictions").iterdir():
            assert (summary.output / "predictions" / file.name).read_bytes() == file.read_bytes()
    assert "entropy" not in read_table(plain.results)[0]
    assert not (plain.output / "uncertainty").exists()
    facts = json.loads(plain.report.read_text())
    assert not {"members", "flips", "uncertainty"} & facts.keys()
    rows = read_table(unsure.results)
    assert all(float(row["entropy"]) > 0 and float(row["disagreement"]) == 0 for row in rows)
    # What one network was asked for without is no answer to the other question.
    assert run(bundle, images, plain.output, uncertainty=True).done == 5
    assert run(bundle, images, plain.output, uncertainty=True).skipped == 5
    assert run(bundle, images, plain.output).done == 5
    assert not list((plain.output / "uncertainty").iterdir())


def test_the_folder_of_a_cross_validation_stands_for_its_networks(bundle, images, tmp_path):
    files = members(bundle, tmp_path / "cv")
    named = run(bundle, images, tmp_path / "out", weights=files[::-1])
    content = json.loads(named.report.read_text())
    assert content["members"] == [{"weights": "model.pt", "sha256": sha256(file)} for file in files[::-1]]
    again = run(bundle, images, tmp_path / "out", weights=tmp_path / "cv")
    # The same networks, whatever they are called and in whatever order.
    assert again.skipped == 5
    content = json.loads(again.report.read_text())
    assert content["weights"] == "3 networks"
    assert [member["weights"] for member in content["members"]] == [f"folds/{n}/model.pt" for n in range(3)]
    assert str(tmp_path) not in again.report.read_text()
    page = again.page.read_text()
    assert all(f"folds/{number}/model.pt, SHA-256 {sha256(files[number])}" in page for number in range(3))
    assert run(bundle, images, tmp_path / "out", weights=files[:2]).done == 5


def test_members_are_checked_before_any_case(bundle, images, tmp_path):
    files = members(bundle, tmp_path)
    torch.save({"weight": torch.zeros(1)}, files[2])
    with pytest.raises(WeightsError, match=r"2/model\.pt: weights do not fit Conv3d"):
        run(bundle, images, tmp_path / "out", weights=files)
    assert not (tmp_path / "out").exists()


def test_refuses_mirror_images_that_the_bundle_does_not_name(bundle, images, tmp_path):
    with pytest.raises(ConfigError, match="no config id 'flips'"):
        run(bundle, images, tmp_path / "out", flips=True)
    configured(bundle, flips=[])
    with pytest.raises(ConfigError, match="mini_segmentation: flips is empty"):
        run(bundle, images, tmp_path / "out", flips=True)
    assert not (tmp_path / "out").exists()


def test_a_case_in_which_nothing_is_found_is_looked_at_first(bundle, images, tmp_path):
    nothing = members(bundle, tmp_path, shifts=([50.0, 0.0, 0.0], [60.0, 0.0, 0.0]))
    summary = run(bundle, images / "case_0.nii.gz", tmp_path / "out", weights=nothing)
    (row,) = read_table(summary.results)
    assert (row["status"], row["entropy"], row["disagreement"]) == ("done", "", "0.0")
    assert "no opinion has found a label" in summary.page.read_text()


# Classifications. The score of `bright` is 10 x - 5 + shift for an image with the mean x.
LEVELS = {"a": 0.9, "b": 0.55, "c": 0.2, "d": 0.35}


@pytest.fixture
def radiographs(tmp_path: Path) -> Path:
    """A folder a study of one image."""
    for name, value in LEVELS.items():
        write_image(tmp_path / "images" / name / f"{name}.png", level_of(value))
    return tmp_path / "images"


def shifted(value: float, shift: float) -> float:
    """The probability that a member with another bias gives."""
    odds = value / (1 - value) * np.exp(shift)
    return odds / (1 + odds)


BRIGHTER = ([0.0, 0.0], [0.0, 2.0], [0.0, -0.5])


@pytest.mark.parametrize("studies", [False, True])
def test_probabilities_and_their_uncertainty(radiographs, tmp_path, studies):
    bundle = write_bundle(tmp_path / "mini_classification", studies=studies)
    key = "classifier.bias" if studies else "1.bias"
    files = members(bundle, tmp_path, key, BRIGHTER)
    summary = run(bundle, radiographs, tmp_path / "out", weights=files, preview=True)
    rows = {
        row["case"]: row
        for row in read_table(summary.results)
        if row["level"] == ("study" if studies else "image")
    }
    assert list(rows) == list(LEVELS)
    for name, value in LEVELS.items():
        bright = np.array([shifted(value, shift) for _, shift in BRIGHTER])
        opinions = np.stack([1 - bright, bright])
        mean = opinions.mean(1)
        # Views of a study are brought to one size, which changes their mean a little.
        near = 0.02 if studies else 2e-4
        assert float(rows[name]["probability_bright"]) == pytest.approx(mean[1], abs=near)
        assert float(rows[name]["entropy"]) == pytest.approx(entropy(mean), abs=near)
        disagreement = entropy(mean) - entropy(opinions).mean()
        assert float(rows[name]["disagreement"]) == pytest.approx(disagreement, abs=near)
        assert rows[name]["decision"] == ("bright" if mean[1] >= 0.5 else "dark")
    page = summary.page.read_text()
    first = page[page.index("Look at these first") : page.index("Sums by class")]
    ordered = sorted(LEVELS, key=lambda name: -float(rows[name]["entropy"]))
    places = [first.index(f'"previews/{name}.png"') for name in ordered]
    assert places == sorted(places)
    assert "mostly because each opinion is unsure itself" in first
    assert not (tmp_path / "out" / "uncertainty").exists()


def test_a_study_has_the_uncertainty_of_its_highest_image(tmp_path):
    bundle = write_bundle(tmp_path / "mini_classification")
    for number, value in enumerate((0.3, 0.8, 0.5)):
        write_image(tmp_path / "images" / "s" / f"s_{number}.png", level_of(value))
    files = members(bundle, tmp_path, "1.bias", BRIGHTER)
    rows = read_table(run(bundle, tmp_path / "images", tmp_path / "out", weights=files).results)
    *images, study = rows
    assert study["level"] == "study"
    assert study["probability_bright"] == images[1]["probability_bright"]
    assert [study[name] for name in ("entropy", "disagreement")] == [
        images[1][name] for name in ("entropy", "disagreement")
    ]


def test_mirrored_radiographs_are_averaged(tmp_path):
    """A network that looks at the left column alone."""
    bundle = configured(
        write_bundle(tmp_path / "mini_classification"),
        inferer="$lambda inputs, network: network(inputs[..., :1])",
        flips=[[1]],
    )
    ramp = np.linspace(-0.2, 0.2, 6)[None] + np.zeros((8, 6))
    write_png(tmp_path / "a.png", np.rint((0.5 + ramp) * 65535).astype(np.uint16))
    (row, _) = read_table(run(bundle, tmp_path / "a.png", tmp_path / "out", flips=True).results)
    left, right = probability(0.3), probability(0.7)
    assert float(row["probability_bright"]) == pytest.approx((left + right) / 2, abs=1e-4)
    assert float(row["disagreement"]) > 0.4
    (row, _) = read_table(run(bundle, tmp_path / "a.png", tmp_path / "straight").results)
    assert float(row["probability_bright"]) == pytest.approx(left, abs=1e-4)


def point(folder: Path, threshold: float, **facts: object) -> None:
    content = {"threshold": threshold, "rule": "youden", "part": "validation", **facts}
    (folder / "operating_point.json").write_text(json.dumps(content))


def test_the_operating_point_of_several_networks(radiographs, tmp_path):
    bundle = write_bundle(tmp_path / "mini_classification")
    files = members(bundle, tmp_path / "cv", "1.bias", BRIGHTER)

    def held(weights: object) -> dict[str, Any]:
        summary = run(bundle, radiographs / "a", tmp_path / "out", weights=weights)
        return json.loads(summary.report.read_text())["operating_point"]

    assert held(files) == {"threshold": 0.5, "origin": "config"}
    for file, threshold in zip(files[:2], (0.2, 0.3), strict=True):
        point(file.parent, threshold)
    assert held(files)["origin"] == "config"
    point(files[2].parent, 0.7)
    expected = {"origin": "the mean of 3 operating_point.json", "rule": "youden", "part": "validation"}
    found = held(files)
    assert found == expected | {"threshold": pytest.approx(0.4)}
    assert held(tmp_path / "cv") == found
    point(tmp_path / "cv", 0.15, part="out-of-fold", n=40, members_sha256=sorted(map(sha256, files)))
    assert held(tmp_path / "cv") == {
        "threshold": 0.15,
        "origin": "operating_point.json",
        "rule": "youden",
        "part": "out-of-fold",
        "n": 40,
    }
    point(tmp_path / "cv", 0.15, members_sha256=["0" * 64])
    assert held(tmp_path / "cv") == found


def test_an_answer_of_several_networks_is_not_explained(radiographs, tmp_path):
    bundle = write_bundle(tmp_path / "mini_classification")
    files = members(bundle, tmp_path, "1.bias", BRIGHTER)
    with pytest.raises(
        ConfigError, match="explain: gradcam of 3 opinions; expected one network without flips"
    ):
        run(bundle, radiographs, tmp_path / "out", weights=files, explain="gradcam")


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
def test_a_gpu_gives_the_uncertainty_of_the_cpu(bundle, images, tmp_path):
    files = members(configured(bundle, flips=[[0]]), tmp_path)
    rows = {}
    for device in ("cpu", "cuda:0"):
        summary = run(bundle, images, tmp_path / device[:4], weights=files, flips=True, device=device)
        rows[device] = read_table(summary.results)
    for on_cpu, on_gpu in zip(*rows.values(), strict=True):
        for name in ("entropy", "disagreement"):
            assert float(on_gpu[name]) == pytest.approx(float(on_cpu[name]), abs=1e-3)
        one, other = (
            np.asarray(nib.load(tmp_path / place / "uncertainty" / f"{on_cpu['case']}.nii.gz").dataobj)
            for place in ("cpu", "cuda")
        )
        np.testing.assert_allclose(one, other, atol=1e-3)
