"""What the tests of MONAI Label share: the command that serves, and what it must agree with."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

import nibabel
import pytest

COMMAND = [sys.executable, "-m", "monai_tasks"]
STUBS = Path(__file__).parent / "stubs"
OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


@dataclass
class Running:
    """The command that serves, and where."""

    process: subprocess.Popen
    address: str
    app: Path

    def send(self, path: str, body: bytes | None = None, kind: str = "application/json") -> bytes:
        """The answer's body; a POST if there is one to send."""
        request = urllib.request.Request(self.address + path, data=body, headers={"Content-Type": kind})
        with OPENER.open(request, timeout=300) as answer:
            return answer.read()

    def segment(self, name: str, image: str, folder: Path) -> nibabel.Nifti1Image:
        """The label map that a bundle gives for an image of the studies, by way of a file in the folder."""
        body = b"params=" + json.dumps({"device": "cpu"}).encode()
        query = f"/infer/{name}?image={image}&output=image"
        file = folder / f"{image}.nii.gz"
        file.write_bytes(self.send(query, body, "application/x-www-form-urlencoded"))
        return nibabel.load(file)

    def train(self, name: str) -> None:
        """One epoch, with a quarter of the labelled images for validation."""
        order = {"max_epochs": 1, "device": "cpu", "val_split": 0.25, "multi_gpu": False}
        self.send(f"/train/{name}?run_sync=true", json.dumps(order).encode())


Serve = Callable[..., AbstractContextManager[Running]]
Infer = Callable[[Path, list[Path], Path], Path]


@pytest.fixture(scope="session")
def stubs() -> Path:
    """A folder with what MONAI Label imports and bundles do not use."""
    return STUBS


@pytest.fixture(scope="session")
def serve() -> Serve:
    """Runs `monai-tasks label` with arguments until the block ends."""

    @contextmanager
    def run(studies: Path, app: Path, *arguments: object) -> Iterator[Running]:
        where = ["--studies", str(studies), "--app", str(app), "--port", "0"]
        process = subprocess.Popen(
            [*COMMAND, "label", *map(str, arguments), *where],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": str(STUBS)},
            # A shell's background job ignores Ctrl-C, and so would the command.
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
        )
        try:
            ready = process.stdout.readline()
            found = re.search(r"ready at (http://\S+)", ready)
            assert found, f"no server: {ready!r}"
            yield Running(process, found[1], app)
        finally:
            process.terminate()
            process.wait(timeout=60)

    return run


@pytest.fixture(scope="session")
def infer() -> Infer:
    """Runs `monai-tasks infer` with a bundle's folder on images; gives the folder of its label maps."""

    def run(bundle: Path, images: list[Path], output: Path) -> Path:
        inputs = [str(image) for image in images]
        subprocess.run(
            [*COMMAND, "infer", str(bundle), *inputs, "-o", str(output), "--no-preview"], check=True
        )
        return output / "predictions"

    return run
