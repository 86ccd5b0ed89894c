"""Find, describe and open the bundles, without importing torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

CONFIG_SUFFIX = ".json"


class BundleError(ValueError):
    """A bundle, or a file of it, that was asked for is not there or not usable."""


@dataclass(frozen=True)
class Bundle:
    """One bundle's folder.

    Args:
        root: the folder that holds `configs/metadata.json`.
    """

    root: Path

    @property
    def name(self) -> str:
        return self.root.name

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """The content of `configs/metadata.json`."""
        return json.loads((self.root / "configs" / "metadata.json").read_text(encoding="utf-8"))

    @property
    def weights(self) -> Path:
        """Where the shipped weights are, whether or not the bundle has any."""
        return self.root / "models" / "model.pt"

    @property
    def kind(self) -> str:
        """`segmentation` or `classification`: the last word of the name, as MONAI Label reads it."""
        return self.name.rsplit("_", 1)[-1]

    @property
    def labels(self) -> dict[int, str]:
        """Value to name of each foreground class or score, from the output's `channel_def`."""
        channels = self.metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
        names = {int(value): name for value, name in channels.items()}
        return {value: name for value, name in names.items() if name.lower() != "background"}

    def config(self, name: str) -> Path:
        """The path of one config file.

        Args:
            name: a name in `configs/`, with or without `.json`, or the path of a file elsewhere.

        Raises:
            BundleError: when there is no such file; the message lists those there are.
        """
        own = self.root / "configs" / Path(name).with_suffix(CONFIG_SUFFIX).name
        if own.is_file():
            return own
        if Path(name).is_file():
            return Path(name)
        known = sorted(p.stem for p in (self.root / "configs").glob(f"*{CONFIG_SUFFIX}") if p.stem != "metadata")
        raise BundleError(f"{self.name}: no config {name!r}; expected a file or one of {', '.join(known)}")


def bundles_folder() -> Path:
    """The folder that holds the shipped bundles: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).resolve().parent
    installed = package / "bundles"
    return installed if installed.is_dir() else package.parent / "bundles"


def find_bundles() -> list[Bundle]:
    """All shipped bundles, by name."""
    return [Bundle(path.parent.parent) for path in sorted(bundles_folder().glob("*/configs/metadata.json"))]


def open_bundle(name: str | Path) -> Bundle:
    """One bundle by its name, or by the path of its folder.

    Raises:
        BundleError: when it is neither; the message lists the names there are.
    """
    bundles = {bundle.name: bundle for bundle in find_bundles()}
    if str(name) in bundles:
        return bundles[str(name)]
    folder = Path(name)
    if (folder / "configs" / "metadata.json").is_file():
        return Bundle(folder.resolve())
    known = ", ".join(bundles) or "none"
    raise BundleError(f"no bundle {str(name)!r}: expected a bundle's folder or one of: {known}")
