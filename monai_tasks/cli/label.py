"""`monai-tasks label`."""

from __future__ import annotations

import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

import click

from monai_tasks import catalog
from monai_tasks.cli import _options as options


class Studies(click.ParamType):
    """A folder that exists, or a DICOMweb address."""

    name = "DIR|URL"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        if not value.startswith(("http://", "https://")) and not Path(value).is_dir():
            self.fail(
                f"{value!r} is no folder; expected a folder of images or a DICOMweb address", param, ctx
            )
        return value


@click.command("label")
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...")
@click.option("--studies", type=Studies(), required=True, help="A folder of images, or a DICOMweb address.")
@click.option(
    "--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free one."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="0.0.0.0 serves other machines too.")
@click.option(
    "--app",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where the server keeps its copies of the bundles, what is trained in them, and its logs.",
)
@click.option(
    "--fresh", is_flag=True, help="Replace the copies of the bundles, and what was trained in them."
)
@click.option(
    "--weights",
    multiple=True,
    metavar="[BUNDLE=]FILE",
    help="Begin with these weights, such as RUN/model.pt, instead of the bundle's own; once a bundle.",
)
@click.option(
    "--config",
    "configs",
    multiple=True,
    metavar="[BUNDLE=]NAME",
    help="Merge one more config of the bundle, or a file of your own; may be repeated.",
)
@click.option(
    "--modality",
    default="auto",
    show_default=True,
    help="The series to list at a DICOMweb address: MR, CT, CR, DX, ... or all. auto: what the bundles take.",
)
def command(
    bundles: tuple[str, ...],
    studies: str,
    port: int,
    host: str,
    app: Path | None,
    fresh: bool,
    weights: tuple[str, ...],
    configs: tuple[str, ...],
    modality: str,
) -> None:
    """Serve BUNDLE... to 3D Slicer, OHIF and other clients of MONAI Label, offline, until Ctrl-C.

    MONAI Label keeps its list of cases and the labels that people save in the studies folder. A bundle that has no
    weights is offered for training, and labels images once it was trained. With several bundles, say for which one
    weights or a config are: BUNDLE=FILE.
    """
    before = signal.signal(signal.SIGTERM, _leave)
    try:
        with options.user_errors():
            opened = [catalog.open_bundle(name) for name in bundles]
            names = [bundle.name for bundle in opened]
            asked = {"weights": _weights(weights, names), "configs": _by_bundle(configs, names, "--config")}
            _serve(opened, studies, app, host=host, port=port, modality=modality, fresh=fresh, **asked)
    except KeyboardInterrupt:
        click.echo("stopped")
    finally:
        signal.signal(signal.SIGTERM, before)


def _weights(values: Sequence[str], names: Sequence[str]) -> dict[str, Path]:
    """The file of each bundle that one was given for."""
    files = _by_bundle(values, names, "--weights")
    for name, given in files.items():
        if len(given) > 1:
            raise click.UsageError(f"--weights was given {len(given)} times for {name}; expected once")
        if not Path(given[0]).is_file():
            raise click.UsageError(
                f"--weights {given[0]}: no such file; expected weights, such as RUN/model.pt"
            )
    return {name: Path(given[0]) for name, given in files.items()}


def _by_bundle(values: Sequence[str], names: Sequence[str], option: str) -> dict[str, list[str]]:
    """Deal `[BUNDLE=]VALUE` out to the bundles."""
    dealt: dict[str, list[str]] = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if equals and name in names:
            dealt.setdefault(name, []).append(rest)
        elif len(names) == 1:
            dealt.setdefault(names[0], []).append(value)
        else:
            raise click.UsageError(
                f"{option} {value}: for which bundle? expected BUNDLE=VALUE, where BUNDLE is one of {', '.join(names)}"
            )
    return dealt


def _serve(bundles: Sequence[catalog.Bundle], studies: str, app: Path | None, **settings: Any) -> None:
    """Start the server, say where it is, and wait for it."""
    from monai_tasks.experiments.labelling import LabelServer

    app = app or Path(click.get_app_dir("monai_tasks")) / "label"
    server = LabelServer(bundles, studies, app, **settings)
    for note in server.notes:
        click.echo(note, err=True)
    with server:
        click.echo(f"MONAI Label is ready at {server.address} with {', '.join(server.names)}")
        click.echo(f"app folder {server.app}\nlog {server.log}\nCtrl-C stops it")
        status = server.wait()
    raise click.ClickException(f"MONAI Label ended by itself with status {status}; see {server.log}")


def _leave(number: int, frame: object) -> NoReturn:
    """End as Ctrl-C does, so that the server is stopped too."""
    raise KeyboardInterrupt
