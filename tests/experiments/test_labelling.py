"""Starting, waiting for and stopping a MONAI Label server, without MONAI Label."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from monai_tasks.catalog import Bundle
from monai_tasks.experiments import label_app, labelling
from monai_tasks.experiments.label_copy import LabelError, Offer
from monai_tasks.experiments.labelling import LabelServer

# In place of MONAI Label: answers /info/ with the models it was asked for, and has a child as in training.
STAND_IN = """
import http.server, json, subprocess, sys
options = dict(zip(sys.argv, sys.argv[1:]))
names = sys.argv[sys.argv.index("models") + 1].split(",")
if "broken" in names[0]:
    sys.exit("no such thing")
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print(child.pid, flush=True)

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"models": {name: {} for name in names if "deaf" not in name}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

http.server.HTTPServer(("127.0.0.1", int(options["--port"])), Handler).serve_forever()
"""


@pytest.fixture
def stand_in(tmp_path: Path, label_source: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Lets LabelServer start the stand-in; the folder is a place for studies."""
    script = tmp_path / "server.py"
    script.write_text(STAND_IN)
    real = labelling.server_command
    monkeypatch.setattr(labelling, "check_installation", lambda: None)
    monkeypatch.setattr(label_app, "sample_app", lambda: label_source)
    monkeypatch.setattr(labelling, "server_command", lambda *a: [sys.executable, str(script), *real(*a)[3:]])
    studies = tmp_path / "studies"
    studies.mkdir()
    return studies


def test_the_command_keeps_the_server_off_the_network() -> None:
    command = labelling.server_command(Path("app"), "studies", ["one", "two"], "127.0.0.1", 8123)
    assert command[:4] == [sys.executable, "-m", "monailabel.main", "start_server"]
    conf = {command[i + 1]: command[i + 2] for i, part in enumerate(command) if part == "--conf"}
    assert conf == {"models": "one,two", "zoo_source": "local", "sam2": "false"}
    assert command[command.index("--port") + 1] == "8123"
    assert command[command.index("--host") + 1] == "127.0.0.1"


def test_a_taken_port_is_refused_and_zero_finds_one() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(LabelError, match=f"port {port}"):
            labelling.free_port("127.0.0.1", port)
        assert labelling.free_port("127.0.0.1") not in (0, port)


def test_a_server_is_waited_for_and_stopped_with_its_children(
    stand_in: Path, tmp_path: Path, bundle: Bundle
) -> None:
    with LabelServer([bundle], stand_in, tmp_path / "app") as server:
        child = int(server.log.read_text().split()[0])
        assert psutil.pid_exists(child)
        assert server.process.poll() is None
    assert server.process.poll() is not None
    end = time.monotonic() + 10
    while psutil.pid_exists(child) and psutil.Process(child).status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < end, "the server's child outlived it"
        time.sleep(0.05)
    assert labelling.free_port(server.host, server.port) == server.port
    server.stop()


def test_weights_and_configs_go_to_the_bundle_they_are_for(
    stand_in: Path, tmp_path: Path, bundle: Bundle, named, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []
    monkeypatch.setattr(
        labelling, "prepare_app", lambda app, offers, fresh: made.extend(offers) or ["a note"]
    )
    other, own = named("wrist_mri_segmentation"), tmp_path / "own.pt"
    given = {"weights": {other.name: own}, "configs": {bundle.name: ["wide", "deep"]}}
    server = LabelServer([bundle, other], stand_in, tmp_path / "app", **given)
    assert made == [Offer(bundle, None, ("wide", "deep")), Offer(other, own, ())]
    assert server.notes == ["a note"]


def test_a_server_that_ends_at_once_says_what_it_last_logged(
    stand_in: Path, tmp_path: Path, bundle: Bundle, named
) -> None:
    server = LabelServer([named("broken_mri_segmentation")], stand_in, tmp_path / "app")
    with pytest.raises(LabelError, match=r"ended with status 1(.|\n)*no such thing"):
        server.start()


def test_a_bundle_that_the_server_leaves_out_stops_it(
    stand_in: Path, tmp_path: Path, bundle: Bundle, named
) -> None:
    server = LabelServer([bundle, named("deaf_mri_segmentation")], stand_in, tmp_path / "app")
    with pytest.raises(LabelError, match="took no model from deaf_mri_segmentation"):
        server.start()
    assert server.process.poll() is not None


def test_a_silent_server_is_given_up(stand_in: Path, tmp_path: Path, bundle: Bundle, monkeypatch) -> None:
    monkeypatch.setattr(
        labelling, "server_command", lambda *a: [sys.executable, "-c", "import time; time.sleep(60)"]
    )
    server = LabelServer([bundle], stand_in, tmp_path / "app")
    with pytest.raises(LabelError, match="did not answer within 1 s"):
        server.start(timeout=1.0)
    assert server.process.poll() is not None


def test_a_dicomweb_address_downloads_no_tool(
    stand_in: Path, tmp_path: Path, bundle: Bundle, monkeypatch
) -> None:
    monkeypatch.setattr(label_app.shutil, "which", lambda name: None)
    server = LabelServer([bundle], "https://pacs.example/dicom-web/", tmp_path / "app", modality="all")
    assert server.studies == "https://pacs.example/dicom-web/"
    assert json.loads(server.settings["MONAI_LABEL_DICOMWEB_SEARCH_FILTER"]) == {}
    tool = subprocess.run(
        [server.app / "bin" / label_app.DCMQI_TOOL], capture_output=True, text=True, check=False
    )
    assert tool.returncode == 1
    assert "not installed" in tool.stderr
