"""`monai-tasks train`."""

from __future__ import annotations

from pathlib import Path

import click

from monai_tasks.cli import _options as options


@click.command("train")
@click.argument("bundle")
@click.option(
    "--datalist",
    required=True,
    type=click.Path(path_type=Path),
    help="File with training and validation cases.",
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder of the run.")
@click.option(
    "--epochs", type=click.IntRange(min=1), help="How many epochs; the config's own number without it."
)
@click.option(
    "--exclude",
    type=click.Path(path_type=Path),
    help="A review.csv, or a list of cases or images, to leave out of training and validation.",
)
@options.device
@options.configs
@options.settings
@options.verbosity
def command(
    bundle: str,
    datalist: Path,
    output: Path,
    epochs: int | None,
    exclude: Path | None,
    device: str,
    configs: tuple[str, ...],
    settings: dict[str, object],
    verbosity: int,
) -> None:
    """Train BUNDLE's network; the same output folder again goes on with an interrupted run."""
    options.start_logging(verbosity)
    with options.user_errors():
        from monai_tasks.inference.configs import ConfigError
        from monai_tasks.inference.engine import DeviceError
        from monai_tasks.io.errors import InputError
        from monai_tasks.training.train import train

        try:
            summary = train(
                bundle,
                datalist,
                output,
                epochs=epochs,
                device=device,
                configs=configs,
                settings=settings,
                exclude=exclude,
            )
        except (ConfigError, DeviceError, InputError) as error:
            raise click.UsageError(str(error)) from error
    if verbosity < 0:
        return
    click.echo(
        f"{summary.epochs} epochs, best {summary.metric} {summary.best:.4f} after epoch {summary.best_epoch}\n"
        f"{summary.weights}"
    )
