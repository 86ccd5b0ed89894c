"""`monai-tasks radiographs import`."""

from __future__ import annotations

from pathlib import Path

import click

from monai_tasks.cli import _options as options

SHOWN = 20


@click.command("import")
@click.argument("source", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder."
)
@click.option(
    "--labels",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Table (CSV) with the columns study and label.",
)
@click.option(
    "--key",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Key of the pseudonyms; made if missing.  [default: OUTPUT.key beside the output]",
)
@click.option(
    "--min-images",
    type=click.IntRange(min=1),
    default=1,
    show_default=True,
    help="Leave out studies with fewer images.",
)
@click.option(
    "--max-images",
    type=click.IntRange(min=1),
    default=20,
    show_default=True,
    help="Leave out studies with more images.",
)
@click.option("--jobs", type=click.IntRange(min=1), help="Processes.  [default: as many as cores]")
@options.verbosity
def command(
    source: Path,
    output: Path,
    labels: Path | None,
    key: Path | None,
    min_images: int,
    max_images: int,
    jobs: int | None,
    verbosity: int,
) -> None:
    """Make a data set of the radiographs (DICOM, PNG, JPEG) in SOURCE, a folder of mixed files.

    Images become PNG of 16 bits with white bone, patients and studies become pseudonyms, and of the headers a few
    technical fields are kept. Each file that is not used is in rejected.csv with the reason. Finished studies are
    skipped when the command is run again.
    """
    if min_images > max_images:
        raise click.UsageError(f"--min-images {min_images} with --max-images {max_images}; expected no more")
    options.start_logging(verbosity)
    with options.user_errors():
        from monai_tasks.radiographs.importing import import_archive

        with options.stoppable("studies"):
            summary = import_archive(
                source,
                output,
                labels,
                key,
                min_images=min_images,
                max_images=max_images,
                jobs=jobs,
                progress=verbosity >= 0,
            )
    for study, reason in summary.failures[:SHOWN]:
        click.echo(f"{study}: {reason}", err=True)
    if verbosity >= 0:
        studies = ", ".join(f"{count} {label}" for label, count in sorted(summary.studies.items())) or "none"
        click.echo(f"studies: {studies} ({summary.skipped} of an earlier run)")
        click.echo(f"{summary.metadata}: {summary.images} images")
        if summary.burned_in:
            click.echo(f"burned_in_annotation is YES for {summary.burned_in}: they may show names or dates")
        click.echo(f"{summary.rejects}: {sum(summary.reasons.values())} rows")
        for reason, count in sorted(summary.reasons.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]:
            click.echo(f"  {count} {reason}")
        click.echo(f"keep to yourself: {summary.key} and {summary.origins}")
    if summary.failures:
        raise SystemExit(1)
