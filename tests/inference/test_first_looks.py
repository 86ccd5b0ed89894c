"""The most uncertain cases come first, each with a reason in words."""

from __future__ import annotations

from pathlib import Path

import pytest

from monai_tasks.inference.classification_writer import ClassificationWriter
from monai_tasks.inference.first_looks import MOST, first_looks, ranked
from monai_tasks.inference.writers import SegmentationWriter
from monai_tasks.report.page import Link


def row(case: str, entropy: object, disagreement: object, **more: object) -> dict[str, str]:
    values = {"case": case, "status": "done", "entropy": entropy, "disagreement": disagreement, **more}
    return {name: str(value) for name, value in values.items()}


def test_one_measure_goes_first_and_the_other_tells_equal_ones_apart() -> None:
    rows = [
        row("a", 0.1, 0.2),
        row("b", 0.9, 0.1),
        row("c", 0.3, 0.2),
        row("d", "", 0.0),
        row("e", 0.95, 0.0),
    ]
    assert [one["case"] for one in ranked(rows, "disagreement")] == ["d", "c", "a", "b", "e"]
    assert [one["case"] for one in ranked(rows, "entropy")] == ["d", "e", "b", "c", "a"]


@pytest.mark.parametrize(
    ("entropy", "disagreement", "reason"),
    [
        (0.2, 0.25, "the label maps of two opinions overlap by 0.75 on average (Dice)"),
        (0.2, 0.0, "the voxels of the labels have an entropy of 0.20 on average"),
        ("", 0.0, "no opinion has found a label"),
    ],
)
def test_why_a_label_map_is_uncertain(
    tmp_path: Path, entropy: object, disagreement: float, reason: str
) -> None:
    assert SegmentationWriter(tmp_path, {1: "head"}).why_unsure(row("a", entropy, disagreement)) == reason


@pytest.mark.parametrize(
    ("disagreement", "reason"),
    [
        (0.0, "bright has a probability of 0.61"),
        (0.2, "bright has a probability of 0.61, mostly because each opinion is unsure itself"),
        (0.6, "bright has a probability of 0.61, mostly because the opinions differ"),
    ],
)
def test_why_a_class_is_uncertain(tmp_path: Path, disagreement: float, reason: str) -> None:
    answer = row("a", 0.9, disagreement, prediction="bright", probability_bright=0.61)
    assert ClassificationWriter(tmp_path, ["dark", "bright"]).why_unsure(answer) == reason


def test_links_lead_to_what_is_there(tmp_path: Path) -> None:
    writer = SegmentationWriter(tmp_path, {1: "head"})
    for path in (writer.picture("a"), writer.uncertainty("a")):
        path.parent.mkdir(parents=True)
        path.write_bytes(b"")
    (table,) = first_looks(writer, [row("a", 0.1, 0.2), row("b", 0.1, 0.1)])
    assert [one["case"] for one in table.rows] == [
        Link("a", Path("previews/a.png")),
        Link("b", Path("predictions/b.nii.gz")),
    ]
    assert [one.get("map") for one in table.rows] == [Link("map", Path("uncertainty/a.nii.gz")), None]


def test_a_few_of_many_and_none_without_uncertainty(tmp_path: Path) -> None:
    writer = SegmentationWriter(tmp_path, {1: "head"})
    (table,) = first_looks(writer, [row(str(number), 0.1, number / 50) for number in range(50)])
    assert [one["case"].text for one in table.rows] == [str(number) for number in range(49, 49 - MOST, -1)]
    assert "map" not in table.columns
    assert first_looks(writer, [{"case": "a", "status": "done"}]) == []
