"""What a result depends on: decides whether an earlier one still holds, and is written into the report."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path
from typing import Any

from monai_tasks.catalog import Bundle
from monai_tasks.inference.configs import CONFIG, checksums
from monai_tasks.inference.members import Members
from monai_tasks.io.formats import volume_suffix
from monai_tasks.io.radiograph_frames import split_frame

# Headers whose voxels lie in a file beside them.
DETACHED = (".mhd", ".nhdr")


@dataclass(frozen=True)
class Identity:
    """What the results of a run were made with, beside the images.

    The device and the number of threads are not part of it: they change the rounding, not the method.
    """

    bundle: str
    version: str
    weights: str
    weights_sha256: str
    configs: dict[str, str]
    settings: dict[str, Any]
    operating_point: dict[str, Any] | None = None
    explain: str | None = None
    members: list[dict[str, str]] | None = None
    flips: list[list[int]] | None = None
    uncertainty: bool | None = None

    @classmethod
    def of(
        cls,
        bundle: Bundle,
        weights: Path | Members,
        configs: Sequence[str],
        settings: Mapping[str, Any],
        operating_point: dict[str, Any] | None = None,
        explain: str | None = None,
        flips: Sequence[Sequence[int]] = (),
        uncertainty: bool = False,
    ) -> Identity:
        """Read the files of a run.

        Args:
            bundle: the bundle.
            weights: the file of weights, or those of several networks.
            configs: names or paths of the configs that are merged onto `inference.json`, in order.
            settings: config ids and values.
            operating_point: what decides between two classes, and where it is from; None where nothing does.
            explain: how answers are explained; None where they are not.
            flips: the axes of each mirror image that is looked at, too.
            uncertainty: whether the uncertainty of each case is found.

        Raises:
            BundleError: if a config is not there.
        """
        files = [bundle.config(name) for name in (CONFIG, *configs)]
        sums = checksums(files)
        members = weights if isinstance(weights, Members) else Members((weights,))
        several = len(members.files) > 1
        listed = zip(members.names, members.checksums, strict=True)
        return cls(
            bundle.name,
            str(bundle.metadata["version"]),
            f"{len(members.files)} networks" if several else members.files[0].name,
            members.checksum,
            sums,
            dict(settings),
            operating_point,
            explain,
            [{"weights": name, "sha256": checksum} for name, checksum in listed] if several else None,
            [list(axes) for axes in flips] or None,
            uncertainty or None,
        )

    def facts(self) -> dict[str, Any]:
        """All that there is, for a report. Files are given by name, for folders tell of people and machines."""
        return {name: value for name, value in asdict(self).items() if value is not None}

    def fingerprint(self) -> str:
        """Equal for two runs that give the same result for the same image."""
        facts = {**self.facts(), "weights": "", "configs": list(self.configs.values())}
        facts.pop("members", None)  # the one checksum stands for all of them, whatever they are called
        return _digest(json.dumps(facts, sort_keys=True, default=str))


def stamp(paths: Sequence[Path], alone: bool = False) -> str:
    """Tell whether the files of a case are the ones that were there before, by place, size and time.

    Args:
        paths: files, or folders whose files count.
        alone: whether each file is an image by itself, so that none beside it counts.

    Returns:
        A digest, which shows nothing of the paths.
    """
    return _digest("\n".join(line for path in paths for line in _states(path, alone)))


def _states(path: Path, alone: bool) -> Iterator[str]:
    path = path.absolute()
    image, _ = split_frame(path)
    try:
        for file in [image] if alone and image.is_file() else _files(path):
            state = file.stat()
            yield f"{path} {file.name} {state.st_size} {state.st_mtime_ns}"
    except OSError as error:  # the reader will say why in the case's own row
        yield f"{path} {error.errno}"


def _files(path: Path) -> list[Path]:
    """All files that an input may be read from: a header names others, and a DICOM file its series."""
    if not path.exists():
        return []
    if path.is_dir() or not volume_suffix(path):
        folder, pattern = path if path.is_dir() else path.parent, "*"
    elif path.suffix.lower() in DETACHED:
        folder, pattern = path.parent, f"{escape(path.stem)}.*"
    else:
        return [path]
    return sorted(file for file in folder.glob(pattern) if file.is_file())


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:16]
