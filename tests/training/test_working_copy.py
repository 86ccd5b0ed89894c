"""A run is tied to the commit of the working copy that the package runs from, and to no other."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from monai_tasks.training.working_copy import working_copy

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")


def git(folder: Path, *words: str) -> str:
    identity = ["-c", "user.name=nobody", "-c", "user.email=nobody@example.org"]
    command = ["git", "-C", str(folder), *identity, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def package(tmp_path) -> Path:
    """A package in a working copy of one commit."""
    folder = tmp_path / "copy" / "package"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("")
    git(folder.parent, "init", "--quiet")
    git(folder.parent, "add", ".")
    git(folder.parent, "commit", "--quiet", "-m", "first")
    return folder


def test_the_commit_and_whether_the_tree_is_clean(package):
    commit = git(package, "rev-parse", "HEAD")
    assert working_copy(package) == {"commit": commit, "clean": True}
    (package / "__init__.py").write_text("changed = True\n")
    assert working_copy(package) == {"commit": commit, "clean": False}
    git(package, "commit", "--quiet", "-a", "-m", "second")
    assert working_copy(package) == {"commit": git(package, "rev-parse", "HEAD"), "clean": True}
    assert working_copy(package)["commit"] != commit


def test_a_new_file_is_a_change(package):
    (package / "new.py").write_text("")
    assert not working_copy(package)["clean"]


def test_a_package_installed_within_a_working_copy_is_not_of_it(package):
    installed = package.parent / "environment" / "package"
    shutil.copytree(package, installed)
    assert working_copy(installed) is None


def test_outside_of_a_working_copy_there_is_none(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path))
    (tmp_path / "__init__.py").write_text("")
    assert working_copy(tmp_path) is None


def test_without_git_there_is_none(package, monkeypatch):
    monkeypatch.setenv("PATH", "")
    assert working_copy(package) is None
