"""The report of a batch says how it was made and nothing about the machine."""

from __future__ import annotations

import getpass
import json
import platform
import socket
from pathlib import Path

import pytest

from monai_tasks.inference import report
from monai_tasks.inference.runner import Summary, infer
from monai_tasks.io.files import sha256


@pytest.fixture
def summary(bundle: Path, images: Path, tmp_path: Path) -> Summary:
    (images / "broken.nii.gz").write_bytes(b"")
    settings = {"spacing": [1.0, 1.0, 1.0]}
    return infer(bundle, images, tmp_path / "out", device="cpu", progress=False, settings=settings, jobs=2)


def test_json_holds_what_is_needed_to_make_it_again(summary: Summary, bundle: Path) -> None:
    facts = json.loads(summary.report.read_text())
    assert (facts["bundle"], facts["version"]) == ("mini_segmentation", "1.2.3")
    assert facts["weights_sha256"] == sha256(bundle / "models" / "model.pt")
    assert facts["configs"] == {"inference": sha256(bundle / "configs" / "inference.json")}
    assert facts["settings"] == {"spacing": [1.0, 1.0, 1.0]}
    assert facts["labels"] == {"1": "middle", "2": "bright"}
    assert (facts["device"], facts["jobs"]) == ("cpu", 2)
    assert facts["counts"] == {"cases": 6, "done": 5, "failed": 1, "skipped": 0}
    assert facts["versions"]["python"] == platform.python_version()
    assert {"torch", "monai", "monai_tasks"} <= set(facts["versions"])
    assert facts["times"]["seconds"] >= facts["times"]["seconds_per_case"] > 0
    assert facts["times"]["started"].endswith("+00:00")


def test_json_tells_of_no_host_user_or_folder(summary: Summary, images: Path) -> None:
    text = summary.report.read_text()
    words = {word for value in json.loads(text).values() for word in str(value).split("'")}
    assert not words & {socket.gethostname(), getpass.getuser()}
    assert str(images.parent) not in text


def test_page_lists_failures_before_volumes_and_links_what_is_there(summary: Summary) -> None:
    page = summary.page.read_text()
    assert page.index("Failed cases") < page.index("Volumes") < page.index("Previews")
    assert "an empty file" in page
    for number in range(5):
        for link in (f"predictions/case_{number}.nii.gz", f"previews/case_{number}.png"):
            assert f'"{link}"' in page
            assert (summary.output / link).is_file()
    assert "middle (ml)" in page
    assert str(summary.output.parent / "mini_segmentation") not in page


def test_page_shows_the_notes_of_cases_that_are_done(bundle: Path, images: Path, tmp_path: Path) -> None:
    file = bundle / "configs" / "inference.json"
    config = json.loads(file.read_text())
    note = "image.meta.update(notes=['unsure of <this>']) if image.shape[1] == 9 else None"
    transform = {"_target_": "Lambdad", "keys": "image", "func": f"$lambda image: ({note}) or image"}
    config["preprocessing"]["transforms"].append(transform)
    file.write_text(json.dumps(config))
    page = infer(bundle, images, tmp_path / "out", device="cpu", progress=False).page.read_text()
    section = page[page.index("Cases with a note") : page.index("Volumes")]
    assert "unsure of &lt;this&gt;" in section
    assert [f"case_{number}" in section for number in range(5)] == [False, True, False, False, False]


def test_page_without_notes_does_not_speak_of_them(summary: Summary) -> None:
    assert "a note" not in summary.page.read_text()


def test_page_shows_a_part_of_very_many_pictures(
    summary: Summary, bundle: Path, images: Path, monkeypatch
) -> None:
    monkeypatch.setattr(report, "MOST_PICTURES", 2)
    again = infer(bundle, images, summary.output, device="cpu", progress=False)
    page = again.page.read_text()
    assert page.count('src="previews/') == 2
    assert "The first 2 of 5" in page


def test_a_batch_without_a_good_case_has_a_report(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "a.nii").write_bytes(b"")
    summary = infer(bundle, tmp_path / "a.nii", tmp_path / "out", device="cpu", progress=False)
    assert json.loads(summary.report.read_text())["times"]["seconds_per_case"] is None
    assert "Failed cases" in summary.page.read_text()
