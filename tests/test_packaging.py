"""The wheel carries the bundles and works away from the repository; imports are declared and pinned."""

from __future__ import annotations

import ast
import json
import os
import shutil
import subprocess
import sys
import zipfile
from configparser import ConfigParser
from importlib.metadata import packages_distributions
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

ROOT = Path(__file__).resolve().parents[1]
BUNDLE = "hippocampus_mri_segmentation"
SOURCES = ("setup.py", "setup.cfg", "pyproject.toml", "README.md", "LICENSE")
BUNDLE_FILES = ("LICENSE", "configs/*", "docs/**/*", "models/*.pt")


def child(*words: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess:
    """Run Python with the given words in a folder; its output is part of the failure when it fails."""
    done = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built from the source distribution, of a copy that has no build folder of earlier times."""
    work = tmp_path_factory.mktemp("build")
    for name in SOURCES:
        shutil.copy(ROOT / name, work / name)
    for name in ("monai_tasks", "bundles"):
        shutil.copytree(ROOT / name, work / name, ignore=shutil.ignore_patterns("__pycache__"))
    child("-m", "build", "--no-isolation", "--outdir", work / "dist", work, cwd=work)
    (path,) = (work / "dist").glob("*.whl")
    return path


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory):
    """Runs Python with the wheel installed in a folder of its own and found before anything else.

    The wheel comes without what it requires (`--no-deps`): that is taken from the environment of the tests. So
    this shows that the package's own files are complete, and not that its requirements can be installed; they
    are held to the imports and the pins below.
    """
    site = tmp_path_factory.mktemp("site")
    child("-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", site, wheel, cwd=site)

    def run(*words: str | Path, cwd: Path) -> str:
        return child(*words, cwd=cwd, PYTHONPATH=str(site)).stdout

    assert Path(
        run("-c", "import monai_tasks; print(monai_tasks.__file__)", cwd=site).strip()
    ).is_relative_to(site)
    return run


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_every_bundle(wheel):
    names = set(zipfile.ZipFile(wheel).namelist())
    bundles = [path.parents[1] for path in (ROOT / "bundles").glob("*/configs/metadata.json")]
    assert BUNDLE in [bundle.name for bundle in bundles]
    for bundle in bundles:
        files = {path for pattern in BUNDLE_FILES for path in bundle.glob(pattern) if path.is_file()}
        assert {bundle / "LICENSE", bundle / "docs" / "data_license.txt"} <= files
        assert {
            f"monai_tasks/bundles/{path.relative_to(ROOT / 'bundles').as_posix()}" for path in files
        } <= names


@pytest.mark.slow
def test_the_wheel_holds_the_page_templates_and_nothing_from_the_tests(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    templates = {
        path.name for path in (ROOT / "monai_tasks" / "report" / "templates").iterdir() if path.is_file()
    }
    assert {Path(name).name for name in names if "/report/templates/" in name} == templates
    assert {name.split("/")[0].split("-")[0] for name in names} == {"monai_tasks"}


@pytest.mark.slow
def test_list_shows_the_bundles_from_an_empty_folder(installed, tmp_path):
    rows = json.loads(installed("-m", "monai_tasks", "list", "--json", cwd=tmp_path))
    root = {row["name"]: Path(row["root"]) for row in rows}[BUNDLE]
    assert root.parent.name == "bundles"
    assert root.parents[1].name == "monai_tasks"
    assert not root.is_relative_to(ROOT)


@pytest.mark.slow
def test_infer_runs_from_an_empty_folder(installed, tmp_path):
    from monai_tasks.phantoms.hippocampus import crop

    image, _, affine = crop(np.random.default_rng(3))
    nib.save(nib.Nifti1Image(image, affine), tmp_path / "case.nii.gz")
    installed(
        "-m", "monai_tasks", "infer", BUNDLE, "case.nii.gz", "-o", "out", "--device", "cpu", cwd=tmp_path
    )
    prediction = nib.load(tmp_path / "out" / "predictions" / "case.nii.gz")
    assert prediction.shape == image.shape
    np.testing.assert_allclose(prediction.affine, affine, atol=1e-4)
    assert (tmp_path / "out" / "report.html").is_file()


def requirements(names: tuple[str, ...] = ("test", "docs", "explain", "cluster")) -> list[Requirement]:
    """All that setup.cfg asks for, of the core and of some extras: those that the environment of the tests has."""
    setup = ConfigParser()
    setup.read(ROOT / "setup.cfg")
    extras = setup["options.extras_require"]
    lines = "\n".join([setup["options"]["install_requires"], *(extras[name] for name in names)]).split("\n")
    return [Requirement(line) for line in lines if line.strip()]


def pins() -> dict[str, Version]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pairs = (line.split("==") for line in lines)
    return {canonicalize_name(name): Version(version) for name, version in pairs}


def test_the_pins_meet_the_ranges():
    pinned = pins()
    for requirement in requirements():
        assert requirement.specifier.contains(pinned[canonicalize_name(requirement.name)]), requirement


def test_the_pins_have_no_local_builds():
    assert [name for name, version in pins().items() if version.local] == []


def test_every_package_that_the_code_imports_is_declared():
    declared = {
        canonicalize_name(one.name) for one in requirements(("test", "docs", "label", "explain", "cluster"))
    }
    providers = packages_distributions()
    missing = set()
    for path in (ROOT / "monai_tasks").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [node.module]
            tops = {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"monai_tasks"}
            for top in tops:
                if not declared & {canonicalize_name(name) for name in providers.get(top, [top])}:
                    missing.add(f"{path.relative_to(ROOT)}: {top}")
    assert missing == set()
