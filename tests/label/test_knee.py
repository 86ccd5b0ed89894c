"""The knee bundle, which ships no weights, in a real MONAI Label server: first labels, a training, label maps.

Generated knees, and a network of few channels on large pixels, for speed.
"""

from __future__ import annotations

import itertools
import json
import urllib.error
from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk

from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.experiments.label_app import prepare_app
from monai_tasks.experiments.label_copy import Offer
from monai_tasks.phantoms.knee import GRIDS, knee

pytestmark = [
    pytest.mark.label,
    pytest.mark.skipif(
        find_spec("monailabel") is None, reason="no MONAI Label here: make test-label has one"
    ),
]

NAME = "knee_mri_bone_segmentation"
PIXEL = 1.25
SIZE = 96
SMALL = {
    "channels": 8,
    "pixel": [PIXEL, PIXEL],
    "field": [SIZE, SIZE],
    "window": [SIZE, SIZE, 1],
    "inference_window": [SIZE, SIZE],
}
LPS = nibabel.orientations.axcodes2ornt("LPS")
OBLIQUE = nibabel.affines.from_matvec(nibabel.eulerangles.euler2mat(0.12, -0.08, 0.15))
KNEES = ("lps", "oblique_mhd", "drawn_2", "drawn_3")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config of one's own; one folder for bias fields, so that each is fitted once for all that runs here."""
    folder = tmp_path_factory.mktemp("configs")
    (folder / "small.json").write_text(json.dumps({**SMALL, "bias_field_cache": str(folder / "fields")}))
    return folder / "small.json"


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four knees on several grids, one of them as MHD, with bone drawn as clients of MONAI Label save it."""
    folder = tmp_path_factory.mktemp("studies")
    labels = folder / "labels" / "final"
    labels.mkdir(parents=True)
    for number, name in enumerate(KNEES):
        array, maps, affine, _ = knee(np.random.default_rng(number), GRIDS["jopp"].reduced(PIXEL))
        image, label = (nibabel.Nifti1Image(part, affine) for part in (array, maps.any(0).astype(np.uint8)))
        if name == "lps":
            turn = nibabel.orientations.ornt_transform(nibabel.io_orientation(affine), LPS)
            image, label = image.as_reoriented(turn), label.as_reoriented(turn)
        if name == "oblique_mhd":
            image, label = (nibabel.Nifti1Image(part.dataobj, OBLIQUE @ affine) for part in (image, label))
        file = folder / f"{name}.nii.gz"
        image.to_filename(file)
        label.to_filename(labels / file.name)
        if name == "oblique_mhd":
            sitk.WriteImage(sitk.ReadImage(file), folder / f"{name}.mhd")
            file.unlink()
    return folder


def image_of(studies: Path, name: str) -> Path:
    return next(path for path in studies.glob(f"{name}.*") if path.suffix in (".gz", ".mhd"))


@pytest.fixture(scope="module")
def server(studies: Path, small: Path, serve, tmp_path_factory: pytest.TempPathFactory):
    """`monai-tasks label` with the bundle as it is shipped, but small, until the tests are through."""
    with serve(studies, tmp_path_factory.mktemp("label") / "app", NAME, "--config", small) as running:
        yield running


@pytest.fixture(scope="module")
def trained(server) -> Bundle:
    """The served copy after one epoch."""
    server.train(NAME)
    return Bundle(server.app / "model" / NAME)


@pytest.fixture(scope="module")
def expected(trained: Bundle, studies: Path, infer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    images = [image_of(studies, name) for name in KNEES[:2]]
    return infer(trained.root, images, tmp_path_factory.mktemp("expected"))


# The order of the tests is that of a radiologist's work; those that need a training ask for it.
def test_it_is_offered_but_labels_nothing_before_it_is_trained(server, tmp_path: Path) -> None:
    info = json.loads(server.send("/info/"))
    assert info["models"][NAME]["labels"] == {"bone": 1}
    assert NAME in info["trainers"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        server.segment(NAME, KNEES[0], tmp_path)
    assert "no weights yet: label images and train it" in json.loads(caught.value.read())["detail"]


def test_a_training_fits_the_standard_score_to_its_own_part(trained: Bundle, studies: Path) -> None:
    import torch
    from monai.bundle import ConfigParser

    state = torch.load(trained.weights, weights_only=True)
    parser = ConfigParser()
    parser.read_config(str(trained.config("inference")))
    steps = parser.get_parsed_content("preprocessing").transforms[1:]  # without the refusal
    voxels = {}
    for name in KNEES:
        item = {"image": str(image_of(studies, name))}
        for step in steps:
            item = step(item)
        voxels[name] = item["image"].numpy().astype(np.float64).ravel()
    parts = [np.concatenate([voxels[name] for name in part]) for part in itertools.combinations(KNEES, 3)]
    fitted = [
        bool(
            np.isclose(state["mean"].item(), part.mean(), rtol=1e-4)
            and np.isclose(state["deviation"].item(), part.std(), rtol=1e-4)
        )
        for part in parts
    ]
    assert sum(fitted) == 1


@pytest.mark.parametrize("name", KNEES[:2])
def test_a_label_map_is_that_of_infer(
    server, studies: Path, expected: Path, name: str, tmp_path: Path
) -> None:
    found, wanted = server.segment(NAME, name, tmp_path), nibabel.load(expected / f"{name}.nii.gz")
    drawn = nibabel.load(studies / "labels" / "final" / f"{name}.nii.gz")
    assert found.shape == wanted.shape == drawn.shape
    np.testing.assert_allclose(found.affine, drawn.affine, atol=1e-3)
    theirs, ours = np.asarray(found.dataobj), np.asarray(wanted.dataobj)
    assert set(np.unique(ours)) == {0, 1}
    # MONAI Label runs the network in another memory layout: in 16 bits near ties may go the other way.
    assert np.count_nonzero(theirs != ours) <= 0.01 * np.count_nonzero(ours)


def test_three_bones_and_weights_of_ones_own_are_what_monai_label_reads(
    small: Path, stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    from monai_tasks.inference.configs import build, parse

    monkeypatch.syspath_prepend(stubs)
    from monailabel.tasks.infer.bundle import BundleInferTask
    from monailabel.tasks.train.bundle import BundleTrainTask

    bundle, configs = open_bundle(NAME), ("three_bones", str(small))
    network = build(parse(bundle, ("train", *configs), torch.device("cpu"), {}), "network_def", NAME)
    network.set_statistics(850.0, 520.0)
    torch.save(network.state_dict(), tmp_path / "own.pt")
    assert prepare_app(tmp_path / "app", [Offer(bundle, tmp_path / "own.pt", configs)]) == []
    copy = tmp_path / "app" / "model" / NAME
    task = BundleInferTask(str(copy), {})
    assert task.is_valid()
    assert task.labels == {"femur": 1, "tibia": 2, "fibula": 3}
    loaded = task._get_network("cpu", None).state_dict()
    assert all(torch.equal(value, loaded[key]) for key, value in network.state_dict().items())
    assert BundleTrainTask(str(copy), {}).bundle_config["label_groups"] == [[1], [2], [3]]
