"""The documentation: what it cites, which commands it describes, and that the site is complete in itself."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import click
import pytest

from monai_tasks.cli import main

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
CITATION = re.compile(r"\[([A-Z][A-Za-z]+\d{4}|IXI)\]")
LOADED = re.compile(r"""<(?:script|link|img|iframe)\b[^>]*?(?:src|href)=["']?((?:https?:)?//[^"'\s>]+)""")


def bibliography() -> set[str]:
    return set(
        re.findall(r"^@\w+\{(\w+),", (DOCS / "references.bib").read_text(encoding="utf-8"), re.MULTILINE)
    )


def docstrings(path: Path) -> str:
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    nodes = (
        node for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))) if isinstance(node, kinds)
    )
    return "\n".join(ast.get_docstring(node) or "" for node in nodes)


def test_everything_cited_is_in_the_bibliography():
    texts = {path: docstrings(path) for path in (ROOT / "monai_tasks").rglob("*.py")}
    pages = [*DOCS.rglob("*.md"), *ROOT.glob("bundles/*/docs/*.md")]
    texts |= {path: path.read_text(encoding="utf-8") for path in pages}
    cited = {(path.name, key) for path, text in texts.items() for key in CITATION.findall(text)}
    assert cited
    assert {(name, key) for name, key in cited if key not in bibliography()} == set()


def test_the_references_page_has_the_entries_of_the_bibliography():
    page = (DOCS / "references.md").read_text(encoding="utf-8")
    assert set(re.findall(r"^\| \*\*(\w+)\*\*\{#\1\} \|", page, re.MULTILINE)) == bibliography()


@pytest.mark.parametrize("name", main.list_commands(None))
def test_every_command_is_described_with_every_option(name):
    page = (DOCS / "commands.md").read_text(encoding="utf-8")
    section = re.search(rf"^## {name}$(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, f"docs/commands.md has no section {name!r}"
    options = [option for option in main.get_command(None, name).params if isinstance(option, click.Option)]
    words = [word for option in options for word in [*option.opts, *option.secondary_opts]]
    assert [word for word in words if f"`{word}" not in section[1]] == []


@pytest.mark.slow
def test_the_site_builds_and_loads_nothing_from_elsewhere(tmp_path):
    pytest.importorskip("material", reason="the extra `docs` is not installed")
    command = [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert tmp_path / "bundles" / "hippocampus_mri_segmentation" / "index.html" in pages
    assert {
        address for page in pages for address in LOADED.findall(page.read_text(encoding="utf-8"))
    } == set()


def test_the_check_of_loaded_files_sees_them():
    assert LOADED.findall('<script src="https://x/a.js"></script><link rel=a href=//x/b>') == [
        "https://x/a.js",
        "//x/b",
    ]
    assert LOADED.findall('<a href="https://x/"><img src="a.png">') == []
