"""Train networks that grade motion on generated scans and print what each comes to on unseen ones.

All networks see the same training scans for the same number of epochs; epoch and operating point are chosen on
validation scans. The unseen scans have another seed: other persons, other motion, other raters. Labels are the
consensus of three simulated raters. Beside the networks stand

- Walle: the network of [Walle2023], to which the others are also compared by paired differences;
- QME: the quantitative motion estimates of [Sode2011] from the projections of the same limbs and motions, turned into
  grades by an isotonic regression, and into the decision by a threshold, both fitted on the scans of a third seed;
- the raters, each against the consensus of the others, and the network against the same.

Sizes and numbers are for two cores; a finished training is taken over.

    python benchmarks/motion_grading.py -o OUT
"""

from __future__ import annotations

import argparse
import logging
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr
from sklearn.isotonic import IsotonicRegression

from monai_tasks.datasets import hrpqct
from monai_tasks.evaluation.class_statistics import Scores
from monai_tasks.evaluation.classification import measure
from monai_tasks.evaluation.evaluate_classification import evaluate
from monai_tasks.evaluation.motion_estimates import estimate_motion
from monai_tasks.inference.runner import infer
from monai_tasks.io.files import write_json, write_text
from monai_tasks.io.tables import read_table, write_table
from monai_tasks.metrics.operating_point import choose_threshold
from monai_tasks.phantoms.hrpqct import write_hrpqct
from monai_tasks.training.train import train

BUNDLE = "hrpqct_motion_classification"
OF_GRADE = ("quadratic_kappa", "mean_absolute_error", "macro_f1")
OF_DECISION = ("sensitivity", "specificity")
HEADS = ("graded by", "scans", *OF_GRADE, *(f"scan again: {name}" for name in OF_DECISION))
PARTS = ("training", "validation", "test")
UNSEEN = 11  # what is added to the seed: the scans of 1 were looked at while settings were chosen
GRADES, RESCAN_FROM = 5, 3
QME = {"qme_ssd": True, "qme_ncc": False}  # whether it rises with motion


@dataclass(frozen=True)
class Variant:
    """One network.

    Args:
        name: for the table.
        configs: override configs.
        settings: config ids beside those of all.
        epochs: times those that are asked for.
    """

    name: str
    configs: tuple[str, ...] = ()
    settings: tuple[tuple[str, Any], ...] = ()
    epochs: float = 1.0


BASELINE = "Walle"
# Slices of half the edge are too coarse to be turned by any angle, and the rates suit so few steps.
OURS = (("rotation_probability", 0.0), ("learning_rate", 0.002))
VARIANTS = (
    # It has no normalisation and few features, and is slow to begin: it gets small batches and twice the epochs.
    Variant(
        BASELINE,
        ("walle",),
        (OURS[0], ("batch_size", 2), ("patience", 100), ("mixed_precision", False)),
        epochs=2.0,
    ),
    Variant("ours", (), OURS),
    Variant("ours, ordinal loss", ("ordinal",), OURS),
    Variant("ours, soft loss", ("soft",), OURS),
    Variant("ours, ELU without norm", ("elu_no_norm",), (OURS[0], ("learning_rate", 0.0003))),
    Variant("ours, gradient noise", ("gradient_noise",), OURS),
)


def main() -> None:
    """Write scans, train and measure what the arguments ask for."""
    arguments = _arguments()
    logging.disable(logging.WARNING)
    output: Path = arguments.output
    write_scans(output, arguments)
    chosen = [one for one in VARIANTS if not arguments.variants or one.name in arguments.variants]
    rows: list[dict[str, Any]] = []
    differences: list[dict[str, Any]] = []
    for variant in chosen:
        own, gaps = measure_network(variant, output, arguments)
        rows += own
        differences += gaps
        _save(output, rows, differences)
    if arguments.fit:
        rows += list(measure_estimates(output))
    rows += list(raters(output, chosen[-1]))
    _save(output, rows, differences)
    print(markdown(rows, HEADS))
    if differences:
        print(markdown(differences, list(differences[0])))


def write_scans(output: Path, arguments: argparse.Namespace) -> None:
    """Write the scans of training, the unseen ones, and those that QME is fitted on, with their datalists."""
    plans = [("seen", arguments.scans, 0, {}), ("unseen", arguments.unseen, UNSEEN, {})]
    if arguments.texture:
        plans.append(("real_texture", arguments.unseen, 3, {"texture": arguments.texture}))
    for name, scans, further, options in plans:
        folder = output / name
        if (folder / "datalist.json").is_file():
            continue
        begun = time.perf_counter()
        seed = arguments.seed + further
        write_hrpqct(folder / "data", scans, seed, arguments.size, jobs=arguments.jobs, **options)
        split = hrpqct.datalist(folder / "data", seed=seed, fractions=(0.8, 0.19, 0.01))
        if name != "seen":  # all of them are for measuring
            everything = [item for part in PARTS for item in split[part]]
            split |= {"training": [], "validation": [], "test": everything}
        write_json(folder / "datalist.json", split)
        print(f"{name}: {scans} scans in {time.perf_counter() - begun:.0f} s", flush=True)
    for name, scans, further in (("unseen", arguments.unseen, UNSEEN), ("fit", arguments.fit, 2)):
        folder = output / f"{name}_with_projections"
        if arguments.fit and not (folder / "grades.csv").is_file():
            begun = time.perf_counter()
            seed = arguments.seed + further
            write_hrpqct(folder, scans, seed, arguments.size, projections=True, jobs=arguments.jobs)
            seconds = time.perf_counter() - begun
            print(f"{name}, with projections: {scans} scans in {seconds:.0f} s", flush=True)


def measure_network(
    variant: Variant, output: Path, arguments: argparse.Namespace
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Train one network and measure it on the unseen scans.

    Returns:
        A row for each unseen set, and the differences to the baseline.
    """
    folder = output / _file_name(variant.name)
    shared = {"size": [arguments.size, arguments.size], "channels": arguments.channels}
    settings = shared | {"seed": arguments.seed} | dict(variant.settings)
    begun = time.perf_counter()
    trained = train(
        BUNDLE,
        output / "seen" / "datalist.json",
        folder / "training",
        epochs=round(arguments.epochs * variant.epochs),
        configs=variant.configs,
        settings=settings,
    )
    took = f"{trained.epochs} epochs, best {trained.best_epoch}, {time.perf_counter() - begun:.0f} s"
    rows, differences = [], []
    for name in ("unseen", "real_texture"):
        datalist = output / name / "datalist.json"
        if not datalist.is_file():
            continue
        batch = infer(
            BUNDLE,
            datalist,
            folder / f"inference_{name}",
            weights=trained.weights,
            configs=variant.configs,
            settings=shared,
            preview=False,
            progress=False,
        )
        baseline = output / BASELINE / f"inference_{name}"
        other = baseline if variant.name != BASELINE and baseline.is_dir() else None
        compared = evaluate(
            BUNDLE,
            batch.output,
            datalist,
            folder / f"evaluation_{name}",
            by=["site"],
            compare=other,
            progress=False,
        )
        rows.append(
            {"graded by": f"{variant.name}{'' if name == 'unseen' else ', real texture'}"} | _row(compared)
        )
        for one in compared.statistics.get("comparison", ()) if name == "unseen" else ():
            gap = {"less Walle": variant.name, "of": one["rule"] or "grade", "metric": one["metric"]}
            differences.append(gap | {"difference": _shown({**one, "value": one["difference"]}, "+.3f")})
    print(f"{variant.name}: {took}; {rows[0]['quadratic_kappa']}", flush=True)
    return rows, differences


def _row(compared: Any) -> dict[str, Any]:
    tables = {table["rule"]: table for table in compared.statistics["tables"] if not table["subgroup"]}
    row: dict[str, Any] = {"scans": tables[""]["n"]}
    row |= {name: _shown(tables[""]["metrics"][name]) for name in OF_GRADE}
    return row | {f"scan again: {name}": _shown(tables["decision"]["metrics"][name]) for name in OF_DECISION}


def measure_estimates(output: Path) -> Iterator[dict[str, Any]]:
    """The motion estimates as grades and decisions.

    Yields:
        A row an estimate.
    """
    fit, unseen = (_estimated(output / f"{name}_with_projections") for name in ("fit", "unseen"))
    for name, rising in QME.items():
        sign = 1 if rising else -1
        known, values = (np.array([row[name] for row in rows]) * sign for rows in (fit, unseen))
        labels = np.array([row["label"] for row in fit])
        grades = IsotonicRegression(out_of_bounds="clip").fit(known, labels).predict(values)
        grades = np.clip(np.floor(grades + 0.5), 0, GRADES - 1).astype(int)
        # The rule of thresholds takes probabilities; ranks keep the order.
        order = np.sort(known)
        point = choose_threshold(labels >= RESCAN_FROM, np.searchsorted(order, known, "left") / len(order))
        again = np.searchsorted(order, values, "left") / len(order) >= point.threshold
        true = np.array([row["label"] for row in unseen])
        subjects = [row["subject"] for row in unseen]
        graded = Scores.of(true, np.eye(GRADES)[grades], grades, subjects, False)
        decided = Scores.of(true >= RESCAN_FROM, np.eye(2)[again.astype(int)], again, subjects, False)
        found = {one.metric: vars(one) for one in measure(graded) if one.number is None}
        right = {one.metric: vars(one) for one in measure(decided) if one.number is None}
        rank = spearmanr(values, [row["severity"] for row in unseen]).statistic
        yield {
            "graded by": f"{name.upper()} (Spearman with the severity {sign * rank:+.2f})",
            "scans": len(true),
            **{metric: _shown(found[metric]) for metric in OF_GRADE},
            **{f"scan again: {metric}": _shown(right[metric]) for metric in OF_DECISION},
        }


def _estimated(folder: Path) -> list[dict[str, Any]]:
    """Estimates, label, subject and severity of each scan."""
    done = folder / "qme" / "qme.csv"
    table = (
        read_table(done) if done.is_file() else estimate_motion([folder / "projections"], done.parent).rows
    )
    estimates = {Path(row["file"]).stem: row for row in table}
    raters = [name for name in read_table(folder / "grades.csv")[0] if name.startswith("rater")]
    severity = {row["image"]: float(row["severity"]) for row in read_table(folder / "truth.csv")}
    rows = []
    for row in read_table(folder / "grades.csv"):
        own = estimates[Path(row["image"]).stem]
        rows.append(
            {name: float(own[name]) for name in QME}
            | {"label": hrpqct.consensus([int(row[name]) for name in raters]) - 1}
            | {"subject": row["subject"], "severity": severity[row["image"]]}
        )
    return rows


def raters(output: Path, variant: Variant) -> Iterator[dict[str, Any]]:
    """The raters beside a network, each against the consensus of the others.

    Yields:
        A row a rater, and one for the network on the same terms.
    """
    table = read_table(output / _file_name(variant.name) / "evaluation_unseen" / "raters.csv")
    for place in dict.fromkeys((row["who"], row["against"]) for row in table):
        own = {row["metric"]: row for row in table if (row["who"], row["against"]) == place}
        shown = {
            name: _shown({key: float(row[key]) if row[key] else None for key in ("value", "low", "high")})
            for name, row in own.items()
        }
        who = variant.name if place[0] == "network" else place[0]
        yield {
            "graded by": f"{who}, against {place[1]}",
            "scans": own[OF_GRADE[0]]["n"],
            **{name: shown[name] for name in OF_GRADE},
            **{f"scan again: {name}": shown[name] for name in OF_DECISION},
        }


def _shown(own: dict[str, Any], spec: str = ".3f") -> str:
    if own["value"] is None:
        return ""
    interval = f" ({own['low']:{spec}} to {own['high']:{spec}})" if own["low"] is not None else ""
    return f"{own['value']:{spec}}{interval}"


def _save(output: Path, rows: list[dict[str, Any]], differences: list[dict[str, Any]]) -> None:
    write_table(output / "table.csv", rows, HEADS)
    write_text(output / "table.md", markdown(rows, HEADS))
    if differences:
        write_table(output / "differences.csv", differences, list(differences[0]))


def _file_name(name: str) -> str:
    return name.replace(",", "").replace(" ", "_")


def markdown(rows: list[dict[str, Any]], heads: Sequence[str]) -> str:
    """The rows as a table of Markdown."""
    lines = [heads, ["---"] * len(heads), *([f"{row[head]}" for head in heads] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("-o", "--output", type=Path, default=Path("motion_grading_out"))
    parser.add_argument("--scans", type=int, default=320, help="generated scans for training and validation")
    parser.add_argument("--unseen", type=int, default=160, help="generated scans for measuring")
    parser.add_argument(
        "--fit", type=int, default=80, help="generated scans that QME is fitted on; 0 leaves QME out"
    )
    parser.add_argument(
        "--texture", type=Path, help="micro-CT of spongy bone: also measures on bones made of it"
    )
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--size", type=int, default=128, help="edge of a slice in pixels")
    parser.add_argument("--channels", type=int, nargs="+", default=[16, 32, 64, 128], help="of our blocks")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=2, help="processes that draw")
    parser.add_argument("--variants", nargs="*", help="names; all of them where none is given")
    return parser.parse_args()


if __name__ == "__main__":
    main()
