"""The command line answers at once: asking what there is imports nothing heavy."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

HEAVY = {"torch", "monai", "ignite", "matplotlib", "numpy", "scipy"}
HEAVY |= {"SimpleITK", "itk", "nibabel", "pydicom", "PIL"}

CHILD = """
import json, sys
from monai_tasks.cli import main
commands = main.list_commands(None) if sys.argv[1:] == ["every command's help"] else None
for words in [[name, "--help"] for name in commands] if commands else [sys.argv[1:]]:
    main(words, prog_name="monai-tasks", standalone_mode=False)
print("\\n" + json.dumps(sorted(name for name in sys.modules if "." not in name)))
"""


def modules_after(*words: str) -> set[str]:
    """The top-level modules that are loaded after `monai-tasks WORDS` in a process of its own."""
    child = subprocess.run([sys.executable, "-c", CHILD, *words], capture_output=True, text=True, check=True)
    return set(json.loads(child.stdout.splitlines()[-1]))


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["list"], ["list", "--json"], ["every command's help"]]
)
def test_nothing_heavy_is_imported(words):
    modules = modules_after(*words)
    assert "click" in modules
    assert not modules & HEAVY


def test_the_check_sees_heavy_modules():
    code = CHILD.replace("from monai_tasks.cli", "import PIL\nfrom monai_tasks.cli")
    child = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True, check=True)
    assert "PIL" in json.loads(child.stdout.splitlines()[-1])
