"""The folder of a finished cross-validation, as far as its networks go."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path


def finish(run: Path, status: Mapping[str, str] | None = None) -> None:
    """Write what a cross-validation writes at its end, for the networks that are in its folds.

    Args:
        run: the folder.
        status: of a fold, by its name, where it is not done.
    """
    files = sorted((run / "folds").glob("*/model.pt"), key=lambda file: int(file.parent.name))
    runs = [
        {
            "fold": int(file.parent.name),
            "status": (status or {}).get(file.parent.name, "done"),
            "weights_sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
        for file in files
    ]
    (run / "cross_validation.json").write_text(json.dumps({"folds": len(runs), "runs": runs}))
