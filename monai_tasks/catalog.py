"""Find, describe and open the bundles, without importing torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from monai_tasks.io.files import sha256

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

    @property
    def configs(self) -> list[str]:
        """The names of the configs, without the metadata."""
        names = (path.stem for path in (self.root / "configs").glob(f"*{CONFIG_SUFFIX}"))
        return sorted(name for name in names if name != "metadata")

    def config(self, name: str) -> Path:
        """The path of one config file.

        Args:
            name: a name in `configs/`, with or without `.json`, or the path of a file elsewhere. What has a folder in
                it is a path, whatever the file is called.

        Raises:
            BundleError: when there is no such file; the message lists those there are.
        """
        path = Path(name)
        own = self.root / "configs" / path.with_suffix(CONFIG_SUFFIX).name
        if own.is_file() and path.name == str(path):
            return own
        if path.is_file():
            return path
        raise BundleError(
            f"{self.name}: no config {name!r}; expected a file or one of {', '.join(self.configs)}"
        )


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


def describe(bundle: Bundle) -> dict[str, Any]:
    """What a bundle is and expects, as plain values that JSON can hold.

    Args:
        bundle: the bundle to describe.

    Returns:
        `name`, `version`, `kind`, `root`, `task`, `description`, `intended_use`, `data_source`, `labels`
        (value to name), `input` (the metadata's description of the input image), `configs` (names), `weights`
        (`file`, `bytes` and `sha256`, or None where none are shipped), `licences` (file to text) and
        `changelog` (version to change). Texts that the metadata lacks are empty.
    """
    texts = {
        key: bundle.metadata.get(key, "") for key in ("task", "description", "intended_use", "data_source")
    }
    return {
        "name": bundle.name,
        "version": bundle.metadata["version"],
        "kind": bundle.kind,
        "root": str(bundle.root),
        **texts,
        "labels": bundle.labels,
        "input": bundle.metadata["network_data_format"]["inputs"]["image"],
        "configs": bundle.configs,
        "weights": _weights(bundle),
        "licences": _licences(bundle),
        "changelog": bundle.metadata["changelog"],
    }


def _weights(bundle: Bundle) -> dict[str, Any] | None:
    path = bundle.weights
    if not path.is_file():
        return None
    return {"file": str(path), "bytes": path.stat().st_size, "sha256": sha256(path)}


def _licences(bundle: Bundle) -> dict[str, str]:
    names = ("LICENSE", "docs/data_license.txt")
    files = {name: bundle.root / name for name in names}
    return {name: path.read_text(encoding="utf-8") for name, path in files.items() if path.is_file()}
