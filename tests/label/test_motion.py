"""The HR-pQCT bundle, which grades scans, in a real MONAI Label server: label files, a training, probabilities.

Generated scans, and a network of few channels on small slices, for speed.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import urllib.error
from importlib.util import find_spec
from pathlib import Path

import pytest

from monai_tasks.catalog import Bundle
from monai_tasks.datasets.hrpqct import consensus
from monai_tasks.io.files import sha256
from monai_tasks.io.tables import read_table

pytestmark = [
    pytest.mark.label,
    pytest.mark.skipif(
        find_spec("monailabel") is None, reason="no MONAI Label here: make test-label has one"
    ),
]

NAME = "hrpqct_motion_classification"
SMALL = {"size": [40, 40], "slices": 3, "channels": [4, 8], "batch_size": 4, "learning_rate": 0.01}
LABELS = {f"grade_{grade}": grade - 1 for grade in range(1, 6)}


@pytest.fixture(scope="module")
def studies(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Scans in one folder as MONAI Label wants them, all but one with a label file."""
    from monai_tasks.phantoms.hrpqct import write_hrpqct

    data = write_hrpqct(tmp_path_factory.mktemp("data"), 12, size=48, slices=6)
    folder = tmp_path_factory.mktemp("studies")
    labels = folder / "labels" / "final"
    labels.mkdir(parents=True)
    for number, row in enumerate(read_table(data / "grades.csv")):
        shutil.copyfile(data / row["image"], folder / f"scan_{number:02d}.ISQ")
        grade = consensus([int(value) for name, value in row.items() if name.startswith("rater")])
        # By name and by number in turn.
        label = f"grade_{grade}" if number % 2 else grade - 1
        (labels / f"scan_{number:02d}.label.json").write_text(json.dumps({"label": label}))
    (labels / "scan_00.label.json").unlink()
    return folder


@pytest.fixture(scope="module")
def server(studies: Path, serve, tmp_path_factory: pytest.TempPathFactory):
    """`monai-tasks label` with the bundle as it is shipped, but small, until the tests are through."""
    small = tmp_path_factory.mktemp("configs") / "small.json"
    small.write_text(json.dumps(SMALL))
    with serve(
        studies, tmp_path_factory.mktemp("label") / "app", NAME, f"--config={NAME}={small}"
    ) as running:
        yield running


def probabilities(server, image: str) -> dict[str, float]:
    """What the server says of an image of the folder."""
    body = b"params=" + json.dumps({"device": "cpu"}).encode()
    query = f"/infer/{NAME}?image={image}&output=json"
    answer = json.loads(server.send(query, body, "application/x-www-form-urlencoded"))
    return {found["label"]: found["score"] for found in answer["prediction"]}


@pytest.fixture(scope="module")
def trained(server) -> Bundle:
    """The served copy after an epoch, half of the labelled scans for validation."""
    copy = Bundle(server.app / "model" / NAME)
    before = sha256(copy.weights)
    order = {"max_epochs": 1, "device": "cpu", "val_split": 0.5, "multi_gpu": False}
    server.send(f"/train/{NAME}?run_sync=true", json.dumps(order).encode())
    assert sha256(copy.weights) != before, (server.app / "logs" / "server.log").read_text()[-3000:]
    return copy


# The order of the tests is that of the work; those that need a training ask for it.
def test_it_is_offered_with_its_grades_but_says_nothing_before_it_is_trained(server) -> None:
    info = json.loads(server.send("/info/"))
    assert (info["models"][NAME]["type"], info["models"][NAME]["labels"]) == ("classification", LABELS)
    assert NAME in info["trainers"]
    with pytest.raises(urllib.error.HTTPError) as caught:
        probabilities(server, "scan_00")
    assert "no weights yet: label images and train it" in json.loads(caught.value.read())["detail"]


def test_probabilities_are_those_of_infer(server, trained: Bundle, studies: Path, tmp_path: Path) -> None:
    images = [str(studies / f"scan_{number:02d}.ISQ") for number in (0, 3)]
    command = [sys.executable, "-m", "monai_tasks", "infer", str(trained.root), *images]
    subprocess.run([*command, "-o", str(tmp_path / "out"), "--no-preview"], check=True)
    rows = {Path(row["input"]).stem: row for row in read_table(tmp_path / "out" / "results.csv")}
    for image, row in rows.items():
        found = probabilities(server, image)
        assert set(found) == set(LABELS)
        assert sum(found.values()) == pytest.approx(1, abs=1e-3)
        for name, value in found.items():
            # MONAI Label runs the network in another memory layout.
            assert value == pytest.approx(float(row[f"probability_{name}"]), abs=0.01)
    assert len(rows) == 2
