"""zennit is there, also without torchvision, or its absence is said."""

import subprocess
import sys

import pytest

from monai_tasks.explain import _zennit

BROKEN = 'raise RuntimeError("operator torchvision::nms does not exist")'
IMPORT = """
import sys
from monai_tasks.explain._zennit import zennit
zennit.composites.EpsilonPlusFlat(canonizers=[zennit.torchvision.ResNetCanonizer()])
print(sorted(name for name in sys.modules if name.startswith("torchvision")))
"""


def test_a_torchvision_that_is_broken_is_not_needed_and_leaves_nothing_behind(tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(BROKEN)
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{IMPORT}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr


def test_without_zennit_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "zennit", None)
    with pytest.raises(_zennit.MissingZennitError, match=r"pip install monai_tasks\[explain\]"):
        _zennit.load()
    assert _zennit.RESNET not in sys.modules or sys.modules[_zennit.RESNET].__file__


def test_another_module_that_zennit_misses_is_named(monkeypatch):
    monkeypatch.setattr(_zennit.importlib, "import_module", _missing("PIL"))
    with pytest.raises(ModuleNotFoundError, match="PIL"):
        _zennit.load()


def _missing(name):
    def import_module(asked):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    return import_module
