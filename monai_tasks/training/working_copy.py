"""Which software a run was made with."""

from __future__ import annotations

import platform
import subprocess
from pathlib import Path
from typing import Any

import monai
import torch

import monai_tasks

SECONDS = 30


def software() -> dict[str, Any]:
    """What of the software is needed to do a run again: `git`, as `working_copy` gives it, and `versions`."""
    versions = {
        "monai_tasks": monai_tasks.__version__,
        "monai": monai.__version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }
    return {"git": working_copy(), "versions": versions}


def working_copy(package: str | Path = Path(monai_tasks.__file__).parent) -> dict[str, Any] | None:
    """The git commit that a package runs from.

    Args:
        package: the package's folder.

    Returns:
        `commit` and `clean`: whether no tracked file was changed and none is new. None where the package is not part of
        a git working copy, as when it was installed from a wheel, or git is not there.
    """
    package = Path(package)
    # An installed package may lie within somebody's working copy without being part of it.
    tracked = _git(package, "ls-files", "--error-unmatch", "__init__.py")
    commit = _git(package, "rev-parse", "HEAD")
    changes = _git(package, "status", "--porcelain")
    if tracked is None or commit is None or changes is None:
        return None
    return {"commit": commit, "clean": not changes}


def _git(folder: Path, *words: str) -> str | None:
    """What a git command prints, or None where it fails."""
    try:
        done = subprocess.run(
            ["git", "-C", str(folder), *words], capture_output=True, text=True, timeout=SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()
