"""`monai-tasks evaluate`."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.cli import _options as options

SHOWN = 20
# What is printed of ordered classes: of the grade, and of the decision.
_OF_ORDERED = (
    {"quadratic_kappa": "quadratic kappa", "mean_absolute_error": "mean absolute error"},
    {"sensitivity": "sensitivity", "specificity": "specificity"},
)


@click.command("evaluate")
@click.argument("bundle")
@click.option(
    "--predictions",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Output folder of `infer`; or a folder of label maps, of a classification a table like results.csv.",
)
@click.option(
    "--references",
    required=True,
    type=click.Path(exists=True, path_type=Path),
    help="Folder of true label maps, or a datalist (JSON); of a classification a datalist or a table (CSV).",
)
@click.option(
    "-o", "--output", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder."
)
@click.option(
    "--images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Segmentation: folder of the images, for the pictures.  [default: as `infer` and the datalist tell]",
)
@click.option(
    "--part",
    type=click.Choice(["training", "validation", "test"]),
    help="Classification: part of the references.  [default: test; else validation and training]",
)
@click.option(
    "--by",
    multiple=True,
    metavar="COLUMN",
    help="Classification: give the metrics for each value of a column, or key, of the references too; may be repeated.",
)
@click.option(
    "--compare",
    type=click.Path(exists=True, path_type=Path),
    help="Classification: output folder of another run of `infer` on the same cases, for the difference.",
)
@click.option(
    "--choose-threshold",
    metavar="RULE",
    help="Classification: choose the operating point on the validation part: youden, or sensitivity:X.",
)
@options.configs
@options.settings
@options.verbosity
def command(
    bundle: str,
    predictions: Path,
    references: Path,
    output: Path,
    verbosity: int,
    **own: Any,
) -> None:
    """Compare predictions of BUNDLE with references: label maps, or classes of images and studies.

    Of label maps overlap, surface distances and volumes are given. Cases are matched by the names of their files, or
    by the image or subject of a datalist. References that hold other values than the label maps need `label_groups`
    and `label_names`, as in `--config t1t2`, or both by `--set`.

    Of classes accuracy, sensitivity, specificity, precision, F1, AUROC and average precision are given, for images and
    studies, with curves and calibration. Cases are matched by the paths of their images, or by their studies.

    A reference without a prediction and a file that cannot be compared are listed with the reason; the exit status is
    then 1. Figures come with bootstrap 95 % intervals.
    """
    options.start_logging(verbosity)
    if verbosity < 1:
        warnings.simplefilter("ignore")
    with options.user_errors():
        from monai_tasks.evaluation.by_kind import evaluate

        opened = open_bundle(bundle)
        given = _of_kind(opened, own)
        try:
            summary = evaluate(opened, predictions, references, output, progress=verbosity >= 0, **given)
        except _usage_errors(opened) as error:
            raise click.UsageError(str(error)) from error
    for case, reason in summary.failures[:SHOWN]:
        click.echo(f"failed: {case}: {reason}", err=True)
    if len(summary.failures) > SHOWN:
        click.echo(f"and {len(summary.failures) - SHOWN} more, see {summary.table}", err=True)
    if verbosity >= 0:
        for line in _lines(summary.statistics):
            click.echo(line)
        click.echo(
            f"{summary.done} cases compared, {summary.failed} failed, {summary.skipped} without a reference"
        )
        click.echo(summary.page)
    if summary.failed:
        raise SystemExit(1)


def _of_kind(bundle: Bundle, own: Mapping[str, Any]) -> dict[str, Any]:
    """The options that were given, all of which must be for bundles of this kind."""
    from monai_tasks.evaluation.by_kind import OPTIONS

    given = {name: value for name, value in own.items() if value}
    words = {parameter.name: parameter.opts[0] for parameter in command.params}
    for kind, names in OPTIONS.items():
        wrong = [words[name] for name in names if name in given]
        if kind != bundle.kind and wrong:
            text = f"{', '.join(wrong)}: for bundles of kind {kind}; {bundle.name} is of kind {bundle.kind}"
            raise click.UsageError(text)
    return given


def _usage_errors(bundle: Bundle) -> tuple[type[ValueError], ...]:
    """What is wrong with the words of a command, and not with one of its cases."""
    from monai_tasks.evaluation.by_kind import SEGMENTATION
    from monai_tasks.io.errors import InputError

    if bundle.kind != SEGMENTATION:
        return (InputError,)
    from monai_tasks.inference.configs import ConfigError  # this brings torch

    return (InputError, ConfigError)


def _lines(statistics: Mapping[str, Any]) -> Iterator[str]:
    """The figures that sum an evaluation up."""
    for name, label in statistics.get("labels", {}).items():
        yield f"{name}: {_figure('mean Dice', label['metrics']['dice'], 'mean')}"
    for table in statistics.get("tables", ()):
        if not table["subgroup"]:
            metrics, rule = table["metrics"], table["rule"].replace("_", " ")
            name = f"{table['level']}{f', {rule}' if rule else ''}"
            if "ordinal" in statistics:
                names = _OF_ORDERED[table["rule"] == "decision"]
                yield f"{name}: " + "; ".join(
                    _figure(text, metrics[metric]) for metric, text in names.items() if metric in metrics
                )
                continue
            auroc = metrics.get("auroc") or metrics["macro_auroc"]
            yield f"{name}: {_figure('AUROC', auroc)}; {_figure('accuracy', metrics['accuracy'])}"
    for own in statistics.get("comparison", ()):
        pair = f"{own['rule'].replace('_', ' ')} less {own['other_rule'].replace('_', ' ')}".strip()
        if "ordinal" in statistics:  # both runs have the one rule
            pair = own["rule"]
        about = f"{own['level']}, {pair}" if own["rule"] else own["level"]
        metric = own["metric"].removeprefix("macro_").replace("auroc", "AUROC").replace("_", " ")
        yield f"difference, {about}: {_figure(metric, own, 'difference')}"
    if point := statistics.get("operating_point"):
        yield (
            f"operating point {point['threshold']:.4f} by {point['rule']}: sensitivity {point['sensitivity']:.3f}, "
            f"specificity {point['specificity']:.3f} on {point['n']} cases"
        )


def _figure(heading: str, statistics: Mapping[str, Any], key: str = "value") -> str:
    if statistics[key] is None:
        return f"no {heading.removeprefix('mean ')}"
    text = f"{heading} {statistics[key]:.3f}"
    if statistics["low"] is None:
        return text
    return f"{text}, 95 % interval {statistics['low']:.3f} to {statistics['high']:.3f}"
