"""The one place that imports zennit."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

RESNET = "torchvision.models.resnet"


class MissingZennitError(ValueError):
    """Relevance was asked for, and zennit is not installed."""


def load() -> ModuleType:
    """Import zennit, also where torchvision is missing or broken.

    zennit imports two classes of torchvision, to know torchvision's own ResNet, which nothing here uses. A build of
    torchvision that does not fit the installed torch fails on import, and for some builds of torch there is none.

    Returns:
        The package with all its modules.

    Raises:
        MissingZennitError: if zennit is not installed.
    """
    try:
        importlib.import_module(RESNET)
    except (ImportError, RuntimeError, OSError, AttributeError):
        # Its custom operators are registered with torch on import, which fails in each of these ways.
        return _load_without_torchvision()
    return _import()


def _load_without_torchvision() -> ModuleType:
    """Import zennit beside a module with two classes that no network is made of."""
    stand_in = ModuleType(RESNET)
    stand_in.BasicBlock = type("BasicBlock", (), {})
    stand_in.Bottleneck = type("Bottleneck", (), {})
    # Python looks a dotted name up before its parents, so that `torchvision` itself need not be there. Taken out
    # again, the stand-in cannot be mistaken for torchvision by whoever asks for it later.
    sys.modules[RESNET] = stand_in
    try:
        return _import()
    finally:
        del sys.modules[RESNET]


def _import() -> ModuleType:
    try:
        return importlib.import_module("zennit")
    except ModuleNotFoundError as cause:
        if cause.name != "zennit":
            raise
        text = "relevance needs zennit, which is not installed; expected: pip install monai_tasks[explain]"
        raise MissingZennitError(text) from cause


zennit = load()
