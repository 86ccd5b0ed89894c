"""The wrist bundles, which classify, in a real MONAI Label server: label files, a training, probabilities.

Generated radiographs, and networks of few channels on small images, for speed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.error
import urllib.request
from importlib.util import find_spec
from pathlib import Path

import pytest

from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.io.files import sha256
from monai_tasks.io.tables import read_table

pytestmark = [
    pytest.mark.label,
    pytest.mark.skipif(
        find_spec("monailabel") is None, reason="no MONAI Label here: make test-label has one"
    ),
]

IMAGE, STUDY = "wrist_xray_fracture_classification", "wrist_xray_fracture_study_classification"
SMALL = {"size": [96, 64], "widen_factor": 0.125, "batch_size": 4, "learning_rate": 0.01}
LABELS = {"not_broken": 0, "broken": 1}
both = pytest.mark.parametrize("name", [IMAGE, STUDY])


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A config of one's own for each bundle, of the ids that it has."""
    files = {}
    for name in (IMAGE, STUDY):
        config = json.loads(open_bundle(name).config("train").read_text())
        files[name] = tmp_path_factory.mktemp("configs") / "small.json"
        files[name].write_text(json.dumps({key: value for key, value in SMALL.items() if key in config}))
    return files


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Radiographs in one folder as MONAI Label wants them, all but one with a label file."""
    from monai_tasks.phantoms.radiograph_archive import write_radiographs

    data = write_radiographs(tmp_path_factory.mktemp("data"), 12, size=(120, 80), broken_share=0.5)
    folder = tmp_path_factory.mktemp("studies")
    labels = folder / "labels" / "final"
    labels.mkdir(parents=True)
    rows = read_table(data / "metadata.csv")
    assert {row["label"] for row in rows} == set(LABELS)
    for number, row in enumerate(rows):
        shutil.copyfile(data / row["image"], folder / f"wrist_{number:02d}.png")
        # By name and by number in turn.
        label = row["label"] if number % 2 else LABELS[row["label"]]
        (labels / f"wrist_{number:02d}.label.json").write_text(json.dumps({"label": label}))
    (labels / "wrist_00.label.json").unlink()
    return folder


@pytest.fixture(scope="module")
def server(studies: Path, small: dict[str, Path], serve, tmp_path_factory: pytest.TempPathFactory):
    """`monai-tasks label` with both bundles as they are shipped, but small, until the tests are through."""
    configs = [f"--config={name}={file}" for name, file in small.items()]
    with serve(studies, tmp_path_factory.mktemp("label") / "app", IMAGE, STUDY, *configs) as running:
        yield running


def probabilities(server, name: str, image: str) -> dict[str, float]:
    """What the server says of an image of the folder."""
    body = b"params=" + json.dumps({"device": "cpu"}).encode()
    query = f"/infer/{name}?image={image}&output=json"
    answer = json.loads(server.send(query, body, "application/x-www-form-urlencoded"))
    return {found["label"]: found["score"] for found in answer["prediction"]}


@pytest.fixture(scope="module")
def trained(server) -> dict[str, Bundle]:
    """The served copies after an epoch, half of the labelled images for validation."""
    copies = {name: Bundle(server.app / "model" / name) for name in (IMAGE, STUDY)}
    before = {name: sha256(copy.weights) for name, copy in copies.items()}
    order = {"max_epochs": 1, "device": "cpu", "val_split": 0.5, "multi_gpu": False}
    for name, copy in copies.items():
        server.send(f"/train/{name}?run_sync=true", json.dumps(order).encode())
        assert sha256(copy.weights) != before[name], (server.app / "logs" / "server.log").read_text()[-3000:]
    return copies


# The order of the tests is that of a radiologist's work; those that need a training ask for it.
@both
def test_it_is_offered_with_its_classes_but_says_nothing_before_it_is_trained(server, name: str) -> None:
    info = json.loads(server.send("/info/"))
    model = info["models"][name]
    assert (model["type"], model["labels"]) == ("classification", LABELS)
    assert name in info["trainers"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        probabilities(server, name, "wrist_00")
    assert "no weights yet: label images and train it" in json.loads(caught.value.read())["detail"]


def test_a_label_that_is_sent_lies_with_the_others(server, studies: Path) -> None:
    boundary = "a-line-between"
    lines = [
        f"--{boundary}",
        'Content-Disposition: form-data; name="label"; filename="mine.label.json"',
        "Content-Type: application/json",
        "",
        json.dumps({"label": "broken"}),
        f"--{boundary}--",
        "",
    ]
    request = urllib.request.Request(
        f"{server.address}/datastore/label?image=wrist_00&tag=final",
        data="\r\n".join(lines).encode(),
        headers={"Content-Type": f"multipart/form-data; boundary={boundary}"},
        method="PUT",
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=60) as answer:
        assert answer.status == 200
    file = studies / "labels" / "final" / "wrist_00.label.json"
    assert json.loads(file.read_text()) == {"label": "broken"}


@both
def test_probabilities_are_those_of_infer(
    server, trained: dict[str, Bundle], studies: Path, name: str, tmp_path: Path
) -> None:
    images = [str(studies / f"wrist_{number:02d}.png") for number in (0, 3)]
    command = [sys.executable, "-m", "monai_tasks", "infer", str(trained[name].root), *images]
    subprocess.run([*command, "-o", str(tmp_path / "out"), "--no-preview"], check=True)
    rows = {Path(row["input"]).stem: row for row in read_table(tmp_path / "out" / "results.csv")}
    for image, row in rows.items():
        found = probabilities(server, name, image)
        assert set(found) == set(LABELS)
        assert sum(found.values()) == pytest.approx(1, abs=1e-3)
        # MONAI Label runs the network in another memory layout.
        assert found["broken"] == pytest.approx(float(row["probability_broken"]), abs=0.01)
    assert len(rows) == 2
