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
from monai_tasks.inference.first_looks import first_looks
from monai_tasks.inference.operating_point import HeldPoint
from monai_tasks.inference.results import DONE, FAILED, RESULTS, SKIPPED
from monai_tasks.inference.writer import Writer
from monai_tasks.io.files import write_json
from monai_tasks.io.tables import read_table
from monai_tasks.report.page import Facts, Figures, Section, Table, write_page

REPORT, PAGE = "report.json", "report.html"
# More pictures than these take a browser long to lay out; the folder holds all.
MOST_PICTURES = 300


def write_report(writer: Writer, facts: Mapping[str, Any], counts: Mapping[str, int]) -> None:
    """Write `report.json` and `report.html` from the finished table of results.

    Args:
        writer: knows the output folder, the labels and where the files of a case are.
        facts: what the results were made with, with `device`, `jobs`, `started` (seconds since 1970) and
            `seconds`; where files were passed over, their number as `passed_over`. Nothing in them names the machine
            or its user.
        counts: number of cases by status.
    """
    rows = read_table(writer.output / RESULTS)
    cases = [row for row in rows if writer.is_case(row)]
    times = [float(row["seconds"]) for row in cases if row["status"] == DONE]
    facts = dict(facts)
    device, started = facts.pop("device"), facts.pop("started")
    content = {
        **{key: value for key, value in facts.items() if key != "seconds"},
        "labels": {str(value): name for value, name in writer.labels.items()},
        "device": str(device),
        "device_model": torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine(),
        "versions": _versions(),
        "counts": {"cases": len(cases), **counts},
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


def _sections(writer: Writer, rows: list[dict[str, str]], content: Mapping[str, Any]) -> list[Section]:
    counts, times = content["counts"], content["times"]
    cards = {
        "cases": counts["cases"],
        "done": counts[DONE],
        "skipped, finished before": counts[SKIPPED],
        "failed": counts[FAILED],
        "seconds": round(times["seconds"], 1),
    }
    cases = [row for row in rows if writer.is_case(row)]
    noted = [row for row in cases if row["note"]]
    if noted:
        cards["with a note"] = len(noted)
    if content.get("passed_over"):
        cards["files passed over"] = content["passed_over"]
    sections: list[Section] = [Facts(cards, cards=True)]
    failed = [row for row in cases if row["status"] == FAILED]
    if failed:
        columns = {"case": "Case", "reason": "Reason", "input": "Input"}
        sections.append(Table(failed, columns, title="Failed cases", marked=range(len(failed))))
    if noted:
        columns = {"case": "Case", "status": "Status", "note": "Note"}
        explained = "Something was amiss with them, or unsure: look at their pictures."
        marked = range(len(noted))
        sections.append(Table(noted, columns, title="Cases with a note", note=explained, marked=marked))
    good = [row for row in rows if row["status"] != FAILED]
    sections += first_looks(writer, [row for row in good if writer.is_case(row)])
    if good:
        sections += writer.sections(good)
        drawn = [row["case"] for row in good if writer.is_case(row)]
        for title, path_of in writer.pictures.items():
            sections += _pictures(writer, title, {case: path_of(case) for case in drawn})
    sections.append(Facts(_run_facts(content), title="How it was made"))
    return sections


def _pictures(writer: Writer, title: str, paths: Mapping[str, Path]) -> list[Figures]:
    drawn = [(path.relative_to(writer.output), case) for case, path in paths.items() if path.is_file()]
    if not drawn:
        return []
    items = drawn[:MOST_PICTURES]
    folder = items[0][0].parent
    note = f"The first {len(items)} of {len(drawn)}; all are in {folder}." if len(drawn) > len(items) else ""
    return [Figures(items, title=title, note=note)]


def _run_facts(content: Mapping[str, Any]) -> dict[str, object]:
    point, explain = content.get("operating_point"), content.get("explain")
    own = {"Operating point": str(HeldPoint(**point))} if point else {}
    own |= {"Explained by": explain} if explain else {}
    flips = content.get("flips")
    own |= {"Mirror images": f"along the axes {', '.join(map(str, flips))}"} if flips else {}
    listed = [(content["weights"], content["weights_sha256"])]
    if "members" in content:
        listed = [(member["weights"], member["sha256"]) for member in content["members"]]
    return {
        "Bundle": f"{content['bundle']} {content['version']}",
        "Weights": "; ".join(f"{name}, SHA-256 {checksum}" for name, checksum in listed),
        "Configs": ", ".join(content["configs"]),
        "Settings": ", ".join(f"{key} = {value}" for key, value in content["settings"].items()) or "none",
        **own,
        "Device": f"{content['device']} ({content['device_model']})",
        "Jobs": content["jobs"],
        "Versions": ", ".join(f"{name} {number}" for name, number in content["versions"].items()),
        "Started": content["times"]["started"],
    }
