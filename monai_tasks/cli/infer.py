"""`monai-tasks infer`."""

from __future__ import annotations

import warnings
from pathlib import Path

import click

from monai_tasks.cli import _options as options
from monai_tasks.explain.explainers import NAMES

SHOWN = 20


@click.command("infer")
@click.argument("bundle")
@click.argument("inputs", nargs=-1, required=True, metavar="INPUT...", type=click.Path(path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder."
)
@click.option(
    "--weights",
    type=click.Path(exists=True, path_type=Path),
    multiple=True,
    metavar="PATH",
    help="Weights instead of the bundle's own, or the folder of a cross-validation; of several the mean is taken.",
)
@click.option(
    "--flips", is_flag=True, help="Take the mean over mirror images too, where the bundle has such."
)
@click.option(
    "--uncertainty/--no-uncertainty",
    default=None,
    help="Find how unsure each answer is.  [default: with several weights, or flips]",
)
@options.device
@click.option(
    "--jobs",
    type=click.IntRange(min=1),
    help="Threads that read, and that write; also how many cases are in memory.  [default: from the cores]",
)
@click.option("--overwrite", is_flag=True, help="Compute finished cases again.")
@click.option("--preview/--no-preview", default=True, help="Draw a picture of each case.  [default: preview]")
@click.option(
    "--explain",
    type=click.Choice(NAMES),
    help="Draw what in a radiograph speaks for and against the answer.",
)
@options.configs
@options.settings
@options.verbosity
def command(
    bundle: str,
    inputs: tuple[Path, ...],
    output: Path,
    weights: tuple[Path, ...],
    flips: bool,
    uncertainty: bool | None,
    device: str,
    jobs: int | None,
    overwrite: bool,
    preview: bool,
    explain: str | None,
    configs: tuple[str, ...],
    settings: dict[str, object],
    verbosity: int,
) -> None:
    """Run BUNDLE on each INPUT and write what it predicts, pictures, a table and a report.

    A segmentation gives label maps and volumes; a classification gives probabilities and decisions, of a radiograph
    and of its study.

    INPUT is an image file (NIfTI, MHA, MHD, NRRD, ISQ, AIM; a radiograph is PNG, JPEG or DICOM), a folder with a DICOM
    series or study, a folder to search, a data set of radiographs, or a datalist. Finished cases are skipped when the
    command is run again. A case that fails is listed with its reason, and the others go on; the exit status is then 1.
    """
    options.start_logging(verbosity)
    if verbosity < 1:
        warnings.simplefilter("ignore")
    with options.user_errors():
        from monai_tasks.inference.configs import ConfigError
        from monai_tasks.inference.engine import DeviceError
        from monai_tasks.inference.runner import PASSED_OVER, infer
        from monai_tasks.io.errors import InputError

        with options.stoppable("cases"):
            try:
                summary = infer(
                    bundle,
                    inputs,
                    output,
                    weights=weights or None,
                    configs=configs,
                    device=device,
                    jobs=jobs,
                    overwrite=overwrite,
                    preview=preview,
                    progress=verbosity >= 0,
                    settings=settings,
                    explain=explain,
                    flips=flips,
                    uncertainty=uncertainty,
                )
            except (ConfigError, DeviceError, InputError) as error:
                raise click.UsageError(str(error)) from error
    for case, reason in summary.failures[:SHOWN]:
        click.echo(f"failed: {case}: {reason}", err=True)
    if len(summary.failures) > SHOWN:
        click.echo(f"and {len(summary.failures) - SHOWN} more, see {summary.results}", err=True)
    if verbosity >= 0:
        cases = "1 case" if summary.total == 1 else f"{summary.total} cases"
        noted = f"; {summary.noted} with a note, see {summary.results}" if summary.noted else ""
        click.echo(f"{cases}: {summary.done} done, {summary.skipped} skipped, {summary.failed} failed{noted}")
        if summary.passed_over:
            files = (
                "1 DICOM file that is"
                if summary.passed_over == 1
                else f"{summary.passed_over} DICOM files that are"
            )
            click.echo(f"passed over: {files} no radiograph, see {summary.output / PASSED_OVER}")
        click.echo(summary.page)
    if summary.failed:
        raise SystemExit(1)
