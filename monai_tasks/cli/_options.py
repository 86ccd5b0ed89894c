"""Options that several commands share, and what turns a user's mistake into a short message."""

from __future__ import annotations

import json
import logging
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, NoReturn

import click

from monai_tasks.catalog import BundleError
from monai_tasks.io.errors import input_error

INTERRUPTED = 130  # what shells give for a command that Ctrl-C ended


class Setting(click.ParamType):
    """`ID=VALUE`, where VALUE is JSON or else a string."""

    name = "ID=VALUE"

    def convert(
        self, value: Any, param: click.Parameter | None, ctx: click.Context | None
    ) -> tuple[str, Any]:
        if isinstance(value, tuple):
            return value
        name, equals, text = value.partition("=")
        if not (name and equals):
            self.fail(f"{value!r}; expected ID=VALUE, such as learning_rate=0.0005", param, ctx)
        try:
            return name, json.loads(text)
        except json.JSONDecodeError:
            return name, text


def _as_mapping(
    ctx: click.Context, param: click.Parameter, value: tuple[tuple[str, Any], ...]
) -> dict[str, Any]:
    return dict(value)


device = click.option("--device", default="auto", show_default=True, help="auto, cpu or cuda:N.")
configs = click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="NAME",
    help="Merge one more config of the bundle, or a file of your own; may be repeated.",
)
settings = click.option(
    "--set",
    "settings",
    type=Setting(),
    multiple=True,
    callback=_as_mapping,
    help="Set one id of the config, such as batch_size=4; VALUE is JSON or text; may be repeated.",
)


def verbosity(function: Any) -> Any:
    """Add `-q` and `-v`; the command gets `verbosity`: -1, 0 or 1."""
    quiet = click.option("-q", "--quiet", "verbosity", flag_value=-1, type=int, help="Errors only.")
    verbose = click.option(
        "-v", "--verbose", "verbosity", flag_value=1, type=int, default=0, help="Say more."
    )
    return quiet(verbose(function))


def machines(runs: str) -> Callable[[Any], Any]:
    """Add `--scheduler`, `--jobs` and `--device`; the command gets `scheduler`, `jobs` and `devices`.

    Args:
        runs: what is done there, such as `runs`.
    """

    def added(function: Any) -> Any:
        one = runs.removesuffix("s")
        for option in (
            click.option(
                "--device",
                "devices",
                multiple=True,
                default=("auto",),
                show_default=True,
                help=f"auto, cpu or cuda:N; given several times, each does one {one} at a time.",
            ),
            click.option(
                "--jobs",
                type=click.IntRange(min=1),
                help=f"{runs.capitalize()} at a time; as many as devices are given without it.",
            ),
            click.option(
                "--scheduler",
                metavar="ADDRESS",
                help=f"A Dask scheduler whose workers do the {runs} instead.",
            ),
        ):
            function = option(function)
        return function

    return added


def check_machines(scheduler: str | None, jobs: int | None, devices: tuple[str, ...]) -> None:
    """Refuse what is of this machine beside a scheduler.

    Args:
        scheduler, jobs, devices: as `machines` gives them.

    Raises:
        click.UsageError: when both are given.
    """
    if scheduler and (jobs or devices != ("auto",)):
        raise click.UsageError("--jobs and --device are of this machine; expected none beside --scheduler")


def end(failures: Sequence[tuple[str, str]], text: str, verbosity: int) -> None:
    """Name the runs that failed, say what came of the others, and end with 1 where there are such.

    Args:
        failures: name and reason of each.
        text: for a person; nothing of it is said quietly.
        verbosity: of the command.
    """
    for name, reason in failures:
        click.echo(f"{name}: {reason}", err=True)
    if verbosity >= 0:
        click.echo(text)
    if failures:
        raise SystemExit(1)


def start_logging(verbosity: int) -> None:
    """Log to standard error: errors only for -1, what this package says for 0, what every library says for 1.

    For 1 this package says all it can, such as where in the code a case failed.
    """
    root = {-1: logging.ERROR, 0: logging.ERROR, 1: logging.INFO}[verbosity]
    own = {-1: logging.ERROR, 0: logging.INFO, 1: logging.DEBUG}[verbosity]
    logging.basicConfig(level=root, format="%(asctime)s %(levelname)s %(message)s", force=True)
    logging.getLogger("monai_tasks").setLevel(own)
    # MONAI's engines log through handlers of their own.
    logging.disable(logging.WARNING if verbosity < 0 else logging.NOTSET)


@contextmanager
def user_errors() -> Iterator[None]:
    """Turn what a user can mend into a message without a traceback: exit 2 for wrong names, else 1."""
    try:
        yield
    except BundleError as error:
        raise click.UsageError(str(error)) from error
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    except RuntimeError as error:
        cause = input_error(error)  # MONAI wraps what a reader says about a file in errors of its own
        if cause is None:
            raise
        raise click.ClickException(str(cause)) from error


@contextmanager
def stoppable(pieces: str) -> Iterator[None]:
    """Let a termination end the work as Ctrl-C does: what is being written is finished, and the next run goes on.

    Args:
        pieces: what the work is made of, such as `cases`.
    """
    before = signal.signal(signal.SIGTERM, _interrupt)
    try:
        yield
    except KeyboardInterrupt:
        click.echo(f"stopped; the same command again goes on with the other {pieces}", err=True)
        raise SystemExit(INTERRUPTED) from None
    finally:
        signal.signal(signal.SIGTERM, before)


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt
