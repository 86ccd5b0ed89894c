"""Radiographs and studies in one command: probabilities, decisions, rows of studies, resuming, explanations."""

from __future__ import annotations

import json
import os
import weakref
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from classification_bundles import level_of, probability, write_bundle, write_image
from PIL import Image
from radiograph_files import uid
from radiograph_files import write as write_dicom

from monai_tasks.inference.batch import Batch
from monai_tasks.inference.configs import ConfigError
from monai_tasks.inference.engine import Engine
from monai_tasks.inference.runner import Summary, infer
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import sha256
from monai_tasks.io.tables import read_table

# Of each image of a study; one positive, two of three positive, and none.
STUDIES = {"alone": [0.8], "most": [0.7, 0.9, 0.2], "none": [0.3, 0.1]}


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    """A bundle that looks at one image."""
    return write_bundle(tmp_path / "mini_classification")


@pytest.fixture
def study_bundle(tmp_path: Path) -> Path:
    """A bundle that looks at a study."""
    return write_bundle(tmp_path / "mini_study_classification", studies=True)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder a study, with images of different sizes."""
    for study, values in STUDIES.items():
        for number, value in enumerate(values):
            path = tmp_path / "images" / study / f"{study}_{number}.png"
            write_image(path, level_of(value), (8 + 3 * number, 6 + number))
    return tmp_path / "images"


def _infer(bundle: Path, inputs: object, output: Path, **options: object) -> Summary:
    return infer(bundle, inputs, output, **({"device": "cpu", "preview": False, "progress": False} | options))


def _rows(summary: Summary, level: str) -> dict[str, dict[str, str]]:
    return {row["case"]: row for row in read_table(summary.results) if row["level"] == level}


def test_every_image_and_then_every_study_has_a_row(bundle: Path, images: Path, tmp_path: Path) -> None:
    summary = _infer(bundle, images, tmp_path / "out", preview=True, jobs=2)
    assert (summary.total, summary.done) == (6, 6)
    rows = read_table(summary.results)
    assert [row["level"] for row in rows] == ["image"] * 6 + ["study"] * 3
    for row in rows[:6]:
        study, number = row["case"].split("_")
        value = STUDIES[study][int(number)]
        assert (row["study"], row["status"], row["votes"]) == (study, "done", "")
        assert float(row["probability_bright"]) == pytest.approx(value, abs=1e-4)
        assert float(row["probability_dark"]) == pytest.approx(1 - value, abs=1e-4)
        assert row["prediction"] == row["decision"] == ("bright" if value > 0.5 else "dark")
        assert (tmp_path / "out" / "previews" / f"{row['case']}.png").stat().st_size > 1000
        found = json.loads((tmp_path / "out" / "predictions" / f"{row['case']}.json").read_text())
        assert found["probabilities"]["bright"] == float(row["probability_bright"])
        assert (found["decision"], found["operating_point"]) == (row["decision"], 0.5)
    studies = _rows(summary, "study")
    assert list(studies) == list(STUDIES)
    for name, values in STUDIES.items():
        row = studies[name]
        assert float(row["probability_bright"]) == pytest.approx(max(values), abs=1e-4)
        assert row["decision"] == ("bright" if max(values) > 0.5 else "dark")
        votes = sum(value > 0.5 for value in values) / len(values)
        assert float(row["votes"]) == pytest.approx(votes, abs=1e-5)
        assert row["input"].split(";") == [str(path) for path in sorted((images / name).iterdir())]
        assert (row["study"], row["status"], row["note"]) == (name, "done", "")


def test_all_views_of_a_study_make_one_answer(study_bundle: Path, images: Path, tmp_path: Path) -> None:
    summary = _infer(study_bundle, images, tmp_path / "out", preview=True)
    rows = read_table(summary.results)
    assert [(row["case"], row["level"], row["votes"]) for row in rows] == [
        (name, "study", "") for name in STUDIES
    ]
    for row in rows:
        assert float(row["probability_bright"]) == pytest.approx(max(STUDIES[row["case"]]), abs=0.01)
        assert len(row["input"].split(";")) == len(STUDIES[row["case"]])
    widths = {name: Image.open(tmp_path / "out" / "previews" / f"{name}.png").width for name in STUDIES}
    assert widths["most"] > 900 > widths["none"] > 600


def test_a_study_goes_on_without_the_views_that_cannot_be_read(
    study_bundle: Path, images: Path, tmp_path: Path
) -> None:
    (images / "most" / "most_1.png").write_bytes(b"no picture")
    write_image(images / "most" / "most_2.png", level_of(0.1), size=(31, 12))
    for number in range(len(STUDIES["none"])):
        (images / "none" / f"none_{number}.png").write_bytes(b"")
    summary = _infer(study_bundle, images, tmp_path / "out", preview=True, explain="gradcam")
    rows = {row["case"]: row for row in read_table(summary.results)}
    assert (summary.done, summary.failed, summary.noted) == (2, 1, 1)
    assert (rows["most"]["status"], rows["alone"]["note"]) == ("done", "")
    assert rows["most"]["note"].startswith(
        "without 1 of 3 views (most_1.png: a picture that cannot be decoded"
    )
    assert len(rows["most"]["input"].split(";")) == 3
    assert float(rows["most"]["probability_bright"]) == pytest.approx(
        max(STUDIES["most"][0], STUDIES["most"][2]), abs=0.01
    )
    reason = "none of 2 views can be read (none_0.png: an empty file (0 bytes)"
    assert (rows["none"]["status"], rows["none"]["reason"][: len(reason)]) == ("failed", reason)
    # As soon as the file is mended, the study is done again.
    write_image(images / "most" / "most_1.png", level_of(0.95))
    again = _infer(study_bundle, images, tmp_path / "out", preview=True, explain="gradcam")
    row = _rows(again, "study")["most"]
    assert (again.done, again.skipped, row["note"]) == (1, 1, "")
    assert float(row["probability_bright"]) == pytest.approx(0.95, abs=0.01)


def test_each_frame_of_a_file_is_a_row(bundle: Path, study_bundle: Path, tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 48).reshape(8, 6)
    levels = {"a": (0.2, 0.9), "b": (0.3, 0.4)}
    for name, values in levels.items():
        # Pixels without a window are stretched: one of each frame stays at either end.
        stored = np.stack([np.rint(4095 * (ramp ** (1 / value - 1))).astype(np.uint16) for value in values])
        write_dicom(tmp_path / "images" / f"{name}.dcm", stored, StudyInstanceUID=uid(name))
    summary = _infer(bundle, tmp_path / "images", tmp_path / "out", preview=True)
    rows = _rows(summary, "image")
    assert {name: row["input"] for name, row in rows.items()} == {
        f"{name}_F{frame}": f"{tmp_path / 'images' / name}.dcm#frame={frame}"
        for name in "ab"
        for frame in (1, 2)
    }
    assert float(rows["a_F2"]["probability_bright"]) > 0.9 > 0.1 > float(rows["a_F1"]["probability_bright"])
    study = _rows(summary, "study")["a"]
    assert (study["input"], study["votes"]) == (f"{rows['a_F1']['input']};{rows['a_F2']['input']}", "0.5")
    assert (tmp_path / "out" / "previews" / "b_F2.png").is_file()
    # What changes in the file makes both new.
    os.utime(tmp_path / "images" / "b.dcm", ns=(1, 1))
    assert (_infer(bundle, tmp_path / "images", tmp_path / "out").skipped, summary.done) == (2, 4)
    of_studies = read_table(_infer(study_bundle, tmp_path / "images", tmp_path / "studies").results)
    assert [(row["case"], row["status"]) for row in of_studies] == [("a", "done"), ("b", "done")]
    assert of_studies[0]["input"] == study["input"]


def test_a_study_says_which_of_its_images_failed(bundle: Path, images: Path, tmp_path: Path) -> None:
    (images / "most" / "most_1.png").write_bytes(b"no picture")
    (images / "alone" / "alone_0.png").write_bytes(b"")
    summary = _infer(bundle, images, tmp_path / "out")
    assert (summary.done, summary.failed) == (4, 2)
    most, alone = (_rows(summary, "study")[name] for name in ("most", "alone"))
    assert (most["status"], most["note"], float(most["votes"])) == ("done", "1 of 3 images failed", 0.5)
    assert float(most["probability_bright"]) == pytest.approx(0.7, abs=1e-4)
    assert (alone["status"], alone["reason"]) == ("failed", "no image of it could be used")
    assert (alone["probability_bright"], alone["decision"]) == ("", "")
    failed = _rows(summary, "image")["most_1"]
    assert (failed["status"], failed["study"]) == ("failed", "most")
    assert "expected" in failed["reason"]
    assert json.loads(summary.report.read_text())["counts"] == {
        "cases": 6,
        "done": 4,
        "failed": 2,
        "skipped": 0,
    }


def test_a_second_run_gives_the_same_rows_of_studies(bundle: Path, images: Path, tmp_path: Path) -> None:
    first = _rows(_infer(bundle, images, tmp_path / "out"), "study")
    # Another image in the folder is no reason to read the others again.
    write_image(images / "none" / "none_2.png", level_of(0.6))
    (tmp_path / "out" / "predictions" / "most_1.json").unlink()
    summary = _infer(bundle, images, tmp_path / "out")
    assert (summary.done, summary.skipped) == (2, 5)
    again = _rows(summary, "study")
    values = [name for name in first["most"] if name not in ("seconds", "status")]
    for name in ("alone", "most"):
        assert {key: again[name][key] for key in values} == {key: first[name][key] for key in values}
    assert [again[name]["status"] for name in STUDIES] == ["skipped", "done", "done"]
    assert (first["none"]["decision"], again["none"]["decision"]) == ("dark", "bright")


def test_a_finished_image_moves_to_the_study_that_it_is_said_to_belong_to(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    image = images / "alone" / "alone_0.png"
    _infer(bundle, images, tmp_path / "out")
    (tmp_path / "list.json").write_text(json.dumps([{"image": str(image), "study": "k7"}]))
    summary = _infer(bundle, tmp_path / "list.json", tmp_path / "out")
    assert summary.skipped == 1
    assert _rows(summary, "image")["alone_0"]["study"] == "k7"
    assert _rows(summary, "study")["k7"]["decision"] == "bright"


def _point(bundle: Path, threshold: float, **facts: object) -> None:
    content = {"threshold": threshold, "rule": "youden", "part": "validation", "n": 40, **facts}
    (bundle / "models" / "operating_point.json").write_text(json.dumps(content))


def test_the_operating_point_of_the_training_and_then_a_setting_goes_first(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    def decided(**options: object) -> tuple[Summary, list[str], dict]:
        summary = _infer(bundle, images / "most", tmp_path / "out", **options)
        decisions = [row["decision"] for row in _rows(summary, "image").values()]
        return summary, decisions, json.loads(summary.report.read_text())["operating_point"]

    _, decisions, held = decided()
    assert (decisions, held) == (["bright", "bright", "dark"], {"threshold": 0.5, "origin": "config"})
    _point(bundle, 0.8)
    summary, decisions, held = decided()
    assert decisions == ["dark", "bright", "dark"]
    assert held == {
        "threshold": 0.8,
        "origin": "operating_point.json",
        "rule": "youden",
        "part": "validation",
        "n": 40,
    }
    assert summary.done == 3
    assert "0.8 (from operating_point.json, youden on validation, 40 cases)" in summary.page.read_text()
    summary, decisions, held = decided(settings={"operating_point": 0.1})
    assert (decisions, summary.done) == (["bright"] * 3, 3)
    assert held == {"threshold": 0.1, "origin": "setting"}
    assert decided(settings={"operating_point": 0.1})[0].skipped == 3
    # The prediction is the class of the highest probability, whatever the operating point is.
    rows = _rows(summary, "image").values()
    assert [row["prediction"] for row in rows] == ["bright", "bright", "dark"]


def test_the_point_of_other_weights_does_not_count(bundle: Path, images: Path, tmp_path: Path) -> None:
    _point(bundle, 0.8, weights_sha256="0" * 64)
    summary = _infer(bundle, images, tmp_path / "out")
    assert json.loads(summary.report.read_text())["operating_point"]["origin"] == "config"
    _point(bundle, 0.8, weights_sha256=sha256(bundle / "models" / "model.pt"))
    summary = _infer(bundle, images, tmp_path / "out")
    assert json.loads(summary.report.read_text())["operating_point"]["threshold"] == 0.8


def test_refuses_what_is_no_operating_point_and_no_kind_of_input(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=r"operating_point: 1\.5; expected a number from 0 to 1"):
        _infer(bundle, images, tmp_path / "out", settings={"operating_point": 1.5})
    with pytest.raises(ConfigError, match="inputs: 'slides'; expected one of volumes, radiographs, studies"):
        _infer(bundle, images, tmp_path / "out", settings={"inputs": "slides"})
    _point(bundle, float("nan"))
    with pytest.raises(InputError, match=r"operating_point\.json: threshold nan"):
        _infer(bundle, images, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_more_classes_have_a_prediction_and_no_decision(images: Path, tmp_path: Path) -> None:
    bundle = write_bundle(tmp_path / "three_classification", classes=("dark", "bright", "never"))
    _point(bundle, 0.9)
    summary = _infer(bundle, images, tmp_path / "out", preview=True)
    rows = read_table(summary.results)
    assert {row["level"] for row in rows} == {"image"}
    assert {(row["prediction"], row["decision"]) for row in rows} == {("bright", ""), ("dark", "")}
    assert "operating_point" not in json.loads(summary.report.read_text())
    assert "Studies" not in summary.page.read_text()


def test_names_of_classes_come_from_the_config_before_the_metadata(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    (bundle / "configs" / "named.json").write_text(json.dumps({"label_names": ["white"]}))
    summary = _infer(bundle, images / "alone", tmp_path / "out", configs=["named"])
    assert _rows(summary, "image")["alone_0"]["decision"] == "white"
    assert json.loads(summary.report.read_text())["labels"] == {"0": "dark", "1": "white"}


def test_a_prediction_that_is_no_probability_fails_and_leaves_nothing(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    settings = {"postprocessing::transforms::0::softmax": False}
    summary = _infer(bundle, images / "alone", tmp_path / "out", preview=True, settings=settings)
    assert "expected probabilities that sum to 1" in summary.failures[0][1]
    assert not list((tmp_path / "out").glob("*/*"))


@pytest.mark.parametrize("studies", [False, True])
@pytest.mark.parametrize("method", ["relevance", "gradcam"])
def test_an_answer_is_explained_on_its_image(
    images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, studies: bool, method: str
) -> None:
    if method == "relevance" and find_spec("zennit") is None:
        pytest.skip("the extra `explain` is not installed")
    bundle = write_bundle(tmp_path / "mini_classification", studies)
    explained = {}
    predict = Engine.predict

    def kept(self: Engine, item: dict) -> dict:
        result = predict(self, item)
        explained[len(explained)] = (tuple(item["image"].shape), result["explanation"])
        return result

    plain = _infer(bundle, images / "most", tmp_path / "plain")
    monkeypatch.setattr(Engine, "predict", kept)
    summary = _infer(bundle, images / "most", tmp_path / "out", explain=method, jobs=1)
    assert summary.failures == ()
    cases = [row["case"] for row in read_table(summary.results) if row["level"] == "image" or studies]
    for (shape, explanation), case in zip(explained.values(), cases, strict=True):
        assert explanation.shape == shape
        assert explanation.dtype == np.float32
        assert np.isfinite(explanation).all()
        assert Image.open(tmp_path / "out" / "explanations" / f"{case}.png").width > 400
    assert json.loads(summary.report.read_text())["explain"] == method
    page = summary.page.read_text()
    assert f"explanations/{cases[0]}.png" in page
    # The probabilities are those without an explanation.
    columns = [name for name in read_table(plain.results)[0] if name not in ("seconds", "status")]
    for with_one, without in zip(read_table(summary.results), read_table(plain.results), strict=True):
        assert {name: with_one[name] for name in columns} == {name: without[name] for name in columns}


def test_explanations_are_made_when_they_are_asked_for_later_and_go_when_not(
    bundle: Path, images: Path, tmp_path: Path
) -> None:
    _infer(bundle, images, tmp_path / "out")
    assert not (tmp_path / "out" / "explanations").exists()
    assert _infer(bundle, images, tmp_path / "out", explain="gradcam").done == 6
    assert len(list((tmp_path / "out" / "explanations").iterdir())) == 6
    assert _infer(bundle, images, tmp_path / "out", explain="gradcam").skipped == 6
    assert _infer(bundle, images, tmp_path / "out").done == 6
    assert list((tmp_path / "out" / "explanations").iterdir()) == []


def test_a_picture_that_does_not_hold_has_a_note(
    bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Doubtful:
        problem = "relevance sums to 0"

        def __call__(self, image: torch.Tensor) -> torch.Tensor:
            return torch.zeros_like(image)

    monkeypatch.setattr(Engine, "_make_explainer", lambda engine: Doubtful())
    summary = _infer(bundle, images, tmp_path / "out", explain="gradcam")
    rows = [row for row in read_table(summary.results) if row["level"] == "image"]
    assert {row["note"] for row in rows} == {"relevance sums to 0"}


def test_volumes_are_not_explained(bundle: Path, images: Path, tmp_path: Path) -> None:
    settings = {"inputs": "volumes"}
    image = images / "alone" / "alone_0.png"
    with pytest.raises(ConfigError, match="expected a classification of radiographs"):
        _infer(bundle, image, tmp_path / "out", settings=settings, explain="gradcam")


def test_an_interrupted_run_has_no_rows_of_studies(
    bundle: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    predict = Engine.predict

    def interrupted(self: Engine, item: dict) -> dict:
        if item["image"].shape[1] == 14:
            raise KeyboardInterrupt
        return predict(self, item)

    with monkeypatch.context() as patch:
        patch.setattr(Engine, "predict", interrupted)
        with pytest.raises(KeyboardInterrupt):
            _infer(bundle, images, tmp_path / "out")
    rows = read_table(tmp_path / "out" / "results.csv")
    assert [row["case"] for row in rows] == ["alone_0", "most_0", "most_1"]
    summary = _infer(bundle, images, tmp_path / "out")
    assert (summary.skipped, len(_rows(summary, "study"))) == (3, 3)


def test_the_number_of_jobs_changes_nothing(bundle: Path, images: Path, tmp_path: Path) -> None:
    tables = []
    for jobs in (1, 4):
        rows = read_table(_infer(bundle, images, tmp_path / str(jobs), jobs=jobs).results)
        tables.append([{**row, "seconds": ""} for row in rows])
    assert tables[0] == tables[1]


def test_no_image_is_kept_when_its_row_is_written(
    bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(12):
        write_image(tmp_path / "images" / f"i{number:02d}.png", 0.3 + 0.02 * number)
    kept: list[weakref.ref] = []
    alive: list[int] = []
    read = Batch.read

    def counted(self: Batch, task: object, chains: object) -> object:
        item, source = read(self, task, chains)
        kept.append(weakref.ref(item["image"]))
        alive.append(sum(one() is not None for one in kept))
        return item, source

    monkeypatch.setattr(Batch, "read", counted)
    summary = _infer(bundle, tmp_path / "images", tmp_path / "out", jobs=1)
    assert summary.done == 12
    # Three lanes, and what the item of one keeps beside its image.
    assert max(alive) <= 4


def test_files_that_are_no_radiographs_are_listed(
    bundle: Path, images: Path, grids: dict, dicom: object, tmp_path: Path
) -> None:
    grid = grids["RAS"]._replace(array=grids["RAS"].array[..., :2].round().astype(np.int16))
    dicom.series(images / "scan", grid)
    summary = _infer(bundle, images, tmp_path / "out")
    assert (summary.total, summary.passed_over) == (6, 2)
    rows = read_table(tmp_path / "out" / "passed_over.csv")
    assert [os.path.basename(row["file"]) for row in rows] == ["slice_000.dcm", "slice_001.dcm"]
    assert rows[0]["reason"] == "not a radiograph (modality MR)"
    assert json.loads(summary.report.read_text())["passed_over"] == 2
    again = _infer(bundle, images / "alone", tmp_path / "out")
    assert again.passed_over == 0
    assert not (tmp_path / "out" / "passed_over.csv").exists()


def test_the_page_shows_sums_studies_and_pictures(bundle: Path, images: Path, tmp_path: Path) -> None:
    page = _infer(bundle, images, tmp_path / "out", preview=True).page.read_text()
    assert page.index("Sums by class") < page.index("Studies") < page.index("Previews")
    assert "Volumes" not in page
    assert page.count('src="previews/') == 6
    assert "Probability of bright" in page
    assert "0.5 (from config)" in page


def test_probabilities_are_those_of_the_formula() -> None:
    # What the other tests lean on.
    assert probability(level_of(0.7)) == pytest.approx(0.7)
    assert torch.sigmoid(torch.tensor(10.0 * (0.6 - 0.5))).item() == pytest.approx(probability(0.6))
