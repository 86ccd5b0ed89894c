"""`monai-tasks datalist`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from monai_tasks.datasets.layouts import LAYOUTS, lister

# Layouts whose SOURCE may also be a file.
WITH_MANIFEST = ("knee_mhd",)
# Options of one layout: the layout and the option's name on the command line, by the name in Python.
OWN = {
    "grades": ("hrpqct", "--grades"),
    "raters": ("hrpqct", "--rater"),
    "negatives": ("chestxray14", "--negatives"),
    "modalities": ("brats", "--modality"),
    "with_lgg": ("brats", "--with-lgg"),
}


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
@click.option(
    "--negatives",
    type=click.Choice(["no_finding", "all"]),
    help="chestxray14: images without pneumothorax to list, those without any finding (default) or all.",
)
@click.option(
    "--modality",
    "modalities",
    multiple=True,
    type=click.Choice(["t1", "t1ce", "t2", "flair"]),
    help="brats: a channel of the image, in this order; may be repeated. Without it t1 and t2.",
)
@click.option("--with-lgg", is_flag=True, default=None, help="brats: cases of low grade, too.")
def command(
    layout: str,
    source: Path,
    output: Path,
    seed: int,
    folds: int | None,
    **options: Any,
) -> None:
    """Write the datalist of a data set in SOURCE: training, validation and test, split by subject.

    \b
    brats        HGG/CASE/CASE_t1.nii.gz beside CASE_t1ce, CASE_t2, CASE_flair and CASE_seg, as BraTS 2018 has it
    chestxray14  Data_Entry_2017.csv, train_val_list.txt, test_list.txt and the images, anywhere below
    decathlon    imagesTr/CASE.nii.gz beside labelsTr/CASE.nii.gz
    hrpqct       scans and grades.csv with the columns image, site, subject and rater_..., one a rater
    ixi          T1 and T2 as IXI names them, and SUBJECT/mri/aseg.mgz of FreeSurfer
    knee_mhd     GROUP/CASE.mhd beside CASE_femur.mhd, CASE_tibia.mhd and CASE_fibula.mhd or CASE_maps.mhd,
                 or a CSV manifest; other volume files too
    mura         MURA-v1.1 with train_image_paths.csv, train_labeled_studies.csv and the same for valid
    radiographs  as `monai-tasks radiographs import` and `preprocess` write it

    Cases that cannot be used are listed with the reason, here and in the file.
    """
    from monai_tasks.io.files import write_json

    if source.is_file() and layout not in WITH_MANIFEST:
        raise click.BadParameter(
            f"{str(source)!r} is a file; expected a folder for layout {layout}.", param_hint="SOURCE"
        )
    own = {name: value for name, value in options.items() if value not in (None, ())}
    foreign = [name for name in own if OWN[name][0] != layout]
    if foreign:
        wanted, option = OWN[foreign[0]]
        raise click.UsageError(f"{option} is for the layout {wanted} only.")
    try:
        datalist = lister(layout)(source, seed=seed, folds=folds, **own)
        write_json(output, datalist)
    except (ValueError, OSError) as error:
        raise click.ClickException(str(error)) from error
    for case in datalist["rejected"]:
        click.echo(f"not used: {case['subject']}: {case['reason']}", err=True)
    counts = ", ".join(f"{len(datalist[part])} {part}" for part in ("training", "validation", "test"))
    click.echo(f"{output}: {counts}, {len(datalist['rejected'])} not used")
