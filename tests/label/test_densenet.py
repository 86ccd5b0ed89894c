"""The bone and the chest bundle in a real MONAI Label server: classes, a training from label files, probabilities.

Generated radiographs, and networks of few layers on small images, for speed.
"""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pytest

from monai_tasks.catalog import Bundle
from monai_tasks.io.files import sha256

pytestmark = [
    pytest.mark.label,
    pytest.mark.skipif(
        find_spec("monailabel") is None, reason="no MONAI Label here: make test-label has one"
    ),
]

BONE, CHEST = "bone_xray_abnormality_classification", "chest_xray_pneumothorax_classification"
CLASSES = {BONE: ["normal", "abnormal"], CHEST: ["no_pneumothorax", "pneumothorax"]}
SMALL = {
    "size": [48, 48],
    "init_features": 4,
    "growth_rate": 4,
    "block_config": [1, 1, 1, 1],
    "hidden": 8,
    "batch_size": 4,
    "learning_rate": 0.01,
}
both = pytest.mark.parametrize("name", [BONE, CHEST])


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Chests in one folder, with label files of numbers, which mean a class of either bundle."""
    from monai_tasks.datasets import chestxray14
    from monai_tasks.phantoms.chestxray14 import write_chestxray14

    data = write_chestxray14(tmp_path_factory.mktemp("data"), 40, size=(64, 64))
    items = chestxray14.datalist(data)["training"]
    assert {item["label"] for item in items} == {0, 1}
    folder = tmp_path_factory.mktemp("studies")
    (folder / "labels" / "final").mkdir(parents=True)
    for number, item in enumerate(items):
        shutil.copyfile(item["image"], folder / f"image_{number:02d}.png")
        label = folder / "labels" / "final" / f"image_{number:02d}.label.json"
        label.write_text(json.dumps({"label": item["label"]}))
    return folder


@pytest.fixture(scope="module")
def server(studies: Path, serve, tmp_path_factory: pytest.TempPathFactory):
    """`monai-tasks label` with both bundles as they are shipped, but small, until the tests are through."""
    small = tmp_path_factory.mktemp("configs") / "small.json"
    small.write_text(json.dumps(SMALL))
    configs = [f"--config={name}={small}" for name in (BONE, CHEST)]
    with serve(studies, tmp_path_factory.mktemp("label") / "app", BONE, CHEST, *configs) as running:
        yield running


@both
def test_a_training_gives_probabilities_of_its_classes(server, name: str) -> None:
    model = json.loads(server.send("/info/"))["models"][name]
    assert (model["type"], list(model["labels"])) == ("classification", CLASSES[name])
    copy = Bundle(server.app / "model" / name)
    before = sha256(copy.weights)
    order = {"max_epochs": 1, "device": "cpu", "val_split": 0.5, "multi_gpu": False}
    server.send(f"/train/{name}?run_sync=true", json.dumps(order).encode())
    assert sha256(copy.weights) != before, (server.app / "logs" / "server.log").read_text()[-3000:]
    body = b"params=" + json.dumps({"device": "cpu"}).encode()
    found = [
        json.loads(
            server.send(f"/infer/{name}?image={image}&output=json", body, "application/x-www-form-urlencoded")
        )["prediction"]
        for image in ("image_00", "image_01")
    ]
    for answer in found:
        assert [one["label"] for one in answer] == CLASSES[name]
        assert sum(one["score"] for one in answer) == pytest.approx(1, abs=1e-3)
    assert found[0] != found[1]
