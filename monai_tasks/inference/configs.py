"""A bundle's config files, merged and set for one run."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from monai.bundle import ConfigParser

from monai_tasks.catalog import Bundle
from monai_tasks.io.files import sha256

CONFIG = "inference"


class ConfigError(ValueError):
    """A configuration that cannot be run."""


def merged(bundle: Bundle, configs: Sequence[str]) -> dict[str, Any]:
    """The content of several configs of a bundle as one, by MONAI's rules for merging.

    Args:
        bundle: the bundle.
        configs: names or paths, in the order they are merged.

    Raises:
        BundleError: if a config is not there.
        ConfigError: if a config cannot be read, or not be merged.
    """
    files = [str(bundle.config(name)) for name in configs]
    try:
        return ConfigParser.load_config_files(files)
    except (ValueError, KeyError, IndexError, TypeError) as cause:
        raise ConfigError(f"{', '.join(files)}: {cause}; expected configs that can be merged") from cause


def parse(
    bundle: Bundle,
    configs: Sequence[str],
    device: torch.device,
    settings: Mapping[str, Any],
    needed: Sequence[str] = (),
) -> ConfigParser:
    """Merge configs of a bundle and set ids in them.

    Args:
        bundle: the bundle, whose folder becomes `bundle_root`.
        configs: names or paths, in the order they are merged.
        device: becomes `device`.
        settings: config ids and their values, set last; each must be in the merged config.
        needed: ids that the result must have.

    Raises:
        BundleError: if a config is not there.
        ConfigError: if a config cannot be read, lacks an id that is needed, or has none that is set.
    """
    parser = ConfigParser(merged(bundle, configs))
    known = ", ".join(key for key in parser.get() if not key.startswith("_"))
    for name in settings:
        if name not in parser:
            raise ConfigError(f"{bundle.name}: no config id {name!r}; expected one of {known}, or one inside")
    parser.update({**settings, "bundle_root": str(bundle.root), "device": device})
    missing = [name for name in needed if name not in parser]
    if missing:
        raise ConfigError(f"{bundle.name}: the config lacks {', '.join(missing)}; it has {known}")
    return parser


def checksums(files: Iterable[str | Path]) -> dict[str, str]:
    """What tells whether configs are the same.

    Args:
        files: the configs, in the order they are merged.

    Returns:
        Name to SHA-256, in this order; of several files of one name the later ones are numbered.
    """
    sums: dict[str, str] = {}
    for file in map(Path, files):
        names = (file.stem if number == 1 else f"{file.stem} {number}" for number in itertools.count(1))
        sums[next(name for name in names if name not in sums)] = sha256(file)
    return sums


def build(parser: ConfigParser, part: str, name: str) -> Any:
    """What a part of a config comes to: an object, or a value.

    Args:
        parser: of the config.
        part: the id.
        name: the bundle's, for the error.

    Raises:
        ConfigError: if it cannot be built; the text is that of the first cause.
    """
    try:
        return parser.get_parsed_content(part)
    except (
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        ImportError,
        SyntaxError,
    ) as cause:
        root = cause
        while root.__cause__ is not None:
            root = root.__cause__
        raise ConfigError(f"{name}: {part} cannot be built from the config: {root}") from cause
