"""`monai-tasks info`."""

from __future__ import annotations

import json
from typing import Any

import click

from monai_tasks import catalog


@click.command("info")
@click.argument("bundle")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def command(bundle: str, as_json: bool) -> None:
    """Describe BUNDLE, a name from `list` or a bundle's folder: its labels, input, weights and licences."""
    try:
        found = catalog.open_bundle(bundle)
    except catalog.BundleError as error:
        raise click.UsageError(str(error)) from error
    facts = catalog.describe(found)
    click.echo(json.dumps(facts, indent=2, ensure_ascii=False) if as_json else _lines(facts))


def _lines(facts: dict[str, Any]) -> str:
    """The facts as a person reads them; licences by their first line, for the whole texts are long."""
    weights = facts["weights"]
    shipped = (
        f"{weights['file']}, {weights['bytes']:,} bytes, sha256 {weights['sha256']}" if weights else "none"
    )
    blocks = [
        (f"{facts['name']} {facts['version']}", [facts["task"], facts["description"]]),
        ("Labels", [f"{value}: {name}" for value, name in facts["labels"].items()]),
        ("Input", [f"{key}: {_plain(value)}" for key, value in facts["input"].items()]),
        ("Configs", [", ".join(facts["configs"])]),
        ("Weights", [shipped]),
        ("Intended use", [facts["intended_use"]]),
        ("Data", [facts["data_source"]]),
        (
            "Licences",
            [f"{file}: {text.strip().splitlines()[0].strip()}" for file, text in facts["licences"].items()],
        ),
        ("Changelog", [f"{version}: {change}" for version, change in facts["changelog"].items()]),
        ("Folder", [facts["root"]]),
    ]
    kept = [(title, [line for line in lines if line]) for title, lines in blocks]
    return "\n".join("\n".join([title, *(f"  {line}" for line in lines)]) for title, lines in kept if lines)


def _plain(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {_plain(item)}" for key, item in value.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "not given"
    return str(value)
