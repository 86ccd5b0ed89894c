"""`monai-tasks infer` with radiographs: what is said, what a wrong option costs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from classification_bundles import level_of, write_bundle, write_image
from click.testing import CliRunner, Result

from monai_tasks.cli import main
from monai_tasks.io.tables import read_table


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return write_bundle(tmp_path / "tiny_classification")


@pytest.fixture
def images(tmp_path: Path) -> Path:
    for name, value in {"s1/a": 0.7, "s1/b": 0.2, "s2/c": 0.4}.items():
        write_image(tmp_path / "images" / f"{name}.png", level_of(value))
    return tmp_path / "images"


def _run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["infer", *map(str, arguments), "--device", "cpu"])


def test_images_and_studies_at_a_stated_operating_point(bundle: Path, images: Path, tmp_path: Path) -> None:
    result = _run(
        bundle, images, "-o", tmp_path / "out", "--set", "operating_point=0.3", "--explain", "gradcam"
    )
    assert result.exit_code == 0, result.output
    # Studies are rows of the table and no cases.
    assert result.stdout.splitlines() == [
        "3 cases: 3 done, 0 skipped, 0 failed",
        str(tmp_path / "out" / "report.html"),
    ]
    decisions = {
        (row["level"], row["case"]): row["decision"] for row in read_table(tmp_path / "out" / "results.csv")
    }
    assert decisions == {
        ("image", "a"): "bright",
        ("image", "b"): "dark",
        ("image", "c"): "bright",
        ("study", "s1"): "bright",
        ("study", "s2"): "bright",
    }
    facts = json.loads((tmp_path / "out" / "report.json").read_text())
    assert facts["operating_point"] == {"threshold": 0.3, "origin": "setting"}
    assert (tmp_path / "out" / "explanations" / "a.png").is_file()


def test_says_what_was_passed_over(bundle: Path, images: Path, grids: dict, dicom, tmp_path: Path) -> None:
    plane = grids["RAS"]._replace(array=grids["RAS"].array[..., :1].round().astype("int16"))
    dicom.series(images / "scan", plane)
    result = _run(bundle, images, "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    said = f"passed over: 1 DICOM file that is no radiograph, see {tmp_path / 'out' / 'passed_over.csv'}"
    assert said in result.stdout.splitlines()


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--explain", "saliency"], "'saliency' is not one of 'relevance', 'gradcam'"),
        (["--explain", "gradcam", "--set", "inputs=volumes"], "expected a classification of radiographs"),
        (["--set", "operating_point=half"], "operating_point: 'half'; expected a number from 0 to 1"),
    ],
)
def test_wrong_usage_is_status_2(
    bundle: Path, images: Path, tmp_path: Path, options: list[str], text: str
) -> None:
    result = _run(bundle, images / "s1" / "a.png", "-o", tmp_path / "out", *options)
    assert result.exit_code == 2, result.output
    assert text in " ".join(result.stderr.split())
    assert not (tmp_path / "out").exists()
