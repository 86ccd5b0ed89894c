"""`monai-tasks radiographs preprocess`."""

from __future__ import annotations

from pathlib import Path

import click

from monai_tasks.cli import _options as options

SHOWN = 20


def _names(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> list[str] | None:
    return [name.strip() for names in value for name in names.split(",") if name.strip()] or None


@click.command("preprocess")
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder."
)
@click.option(
    "--steps",
    multiple=True,
    callback=_names,
    metavar="NAME,...",
    help="Run these steps only, such as body_part,alignment; may be repeated. Their order stays that of the config.",
)
@click.option(
    "--config",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Steps and parameters of your own (JSON or YAML).",
)
@click.option(
    "--set",
    "settings",
    type=options.Setting(),
    multiple=True,
    metavar="STEP#PARAMETER=VALUE",
    help="Set a parameter of a step, such as body_part#minimum_score=85; may be repeated.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: as many as cores]")
@click.option(
    "--scheduler", metavar="ADDRESS", help="Work on a Dask cluster instead, such as tcp://HOST:8786."
)
@click.option(
    "--sheets",
    type=click.IntRange(min=0),
    default=12,
    show_default=True,
    help="Images of each step to draw before and after; 0 for none.",
)
@click.option("--overwrite", is_flag=True, help="Do finished studies again.")
@options.verbosity
def command(
    data: Path,
    output: Path,
    steps: list[str] | None,
    config: Path | None,
    settings: tuple[tuple[str, object], ...],
    jobs: int | None,
    scheduler: str | None,
    sheets: int,
    overwrite: bool,
    verbosity: int,
) -> None:
    """Take the studies in DATA through steps and write a data set of the same layout.

    \b
    body_part         keeps images of wanted body parts, by the free text that names them
    colour_inversion  makes bone white
    parts             makes an image of each part where one shows several
    alignment         turns fingers up

    Finished studies are skipped when the command is run again. A study that fails is listed with its reason, and the
    others go on; the exit status is then 1.
    """
    options.start_logging(verbosity)
    if scheduler and jobs:
        raise click.UsageError(
            "--jobs and --scheduler; expected one of them: the cluster knows its processes"
        )
    with options.user_errors():
        from monai_tasks.radiographs.pipeline import PipelineError
        from monai_tasks.radiographs.runner import preprocess

        with options.stoppable("studies"):
            try:
                summary = preprocess(
                    data,
                    output,
                    steps=steps,
                    jobs=jobs,
                    scheduler=scheduler,
                    config=config,
                    settings=dict(settings),
                    sheets=sheets,
                    overwrite=overwrite,
                    progress=verbosity >= 0,
                )
            except PipelineError as error:
                raise click.UsageError(str(error)) from error
    for study, reason in summary.failures[:SHOWN]:
        click.echo(f"failed: {study}: {reason}", err=True)
    if len(summary.failures) > SHOWN:
        click.echo(f"and {len(summary.failures) - SHOWN} more, see {summary.rejects}", err=True)
    if verbosity >= 0:
        studies = "1 study" if summary.total == 1 else f"{summary.total} studies"
        click.echo(f"{studies}: {summary.done} done, {summary.skipped} skipped, {summary.failed} failed")
        click.echo(f"{summary.metadata}: {summary.images} images, {summary.rejected} left out")
    if summary.failed:
        raise SystemExit(1)
