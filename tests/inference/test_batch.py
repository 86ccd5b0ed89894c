"""What a case that failed leaves behind: no file, no memory. What transforms note of a case: a text in its row."""

from __future__ import annotations

import json
import weakref
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from monai_tasks.datasets.cases import Case
from monai_tasks.inference.batch import Batch, _Task
from monai_tasks.inference.runner import Summary, infer
from monai_tasks.inference.writers import SegmentationWriter
from monai_tasks.io.journal import Journal
from monai_tasks.io.tables import read_table
from monai_tasks.io.volume_reader import VolumeReader


def _wrapped_error(kept: list[weakref.ref]) -> RuntimeError:
    """An error as MONAI gives it; the frame of its cause holds an array."""

    def allocate() -> None:
        image = np.zeros(9)
        kept.append(weakref.ref(image))
        raise torch.OutOfMemoryError("CUDA out of memory.")

    try:
        try:
            allocate()
        except torch.OutOfMemoryError as cause:
            raise RuntimeError("applying transform <Network>") from cause
    except RuntimeError as error:
        return error


def test_memory_is_given_back_whatever_wraps_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    emptied: list[bool] = []
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: emptied.append(True))
    engine = SimpleNamespace(device=torch.device("cuda", 0))
    kept: list[weakref.ref] = []
    error = _wrapped_error(kept)
    assert kept[0]() is not None
    with Journal(tmp_path) as journal:
        batch = Batch(engine, SegmentationWriter(tmp_path, {1: "head"}), journal, "run")
        row = batch._failed(_Task(0, Case("a", Path("a.nii")), "stamp"), error)
    assert row["reason"].startswith("out of memory on cuda:0")
    assert emptied == [True]
    assert kept[0]() is None, "the frame of the cause still holds the image"


def _with_notes(bundle: Path, *texts: str) -> None:
    """Give the bundle transforms that note texts, Python expressions of `image`, of images with 10 rows or more."""
    file = bundle / "configs" / "inference.json"
    config = json.loads(file.read_text())
    for text in texts:
        note = f"image.meta.setdefault('notes', []).append({text}) if image.shape[1] >= 10 else None"
        transform = {"_target_": "Lambdad", "keys": "image", "func": f"$lambda image: ({note}) or image"}
        config["preprocessing"]["transforms"].insert(-1, transform)
    file.write_text(json.dumps(config))


def _infer(bundle: Path, inputs: object, output: Path, **options: object) -> Summary:
    return infer(bundle, inputs, output, device="cpu", preview=False, progress=False, **options)


def _notes(summary: Summary) -> list[tuple[str, str, str]]:
    return [(row["case"], row["status"], row["note"]) for row in read_table(summary.results)]


def test_each_case_has_its_own_notes(bundle: Path, images: Path, tmp_path: Path) -> None:
    _with_notes(bundle, "f'{image.shape[1]} rows'", "'no joint, cropped at the centre'")
    # Three lanes take five cases, so that a lane that had a case with notes takes one without.
    (images / "case_4.nii.gz").rename(images / "case_5.nii.gz")
    (images / "case_0.nii.gz").rename(images / "case_4.nii.gz")
    summary = _infer(bundle, images, tmp_path / "out", jobs=1)
    rows = {"case_1": 9, "case_2": 10, "case_3": 11, "case_4": 8, "case_5": 12}
    noted = {
        case: f"{count} rows; no joint, cropped at the centre" for case, count in rows.items() if count >= 10
    }
    assert _notes(summary) == [(case, "done", noted.get(case, "")) for case in rows]
    assert summary.noted == 3


def test_notes_stay_with_a_finished_case(bundle: Path, images: Path, tmp_path: Path) -> None:
    _with_notes(bundle, "'unsure'")
    first = _infer(bundle, images, tmp_path / "out")
    again = _infer(bundle, images, tmp_path / "out")
    assert again.skipped == 5
    assert [(case, note) for case, _, note in _notes(again)] == [
        (case, note) for case, _, note in _notes(first)
    ]
    assert (first.noted, again.noted) == (3, 3)


def test_a_case_that_fails_after_its_note_has_both(bundle: Path, images: Path, tmp_path: Path) -> None:
    _with_notes(bundle, "'unsure'")
    settings = {"inferer": "$lambda inputs, network: network(inputs[:, :0])"}
    summary = _infer(bundle, images, tmp_path / "out", settings=settings)
    assert _notes(summary) == [(f"case_{n}", "failed", "unsure" if n >= 2 else "") for n in range(5)]
    assert all(row["reason"] for row in read_table(summary.results))


def test_what_a_file_calls_notes_is_none_of_the_case(
    bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = VolumeReader.get_data

    def with_a_field(self: VolumeReader, image: object) -> tuple[np.ndarray, dict]:
        array, metadata = read(self, image)
        return array, metadata | {"notes": ["claims, left knee"]}

    monkeypatch.setattr(VolumeReader, "get_data", with_a_field)
    summary = _infer(bundle, images / "case_0.nii.gz", tmp_path / "out")
    assert _notes(summary) == [("case_0", "done", "")]
