"""What is written of a graded scan agrees with itself, and tells what each slice says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from monai_tasks.datasets.cases import Case
from monai_tasks.inference.classification_writer import ProbabilityError
from monai_tasks.inference.grade_writer import Answer, GradeWriter
from monai_tasks.inference.operating_point import HeldPoint
from monai_tasks.metrics.grades import Grades

CLASSES = tuple(f"grade_{number}" for number in range(1, 6))
POINT = HeldPoint(0.4, "config")
# Of the slices; their mean is that of the scan.
SLICES = torch.tensor(
    [[0.7, 0.1], [0.1, 0.1], [0.1, 0.1], [0.1, 0.3], [0.0, 0.4]],
)


@pytest.fixture
def image() -> MetaTensor:
    """Two slices of 20x14."""
    return MetaTensor(
        np.random.default_rng(1).random((1, 20, 14, 2), dtype=np.float32), meta={"slice_indices": [27, 82]}
    )


def writer(output: Path, **options) -> GradeWriter:
    return GradeWriter(
        output, CLASSES, **({"grades": Grades(5, 3), "point": POINT, "preview": False} | options)
    )


def write(own: GradeWriter, image: MetaTensor, slices: torch.Tensor = SLICES, **options) -> dict:
    item = {"pred": slices.mean(-1), "pred_slices": slices}
    return own.write("a", own.answer(item), own.prepared(None, image), **options)


def test_the_row_of_a_scan(image: MetaTensor, tmp_path: Path) -> None:
    own = writer(tmp_path, confidence=0.8)
    row = write(own, image)
    probabilities = [row[f"probability_{name}"] for name in CLASSES]
    assert probabilities == pytest.approx([0.4, 0.1, 0.1, 0.2, 0.2])
    assert row["expected_grade"] == pytest.approx(1 * 0.4 + 2 * 0.1 + 3 * 0.1 + 4 * 0.2 + 5 * 0.2)
    assert row["prediction"] == "grade_3"  # next to 2.7, though grade 1 is the most probable
    assert row["probability_scan_again"] == pytest.approx(0.4)
    assert (row["decision"], row["ask"]) == ("scan_again", "yes")
    # 1 * 0.7 + ... of the first slice is 1.6, of the second 3.8.
    assert (row["slices"], row["slice_grades"]) == ("27 82", "2 4")
    assert {*row, *own.given(Case("a", Path("a.ISQ")))} == set(own.measures)
    content = json.loads(own.prediction("a").read_text())
    assert content["probabilities"]["grade_1"] == row["probability_grade_1"]
    assert (content["prediction"], content["decision"]) == (row["prediction"], row["decision"])
    assert (content["operating_point"], content["confidence"]) == (0.4, 0.8)
    assert content["slices"][1] == {
        "slice": 82,
        "grade": 4,
        "probabilities": pytest.approx([0.1, 0.1, 0.1, 0.3, 0.4]),
    }


def test_the_rule_and_the_point_decide(image: MetaTensor, tmp_path: Path) -> None:
    row = write(writer(tmp_path, grades=Grades(5, 3, "highest"), point=HeldPoint(0.41, "setting")), image)
    assert (row["prediction"], row["decision"]) == ("grade_1", "keep")
    assert row["slice_grades"] == "1 5"
    assert write(writer(tmp_path, grades=Grades(5, 1)), image)["probability_scan_again"] == pytest.approx(0.6)


@pytest.mark.parametrize(("again", "asks"), [(0.05, ""), (0.11, "yes"), (0.89, "yes"), (0.95, "")])
def test_a_person_is_asked_where_no_decision_is_sure(
    image: MetaTensor, tmp_path: Path, again: float, asks: str
) -> None:
    slices = torch.tensor([1 - again, 0.0, 0.0, again, 0.0])[:, None].expand(5, 2)
    assert write(writer(tmp_path, confidence=0.9), image, slices)["ask"] == asks
    assert write(writer(tmp_path), image, slices)["ask"] == ""


def test_the_picture_shows_every_slice_and_its_grade(image: MetaTensor, tmp_path: Path, monkeypatch) -> None:
    drawn = []
    own = writer(tmp_path, preview=True, confidence=0.8)
    write(own, image)
    width, height = Image.open(own.picture("a")).size
    # 20 along x, which runs to the right, and 14 along y.
    assert width > 2 * 400
    assert 280 < height < 600
    monkeypatch.setattr("monai_tasks.inference.grade_writer.draw", lambda *a: drawn.append(a))
    write(own, image)
    planes, probabilities, lines, _, marked, captions = drawn[0]
    assert [plane.shape for plane in planes] == [(14, 20)] * 2
    np.testing.assert_array_equal(planes[1], np.asarray(image)[0, :, :, 1].T)
    assert captions == ["slice 27: grade 2", "slice 82: grade 4"]
    assert marked == "grade_3"
    assert list(probabilities) == list(CLASSES)
    assert "unsure" in lines[-1]


def test_an_explanation_is_drawn_slice_by_slice(image: MetaTensor, tmp_path: Path) -> None:
    explained = []
    own = writer(tmp_path, explain=lambda *arguments: explained.append(arguments))
    explanation = np.random.default_rng(2).normal(size=(1, 20, 14, 2))
    write(own, image, explanation=explanation)
    shown, values, path, caption = explained[0]
    assert shown.shape == values.shape == (2, 1, 14, 20)
    np.testing.assert_array_equal(values[1, 0], explanation[0, :, :, 1].T)
    assert path == own.explanation("a")
    assert "higher grade" in caption


def test_a_radiograph_has_no_slices(tmp_path: Path) -> None:
    own = writer(tmp_path, volumes=False, preview=True)
    image = torch.rand(1, 12, 10, generator=torch.Generator().manual_seed(0))
    answer = own.answer({"pred": SLICES.mean(-1)})
    assert answer == Answer(answer.scan, None)
    row = own.write("a", answer, own.prepared(None, image))
    assert (row["slices"], row["slice_grades"]) == ("", "")
    assert own.picture("a").is_file()


def test_refuses_predictions_of_other_slices(image: MetaTensor, tmp_path: Path) -> None:
    own = writer(tmp_path)
    source = own.prepared(None, image)
    with pytest.raises(ProbabilityError, match=r"expected \(5, 2\), one a class and slice"):
        own.write("a", Answer(SLICES.mean(-1), SLICES[:, :1]), source)
    with pytest.raises(ProbabilityError, match="expected probabilities that sum to 1"):
        own.write("a", Answer(torch.ones(5), SLICES), source)
    assert not own.prediction("a").exists()


def test_the_page_counts_decisions_and_marks_those_to_ask(image: MetaTensor, tmp_path: Path) -> None:
    own = writer(tmp_path, confidence=0.8)
    row = {name: str(value) for name, value in write(own, image).items()}
    row |= {"case": "a", "status": "done", "seconds": "1.5", "level": "image"}
    sure = row | {"case": "b", "decision": "keep", "ask": "", "prediction": "grade_1"}
    cards, sums, scans, facts = own.sections([row, sure])
    assert cards.items == {"keep": 1, "scan again": 1, "a person is asked": 1}
    assert [one["scan_again"] for one in sums.rows] == [0, 0, 1, 0, 0]
    assert list(scans.marked) == [0]
    assert scans.rows[0]["case"].path == Path("predictions/a.json")
    assert "0.4 (from config)" in facts.items["Operating point of scanning again"]
