"""The networks that answer together: files of weights, or the folds of a cross-validation."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from monai_tasks.inference.weights import WeightsError
from monai_tasks.io.files import sha256

FOLDS, MODEL = "folds", "model.pt"  # of a cross-validation, and of a fold
FACTS = "cross_validation.json"  # what a cross-validation writes at its end
FINISHED = "a finished cross-validation, or the files of its folds one by one"


@dataclass(frozen=True)
class Members:
    """The files of weights of a run.

    Args:
        files: one a network, in the order they were given.
        run: the folder of the cross-validation that all of them are from; None where they were named otherwise.
    """

    files: tuple[Path, ...]
    run: Path | None = None

    @property
    def names(self) -> list[str]:
        """What tells the files apart in a report: within a cross-validation, else the names of the files."""
        if self.run is not None:
            return [file.relative_to(self.run).as_posix() for file in self.files]
        return [file.name for file in self.files]

    @cached_property
    def checksums(self) -> list[str]:
        """The SHA-256 of each file."""
        return [sha256(file) for file in self.files]

    @property
    def checksum(self) -> str:
        """The SHA-256 of the one file; of several that of their sorted checksums, for an average has no order."""
        if len(self.files) == 1:
            return self.checksums[0]
        return hashlib.sha256("\n".join(sorted(self.checksums)).encode("ascii")).hexdigest()


def members_of(path: Path) -> list[Path]:
    """The files of weights that a path stands for.

    Args:
        path: a file, which is one network; or the folder of a cross-validation, which stands for the `model.pt` of each
            of its `folds`, in their order.

    Raises:
        WeightsError: if there is nothing, or the folder holds no folds; if a fold has no network, was not finished, or
            has another network than it was finished with.
    """
    if path.is_file():
        return [path]
    if not path.exists():
        raise WeightsError(f"{path}: no such file; expected weights that torch.save wrote")
    folds = [fold for fold in (path / FOLDS).glob("*") if fold.is_dir() and not fold.name.startswith(".")]
    if not folds:
        raise WeightsError(
            f"{path}: a folder without {FOLDS}; expected a file of weights, or the folder of a cross-validation"
        )
    without = [fold.name for fold in folds if not (fold / MODEL).is_file()]
    if without:
        raise WeightsError(f"{path}: no {MODEL} in {FOLDS}/{', '.join(sorted(without))}; expected {FINISHED}")
    # Folds are called by their numbers, and the tenth comes after the ninth.
    ordered = sorted(folds, key=lambda fold: (not fold.name.isdecimal(), fold.name.zfill(9)))
    files = [fold / MODEL for fold in ordered]
    _check_finished(path, files)
    return files


def _check_finished(run: Path, files: Sequence[Path]) -> None:
    """Refuse networks that a training has not come to the end with: a fold has one from its first validation on."""
    if not (run / FACTS).is_file():
        raise WeightsError(f"{run}: no {FACTS}, so not all of its folds are trained; expected {FINISHED}")
    facts = json.loads((run / FACTS).read_text(encoding="utf-8"))
    kept = {str(one["fold"]): one.get("weights_sha256") for one in facts["runs"] if one["status"] == "done"}
    missing = [number for number in map(str, range(facts["folds"])) if number not in kept]
    other = [file.parent.name for file in files if kept.get(file.parent.name) != sha256(file)]
    if missing or other:
        which = f"fold {(missing or other)[0]}"
        raise WeightsError(
            f"{run}: {which} {'has failed' if missing else 'has been trained again'}; expected {FINISHED}"
        )


def gather(weights: str | os.PathLike[str] | Sequence[str | os.PathLike[str]]) -> Members:
    """All networks that paths stand for.

    Args:
        weights: a path, or several, see `members_of`.

    Raises:
        WeightsError: as `members_of`, and if a file is given twice, which would weigh it double.
    """
    paths = [Path(path) for path in ([weights] if isinstance(weights, (str, os.PathLike)) else weights)]
    files = [file for path in paths for file in members_of(path)]
    places = [file.resolve() for file in files]
    twice = next((file for file, place in zip(files, places, strict=True) if places.count(place) > 1), None)
    if twice is not None:
        raise WeightsError(f"{twice}: given more than once; expected each network once")
    return Members(tuple(files), paths[0] if len(paths) == 1 and paths[0].is_dir() else None)
