"""`monai-tasks transfer`."""

from __future__ import annotations

from pathlib import Path

import click

from monai_tasks.cli import _options as options


@click.command("transfer")
@click.argument("plan", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the experiment."
)
@options.machines("runs")
@options.verbosity
def command(
    plan: Path,
    output: Path,
    scheduler: str | None,
    jobs: int | None,
    devices: tuple[str, ...],
    verbosity: int,
) -> None:
    """Train every arm of PLAN on every subset with every seed, and say whether the start helps."""
    options.start_logging(verbosity)
    options.check_machines(scheduler, jobs, devices)
    with options.user_errors(), options.stoppable("runs"):
        from monai_tasks.experiments.transfer_grid import transfer
        from monai_tasks.experiments.transfer_plan import read_plan
        from monai_tasks.inference.configs import ConfigError
        from monai_tasks.inference.engine import DeviceError
        from monai_tasks.io.errors import InputError

        try:
            read = read_plan(plan)
            summary = transfer(
                read, output, scheduler=scheduler, jobs=jobs, devices=devices, progress=verbosity >= 0
            )
        except (ConfigError, DeviceError, InputError) as error:
            raise click.UsageError(str(error)) from error
    options.end(summary.failures, f"{summary.words}\n{summary.page}", verbosity)
