"""The tumour bundle in a real MONAI Label server: files with both modalities as channels, a training, label maps.

Generated heads, and a network of few features on large voxels, for speed.
"""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import nibabel
import numpy as np
import pytest

from monai_tasks.catalog import Bundle
from monai_tasks.phantoms.brain_tumour import PARTS, head

pytestmark = [
    pytest.mark.label,
    pytest.mark.skipif(
        find_spec("monailabel") is None, reason="no MONAI Label here: make test-label has one"
    ),
]

NAME = "tumor_core_mri_segmentation"
SMALL = {
    "spacing": [4.0, 4.0, 4.0],
    "window": [16, 16, 16],
    "inference_window": [24, 24, 24],
    "learning_rate": 0.01,
}
HEADS = ("head_0", "head_1", "head_2", "head_3")


@pytest.fixture(scope="module")
def small(tiny_highresnet, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config of one's own."""
    path = tmp_path_factory.mktemp("configs") / "small.json"
    path.write_text(json.dumps({**SMALL, "network_def": tiny_highresnet}), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four heads with T1 and T2 along a fourth axis, and their cores as clients of MONAI Label save them."""
    folder = tmp_path_factory.mktemp("studies")
    (folder / "labels" / "final").mkdir(parents=True)
    for number, name in enumerate(HEADS):
        images, parts, affine = head(np.random.default_rng(number), (44, 52, 40))
        both = np.stack([images["t1"], images["t2"]], axis=-1)
        core = np.isin(parts, (PARTS["core"], PARTS["enhancing"])).astype(np.uint8)
        nibabel.Nifti1Image(both, affine).to_filename(folder / f"{name}.nii.gz")
        nibabel.Nifti1Image(core, affine).to_filename(folder / "labels" / "final" / f"{name}.nii.gz")
    return folder


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


def test_its_label_is_the_core(server) -> None:
    info = json.loads(server.send("/info/"))
    assert info["models"][NAME]["labels"] == {"core": 1}
    assert NAME in info["trainers"]


def test_a_label_map_is_that_of_infer(server, trained: Bundle, studies: Path, infer, tmp_path: Path) -> None:
    image = studies / f"{HEADS[0]}.nii.gz"
    expected = infer(trained.root, [image], tmp_path / "expected")
    found, wanted = server.segment(NAME, HEADS[0], tmp_path), nibabel.load(expected / image.name)
    assert found.shape == wanted.shape == nibabel.load(image).shape[:3]
    np.testing.assert_allclose(found.affine, nibabel.load(image).affine, atol=1e-3)
    theirs, ours = np.asarray(found.dataobj), np.asarray(wanted.dataobj)
    assert set(np.unique(ours)) == {0, 1}
    # MONAI Label runs the network in another memory layout: in 16 bits near ties may go the other way.
    assert np.count_nonzero(theirs != ours) <= 0.01 * np.count_nonzero(ours)
