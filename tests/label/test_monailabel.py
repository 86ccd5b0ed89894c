"""A real MONAI Label server, started by `monai-tasks label`: label maps, a training, an orderly end.

`make test-label` runs these in an environment of their own, which `build_environment.sh` makes.
"""

from __future__ import annotations

import json
import shutil
import signal
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import psutil
import pytest

from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.experiments.labelling import LabelServer
from monai_tasks.io.files import sha256
from monai_tasks.phantoms.hippocampus import crop

pytestmark = [
    pytest.mark.label,
    pytest.mark.skipif(
        find_spec("monailabel") is None, reason="no MONAI Label here: make test-label has one"
    ),
]

SHARED_DATA = Path(__file__).resolve().parents[3] / "shared" / "data"
NAME = "hippocampus_mri_segmentation"
TWIN = "second_hippocampus_mri_segmentation"
REAL = "hippocampus_003"
LPS, OBLIQUE = "generated_0", "generated_1"


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A copy of the shipped bundle; before it has weights, with random ones."""
    shipped = open_bundle(NAME)
    ignored = shutil.ignore_patterns("run", "predictions", "data")
    copy = Bundle(
        Path(shutil.copytree(shipped.root, tmp_path_factory.mktemp("bundles") / NAME, ignore=ignored))
    )
    if not copy.weights.is_file():
        import torch
        from monai.bundle import ConfigParser

        torch.manual_seed(3)
        parser = ConfigParser()
        parser.read_config(str(copy.config("inference")))
        torch.save(parser.get_parsed_content("network_def").state_dict(), copy.weights)
    return copy


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four labelled images as MONAI Label wants them."""
    folder = tmp_path_factory.mktemp("studies")
    (folder / "labels" / "final").mkdir(parents=True)
    rng = np.random.default_rng(12)
    for number in range(4):
        image, label, affine = crop(rng)
        nibabel.Nifti1Image(image, affine).to_filename(folder / f"generated_{number}.nii.gz")
        nibabel.Nifti1Image(label, affine).to_filename(
            folder / "labels" / "final" / f"generated_{number}.nii.gz"
        )
    return folder


@pytest.fixture(scope="module")
def images(studies: Path) -> list[Path]:
    """The images to segment; a real one is among them where there are any."""
    real = SHARED_DATA / "hippocampus" / "imagesTr" / f"{REAL}.nii.gz"
    if real.is_file():
        shutil.copyfile(real, studies / real.name)
    return [path for name in (LPS, OBLIQUE, REAL) if (path := studies / f"{name}.nii.gz").is_file()]


@pytest.fixture(scope="module")
def expected(bundle: Bundle, images: list[Path], infer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return infer(bundle.root, images, tmp_path_factory.mktemp("expected"))


@pytest.fixture(scope="module")
def server(
    bundle: Bundle, images: list[Path], studies: Path, serve, tmp_path_factory: pytest.TempPathFactory
):
    """`monai-tasks label` with two bundles, until the tests are through."""
    twin = shutil.copytree(bundle.root, bundle.root.with_name(TWIN))
    with serve(studies, tmp_path_factory.mktemp("label") / "app", bundle.root, twin) as running:
        yield running


def check_same(found: nibabel.Nifti1Image, image: Path, expected: Path) -> None:
    """Same grid as the image; same content as `monai-tasks infer` found.

    MONAI Label runs the network in another memory layout, so that in 16 bits a voxel with two scores about equal may
    go the other way.
    """
    assert found.shape == nibabel.load(image).shape
    np.testing.assert_allclose(found.affine, nibabel.load(image).affine, atol=1e-3)
    theirs, ours = np.asarray(found.dataobj), np.asarray(nibabel.load(expected / image.name).dataobj)
    assert set(np.unique(theirs)) <= {0, 1, 2}
    assert len(np.unique(ours)) > 1
    assert np.count_nonzero(theirs != ours) <= 0.01 * np.count_nonzero(ours)


def test_both_bundles_are_offered_with_their_labels(server) -> None:
    info: dict[str, Any] = json.loads(server.send("/info/"))
    assert set(info["models"]) == set(info["trainers"]) == {NAME, TWIN}
    for model in info["models"].values():
        assert model["type"] == "segmentation"
        assert model["labels"] == {"anterior": 1, "posterior": 2}
        assert model["dimension"] == 3


@pytest.mark.parametrize("name", [LPS, OBLIQUE])
def test_a_label_map_is_that_of_infer(
    server, studies: Path, expected: Path, name: str, tmp_path: Path
) -> None:
    image = studies / f"{name}.nii.gz"
    affine = nibabel.load(image).affine
    assert nibabel.aff2axcodes(affine) == (tuple("LPS") if name == LPS else tuple("RAS"))
    assert (np.count_nonzero(affine[:3, :3]) > 3) == (name == OBLIQUE)
    check_same(server.segment(NAME, name, tmp_path), image, expected)


def test_a_real_label_map_is_that_of_infer(
    server, studies: Path, expected: Path, shared_data: Path, tmp_path: Path
) -> None:
    check_same(server.segment(TWIN, REAL, tmp_path), studies / f"{REAL}.nii.gz", expected)


def test_a_training_changes_the_copy_alone_and_is_used_at_once(
    server, bundle: Bundle, studies: Path, infer, tmp_path: Path
) -> None:
    before = sha256(bundle.weights)
    copy = server.app / "model" / NAME
    assert sha256(copy / "models" / "model.pt") == before
    server.train(NAME)
    assert sha256(bundle.weights) == before
    assert sha256(copy / "models" / "model.pt") != before
    image = studies / f"{LPS}.nii.gz"
    trained = infer(copy, [image], tmp_path / "trained")
    check_same(server.segment(NAME, LPS, tmp_path), image, trained)


def test_ctrl_c_ends_the_server_and_the_command(server) -> None:
    children = psutil.Process(server.process.pid).children(recursive=True)
    assert children
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(timeout=60) == 0
    assert not [child for child in children if child.is_running()]
    with pytest.raises(urllib.error.URLError):
        server.send("/info/")


@pytest.fixture
def archive():
    """An empty DICOMweb archive on the loopback; `paths` are what it was asked for."""

    class Archive(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.server.paths.append(self.path)
            self.send_response(200)
            self.send_header("Content-Type", "application/dicom+json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"[]")

        def log_message(self, *args: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Archive) as served:
        served.paths = []
        threading.Thread(target=served.serve_forever, daemon=True).start()
        yield served
        served.shutdown()


def test_a_dicomweb_archive_is_searched_for_the_bundles_modality(
    archive: ThreadingHTTPServer, bundle: Bundle, stubs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(stubs))
    monkeypatch.syspath_prepend(stubs)
    address = f"http://127.0.0.1:{archive.server_port}/dicom-web"
    with LabelServer([bundle], address, tmp_path / "app"):
        assert "/dicom-web/series?Modality=MR" in archive.paths
