"""What the tests of this folder share."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from monai_tasks.catalog import Bundle


@pytest.fixture
def label_source(tmp_path: Path) -> Path:
    """A folder in place of the app that is installed with MONAI Label."""
    folder = tmp_path / "installed" / "monaibundle"
    (folder / "lib").mkdir(parents=True)
    (folder / "model").mkdir()
    (folder / "main.py").write_text("app")
    (folder / "lib" / "__init__.py").write_text("")
    (folder / "model" / "left over").write_text("")
    return folder


@pytest.fixture
def bundle(example_bundle: Path) -> Bundle:
    return Bundle(example_bundle)


@pytest.fixture
def named(bundle: Bundle) -> Callable[[str], Bundle]:
    """Makes a copy of the bundle under another name."""
    return lambda name: Bundle(Path(shutil.copytree(bundle.root, bundle.root.with_name(name))))
