"""`monai-tasks datalist`."""

from __future__ import annotations

from pathlib import Path

import click

from monai_tasks.datasets.layouts import LAYOUTS, lister

# Layouts whose SOURCE may also be a file.
WITH_MANIFEST = ("knee_mhd",)
# Layouts whose labels are in a table of grades.
WITH_GRADES = ("hrpqct",)


@click.command("datalist")
@click.argument("layout", type=click.Choice(LAYOUTS))
@click.argument("source", type=click.Path(exists=True, path_type=Path))
@click.option(
    "-o",
    "--output",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="Datalist to write (JSON).",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the split.")
@click.option(
    "--folds", type=click.IntRange(min=2), help="Also deal the training part out into so many folds."
)
@click.option(
    "--grades",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="hrpqct: table of the raters' grades (CSV), instead of grades.csv in SOURCE.",
)
@click.option(
    "--rater",
    "raters",
    multiple=True,
    help="hrpqct: column of a rater, instead of all whose name begins with rater; may be repeated.",
)
def command(
    layout: str,
    source: Path,
    output: Path,
    seed: int,
    folds: int | None,
    grades: Path | None,
    raters: tuple[str, ...],
) -> None:
    """Write the datalist of a data set in SOURCE: training, validation and test, split by subject.

    \b
    decathlon    imagesTr/CASE.nii.gz beside labelsTr/CASE.nii.gz
    hrpqct       scans and grades.csv with the columns image, site, subject and rater_..., one a rater
    ixi          T1 and T2 as IXI names them, and SUBJECT/mri/aseg.mgz of FreeSurfer
    knee_mhd     GROUP/CASE.mhd beside CASE_femur.mhd, CASE_tibia.mhd and CASE_fibula.mhd or CASE_maps.mhd,
                 or a CSV manifest; other volume files too
    radiographs  as `monai-tasks radiographs import` and `preprocess` write it

    Cases that cannot be used are listed with the reason, here and in the file.
    """
    from monai_tasks.io.files import write_json

    if source.is_file() and layout not in WITH_MANIFEST:
        raise click.BadParameter(
            f"{str(source)!r} is a file; expected a folder for layout {layout}.", param_hint="SOURCE"
        )
    own = {"grades": grades, "raters": list(raters) or None}
    own = {name: value for name, value in own.items() if value is not None}
    if own and layout not in WITH_GRADES:
        raise click.UsageError(f"--grades and --rater are for the layout {', '.join(WITH_GRADES)} only.")
    try:
        datalist = lister(layout)(source, seed=seed, folds=folds, **own)
        write_json(output, datalist)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for case in datalist["rejected"]:
        click.echo(f"not used: {case['subject']}: {case['reason']}", err=True)
    counts = ", ".join(f"{len(datalist[part])} {part}" for part in ("training", "validation", "test"))
    click.echo(f"{output}: {counts}, {len(datalist['rejected'])} not used")
