"""The `monai-tasks` command: every module of this package is one subcommand.

A module named `x` holds a click command named `command`; it may import only light things at its top, so that
`monai-tasks --help` answers at once.
"""

from __future__ import annotations

import importlib
import pkgutil

import click

from monai_tasks import __version__


class ModuleGroup(click.Group):
    """A click group whose subcommands are the public modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        names = (module.name for module in pkgutil.iter_modules(__path__))
        return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.list_commands(ctx):
            return None
        return importlib.import_module(f"{__name__}.{cmd_name.replace('-', '_')}").command


@click.command(cls=ModuleGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="monai-tasks")
def main() -> None:
    """Musculoskeletal and neuro imaging jobs on MONAI: segment, grade, train and evaluate."""
