"""The report of a batch: the facts as JSON and a page for a person."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from monai_tasks import __version__
from monai_tasks.inference.results import DONE, FAILED, RESULTS, SKIPPED
from monai_tasks.inference.writers import MEASURE, SegmentationWriter
from monai_tasks.io.files import write_json
from monai_tasks.io.tables import read_table
from monai_tasks.report.page import Facts, Figures, Link, Section, Table, write_page

REPORT, PAGE = "report.json", "report.html"
# More pictures than these take a browser long to lay out; the folder holds all.
MOST_PICTURES = 300


def write_report(writer: SegmentationWriter, facts: Mapping[str, Any], counts: Mapping[str, int]) -> None:
    """Write `report.json` and `report.html` from the finished table of results.

    Args:
        writer: knows the output folder, the labels and where the files of a case are.
        facts: what the results were made with, with `device`, `jobs`, `started` (seconds since 1970) and
            `seconds`. Nothing in them names the machine or its user.
        counts: number of cases by status.
    """
    rows = read_table(writer.output / RESULTS)
    times = [float(row["seconds"]) for row in rows if row["status"] == DONE]
    facts = dict(facts)
    device, started = facts.pop("device"), facts.pop("started")
    content = {
        **{key: value for key, value in facts.items() if key != "seconds"},
        "labels": {str(value): name for value, name in writer.labels.items()},
        "device": str(device),
        "device_model": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "versions": _versions(),
        "counts": {"cases": len(rows), **counts},
        "times": {
            "started": datetime.fromtimestamp(started, UTC).isoformat(timespec="seconds"),
            "seconds": round(facts["seconds"], 3),
            "seconds_per_case": round(sum(times) / len(times), 3) if times else None,
        },
    }
    write_json(writer.output / REPORT, content)
    subtitle = f"{facts['bundle']} {facts['version']}"
    write_page(writer.output / PAGE, "Batch inference", _sections(writer, rows, content), subtitle)


def _versions() -> dict[str, str]:
    packages = {name: version(name) for name in ("torch", "monai", "numpy", "nibabel")}
    return {"python": platform.python_version(), "monai_tasks": __version__, **packages}


def _sections(
    writer: SegmentationWriter, rows: list[dict[str, str]], content: Mapping[str, Any]
) -> list[Section]:
    counts, times = content["counts"], content["times"]
    cards = {
        "cases": counts["cases"],
        "done": counts[DONE],
        "skipped, finished before": counts[SKIPPED],
        "failed": counts[FAILED],
        "seconds": round(times["seconds"], 1),
    }
    noted = [row for row in rows if row["note"]]
    if noted:
        cards["with a note"] = len(noted)
    sections: list[Section] = [Facts(cards, cards=True)]
    failed = [row for row in rows if row["status"] == FAILED]
    if failed:
        columns = {"case": "Case", "reason": "Reason", "input": "Input"}
        sections.append(Table(failed, columns, title="Failed cases", marked=range(len(failed))))
    if noted:
        columns = {"case": "Case", "status": "Status", "note": "Note"}
        explained = "A step of the preprocessing was unsure of them: look at their pictures."
        marked = range(len(noted))
        sections.append(Table(noted, columns, title="Cases with a note", note=explained, marked=marked))
    good = [row for row in rows if row["status"] != FAILED]
    if good:
        sections.append(_volumes(writer, good))
        sections += _pictures(writer, good)
    sections.append(Facts(_run_facts(content), title="How it was made"))
    return sections


def _volumes(writer: SegmentationWriter, rows: list[dict[str, str]]) -> Table:
    headings = {name: f"{name.removeprefix(MEASURE)} (ml)" for name in writer.measures}
    shown = [
        {
            "case": Link(row["case"], _relative(writer, writer.prediction(row["case"]))),
            "status": row["status"],
            "seconds": float(row["seconds"]),
            **{name: float(row[name]) for name in headings if row[name] != ""},
        }
        for row in rows
    ]
    columns = {"case": "Case", "status": "Status", **headings, "seconds": "Seconds"}
    formats = {"seconds": ".2f", **dict.fromkeys(headings, ".3f")}
    note = "Each name leads to the label map; all columns are in results.csv."
    return Table(shown, columns, formats, title="Volumes", note=note)


def _pictures(writer: SegmentationWriter, rows: list[dict[str, str]]) -> list[Figures]:
    drawn = [row["case"] for row in rows if writer.picture(row["case"]).is_file()]
    if not drawn:
        return []
    items = [(_relative(writer, writer.picture(case)), case) for case in drawn[:MOST_PICTURES]]
    note = f"The first {len(items)} of {len(drawn)}; all are in previews." if len(drawn) > len(items) else ""
    return [Figures(items, title="Previews", note=note)]


def _relative(writer: SegmentationWriter, path: Path) -> Path:
    return path.relative_to(writer.output)


def _run_facts(content: Mapping[str, Any]) -> dict[str, object]:
    return {
        "Bundle": f"{content['bundle']} {content['version']}",
        "Weights": f"{content['weights']}, SHA-256 {content['weights_sha256']}",
        "Configs": ", ".join(content["configs"]),
        "Settings": ", ".join(f"{key} = {value}" for key, value in content["settings"].items()) or "none",
        "Device": f"{content['device']} ({content['device_model']})",
        "Jobs": content["jobs"],
        "Versions": ", ".join(f"{name} {number}" for name, number in content["versions"].items()),
        "Started": content["times"]["started"],
    }
