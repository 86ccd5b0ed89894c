"""Train a bundle's network by its own config."""

from __future__ import annotations

import json
import logging
import math
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing.dummy import DummyProcess
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser, ConfigWorkflow

from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.datasets.datalist_file import read_part
from monai_tasks.datasets.exclude import Exclusion, read_parts, take_out
from monai_tasks.inference.configs import ConfigError, checksums, parse
from monai_tasks.inference.engine import resolve_device
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import sha256, write_json
from monai_tasks.io.tables import read_table
from monai_tasks.report.plots import training_curves
from monai_tasks.training.working_copy import software

logger = logging.getLogger(__name__)

# What must be the same for an interrupted run to go on.
DECISIVE = ("bundle", "bundle_version", "configs", "settings", "max_epochs", "datalist_sha256", "excluded")
# Of a run without some cases: the datalist that is left.
LEFT = "datalist.json"
# Ids of the files that a network may be started from.
STARTS = ("start_weights", "imagenet_weights", "encoder_weights")


class OtherRunError(ValueError):
    """A folder that holds a run with other settings."""


@dataclass(frozen=True)
class TrainingSummary:
    """What a training run came to.

    Args:
        weights: the best network's state dict.
        epochs: how many epochs were run, those before an interruption among them.
        best_epoch: the epoch of the best validation.
        best: the best value of the validation metric.
        metric: its name.
    """

    weights: Path
    epochs: int
    best_epoch: int
    best: float
    metric: str


def train(
    bundle: str | Path | Bundle,
    datalist: str | Path,
    output: str | Path,
    *,
    epochs: int | None = None,
    device: str = "auto",
    configs: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    exclude: str | Path | None = None,
) -> TrainingSummary:
    """Train a network, or go on with a run that was interrupted; a finished run is left as it is.

    Writes into `output`: `model.pt` (best network), `last.pt` (what a resumed run needs), `record.csv` (one row an
    epoch), `curves.png`, `run.json` (git commit, versions, seed, device, settings, checksums of configs, datalist and
    the file that it started from, and at the end the metrics of the best and of the last epoch) and `tensorboard/`.
    Where cases are excluded, `datalist.json` holds what is left, and `run.json` the list's checksum and how many it
    took out.

    Args:
        bundle: name or folder of the bundle.
        datalist: file with the parts `training` and `validation`.
        output: folder of the run; the same one again resumes it.
        epochs: how many to run; None leaves it to the config.
        device: `auto`, `cpu` or `cuda:N`.
        configs: further configs merged onto `train.json`, by name or path, in order.
        settings: config ids and their values, set last.
        exclude: list of cases that are left out of training and validation, as `datasets.exclude.take_out` reads it.

    Raises:
        BundleError: when the bundle or a config is not there.
        DeviceError: when the device is not there.
        InputError: when the datalist is missing or lacks a part, or `exclude` has a row that the datalist lacks.
        ConfigError: when the config has no such id, or a value of it is refused.
        OtherRunError: when `output` holds a run with other settings.
    """
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    datalist, output = Path(datalist).resolve(), Path(output).resolve()
    files = [str(bundle.config(name)) for name in ("train", *configs)]
    place = resolve_device(device)
    parse(bundle, ("train", *configs), place, settings or {})  # refuses ids that the config does not have
    for part in ("training", "validation"):  # before MONAI's parser hides the reason in an error of its own
        read_part(datalist, part)
    left, excluded = (None, None) if exclude is None else _without(datalist, exclude)
    listed = datalist if left is None else output / LEFT
    overrides = dict(settings or {}) | {"datalist": str(listed), "device": f"$torch.device('{place}')"}
    overrides |= {"output_dir": str(output), "model_dir": str(output)}
    if epochs is not None:
        overrides["max_epochs"] = epochs
    workflow = ConfigWorkflow(
        config_file=files,
        meta_file=str(bundle.root / "configs" / "metadata.json"),
        logging_file=False,
        workflow_type="train",
        run_id="training",
        bundle_root=str(bundle.root),
        **overrides,
    )
    workflow.parser.parse(True)
    description = _description(bundle, datalist, files, settings or {}, workflow)
    description["excluded"] = None if excluded is None else excluded.facts()
    if _is_finished(output, description):
        logger.info("%s holds this run, finished: nothing to do", output)
    else:
        if left is not None:
            write_json(listed, left)
        write_json(output / "run.json", description | {"begun_with": _begun_with(output)})
        with _config_errors(bundle.name), _readers_ended():
            workflow.initialize()
            workflow.run()
            workflow.finalize()
    training_curves(output / "record.csv", output / "curves.png")
    summary = _summary(output)
    _add_metrics(output, summary)
    return summary


def _without(datalist: Path, file: str | Path) -> tuple[dict[str, Any], Exclusion]:
    """The parts of a datalist without the cases of a list, which says what it left in the test part."""
    left, excluded = take_out(read_parts(datalist), file, datalist)
    for name in excluded.in_test:
        logger.warning("%s: %s is in the test part and stays there", file, name)
    for part, count in excluded.taken.items():
        if not left[part]:
            raise InputError(file, f"all {count} cases of part {part!r}", "a list that leaves some")
    logger.info("%s takes out %s", file, ", ".join(f"{n} of {part}" for part, n in excluded.taken.items()))
    return left, excluded


@contextmanager
def _readers_ended() -> Iterator[None]:
    """Wait, where a run fails, for the threads that fill the cache.

    A thread that is inside torch when Python ends would abort the process, and the command's exit status with it.
    """
    try:
        yield
    except BaseException:
        for thread in threading.enumerate():
            if isinstance(thread, DummyProcess):  # what a ThreadPool's workers are
                thread.join()
        raise


@contextmanager
def _config_errors(name: str) -> Iterator[None]:
    """Say what refused a value of the config, which MONAI says of the part that could not be made."""
    try:
        yield
    except RuntimeError as error:
        root: BaseException = error
        while root.__cause__ is not None:
            root = root.__cause__
        if not str(error).startswith("Failed to instantiate") or not isinstance(root, ValueError):
            raise
        if isinstance(root, InputError):  # of data, not of the config: the command line finds it by itself
            raise
        raise ConfigError(f"{name}: {root}") from error


def _is_finished(output: Path, description: Mapping[str, Any]) -> bool:
    """Whether the folder holds this very run, at its end.

    Raises:
        OtherRunError: when it holds a run with other settings.
    """
    if not all((output / name).is_file() for name in ("run.json", "last.pt")):
        return False
    kept = json.loads((output / "run.json").read_text(encoding="utf-8"))
    differing = [name for name in DECISIVE if kept.get(name) != description[name]]
    before, now = kept.get("started_from") or {}, description["started_from"]
    if any(None not in (before.get(name), own) and before[name] != own for name, own in now.items()):
        differing.append("started_from")
    if differing:
        found = ", ".join(f"{name} {kept.get(name)}, not {description[name]}" for name in differing)
        raise OtherRunError(
            f"{output}: holds a run with {found}; expected the same settings or another folder"
        )
    saved = torch.load(output / "last.pt", map_location="cpu", weights_only=True)
    return saved["stopped"] or saved["epoch"] >= saved["max_epochs"]


def _description(
    bundle: Bundle,
    datalist: Path,
    files: Sequence[str],
    settings: Mapping[str, Any],
    workflow: ConfigWorkflow,
) -> dict[str, Any]:
    """What is needed to run the same training again."""
    parser = workflow.parser
    return {
        "bundle": bundle.name,
        "bundle_version": bundle.metadata["version"],
        "configs": checksums(files),
        "settings": {name: str(value) for name, value in settings.items()},
        "max_epochs": parser.get_parsed_content("train#trainer#max_epochs"),
        "seed": parser.get_parsed_content("seed") if "seed" in parser else None,
        "device": str(parser.get_parsed_content("device")),
        "datalist_sha256": sha256(datalist),
        "started_from": _started_from(parser),
        **software(),
    }


def _started_from(parser: ConfigParser) -> dict[str, str | None]:
    """The checksum of the file of weights that each id names; None where it names no file that is there.

    A file may be gone once the run is finished, and torchvision's own is fetched only when the run begins.
    """
    values = {name: parser.get_parsed_content(name) for name in STARTS if name in parser}
    named = {name: Path(value) for name, value in values.items() if value is not None}
    return {name: sha256(path) if path.is_file() else None for name, path in named.items()}


def _begun_with(output: Path) -> list[dict[str, Any]]:
    """The commits, devices and versions of the parts of a run that was interrupted, in order."""
    if not all((output / name).is_file() for name in ("run.json", "last.pt")):
        return []
    kept = json.loads((output / "run.json").read_text(encoding="utf-8"))
    return [*kept.get("begun_with", []), {name: kept.get(name) for name in ("git", "device", "versions")}]


def _summary(output: Path) -> TrainingSummary:
    saved = torch.load(output / "last.pt", map_location="cpu", weights_only=True)
    epochs = len(read_table(output / "record.csv"))
    return TrainingSummary(output / "model.pt", epochs, saved["best_epoch"], saved["best"], saved["metric"])


def _add_metrics(output: Path, summary: TrainingSummary) -> None:
    """Complete `run.json` with the rows that `record.csv` has for the best and the last epoch."""
    path = output / "run.json"
    facts = json.loads(path.read_text(encoding="utf-8"))
    if "metrics" in facts:
        return
    rows = {int(row["epoch"]): row for row in read_table(output / "record.csv")}
    kept = {"best": rows.get(summary.best_epoch), "last": rows[max(rows)]}
    write_json(path, facts | {"metrics": {name: row and _numbers(row) for name, row in kept.items()}})


def _numbers(row: Mapping[str, str]) -> dict[str, float | None]:
    """A row's numbers; None where there is none, or one that JSON does not have."""
    values = {name: float(text) if text else math.nan for name, text in row.items()}
    return {name: value if math.isfinite(value) else None for name, value in values.items()}
