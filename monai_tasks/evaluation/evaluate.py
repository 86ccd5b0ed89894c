"""Compare a folder of predictions with references: a table, a summary, box plots and a page."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import torch
from monai.bundle import ConfigParser
from tqdm import tqdm

from monai_tasks import __version__
from monai_tasks.catalog import Bundle, open_bundle
from monai_tasks.evaluation.outcome import PAGE, STATISTICS, TABLE, Summary
from monai_tasks.evaluation.pairing import Pair, find_pairs, shown
from monai_tasks.evaluation.results_page import write_results_page
from monai_tasks.evaluation.segmentation import METRICS, VOLUMES, evaluate_case, read_label_map
from monai_tasks.evaluation.summary import label_means, summarise
from monai_tasks.evaluation.uncertainty import PLOT, measure_uncertainties, read_uncertainties
from monai_tasks.inference.configs import CONFIG, ConfigError, parse
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import write_json
from monai_tasks.io.grid import farthest_corner, is_apart
from monai_tasks.io.tables import write_table
from monai_tasks.io.volume_reader import VolumeReader
from monai_tasks.report.plots import box_plots
from monai_tasks.report.preview import overlay

PLOTS = "boxplots.png"
GROUPS, NAMES, BACKGROUND = "label_groups", "label_names", "background_labels"
COLUMNS = ("case", "status", "reason", "label", "label_name", *METRICS, *VOLUMES, "prediction", "reference")


def evaluate(
    bundle: Bundle | str | PathLike[str],
    predictions: str | PathLike[str],
    references: str | PathLike[str],
    output: str | PathLike[str],
    *,
    configs: Sequence[str] = (),
    settings: Mapping[str, Any] | None = None,
    images: str | PathLike[str] | None = None,
    worst: int = 6,
    seed: int = 0,
    progress: bool = True,
) -> Summary:
    """Compare label maps with references, case by case and label by label.

    Writes `metrics.csv` (a row for each case and label), `summary.json`, `boxplots.png`, `worst/*.png` and
    `report.html` into `output`, and `risk_coverage.png` where `infer` wrote how uncertain each case is. A case that
    cannot be compared is a row with the reason; the others go on.

    Args:
        bundle: whose labels are compared.
        predictions: folder of label maps, or the output folder of `infer`.
        references: folder of label maps, or a datalist; see `find_pairs` for how cases are matched.
        output: folder to write to; made if missing.
        configs: override configs of the bundle, as for `infer`. Where these or `settings` give `label_groups`, it
            says which values of the references make each label (others are background); `label_names` says how each
            is called. In references of several channels the groups are numbers of channels, from 1, and those of the
            bundle itself count too, as they do for a label map whose values are not all labels, but all in the groups
            or in the config's `background_labels`.
        settings: config ids and their values, for example
            `{"label_groups": [[17], [53]], "label_names": ["left", "right"]}`.
        images: folder of the images, for the pictures.
        worst: how many of the cases with the lowest Dice are pictured.
        seed: of the bootstrap.
        progress: show a bar where there is a terminal.

    Returns:
        Counts and statistics.

    Raises:
        BundleError: when there is no such bundle.
        ConfigError: when a config or an id is not there, or the groups and names of labels differ in number.
        InputError: when there is nothing to compare.
    """
    bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    scheme = label_scheme(bundle, configs, settings or {})
    labels = scheme.labels
    output = Path(output)
    pairs = find_pairs(predictions, references, images)
    bar = tqdm(pairs, desc="Compare", unit="case", disable=None if progress else True)
    rows = [row for pair in bar for row in _rows(pair, scheme)]

    facts = {"bundle": bundle.name, "bundle_version": bundle.metadata["version"], "monai_tasks": __version__}
    statistics = facts | summarise(rows, labels, seed)
    write_table(output / TABLE, rows, COLUMNS)
    done = [row for row in rows if row["status"] == "done"]
    box_plots(
        {
            about.heading: {
                name: [row[metric] for row in done if row["label"] == value] for value, name in labels.items()
            }
            for metric, about in METRICS.items()
        },
        output / PLOTS,
    )
    dice = label_means(done, "dice")
    missed = {case: 1 - value for case, value in dice.items() if value is not None}
    unsure = measure_uncertainties(
        read_uncertainties(Path(predictions)), missed, {}, output / PLOT, seed=seed
    )
    statistics |= {"uncertainty": unsure} if unsure else {}
    pictures = _picture_worst(pairs, done, scheme, output, worst)
    write_results_page(output / PAGE, rows, labels, statistics, pictures)
    write_json(output / STATISTICS, statistics)
    failures = tuple((row["case"], row["reason"]) for row in rows if row["status"] == "failed")
    return Summary(output, **statistics["cases"], statistics=statistics, failures=failures)


@dataclass(frozen=True)
class Scheme:
    """How labels are named, and made of the references.

    Args:
        labels: value to name.
        mapping: values of a label map to those of the labels, where this run gives them.
        groups: channels that make each label, for references of several channels, or values of a label map.
        background: values of a label map that are of no label.
    """

    labels: dict[int, str]
    mapping: dict[int, int] | None
    groups: list[list[int]]
    background: list[int]


def label_scheme(bundle: Bundle, configs: Sequence[str], settings: Mapping[str, Any]) -> Scheme:
    """How the labels of a bundle are named, and made of references.

    Args:
        bundle: the bundle.
        configs: as for `evaluate`.
        settings: as for `evaluate`.

    Raises:
        ConfigError: when a config or an id is not there, or the groups and names of labels differ in number.
    """
    parser = parse(bundle, (CONFIG, *configs), torch.device("cpu"), settings)
    given = _gives_groups(bundle, configs, settings)
    names = parser.get_parsed_content(NAMES) if NAMES in parser and (configs or settings) else None
    groups = parser.get_parsed_content(GROUPS) if GROUPS in parser else None
    if (groups is not None and names is not None and len(groups) != len(names)) or (given and names is None):
        raise ConfigError(
            f"{bundle.name}: {GROUPS} {groups} with {NAMES} {names}; expected one name for each group"
        )
    labels = bundle.labels if names is None else dict(enumerate(names, start=1))
    numbered = list(enumerate(groups or [], start=1))
    mapping = {value: label for label, group in numbered for value in group} if given else None
    background = parser.get_parsed_content(BACKGROUND) if BACKGROUND in parser else []
    return Scheme(labels, mapping, groups or [[value] for value in labels], background)


def _gives_groups(bundle: Bundle, configs: Sequence[str], settings: Mapping[str, Any]) -> bool:
    """Whether the groups are of this run, and not those that the bundle itself was trained with."""
    ids = [key for name in configs for key in ConfigParser.load_config_file(str(bundle.config(name)))]
    # MONAI marks a merge by a plus in front, and an id inside by `#` or `::`.
    return any(re.split("#|::", key.lstrip("+"))[0] == GROUPS for key in [*ids, *settings])


def _rows(pair: Pair, scheme: Scheme) -> Iterator[dict[str, Any]]:
    row = {"case": pair.name, "prediction": pair.prediction, "reference": shown(pair.reference)}
    if pair.problem:
        yield row | {"status": "failed", "reason": pair.problem}
        return
    if pair.reference is None:
        yield row | {"status": "skipped", "reason": "no reference"}
        return
    try:
        how = (scheme.labels, scheme.mapping, scheme.groups, scheme.background)
        results = evaluate_case(pair.prediction, pair.reference, *how)
    except (InputError, OSError, MemoryError) as error:
        yield row | {"status": "failed", "reason": _reason(error, pair)}
        return
    for value, result in results.items():
        yield row | {"status": "done", "label": value, "label_name": scheme.labels[value]} | result


def _reason(error: Exception, pair: Pair) -> str:
    """The error in a line; the table has the two files in columns of their own."""
    if isinstance(error, InputError):
        roles = {str(pair.prediction): "prediction", str(pair.reference): "reference"}
        if isinstance(pair.reference, tuple):
            roles |= {str(channel): f"reference {channel.name}" for channel in pair.reference}
        return f"{roles.get(error.source, error.source)}: {error.reason}"
    return f"{type(error).__name__}: {error}"


def _picture_worst(
    pairs: list[Pair],
    done: list[dict[str, Any]],
    scheme: Scheme,
    output: Path,
    count: int,
) -> list[tuple[str, str]]:
    """Picture the cases with the lowest mean Dice; the path of each picture in `output` and its caption."""
    for old in (output / "worst").glob("[0-9][0-9].png"):
        old.unlink()
    means = label_means(done, "dice")
    by_name = {pair.name: pair for pair in pairs}
    pictures = []
    for rank, case in enumerate(sorted(means, key=means.__getitem__)[:count], start=1):
        path = f"worst/{rank:02d}.png"
        _picture(by_name[case], scheme, output / path)
        own = (f"{row['label_name']} {row['dice']:.3f}" for row in done if row["case"] == case)
        pictures.append((path, f"{case}. Dice: {', '.join(own)}"))
    return pictures


def _picture(pair: Pair, scheme: Scheme, path: Path) -> None:
    labels = scheme.labels
    predicted = read_label_map(pair.prediction, labels)
    true = read_label_map(pair.reference, labels, scheme.mapping, scheme.groups, scheme.background)
    ground = ground_of(pair.image, predicted.values.shape, predicted.affine)
    overlay(ground, predicted.values, labels, path, reference=true.values, affine=predicted.affine)


def ground_of(path: Path | None, shape: tuple[int, ...], affine: np.ndarray) -> np.ndarray:
    """The image to draw labels on; black where it is unknown, unreadable or on another grid.

    Args:
        path: of the image.
        shape: of the labels, (X, Y, Z).
        affine: of the labels, (4, 4).
    """
    black = np.zeros(shape, dtype=np.float32)
    if path is not None:
        reader = VolumeReader()
        try:
            array, metadata = reader.get_data(reader.read(path))
        except (InputError, OSError, MemoryError):
            return black
        if array.shape == shape and not is_apart(farthest_corner(shape, affine, metadata["affine"]), affine):
            return array
    return black
