"""`monai-tasks demo`."""

from __future__ import annotations

from pathlib import Path

import click

from monai_tasks.cli import _options as options


@click.command("demo")
@click.argument("bundle")
@click.option(
    "-o",
    "--output",
    default="demo_out",
    show_default=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write to.",
)
@options.verbosity
def command(bundle: str, output: Path, verbosity: int) -> None:
    """Show BUNDLE's whole way on generated images; the last line is the path of the report."""
    options.start_logging(verbosity)
    with options.user_errors():
        from monai_tasks.experiments.demo import demo

        summary = demo(bundle, output, progress=verbosity >= 0)
    found = summary.headline
    if verbosity >= 0:
        click.echo(f"{found.name}: {found.value:.3f}; failed cases: {summary.failed}")
        click.echo(summary.page)
    if found.value < summary.expected:
        raise click.ClickException(
            f"{found.name} {found.value:.3f}; expected at least {summary.expected}: the installation does not "
            "train or infer as it should"
        )
    if summary.failed:
        raise SystemExit(1)
