"""`monai-tasks outliers`."""

from __future__ import annotations

from pathlib import Path

import click

from monai_tasks.cli import _options as options


@click.command("outliers")
@click.argument("bundle")
@click.option(
    "--run",
    required=True,
    type=click.Path(path_type=Path),
    help="Folder of a finished cross-validation of the bundle.",
)
@click.option("-o", "--output", required=True, type=click.Path(path_type=Path), help="Folder to write to.")
@click.option(
    "--top", type=click.IntRange(min=1), default=24, show_default=True, help="How many cases to picture."
)
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Processes that look at files."
)
@options.verbosity
def command(bundle: str, run: Path, output: Path, top: int, jobs: int, verbosity: int) -> None:
    """Rank the cases of a cross-validation of BUNDLE by how suspicious they are, for a person to review."""
    options.start_logging(verbosity)
    with options.user_errors():
        from monai_tasks.experiments.outliers import find_outliers
        from monai_tasks.io.errors import InputError

        try:
            summary = find_outliers(bundle, run, output, top=top, jobs=jobs, progress=verbosity >= 0)
        except InputError as error:
            raise click.UsageError(str(error)) from error
    if verbosity >= 0:
        click.echo(f"{summary.cases} cases, {summary.remarked} with a remark on their files")
        click.echo(f"{summary.review}\n{summary.page}")
