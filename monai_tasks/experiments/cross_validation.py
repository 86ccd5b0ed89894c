"""A cross-validation: one training for each fold, and answers for every case by a network that has not seen it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from monai_tasks.catalog import Bundle, BundleError, open_bundle
from monai_tasks.datasets.splits import PARTS
from monai_tasks.evaluation.by_kind import OPTIONS
from monai_tasks.experiments.cross_validation_folds import Folds, make_folds, read_items
from monai_tasks.experiments.cross_validation_outcome import FACTS, Outcome, write_outcome
from monai_tasks.experiments.cross_validation_run import FOLDS, Task
from monai_tasks.experiments.run_grid import Machines, run_all
from monai_tasks.inference.configs import CONFIG, ConfigError, checksums, merged, parse
from monai_tasks.io.files import sha256, write_json
from monai_tasks.io.journal import Journal
from monai_tasks.metrics.grades import GRADE_RULE, ORDINAL, RESCAN_FROM
from monai_tasks.training.train import OtherRunError

DATALISTS, LAST = "datalists", "last.pt"
SEED = "seed"
DECISIVE = ("bundle", "bundle_version", "configs", "settings", "epochs", "excluded")


@dataclass(frozen=True)
class Summary:
    """What a cross-validation came to.

    Args:
        output: its folder.
        done: folds of this call.
        taken_over: folds that an earlier call had finished.
        failures: the failed folds and their reasons.
    """

    output: Path
    done: int
    taken_over: int
    failures: tuple[tuple[str, str], ...]

    @property
    def page(self) -> Path:
        """The report for a person."""
        return self.output / "report.html"


def cross_validate(
    bundle: str | Path | Bundle,
    datalist: str | Path,
    output: str | Path,
    *,
    folds: int,
    seed: int = 0,
    stratify: Sequence[str] = (),
    with_test: bool = False,
    exclude: str | Path | None = None,
    epochs: int | None = None,
    configs: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    scheduler: str | None = None,
    jobs: int | None = None,
    devices: Sequence[str] = ("auto",),
    progress: bool = True,
) -> Summary:
    """Train a bundle once for each fold without that fold, and let each network answer for the fold it has not seen.

    Writes into `output`: `datalists/` and `folds/K/` (a run folder as `train` leaves it, with `inference/` and
    `evaluation/` of the held-out cases), and of all folds together `out_of_fold/`, `out_of_fold.csv` (a row a case),
    `evaluation/`, `cross_validation.json`, `curves.png`, `report.html`, and `operating_point.json` where the bundle
    decides by a threshold. A fold that fails is named with its reason; the others go on.

    The same call again takes over the folds that are finished and goes on with the one that was interrupted, at the
    epoch it had; one that failed is tried again. With several jobs a script must call this below
    `if __name__ == "__main__":`, for the processes import it.

    Args:
        bundle: name or folder of the bundle.
        datalist: file with the part `training`, and `validation` where there is one: their subjects are dealt out.
        output: folder to write to; made if missing.
        folds: how many.
        seed: of the folds; fold K trains with the seed `seed + K`.
        stratify: keys of the items, or `label_volume`, whose values are spread over the folds, instead of the usual
            ones; see `make_folds`.
        with_test: deal out the part `test`, too, which is left untouched otherwise.
        exclude: list of cases that are left out, as `monai_tasks.datasets.exclude.take_out` reads it.
        epochs: how many each fold trains at most; None leaves it to the config.
        configs: further configs, merged for training and inference.
        settings: config ids and their values. Those that the inference has, too, hold for it as well.
        scheduler: address of a Dask scheduler, such as `tcp://10.0.0.5:8786`, whose workers do the folds instead.
        jobs: how many folds at a time, in processes of their own; as many as devices where not given.
        devices: `auto`, `cpu` or `cuda:N`; several share the folds among them.
        progress: show a progress bar where there is a terminal.

    Returns:
        What came of it.

    Raises:
        InputError, BundleError, ConfigError, DeviceError, ClusterError, OtherRunError: when it cannot begin; each is a
            ValueError whose text says what was found and expected.
    """
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    if bundle.kind not in OPTIONS:
        raise BundleError(f"{bundle.name}: a bundle of kind {bundle.kind!r}; expected {' or '.join(OPTIONS)}")
    datalist, output, settings = Path(datalist).resolve(), Path(output).resolve(), dict(settings or {})
    configs = tuple(_as_path(bundle, name) for name in configs)
    if SEED in settings:
        raise ConfigError(f"{SEED} among the settings; expected it as the seed of the cross-validation")
    parse(bundle, ("train", *configs), torch.device("cpu"), {**settings, SEED: seed})
    machines = Machines(scheduler, jobs, devices)
    machines.check()
    items, excluded = read_items(datalist, with_test, None if exclude is None else Path(exclude))
    dealt = make_folds(bundle, datalist, items, folds, seed, stratify, configs, settings)
    facts = {
        "parts": list(PARTS if with_test else PARTS[:-1]),
        "datalist_sha256": sha256(datalist),
        "configs": checksums(bundle.config(name) for name in ("train", "inference", *configs)),
        # What other commands need to read the run's labels as it did.
        "merged": list(configs),
        "settings": json.loads(json.dumps(settings, default=str)),
        "epochs": epochs,
        "excluded": None if excluded is None else excluded.facts(),
    }
    _check_grades(bundle, configs, settings)
    with Journal(output) as journal:
        _check_same(
            output / FACTS, {"bundle": bundle.name, "bundle_version": bundle.metadata["version"], **facts}
        )
        files = _write_datalists(dealt, output)
        common = {"bundle": bundle.root.resolve(), "configs": configs, "settings": settings, "epochs": epochs}
        tasks = _tasks(output, files, seed, machines, common)
        outcome = run_all(tasks, journal, machines, output, "fold", progress)
        write_outcome(Outcome(bundle, dealt, outcome.results, facts), output, progress)
    return Summary(output, outcome.done, outcome.taken_over, outcome.failures)


def _tasks(
    output: Path, files: Sequence[Path], seed: int, machines: Machines, common: Mapping[str, Any]
) -> list[Task]:
    """A run for each fold, whose datalist has what it trains with and what it answers for."""
    return [
        Task(
            output=output,
            fold=fold,
            seed=seed + fold,
            training=file,
            datalist=file,
            devices=machines.spread,
            threads=machines.threads,
            preview=True,
            **common,
        )
        for fold, file in enumerate(files)
    ]


def _as_path(bundle: Bundle, name: str) -> str:
    """A config's name, or the absolute path of a file, which another process finds as well."""
    path = bundle.config(name)
    return name if path.is_relative_to(bundle.root) else str(path.resolve())


def _check_same(file: Path, facts: Mapping[str, Any]) -> None:
    """Refuse to go on with a finished cross-validation in another way, which would leave neither.

    A changed `inference.json` alone is no other way: the folds answer again.

    Raises:
        OtherRunError: naming what differs.
    """
    kept = _content(file)
    if kept is None:
        return

    def told(content: Mapping[str, Any], name: str) -> Any:
        value = content.get(name)
        return {key: one for key, one in value.items() if key != "inference"} if name == "configs" else value

    differing = [name for name in DECISIVE if told(kept, name) != told(facts, name)]
    if differing:
        raise OtherRunError(
            f"{file.parent}: holds a cross-validation with other {', '.join(differing)}; expected the same, or another "
            "output folder"
        )


def _check_grades(bundle: Bundle, configs: Sequence[str], settings: Mapping[str, Any]) -> None:
    """Refuse another meaning of ordered classes than the bundle's, by which the evaluation decides.

    Raises:
        ConfigError: naming the id.
    """
    own, other = merged(bundle, (CONFIG,)), {**merged(bundle, (CONFIG, *configs)), **settings}
    for name in (ORDINAL, RESCAN_FROM, GRADE_RULE):
        if own.get(name) != other.get(name):
            raise ConfigError(
                f"{bundle.name}: {name} {other.get(name)!r}; expected {own.get(name)!r} as in its inference.json, by "
                "which a cross-validation is evaluated"
            )


def _write_datalists(folds: Folds, output: Path) -> list[Path]:
    """Write each fold's datalist.

    Raises:
        OtherRunError: when the folder holds trainings with other folds.
    """
    begun = {path.parent.name for path in (output / FOLDS).glob(f"*/{LAST}")}
    contents = [{"name": f"fold {fold} of {folds.count}", **folds.parts(fold)} for fold in range(folds.count)]
    files = [output / DATALISTS / f"fold_{fold}.json" for fold in range(folds.count)]
    other = begun - {str(fold) for fold in range(folds.count)}
    for fold, (file, content) in enumerate(zip(files, contents, strict=True)):
        if str(fold) in begun and _content(file) != json.loads(json.dumps(content)):
            other.add(str(fold))
    if other:
        raise OtherRunError(
            f"{output}: holds the training of fold {min(other)} with other images or other folds; expected the same "
            "datalist, folds, seed and keys to stratify by, or another output folder"
        )
    for file, content in zip(files, contents, strict=True):
        if _content(file) != json.loads(json.dumps(content)):
            write_json(file, content)
    return files


def _content(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None
