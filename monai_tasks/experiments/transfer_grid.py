"""A transfer experiment: every arm on every subset with every seed, compared on the same test subjects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from monai_tasks.experiments.run_grid import Machines, run_all
from monai_tasks.experiments.transfer_answers import measure_of
from monai_tasks.experiments.transfer_outcome import write_outcome
from monai_tasks.experiments.transfer_plan import Plan, read_plan
from monai_tasks.experiments.transfer_run import Task
from monai_tasks.experiments.transfer_subsets import Subset, write_subsets
from monai_tasks.inference.configs import merged, parse
from monai_tasks.io.files import write_json
from monai_tasks.io.journal import Journal

ORDER = "order.json"


@dataclass(frozen=True)
class Summary:
    """What an experiment came to.

    Args:
        output: its folder.
        done: runs of this call.
        taken_over: runs that an earlier call had finished.
        failures: the failed runs and their reasons.
        words: the answer as a paragraph.
    """

    output: Path
    done: int
    taken_over: int
    failures: tuple[tuple[str, str], ...]
    words: str

    @property
    def page(self) -> Path:
        """The report for a person."""
        return self.output / "report.html"


def transfer(
    plan: str | Path | Plan,
    output: str | Path,
    *,
    scheduler: str | None = None,
    jobs: int | None = None,
    devices: Sequence[str] = ("auto",),
    progress: bool = True,
) -> Summary:
    """Train every arm of a plan on every subset with every seed, test it, and compare the arms.

    Writes into `output`: `table.csv` (a row a run), `summary.json`, figures, `report.html`, `datalists/` and `runs/`. A
    run that fails is a row with the reason; the others go on. The same call again takes over the runs that are
    finished and goes on with the one that was interrupted; one that failed is tried again. With several jobs a script
    must call this below `if __name__ == "__main__":`, for the processes import it.

    Args:
        plan: the file, see `read_plan`, or a plan.
        output: folder to write to; made if missing.
        scheduler: address of a Dask scheduler, such as `tcp://10.0.0.5:8786`, whose workers do the runs instead.
        jobs: how many runs at a time, in processes of their own; as many as devices where not given.
        devices: `auto`, `cpu` or `cuda:N`; several share the runs among them.
        progress: show a progress bar where there is a terminal.

    Returns:
        What came of it.

    Raises:
        InputError, BundleError, ConfigError, DeviceError, ClusterError: when the experiment cannot begin; each is a
            ValueError whose text says what was found and expected.
    """
    plan = plan if isinstance(plan, Plan) else read_plan(plan)
    output = Path(output).resolve()
    measure = measure_of(plan.bundle, plan.metric, plan.level)
    machines = Machines(scheduler, jobs, devices)
    machines.check()
    _check_ids(plan)
    with Journal(output) as journal:
        subsets = write_subsets(plan, output)
        outcome = run_all(_tasks(plan, output, subsets, machines), journal, machines, output, "run", progress)
        words = write_outcome(plan, output, outcome.results, subsets, measure)
    return Summary(output, outcome.done, outcome.taken_over, outcome.failures, words)


def _tasks(
    plan: Plan, output: Path, subsets: Mapping[tuple[str, int], Subset], machines: Machines
) -> list[Task]:
    """All runs: the arms of one subset and seed come together, so that a grid cut short can be compared."""
    order = _order(plan, output)
    return [
        Task(
            output=output,
            subset=name,
            arm=arm.name,
            seed=seed,
            bundle=plan.bundle.root.resolve(),
            training=subset.datalist,
            datalist=plan.datalist,
            configs=plan.configs,
            order=order,
            settings={**plan.settings, **arm.config()},
            start=arm.start,
            epochs=plan.epochs,
            devices=machines.spread,
            threads=machines.threads,
        )
        for (name, seed), subset in subsets.items()
        for arm in plan.arms
    ]


def _order(plan: Plan, output: Path) -> Path | None:
    """A config that makes the order of the training images depend on the seed and the epoch alone.

    A loader that shuffles takes torch's random numbers, of which an arm may use more than another. A bundle with a
    sampler of its own keeps that.
    """
    loader = merged(plan.bundle, ("train", *plan.configs)).get("train", {}).get("dataloader", {})
    if "sampler" in loader or not loader.get("shuffle"):
        return None
    sampler = {
        "_target_": "torch.utils.data.DistributedSampler",
        "dataset": "@train#dataset",
        "num_replicas": 1,
        "rank": 0,
        "shuffle": True,
        "seed": "@seed",
    }
    write_json(output / ORDER, {"train#dataloader#shuffle": False, "train#dataloader#sampler": sampler})
    return output / ORDER


def _check_ids(plan: Plan) -> None:
    """Refuse before the first training what the bundle's config has no id for."""
    for arm in plan.arms:
        ids: dict[str, Any] = {**plan.settings, **arm.config(), "seed": 0}
        parse(plan.bundle, ("train", *plan.configs), torch.device("cpu"), ids)
