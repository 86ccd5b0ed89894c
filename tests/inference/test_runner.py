"""One command over many cases: what comes out, what a bad case costs, and what a second run does."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch

from monai_tasks.inference import batch
from monai_tasks.inference.batch import Batch
from monai_tasks.inference.engine import Engine
from monai_tasks.inference.results import RESULTS
from monai_tasks.inference.runner import Summary, infer
from monai_tasks.io.journal import Journal
from monai_tasks.io.tables import read_table

Expected = Callable[[np.ndarray], np.ndarray]


def _infer(bundle: Path, inputs: object, output: Path, **options: object) -> Summary:
    return infer(bundle, inputs, output, **({"device": "cpu", "preview": False, "progress": False} | options))


def _labels(output: Path) -> dict[str, np.ndarray]:
    files = sorted((output / "predictions").iterdir())
    return {file.name: np.asarray(nib.load(file).dataobj) for file in files}


def _volumes(output: Path) -> list[tuple[str, ...]]:
    rows = read_table(output / RESULTS)
    return [(row["case"], row["volume_ml_middle"], row["volume_ml_bright"]) for row in rows]


def _write(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> Path:
    nib.save(nib.Nifti1Image(array, np.eye(4) if affine is None else affine), path)
    return path


def test_every_case_gets_labels_on_its_grid_a_picture_and_volumes(
    bundle: Path, images: Path, tmp_path: Path, expected_labels: Expected
) -> None:
    summary = _infer(bundle, images, tmp_path / "out", preview=True, jobs=2)
    assert (summary.total, summary.done, summary.failed, summary.skipped) == (5, 5, 0, 0)
    rows = read_table(summary.results)
    assert [row["case"] for row in rows] == [f"case_{number}" for number in range(5)]
    for row in rows:
        image = nib.load(row["input"])
        labels = nib.load(summary.output / "predictions" / f"{row['case']}.nii.gz")
        truth = expected_labels(np.asarray(image.dataobj))
        np.testing.assert_array_equal(np.asarray(labels.dataobj), truth)
        np.testing.assert_allclose(labels.affine, image.affine, atol=1e-6)
        assert labels.get_data_dtype() == np.uint8
        # 1.0 x 1.2 x 0.9 mm a voxel, 1000 cubic millimetres a millilitre.
        assert float(row["volume_ml_middle"]) == pytest.approx((truth == 1).sum() * 1.08e-3, abs=1e-6)
        assert float(row["volume_ml_bright"]) == pytest.approx((truth == 2).sum() * 1.08e-3, abs=1e-6)
        assert (row["status"], row["reason"]) == ("done", "")
        assert float(row["seconds"]) > 0
        assert (summary.output / "previews" / f"{row['case']}.png").stat().st_size > 1000


@pytest.mark.parametrize("spacing", [None, [1.0, 1.0, 1.0]])
def test_labels_follow_the_image_on_every_grid(
    bundle: Path, grids: dict, tmp_path: Path, expected_labels: Expected, spacing: list[float] | None
) -> None:
    for name, grid in grids.items():
        _write(tmp_path / f"{name}.nii.gz", grid.array, grid.affine)
    files = [tmp_path / f"{name}.nii.gz" for name in grids]
    summary = _infer(bundle, files, tmp_path / "out", settings={"spacing": spacing} if spacing else None)
    assert summary.failed == 0
    found = {name: nib.load(tmp_path / "out" / "predictions" / f"{name}.nii.gz") for name in grids}
    arrays = {name: np.asarray(image.dataobj) for name, image in found.items()}
    for name, grid in grids.items():
        np.testing.assert_allclose(found[name].affine, grid.affine, atol=1e-5)
        np.testing.assert_allclose(found[name].get_qform(), grid.affine, atol=1e-3)
    np.testing.assert_array_equal(arrays["LAS"][::-1], arrays["RAS"])
    np.testing.assert_array_equal(arrays["LPS"][::-1, ::-1], arrays["RAS"])
    # MONAI lays the resampled grid of an oblique image elsewhere between the voxels.
    assert (arrays["oblique"] != arrays["RAS"]).mean() <= (0.0 if spacing is None else 0.06)
    truth = expected_labels(grids["RAS"].array)
    agreement = (arrays["RAS"] == truth).mean()
    assert agreement == 1.0 if spacing is None else agreement > 0.85


def test_reads_a_dicom_series(
    bundle: Path, grids: dict, dicom: object, tmp_path: Path, expected_labels: Expected
) -> None:
    grid = grids["LPS"]._replace(array=np.round(grids["LPS"].array * 10).astype(np.int16))
    dicom.series(tmp_path / "study" / "t1", grid)
    summary = _infer(bundle, tmp_path / "study", tmp_path / "out")
    labels = nib.load(tmp_path / "out" / "predictions" / "t1.nii.gz")
    assert summary.done == 1
    # The voxel that lies at a place in space has the label of that place, however the slices were ordered.
    to_grid = np.linalg.inv(grid.affine) @ labels.affine
    index = np.indices(labels.shape).reshape(3, -1)
    there = np.rint(to_grid[:3, :3] @ index + to_grid[:3, 3:]).astype(int)
    np.testing.assert_array_equal(
        np.asarray(labels.dataobj).ravel(), expected_labels(grid.array)[tuple(there)]
    )


def _bad_inputs(folder: Path, good: Path, grids: dict, dicom: object) -> dict[str, tuple[Path, str]]:
    """A file of each bad kind, by name, and what its reason must say."""
    folder.mkdir()
    array = np.arange(2 * 343, dtype=np.float32).reshape(2, 7, 7, 7)
    nan = array[0].copy()
    nan[3, 3, 3] = np.nan
    whole = good.read_bytes()
    contents = {"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"no image at all\n"}
    for name, content in contents.items():
        (folder / f"{name}.nii.gz").write_bytes(content)
    _write(folder / "two_volumes.nii.gz", np.moveaxis(array, 0, -1))
    _write(folder / "nan.nii.gz", nan)
    _write(folder / "flat.nii.gz", array[0, 0])
    _write(folder / "constant.nii.gz", np.zeros((7, 7, 7), np.float32))
    no_size = nib.Nifti1Image(array[0], np.eye(4))
    raw = bytearray(no_size.to_bytes())
    raw[42:44] = (0).to_bytes(2, "little")  # dim[1] of the NIfTI-1 header
    (folder / "no_size.nii").write_bytes(raw)
    grid = grids["RAS"]._replace(array=grids["RAS"].array.astype(np.int16))
    dicom.series(folder / "gap", grid)[4].unlink()

    def turned(dataset: object, number: int) -> None:
        if number > 5:
            dataset.ImageOrientationPatient = [0, 1, 0, 0, 0, -1]

    dicom.series(folder / "mixed", grid, edit=turned)
    reasons = {
        "truncated": "truncated",
        "empty": "empty",
        "text": "text",
        "two_volumes": "2 volumes",
        "nan": "NaN",
        "flat": "one plane",
        "constant": "equal|all voxels|constant",
        "no_size": "zero|0",
        "gap": "missing slices",
        "mixed": "orientation",
    }
    files = {
        name: next(path for path in folder.iterdir() if path.name.split(".")[0] == name) for name in reasons
    }
    return {name: (path, reasons[name]) for name, path in files.items()}


def test_a_bad_case_is_one_failed_row_and_the_others_go_on(
    bundle: Path, images: Path, grids: dict, dicom: object, tmp_path: Path
) -> None:
    bad = _bad_inputs(tmp_path / "bad", images / "case_0.nii.gz", grids, dicom)
    inputs = [images / "case_0.nii.gz", *(path for path, _ in bad.values()), images / "case_1.nii.gz"]
    summary = _infer(bundle, inputs, tmp_path / "out", jobs=2)
    rows = {row["case"]: row for row in read_table(summary.results)}
    assert (summary.done, summary.failed, len(rows)) == (2, len(bad), len(bad) + 2)
    assert list(rows) == ["case_0", *bad, "case_1"]
    for name, (path, text) in bad.items():
        row = rows[name]
        assert (row["status"], row["input"], row["volume_ml_middle"]) == ("failed", str(path), "")
        assert re.search(text, row["reason"]), row["reason"]
        assert "Traceback" not in row["reason"]
        assert "expected" in row["reason"]
    assert sorted(_labels(tmp_path / "out")) == ["case_0.nii.gz", "case_1.nii.gz"]
    assert summary.failures == tuple((name, rows[name]["reason"]) for name in bad)


def test_a_case_with_too_many_channels_says_so(bundle: Path, images: Path, tmp_path: Path) -> None:
    (tmp_path / "list.json").write_text(
        '{"test": [{"image": ["images/case_0.nii.gz", "images/case_0.nii.gz"]}]}'
    )
    summary = _infer(bundle, tmp_path / "list.json", tmp_path / "out")
    assert summary.failures[0][1] == f"{images / 'case_0.nii.gz'}: 2 channels; expected 1 for this network"


def test_running_out_of_memory_says_what_to_try(
    bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Engine.predict

    def limited(self: Engine, item: dict) -> dict:
        if item["image"].shape[1] == 9:
            torch.empty(1 << 60)
        return predict(self, item)

    monkeypatch.setattr(Engine, "predict", limited)
    summary = _infer(bundle, images, tmp_path / "out")
    assert (summary.done, summary.failed) == (4, 1)
    assert summary.failures[0][1].startswith("out of memory in main memory; try --jobs 1")


def test_a_second_run_skips_finished_cases_and_keeps_their_volumes(
    bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _infer(bundle, images, tmp_path / "out")
    volumes = _volumes(tmp_path / "out")
    times = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "predictions").iterdir()}
    (tmp_path / "out" / "predictions" / "case_3.nii.gz").unlink()
    summary = _infer(bundle, images, tmp_path / "out")
    assert (summary.done, summary.skipped) == (1, 4)
    statuses = [row["status"] for row in read_table(summary.results)]
    assert statuses == ["skipped", "skipped", "skipped", "done", "skipped"]
    assert _volumes(tmp_path / "out") == volumes
    again = {path: path.stat().st_mtime_ns for path in (tmp_path / "out" / "predictions").iterdir()}
    assert [path.name for path in times if again[path] != times[path]] == ["case_3.nii.gz"]
    assert _infer(bundle, images, tmp_path / "out", overwrite=True).done == 5


@pytest.mark.parametrize("change", ["weights", "version", "setting", "config", "image"])
def test_what_was_made_in_another_way_is_made_again(
    bundle: Path, images: Path, tmp_path: Path, change: str
) -> None:
    _infer(bundle, images, tmp_path / "out")
    options: dict[str, object] = {}
    match change:
        case "weights":
            state = torch.load(bundle / "models" / "model.pt", weights_only=True)
            torch.save({**state, "bias": state["bias"] + 1.0}, tmp_path / "other.pt")
            options["weights"] = tmp_path / "other.pt"
        case "version":
            metadata = bundle / "configs" / "metadata.json"
            metadata.write_text(metadata.read_text().replace("1.2.3", "1.2.4"))
        case "setting":
            options["settings"] = {"spacing": [2.0, 2.0, 2.0]}
        case "config":
            (bundle / "configs" / "coarse.json").write_text('{"spacing": [2.0, 2.0, 2.0]}')
            options["configs"] = ["coarse"]
        case "image":
            array = np.asarray(nib.load(images / "case_2.nii.gz").dataobj)
            _write(images / "case_2.nii.gz", -array)
    summary = _infer(bundle, images, tmp_path / "out", **options)
    assert (summary.done, summary.skipped) == ((1, 4) if change == "image" else (5, 0))
    fresh = _infer(bundle, images, tmp_path / "fresh", **options)
    assert fresh.done == 5
    for name, labels in _labels(tmp_path / "fresh").items():
        np.testing.assert_array_equal(_labels(tmp_path / "out")[name], labels)


def test_what_an_earlier_run_wrote_for_a_case_that_now_fails_is_removed(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    _infer(bundle, images, tmp_path / "out", preview=True)
    (images / "case_1.nii.gz").write_bytes(b"")
    assert _infer(bundle, images, tmp_path / "out").failed == 1
    assert "case_1.nii.gz" not in _labels(tmp_path / "out")
    assert not (tmp_path / "out" / "previews" / "case_1.png").exists()


def _environment() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}


@pytest.mark.slow
def test_a_killed_run_goes_on_and_ends_like_one_that_was_not(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    pause = {"pause": 0.25}
    _infer(bundle, images, tmp_path / "whole", settings=pause)
    out = tmp_path / "killed"
    command = [sys.executable, "-m", "monai_tasks", "infer", str(bundle), str(images), "-o", str(out)]
    command += ["--device", "cpu", "--no-preview", "--set", "pause=0.25"]
    process = subprocess.Popen(
        command, env=_environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while len(list(out.glob("predictions/[!.]*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not (out / RESULTS).exists()
    half = out / "predictions" / ".case_4.1-abcdef01.tmp.nii.gz"
    half.write_bytes(b"half written")
    kept = {path.name: path.stat().st_mtime_ns for path in out.glob("predictions/[!.]*")}
    summary = _infer(bundle, images, out, settings=pause)
    assert summary.skipped >= 1
    assert summary.total == 5
    assert _volumes(out) == _volumes(tmp_path / "whole")
    found, whole = _labels(out), _labels(tmp_path / "whole")
    assert list(found) == list(whole)
    assert all(np.array_equal(found[name], whole[name]) for name in whole)
    same = [name for name in kept if (out / "predictions" / name).stat().st_mtime_ns == kept[name]]
    assert len(same) == summary.skipped


def test_an_interrupt_leaves_nothing_half_written(
    bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Engine.predict

    def interrupted(self: Engine, item: dict) -> dict:
        if item["image"].shape[1] == 11:
            raise KeyboardInterrupt
        return predict(self, item)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "predict", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _infer(bundle, images, tmp_path / "out")
    assert sorted(_labels(tmp_path / "out")) == ["case_0.nii.gz", "case_1.nii.gz", "case_2.nii.gz"]
    assert [row["case"] for row in read_table(tmp_path / "out" / RESULTS)] == ["case_0", "case_1", "case_2"]
    assert _infer(bundle, images, tmp_path / "out").skipped == 3


class _Killed(BaseException):
    """Stands for a kill: nothing that runs on after errors catches it."""


def test_a_kill_between_writing_and_recording_leaves_no_label_map_under_an_older_record(
    bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image, out = images / "case_0.nii.gz", tmp_path / "out"
    _infer(bundle, image, out)
    first = _labels(out)["case_0.nii.gz"]
    state = torch.load(bundle / "models" / "model.pt", weights_only=True)
    torch.save({**state, "bias": state["bias"] + torch.tensor([0.0, 1.0, 1.0])}, tmp_path / "other.pt")

    def killed(*arguments: object) -> None:
        raise _Killed

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "add", killed)
        patch.setattr(Batch, "_failed", killed)
        with pytest.raises(_Killed):
            _infer(bundle, image, out, weights=tmp_path / "other.pt")
    assert not np.array_equal(_labels(out)["case_0.nii.gz"], first)
    assert _infer(bundle, image, out).done == 1
    np.testing.assert_array_equal(_labels(out)["case_0.nii.gz"], first)


def test_another_image_of_the_same_name_is_computed(bundle: Path, images: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    shutil.copy2(images / "case_4.nii.gz", other / "case_0.nii.gz")
    _infer(bundle, images, tmp_path / "out", preview=True)
    summary = _infer(bundle, other, tmp_path / "out")
    assert (summary.done, summary.skipped) == (1, 0)
    found = _labels(tmp_path / "out")
    assert found["case_0.nii.gz"].shape == found["case_4.nii.gz"].shape
    assert [row["case"] for row in read_table(summary.results)] == ["case_0"]
    # The picture of the first one is not shown for the second.
    assert not (tmp_path / "out" / "previews" / "case_0.png").exists()
    assert "case_0.png" not in summary.page.read_text()


def test_a_file_name_that_is_not_utf8_is_a_case_as_others(bundle: Path, images: Path, tmp_path: Path) -> None:
    name = os.fsdecode(b"scan_\xff.nii.gz")
    try:
        (images / "case_4.nii.gz").rename(images / name)
        (images / os.fsdecode(b"broken_\xfe.nii.gz")).write_bytes(b"")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    summary = _infer(bundle, images, tmp_path / "out", preview=True)
    assert (summary.done, summary.failed) == (5, 1)
    rows = {row["input"]: row for row in read_table(summary.results)}
    assert rows[str(images / name)]["status"] == "done"
    assert summary.page.is_file()
    assert _infer(bundle, images, tmp_path / "out").skipped == 5


def test_results_inside_the_folder_of_images_are_no_inputs(bundle: Path, images: Path) -> None:
    assert _infer(bundle, images, images / "out").done == 5
    assert _infer(bundle, images, images / "out").skipped == 5


def test_files_of_one_name_are_told_apart(bundle: Path, images: Path, tmp_path: Path) -> None:
    for visit in ("first", "second"):
        (tmp_path / "subject" / visit).mkdir(parents=True)
        source = images / ("case_0.nii.gz" if visit == "first" else "case_1.nii.gz")
        (tmp_path / "subject" / visit / "t1.nii.gz").write_bytes(source.read_bytes())
    _infer(bundle, tmp_path / "subject", tmp_path / "out")
    shapes = {name: labels.shape for name, labels in _labels(tmp_path / "out").items()}
    assert shapes == {"first_t1.nii.gz": (8, 9, 7), "second_t1.nii.gz": (9, 9, 7)}


def test_the_number_of_jobs_does_not_change_the_results(bundle: Path, images: Path, tmp_path: Path) -> None:
    for jobs in (1, 4):
        _infer(bundle, images, tmp_path / str(jobs), jobs=jobs)
    one, four = _labels(tmp_path / "1"), _labels(tmp_path / "4")
    assert all(np.array_equal(one[name], four[name]) for name in one)
    assert _volumes(tmp_path / "1") == _volumes(tmp_path / "4")


def test_many_cases_at_once_keep_their_transforms_apart(
    bundle: Path, tmp_path: Path, grids: dict, expected_labels: Expected
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for number in range(24):
        grid = grids[("RAS", "LAS", "LPS", "oblique")[number % 4]]
        _write(folder / f"case_{number:02d}.nii", grid.array + number, grid.affine)
    summary = _infer(bundle, folder, tmp_path / "out", jobs=4, settings={"spacing": [1.0, 1.0, 1.0]})
    assert summary.failures == ()
    arrays = list(_labels(tmp_path / "out").values())
    for number in range(4, 24):
        assert (arrays[number] != arrays[number % 4]).mean() < 0.02


def test_no_more_cases_are_in_memory_than_the_jobs_allow(
    bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lanes = []
    stream = batch.stream

    def counted(items: object, chains: list, *rest: object) -> object:
        lanes.append((len(chains), len({id(one.preprocessing) for one in chains})))
        return stream(items, chains, *rest)

    monkeypatch.setattr(batch, "stream", counted)
    _infer(bundle, images, tmp_path / "out", jobs=2)
    # Each has transforms of its own: MONAI's inverses switch off tracing in those that they share.
    assert lanes == [(4, 4)]


def test_torch_threads_are_as_before(bundle: Path, images: Path, tmp_path: Path) -> None:
    before = torch.get_num_threads()
    _infer(bundle, images / "case_0.nii.gz", tmp_path / "out")
    assert torch.get_num_threads() == before


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no CUDA device")
def test_a_gpu_gives_the_label_maps_of_the_cpu(bundle: Path, images: Path, tmp_path: Path) -> None:
    for device in ("cpu", "cuda:0"):
        assert _infer(bundle, images, tmp_path / device[:4], device=device).done == 5
    on_cpu, on_gpu = _labels(tmp_path / "cpu"), _labels(tmp_path / "cuda")
    for name, labels in on_cpu.items():
        assert (on_gpu[name] == labels).mean() > 0.995
