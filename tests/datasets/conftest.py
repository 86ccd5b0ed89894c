"""Folders that several tests of the layouts read."""

from __future__ import annotations

import pytest
from knee_files import write_knee


@pytest.fixture
def source(tmp_path):
    """Five good knees of each of two sources: with a map a bone in the one, with one file in the other."""
    for number in range(1, 6):
        write_knee(tmp_path / "knees" / "epi", f"k{number}")
        write_knee(tmp_path / "knees" / "jopp", f"k{number}", maps="_maps")
    return tmp_path / "knees"
