"""The report of a cross-validation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai_tasks.evaluation.intervals import LEVEL, RESAMPLES
from monai_tasks.experiments.cross_validation_folds import DEALT, GIVEN
from monai_tasks.experiments.cross_validation_metrics import Metric, Value, headline
from monai_tasks.experiments.runs import FAILED
from monai_tasks.report.page import Facts, Figures, Link, Section, Table, Text, write_page

CURVES = "curves.png"
EVALUATED = "evaluation/report.html"
ORIGINS = {DEALT: "dealt out by subject", GIVEN: "as the datalist numbers them, not stratified here"}
# Of given folds only the parts that choose the epoch are dealt out here.
STRATIFIED = {DEALT: "Stratified by", GIVEN: "Validation parts stratified by"}
SPREAD = (
    "The pooled value is of every case that has an answer, each answered for by the network that had not seen its "
    "subject. Its interval says how far other subjects would move it, with these networks. The deviation of the folds "
    "says how far the networks and the cases of single folds lie apart; it is no standard error, for any two trainings "
    "share many subjects, so that folds are not independent. Neither says what other seeds would do.",
    "Each network chose its epoch on a validation part of its own, of subjects that are not held out, so that no "
    "held-out case had a say in the network that answers for it.",
)
RANKED = (
    "A pooled AUROC or average precision ranks cases of different networks against each other. Where folds are "
    "calibrated differently it tends to lie below the mean of the folds."
)


def write_cross_validation_page(path: Path, content: Mapping[str, Any], metrics: Sequence[Metric]) -> Path:
    """Write the page.

    Args:
        path: the HTML file; the figures and folders that it leads to lie beside it.
        content: of `cross_validation.json`.
        metrics: of the folds and of all cases together.
    """
    runs = content["runs"]
    failed = [run for run in runs if run["status"] == FAILED]
    cards: dict[str, object] = {"Folds": len(runs) - len(failed), "Cases": content["cases"]}
    cards |= {"Subjects": content["subjects"]}
    if metrics:
        first = headline(metrics)
        cards |= {f"{first.name.heading}, {first.name.of}": _with_interval(first.pooled)}
    if failed:
        cards["Failed folds"] = len(failed)
    sections: list[Section] = [Facts(cards, cards=True)]
    if failed:
        columns = {"fold": "Fold", "reason": "Reason"}
        note = "Nothing of these folds is in the values below. The same command tries them again."
        sections.append(Table(failed, columns, title="Failed folds", note=note, marked=range(len(failed))))
    if metrics:
        sections.append(_metrics(metrics, [run["fold"] for run in runs if run not in failed]))
        ranked = any(metric.name.metric == "auroc" for metric in metrics)
        sections.append(Text([*SPREAD, *([RANKED] if ranked else [])], title="What the folds say"))
    sections.append(_folds(runs))
    if (path.parent / CURVES).is_file():
        caption = "A line a fold; the network of the best validation was kept"
        sections.append(Figures([(CURVES, caption)], title="Curves", wide=True))
    if metrics:
        sections.append(_links(content))
    sections.append(Facts(_made(content), title="How it was made"))
    return write_page(path, "Cross-validation", sections, f"{content['bundle']} {content['bundle_version']}")


def _metrics(metrics: Sequence[Metric], folds: Sequence[int]) -> Table:
    rows = []
    for metric in (metric for metric in metrics if metric.name.is_main):
        row: dict[str, object] = {"of": metric.name.of, "metric": metric.name.heading}
        row |= {f"fold {fold}": value.value for fold, value in metric.folds.items()}
        row |= {"mean": metric.mean, "deviation": metric.deviation, "pooled": metric.pooled.value}
        rows.append(row | {"interval": _interval(metric.pooled), "n": metric.pooled.n})
    names = [f"fold {fold}" for fold in folds]
    columns = {"of": "Of", "metric": "Metric", **{name: name.capitalize() for name in names}}
    columns |= {"mean": "Mean of folds", "deviation": "Deviation of folds", "pooled": "Pooled"}
    columns |= {"interval": f"{100 * LEVEL:.0f} % interval", "n": "Cases"}
    formats = dict.fromkeys([*names, "mean", "deviation", "pooled"], ".3f")
    note = f"Intervals: subjects drawn again {RESAMPLES} times, each with all cases of theirs."
    if not all(metric.name.is_main for metric in metrics):
        note += " The pooled evaluation has studies by every rule, too."
    return Table(rows, columns, formats, title="Metrics of held-out cases", note=note)


def _folds(runs: Sequence[Mapping[str, Any]]) -> Table:
    rows = []
    for run in runs:
        counts = {part: f"{cases} ({run['subjects'][part]})" for part, cases in run["cases"].items()}
        row = {name: run[name] for name in ("best_epoch", "epochs", "seconds", "unanswered")}
        row |= {"training": counts["training"], "chosen": counts["validation"], "test": counts["test"]}
        row |= {"validation": run["validation"], "wait": run["data_wait_share"]}
        failed = run["status"] == FAILED
        name = (
            f"{run['fold']}, failed" if failed else Link(str(run["fold"]), f"folds/{run['fold']}/{EVALUATED}")
        )
        rows.append({"fold": name} | row)
    metric = next((run["metric"] for run in runs if run["metric"]), "validation")
    columns = {
        "fold": "Fold",
        "training": "Trained with",
        "chosen": "Chosen by",
        "test": "Held out",
        "best_epoch": "Best epoch",
        "epochs": "Epochs",
        "validation": metric,
        "seconds": "Seconds",
        "wait": "Share of waiting for data",
        "unanswered": "Without an answer",
    }
    formats = {"validation": ".3f", "seconds": ".0f", "wait": ".1%"}
    note = "Cases, with subjects in brackets. A fold leads to the evaluation of its held-out cases."
    return Table(rows, columns, formats, title="Folds", note=note)


def _links(content: Mapping[str, Any]) -> Table:
    rows = [
        {
            "file": Link("evaluation/report.html", EVALUATED),
            "what": "all held-out cases together, with pictures of the worst",
        },
        {
            "file": Link("out_of_fold.csv", "out_of_fold.csv"),
            "what": "a row a case: its fold, loss and metric",
        },
        {
            "file": Link("out_of_fold", "out_of_fold/results.csv"),
            "what": "predictions and pictures of all held-out cases",
        },
        {
            "file": Link("cross_validation.json", "cross_validation.json"),
            "what": "all figures of this page, for programs",
        },
    ]
    if content["operating_point"]:
        point = content["operating_point"]
        chosen = f"{point['rule']} on {point['n']} held-out cases"
        what = f"the threshold {point['threshold']:.3f} of all networks together, {chosen}"
        rows.append({"file": Link("operating_point.json", "operating_point.json"), "what": what})
    return Table(rows, {"file": "File", "what": "What it is"}, title="Where to look")


def _made(content: Mapping[str, Any]) -> dict[str, object]:
    return {
        "Bundle": f"{content['bundle']} {content['bundle_version']}",
        "Datalist": f"SHA-256 {content['datalist_sha256']}",
        "Parts": ", ".join(content["parts"]),
        "Folds": f"{content['folds']}, {ORIGINS[content['folds_from']]}",
        "Left out": _excluded(content["excluded"]),
        STRATIFIED[content["folds_from"]]: ", ".join(content["stratify"]) or "nothing",
        "Seed": content["seed"],
        "Configs": ", ".join(content["configs"]),
        "Settings": ", ".join(f"{name} = {value}" for name, value in content["settings"].items()) or "none",
        "Versions": ", ".join(f"{name} {number}" for name, number in content["versions"].items()),
    }


def _excluded(facts: Mapping[str, Any] | None) -> str:
    """How many cases of each part a list took out."""
    if facts is None:
        return "nothing"
    counts = [f"{count} of {part}" for part, count in facts.items() if part in ("training", "validation")]
    return f"{', '.join(counts)} by a list of SHA-256 {facts['sha256']}"


def _interval(value: Value) -> str | None:
    return None if value.low is None else f"{value.low:.3f} to {value.high:.3f}"


def _with_interval(value: Value) -> str:
    if value.value is None:
        return "none"
    return f"{value.value:.3f}" + (f" ({_interval(value)})" if value.low is not None else "")
