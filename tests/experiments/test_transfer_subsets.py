"""Subsets of a transfer experiment: nested, by subject, with all classes, beside the same validation and test part."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from monai_tasks.catalog import open_bundle
from monai_tasks.experiments.transfer_plan import Arm, Plan
from monai_tasks.experiments.transfer_subsets import write_subsets
from monai_tasks.io.errors import InputError


def items(part: str, subjects: int) -> list[dict]:
    """Two images of each subject, every fourth of which is of class 1."""
    return [
        {"image": f"{part}{n}_{k}.png", "label": int(n % 4 == 0), "subject": f"{part}{n}"}
        for n in range(subjects)
        for k in range(2)
    ]


@pytest.fixture
def plan(tmp_path) -> Plan:
    content = {part: items(part, count) for part, count in (("training", 20), ("validation", 4), ("test", 6))}
    (tmp_path / "list.json").write_text(json.dumps(content))
    bundle = open_bundle("wrist_xray_fracture_classification")
    return Plan(bundle, tmp_path / "list.json", (Arm("a"),), (4, 8, None), (0, 1), "a")


def content(file: Path) -> dict:
    return json.loads(file.read_text())


def test_each_subset_holds_the_smaller_ones(plan, tmp_path):
    subsets = write_subsets(plan, tmp_path / "out")
    assert list(subsets) == [(name, seed) for name in ("4", "8", "all") for seed in (0, 1)]
    assert [(one.subjects, one.images) for one in subsets.values()] == [(4, 8)] * 2 + [(8, 16)] * 2 + [
        (20, 40)
    ] * 2
    lists = [content(subsets[name, 0].datalist) for name in ("4", "8", "all")]
    small, middle, whole = ([item["image"] for item in one["training"]] for one in lists)
    assert set(small) < set(middle) < set(whole)
    for one in lists:
        assert [one["validation"], one["test"]] == [lists[0]["validation"], lists[0]["test"]]
        # The classes have in each the share that they have of all.
        assert sum(item["label"] for item in one["training"]) == len(one["training"]) / 4
    # Images are named so that the list can lie elsewhere.
    assert all(Path(image).parent == tmp_path for image in small)
    assert subsets["4", 0].datalist == subsets["4", 1].datalist


def test_a_plan_may_draw_anew_for_each_seed(plan, tmp_path):
    subsets = write_subsets(replace(plan, redraw=True), tmp_path / "out")
    first, second = (
        [
            {item["subject"] for item in content(subsets[name, seed].datalist)["training"]}
            for name in ("4", "8")
        ]
        for seed in (0, 1)
    )
    assert first[0] < first[1]
    assert second[0] < second[1]
    assert first != second


def test_what_cannot_be_drawn_is_said(plan, tmp_path):
    with pytest.raises(InputError, match=r"20 training subjects; expected the 21 of a subset"):
        write_subsets(replace(plan, subsets=(21,)), tmp_path / "out")
    with pytest.raises(
        InputError, match=r"no image of class [01] in the subset of 1 subjects; expected all classes"
    ):
        write_subsets(replace(plan, subsets=(1,)), tmp_path / "out")
    with pytest.raises(InputError, match=r"training\d+ has no 'site'; expected it, to stratify by"):
        write_subsets(replace(plan, stratify=("site",)), tmp_path / "out")


def test_a_subject_in_two_parts_is_refused(plan, tmp_path):
    listed = content(plan.datalist)
    listed["test"][0]["subject"] = "training3"
    plan.datalist.write_text(json.dumps(listed))
    with pytest.raises(InputError, match="subject training3 in training and test"):
        write_subsets(plan, tmp_path / "out")
    del listed["test"][0]["subject"]
    plan.datalist.write_text(json.dumps(listed))
    with pytest.raises(InputError, match="item 1 of part 'test' has no subject"):
        write_subsets(plan, tmp_path / "out")
