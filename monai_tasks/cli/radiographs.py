"""`monai-tasks radiographs`: from an archive of radiographs to a clean data set."""

from __future__ import annotations

import click

from monai_tasks.cli import _radiographs_import, _radiographs_preprocess


@click.group("radiographs")
def command() -> None:
    """Make a clean data set of radiographs."""


command.add_command(_radiographs_import.command)
command.add_command(_radiographs_preprocess.command)
