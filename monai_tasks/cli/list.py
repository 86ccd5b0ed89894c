"""`monai-tasks list`."""

from __future__ import annotations

import json

import click

from monai_tasks import catalog


@click.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of lines.")
def command(as_json: bool) -> None:
    """List the bundles: name, version, whether weights are shipped, and the job."""
    rows = [
        {
            "name": bundle.name,
            "version": bundle.metadata["version"],
            "weights": bundle.weights.is_file(),
            "task": bundle.metadata["task"],
            "root": str(bundle.root),
        }
        for bundle in catalog.find_bundles()
    ]
    if as_json:
        click.echo(json.dumps(rows, indent=2))
        return
    width = max((len(row["name"]) for row in rows), default=0)
    for row in rows:
        weights = "weights" if row["weights"] else "no weights"
        click.echo(f"{row['name']:<{width}}  {row['version']:<7}  {weights:<10}  {row['task']}")
