"""`monai-tasks agreement`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from monai_tasks.cli import _options as options

PRINTED = {
    "consensus": "consensus",
    "fleiss_kappa": "Fleiss' kappa",
    "mean_quadratic_kappa": "quadratic kappa, mean of pairs",
    "rescan_disagreement": "disagree on scanning again",
}


@click.command("agreement")
@click.argument("table", metavar="CSV", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder."
)
@click.option(
    "--rater",
    "raters",
    multiple=True,
    metavar="COLUMN",
    help="Column of a rater; may be repeated.  [default: all whose name begins with rater]",
)
@click.option(
    "--subject",
    default="subject",
    show_default=True,
    metavar="COLUMN",
    help="Column that tells whom a scan is of; intervals draw subjects.",
)
@click.option(
    "--by",
    multiple=True,
    metavar="COLUMN",
    help="Give all for each value of a column, too; may be repeated.  [default: site, where there is one]",
)
@click.option(
    "--rescan-from",
    default=4,
    show_default=True,
    help="The lowest grade that means to scan again.",
)
@click.option(
    "--resamples", default=5000, show_default=True, type=click.IntRange(min=100), help="Of the bootstrap."
)
@click.option(
    "--seed", default=0, show_default=True, type=click.IntRange(min=0), help="Seed of the bootstrap."
)
@options.verbosity
def command(
    table: Path,
    output: Path,
    raters: tuple[str, ...],
    subject: str,
    by: tuple[str, ...],
    rescan_from: int,
    resamples: int,
    seed: int,
    verbosity: int,
) -> None:
    """Say how far the raters of a table agree: consensus, kappas, and whether to scan again.

    CSV has a row a scan and a column a rater; grades are whole numbers, and a field may be empty. Figures come with
    bootstrap 95 % intervals by subject.
    """
    options.start_logging(verbosity)
    with options.user_errors():
        from monai_tasks.evaluation.agreement import measure_raters

        summary = measure_raters(
            table,
            output,
            raters=list(raters) or None,
            subject=subject,
            by=list(by) or None,
            rescan_from=rescan_from,
            resamples=resamples,
            seed=seed,
        )
    if verbosity < 0:
        return
    unreadable = summary.statistics["unreadable"]
    for rater, missing in summary.statistics["missing"].items():
        if missing:
            click.echo(
                f"{rater}: {missing} grades not given, {unreadable[rater]} of them unreadable", err=True
            )
    for group in summary.statistics["groups"]:
        name = group["group"] or f"{group['complete']} of {group['scans']} scans graded by all"
        texts = [f"{text} {_figure(group['metrics'][metric])}" for metric, text in PRINTED.items()]
        click.echo(f"{name}: {'; '.join(texts)}")
    click.echo(summary.page)


def _figure(own: Mapping[str, Any]) -> str:
    if own["value"] is None:
        return "has no value"
    interval = f" ({own['low']:.3f} to {own['high']:.3f})" if own["low"] is not None else ""
    return f"{own['value']:.3f}{interval}"
