"""`monai-tasks evaluate`."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from monai_tasks.cli import _options as options

SHOWN = 20


@click.command("evaluate")
@click.argument("bundle")
@click.option(
    "--predictions",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of label maps, or the output folder of `infer`.",
)
@click.option(
    "--references",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Folder of true label maps, or a datalist (JSON).",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder."
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of the images, for the pictures.  [default: as `infer` and the datalist tell]",
)
@options.configs
@options.settings
@options.verbosity
def command(
    bundle: str,
    predictions: Path,
    references: Path,
    output: Path,
    images: Path | None,
    configs: tuple[str, ...],
    settings: dict[str, object],
    verbosity: int,
) -> None:
    """Compare label maps with references: overlap, surface distances and volumes of BUNDLE's labels.

    Cases are matched by the names of their files, or by the image or subject of a datalist. A reference without a
    prediction and a file that cannot be compared are listed with the reason; the exit status is then 1. Means come
    with bootstrap 95 % intervals.

    References that hold other values than the label maps need `label_groups` and `label_names`, as in
    `--config t1t2`, or both by `--set`.
    """
    options.start_logging(verbosity)
    if verbosity < 1:
        warnings.simplefilter("ignore")
    with options.user_errors():
        from monai_tasks.evaluation.evaluate import evaluate
        from monai_tasks.inference.configs import ConfigError
        from monai_tasks.io.errors import InputError

        try:
            summary = evaluate(
                bundle,
                predictions,
                references,
                output,
                configs=configs,
                settings=settings,
                images=images,
                progress=verbosity >= 0,
            )
        except (ConfigError, InputError) as error:
            raise click.UsageError(str(error)) from error
    for case, reason in summary.failures[:SHOWN]:
        click.echo(f"failed: {case}: {reason}", err=True)
    if len(summary.failures) > SHOWN:
        click.echo(f"and {len(summary.failures) - SHOWN} more, see {summary.table}", err=True)
    if verbosity >= 0:
        for name, label in summary.statistics["labels"].items():
            click.echo(f"{name}: {_mean('Dice', label['metrics']['dice'])}")
        click.echo(
            f"{summary.done} cases compared, {summary.failed} failed, {summary.skipped} without a reference"
        )
        click.echo(summary.page)
    if summary.failed:
        raise SystemExit(1)


def _mean(heading: str, statistics: Mapping[str, Any]) -> str:
    if statistics["mean"] is None:
        return f"no {heading}"
    text = f"mean {heading} {statistics['mean']:.3f}"
    if statistics["low"] is None:
        return text
    return f"{text}, 95 % interval {statistics['low']:.3f} to {statistics['high']:.3f}"
