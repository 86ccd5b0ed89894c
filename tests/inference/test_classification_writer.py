"""What is written of a classification agrees with itself, and is complete or absent."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from monai_tasks.catalog import Bundle
from monai_tasks.datasets.cases import Case
from monai_tasks.inference import classification_writer
from monai_tasks.inference.classification_writer import ClassificationWriter, ProbabilityError
from monai_tasks.inference.operating_point import HeldPoint
from monai_tasks.inference.writers import writer_class
from monai_tasks.report.classification_preview import slices

CLASSES = ("whole", "broken")
POINT = HeldPoint(0.3, "config")


@pytest.fixture
def image() -> np.ndarray:
    return np.random.default_rng(1).random((1, 20, 14), dtype=np.float32)


def _write(writer: ClassificationWriter, image: np.ndarray, *probabilities: float, **options: object) -> dict:
    source = writer.prepared(writer.source(None), torch.as_tensor(image))
    return writer.write("a", torch.tensor(probabilities), source, **options)


def test_the_decision_is_by_the_operating_point_and_the_prediction_by_the_highest(
    image: np.ndarray, tmp_path: Path
) -> None:
    writer = ClassificationWriter(tmp_path, CLASSES, point=POINT)
    for probability, decision, prediction in [
        (0.29, "whole", "whole"),
        (0.3, "broken", "whole"),
        (0.9, "broken", "broken"),
    ]:
        found = _write(writer, image, 1 - probability, probability)
        assert found == {
            "probability_whole": pytest.approx(1 - probability, abs=1e-6),
            "probability_broken": pytest.approx(probability, abs=1e-6),
            "prediction": prediction,
            "decision": decision,
        }
        content = json.loads(writer.prediction("a").read_text())
        assert content["probabilities"]["broken"] == found["probability_broken"]
        assert (content["prediction"], content["decision"]) == (prediction, decision)


def test_columns_that_are_known_before_reading_are_not_measured(image: np.ndarray, tmp_path: Path) -> None:
    writer = ClassificationWriter(tmp_path, CLASSES, point=POINT)
    given = writer.given(Case("a", Path("a.png"), "k7"))
    assert given == {"level": "image", "study": "k7"}
    measured = _write(writer, image, 0.5, 0.5)
    assert not given.keys() & measured.keys()
    assert {*given, *measured, "votes"} == set(writer.measures)
    assert ClassificationWriter(tmp_path, CLASSES, level="study").given(Case("k7", Path("a.png"))) == {
        "level": "study",
        "study": "",
    }


@pytest.mark.parametrize(
    "probabilities",
    [(0.5,), (0.2, 0.3, 0.5), (0.7, 0.7), (float("nan"), 0.5), (-0.1, 1.1), (3.0, -2.0)],
)
def test_refuses_what_is_not_one_probability_a_class(
    image: np.ndarray, tmp_path: Path, probabilities: tuple[float, ...]
) -> None:
    writer = ClassificationWriter(tmp_path, CLASSES, point=POINT)
    with pytest.raises(ProbabilityError, match="expected"):
        _write(writer, image, *probabilities)
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_probabilities_of_16_bits_are_taken(image: np.ndarray, tmp_path: Path) -> None:
    writer = ClassificationWriter(tmp_path, CLASSES, point=POINT, preview=False)
    pred = torch.softmax(torch.tensor([0.3, 1.7]), 0).to(torch.float16)
    assert writer.write("a", pred, image)["decision"] == "broken"


def test_pictures_are_written_before_the_prediction(
    image: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*arguments: object) -> None:
        raise KeyboardInterrupt

    explained = []
    writer = ClassificationWriter(
        tmp_path,
        CLASSES,
        point=POINT,
        explain=lambda *arguments: explained.append(arguments),
    )
    monkeypatch.setattr(classification_writer, "write_json", killed)
    with pytest.raises(KeyboardInterrupt):
        _write(writer, image, 0.1, 0.9, explanation=-image)
    assert writer.picture("a").is_file()
    assert not writer.prediction("a").exists()
    drawn, explanation, path, caption = explained[0]
    np.testing.assert_array_equal(drawn, image)
    np.testing.assert_array_equal(explanation, -image)
    assert path == writer.explanation("a")
    assert caption == "broken: 0.900"


def test_what_an_earlier_run_drew_does_not_stay(image: np.ndarray, tmp_path: Path) -> None:
    def explain(image: np.ndarray, explanation: np.ndarray, path: Path, caption: str) -> None:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"drawn")

    _write(ClassificationWriter(tmp_path, CLASSES, explain=explain), image, 0.5, 0.5, explanation=image)
    plain = ClassificationWriter(tmp_path, CLASSES, preview=False)
    assert plain.picture("a").is_file()
    assert plain.explanation("a").is_file()
    _write(plain, image, 0.5, 0.5)
    assert plain.prediction("a").is_file()
    assert not plain.picture("a").exists()
    assert not plain.explanation("a").exists()
    plain.discard("a")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


def test_a_volume_is_drawn_by_its_slices(tmp_path: Path) -> None:
    volume = np.random.default_rng(2).random((1, 12, 10, 30), dtype=np.float32)
    writer = ClassificationWriter(tmp_path, CLASSES, planes=slices)
    _write(writer, MetaTensor(volume), 0.5, 0.5)
    # Eight slices of 12x10 in two rows of four.
    width, height = Image.open(writer.picture("a")).size
    assert width > 4 * 400
    assert height > 2 * 333


def test_the_kind_of_a_bundle_decides(tmp_path: Path) -> None:
    assert writer_class(Bundle(tmp_path / "wrist_classification")) is ClassificationWriter


def test_a_page_leaves_out_what_is_not_there(tmp_path: Path) -> None:
    columns = ("case", "level", "status", "seconds", "prediction", "decision", "votes", "note")
    row = dict.fromkeys(columns, "") | {"case": "a", "level": "image", "status": "done", "seconds": "1.5"}
    row |= {"prediction": "broken", "probability_whole": "0.25", "probability_broken": "0.75"}
    sums, table = ClassificationWriter(tmp_path, CLASSES).sections([row])
    assert "decision" not in sums.columns
    assert "decision" not in table.columns
    assert [one["prediction"] for one in sums.rows] == [0, 1]
    row["decision"] = "broken"
    study = row | {"level": "study", "case": "k7", "votes": "1.0"}
    sums, studies, images = ClassificationWriter(tmp_path, CLASSES, point=POINT).sections([row, study])
    assert (studies.title, images.title) == ("Studies", "Images")
    assert [(one["level"], one["class"], one["decision"]) for one in sums.rows] == [
        ("study", "whole", 0),
        ("study", "broken", 1),
        ("image", "whole", 0),
        ("image", "broken", 1),
    ]
    assert images.rows[0]["case"].path == Path("predictions/a.json")
