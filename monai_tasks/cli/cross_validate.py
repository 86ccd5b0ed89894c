"""`monai-tasks cross-validate`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from monai_tasks.cli import _options as options


@click.command("cross-validate")
@click.argument("bundle")
@click.option(
    "--datalist",
    required=True,
    type=click.Path(path_type=Path),
    help="Datalist whose parts training and validation are dealt out to folds.",
)
@click.option("--folds", required=True, type=click.IntRange(min=2), help="How many folds.")
@click.option(
    "-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the cross-validation."
)
@click.option("--seed", default=0, show_default=True, help="Of the folds; fold K trains with SEED + K.")
@click.option(
    "--stratify",
    multiple=True,
    metavar="KEY",
    help="Key of the items, or label_volume, to spread over the folds instead of the usual ones; may be repeated.",
)
@click.option("--with-test", is_flag=True, help="Deal out the part test, too, which is left alone otherwise.")
@click.option(
    "--exclude",
    type=click.Path(path_type=Path),
    help="A review.csv, or a list of cases or images, to leave out; with --with-test also of the part test.",
)
@click.option("--epochs", type=click.IntRange(min=1), help="The most that each fold trains.")
@options.configs
@options.settings
@options.machines("folds")
@options.verbosity
def command(
    bundle: str,
    datalist: Path,
    folds: int,
    output: Path,
    seed: int,
    stratify: tuple[str, ...],
    with_test: bool,
    exclude: Path | None,
    epochs: int | None,
    configs: tuple[str, ...],
    settings: dict[str, Any],
    scheduler: str | None,
    jobs: int | None,
    devices: tuple[str, ...],
    verbosity: int,
) -> None:
    """Train BUNDLE once for each fold without it, and let each network answer for the fold that it has not seen."""
    options.start_logging(verbosity)
    options.check_machines(scheduler, jobs, devices)
    with options.user_errors(), options.stoppable("folds"):
        from monai_tasks.experiments.cross_validation import cross_validate
        from monai_tasks.inference.configs import ConfigError
        from monai_tasks.inference.engine import DeviceError
        from monai_tasks.io.errors import InputError

        try:
            summary = cross_validate(
                bundle,
                datalist,
                output,
                folds=folds,
                seed=seed,
                stratify=stratify,
                with_test=with_test,
                exclude=exclude,
                epochs=epochs,
                configs=configs,
                settings=settings,
                scheduler=scheduler,
                jobs=jobs,
                devices=devices,
                progress=verbosity >= 0,
            )
        except (ConfigError, DeviceError, InputError) as error:
            raise click.UsageError(str(error)) from error
    options.end(summary.failures, str(summary.page), verbosity)
