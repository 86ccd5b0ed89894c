"""`monai-tasks qme`."""

from __future__ import annotations

from pathlib import Path

import click

from monai_tasks.cli import _options as options

SHOWN = 20


@click.command("qme")
@click.argument(
    "inputs", metavar="FILE...", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path)
)
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder."
)
@click.option(
    "--values",
    default="attenuation",
    show_default=True,
    type=click.Choice(["attenuation", "counts"]),
    help="What is compared: integrals along the rays, or the detector's counts.",
)
@click.option(
    "--centre",
    type=float,
    metavar="COLUMN",
    help="Column of the centre of rotation, from 0.  [default: the middle]",
)
@click.option("--views", type=click.IntRange(min=3), help="Views of a file whose header does not tell it.")
@click.option(
    "--step-degrees",
    type=click.FloatRange(min=0, min_open=True),
    help="Angle between two views of a file whose header does not tell it.",
)
@options.verbosity
def command(
    inputs: tuple[Path, ...],
    output: Path,
    values: str,
    centre: float | None,
    views: int | None,
    step_degrees: float | None,
    verbosity: int,
) -> None:
    """Estimate the motion of HR-pQCT scans from their projections.

    FILE is an RSQ file, or a folder that is searched for such. The view at 180 degrees is mirrored and compared with
    the view at 0 degrees. A file that cannot be used is listed with the reason; the exit status is then 1.
    """
    options.start_logging(verbosity)
    with options.user_errors():
        from monai_tasks.evaluation.motion_estimates import estimate_motion

        summary = estimate_motion(
            inputs,
            output,
            values=values,
            centre=centre,
            views=views,
            step_degrees=step_degrees,
            progress=verbosity >= 0,
        )
    for path, reason in summary.failures[:SHOWN]:
        click.echo(f"failed: {path}: {reason}", err=True)
    if len(summary.failures) > SHOWN:
        click.echo(f"and {len(summary.failures) - SHOWN} more, see {summary.output}", err=True)
    if verbosity >= 0:
        for row in [row for row in summary.rows if not row["problem"]][:SHOWN]:
            click.echo(f"{row['file']}: QME_SSD {row['qme_ssd']:.3f}, QME_NCC {row['qme_ncc']:.3f}")
        click.echo(f"{len(summary.rows) - len(summary.failures)} scans, {len(summary.failures)} failed")
        click.echo(summary.page)
    if summary.failures:
        raise SystemExit(1)
