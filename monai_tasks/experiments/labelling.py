"""Run a MONAI Label server with bundles, offline, as a child process that is stopped with all it started."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from monai_tasks.catalog import Bundle
from monai_tasks.experiments.label_app import (
    check_installation,
    dicom_modality,
    file_patterns,
    keep_from_downloading,
    prepare_app,
    server_settings,
)
from monai_tasks.experiments.label_copy import LabelError, Offer

LOG_LINES = 20


def is_address(studies: str) -> bool:
    """Whether `studies` is a DICOMweb address rather than a folder."""
    return studies.startswith(("http://", "https://"))


def server_command(app: Path, studies: str, names: Sequence[str], host: str, port: int) -> list[str]:
    """The command that starts MONAI Label off the network: bundles from `app/model` alone, no SAM weights."""
    conf = {"models": ",".join(names), "zoo_source": "local", "sam2": "false"}
    options = [part for key, value in conf.items() for part in ("--conf", key, value)]
    start = [sys.executable, "-m", "monailabel.main", "start_server", "--app", str(app), "--studies", studies]
    return [*start, "--host", host, "--port", str(port), *options]


def free_port(host: str, port: int = 0) -> int:
    """A port of `host` that is free: `port` itself, or any if it is 0.

    Raises:
        LabelError: if `port` is taken.
    """
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise LabelError(
                f"port {port} of {host} cannot be used ({error.strerror}); give another by --port"
            ) from error
        return probe.getsockname()[1]


class LabelServer:
    """A MONAI Label server as a child process; a context manager that stops it, with all it started.

    Args:
        bundles: what it offers. One without weights is offered too, and labels once it was trained.
        studies: a folder of images, or a DICOMweb address.
        app: the folder for the app: copies of the bundles, logs.
        host: the address it listens on.
        port: its port; 0 takes a free one.
        modality: what to search for at a DICOMweb address; `auto` takes it from the bundles, `all` is any.
        fresh: replace the copies of the bundles that are in `app`.
        weights: a bundle's name to the file to begin with instead of its own weights.
        configs: a bundle's name to configs, by name or path, that are merged onto its own in order.

    Raises:
        BundleError, ConfigError, WeightsError: if a config is not there or cannot be built, or weights do not fit.
        LabelError: if MONAI Label is not there, or anything else is in the way; the text says what to do.
    """

    def __init__(
        self,
        bundles: Sequence[Bundle],
        studies: str | Path,
        app: Path,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        modality: str = "auto",
        fresh: bool = False,
        weights: Mapping[str, Path] | None = None,
        configs: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        check_installation()
        if not is_address(str(studies)) and not os.access(studies, os.W_OK):
            raise LabelError(
                f"{studies} cannot be written to: MONAI Label keeps its list of cases and the labels there"
            )
        # The server runs in the app folder: what MONAI Label writes beside itself stays there.
        self.studies = str(studies) if is_address(str(studies)) else str(Path(studies).resolve())
        self.app = app.resolve()
        self.names = [bundle.name for bundle in bundles]
        self.host = host
        self.port = free_port(host, port)
        wanted = dicom_modality(bundles) if modality == "auto" else modality
        wanted = None if wanted == "all" else wanted
        self.settings = server_settings(self.app, wanted, file_patterns(bundles))
        weights, configs = weights or {}, configs or {}
        offers = [
            Offer(bundle, weights.get(bundle.name), tuple(configs.get(bundle.name, ()))) for bundle in bundles
        ]
        self.notes = prepare_app(self.app, offers, fresh)
        if is_address(self.studies):
            keep_from_downloading(self.app)
        self.log = self.app / "logs" / "server.log"
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        host = "127.0.0.1" if self.host == "0.0.0.0" else self.host
        return f"http://{host}:{self.port}"

    def __enter__(self) -> LabelServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self, timeout: float = 180.0) -> None:
        """Start the server and wait until it answers with all its bundles.

        Args:
            timeout: the longest wait in seconds.

        Raises:
            LabelError: if it ends, stays silent or leaves a bundle out; the text holds the log's last lines.
        """
        self.log.parent.mkdir(parents=True, exist_ok=True)
        command = server_command(self.app, self.studies, self.names, self.host, self.port)
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command,
                cwd=self.app,
                env={**os.environ, **self.settings},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C comes to us alone, and we stop the server in order.
            )
        try:
            offered = self._wait(timeout)
        except BaseException:
            self.stop()
            raise
        left_out = [name for name in self.names if name not in offered["models"]]
        if left_out:
            self.stop()
            raise self._failure(f"MONAI Label took no model from {', '.join(left_out)}")

    def _wait(self, timeout: float) -> dict[str, Any]:
        """What `/info/` says once it answers."""
        # No proxy: the server is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            if self.process.poll() is not None:
                raise self._failure(f"MONAI Label ended with status {self.process.returncode}")
            try:
                with opener.open(f"{self.address}/info/", timeout=10) as answer:
                    return json.load(answer)
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.25)
        raise self._failure(f"MONAI Label did not answer within {timeout:.0f} s")

    def _failure(self, what: str) -> LabelError:
        last = self.log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
        return LabelError("\n".join([f"{what}; the end of {self.log}:", *last]))

    def wait(self) -> int:
        """Wait until the server ends by itself; its exit status."""
        return self.process.wait()

    def stop(self, grace: float = 10.0) -> None:
        """Stop the server and the trainings it runs.

        Args:
            grace: seconds until what has not ended is killed.
        """
        if self.process is None:
            return
        # Its session, not its children: what a server that died by itself had started has another parent by now.
        family = [process for process in psutil.process_iter() if _session(process) == self.process.pid]
        for member in family:
            _signal(member, "terminate")
        _, alive = psutil.wait_procs(family, timeout=grace)
        for member in alive:
            _signal(member, "kill")
        self.process.wait()


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None


def _signal(process: psutil.Process, method: str) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        getattr(process, method)()
