"""Plans of transfer experiments: what they stand for, and what is refused with which words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from monai_tasks.catalog import BundleError, open_bundle
from monai_tasks.experiments.transfer_plan import Arm, read_plan
from monai_tasks.io.errors import InputError

SMALL = {
    "bundle": "hippocampus_mri_segmentation",
    "datalist": "data/list.json",
    "arms": [{"name": "scratch"}],
    "subsets": [4, 8, "all"],
    "seeds": [0, 1],
}


@pytest.fixture
def write(tmp_path):
    """Writes a plan beside the files that it names; a value of None leaves a key out."""
    (tmp_path / "data").mkdir()
    for name in ("data/list.json", "weights.pt", "densenet.pth", "own.json"):
        (tmp_path / name).write_text("{}")

    def written(**changes: Any) -> Path:
        content = {name: value for name, value in {**SMALL, **changes}.items() if value is not None}
        (tmp_path / "plan.yaml").write_text(yaml.safe_dump(content))
        return tmp_path / "plan.yaml"

    return written


def test_a_small_plan_has_what_it_leaves_out(write, tmp_path):
    plan = read_plan(write())
    assert plan.bundle.name == SMALL["bundle"]
    assert plan.datalist == (tmp_path / "data" / "list.json").resolve()
    assert plan.arms == (Arm("scratch"),)
    assert (plan.subsets, plan.seeds) == ((4, 8, None), (0, 1))
    assert (plan.reference, plan.epochs, plan.metric, plan.redraw) == ("scratch", None, None, False)


def test_arms_are_config_ids(write, tmp_path):
    arms = [
        {"name": "random 2", "frozen": 2, "random": True},
        {"name": "scratch", "settings": {"learning_rate": 0.01}},
        {"name": "source", "start": "source", "layers": ["conv_0"]},
        {"name": "source 2", "start": "weights.pt", "frozen": 2},
        {"name": "none frozen", "start": "weights.pt", "frozen": 0},
        {"name": "imagenet", "start": "imagenet"},
    ]
    plan = read_plan(
        write(
            arms=arms, source=SMALL["bundle"], imagenet_weights="densenet.pth", configs=["own.json", "t1t2"]
        )
    )
    shipped = str(open_bundle(SMALL["bundle"]).weights)
    weights = str((tmp_path / "weights.pt").resolve())
    assert [arm.config() for arm in plan.arms] == [
        {"frozen": 2},
        {"learning_rate": 0.01},
        {"start_weights": shipped, "start_layers": ["conv_0"]},
        {"start_weights": weights, "frozen": 2},
        {"start_weights": weights},
        {"imagenet_weights": str((tmp_path / "densenet.pth").resolve())},
    ]
    assert plan.reference == "scratch"  # not the first, which has frozen layers
    assert plan.controls == [("source 2", "random 2")]
    assert plan.configs == (str((tmp_path / "own.json").resolve()), "t1t2")


def arm(**changes: Any) -> dict[str, Any]:
    return {"arms": [{"name": "scratch"}, {"name": "b", **changes}]}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"subset": [1]}, "the plan: 'subset'; expected only bundle, datalist"),
        ({"seeds": None}, "the plan: no 'seeds'; expected bundle, datalist"),
        ({"datalist": "none.json"}, "datalist: none.json, which is not there"),
        ({"subsets": [8, 4]}, r"subsets: \[8, 4\]; expected rising numbers"),
        ({"subsets": ["all", 4]}, "expected rising numbers"),
        ({"subsets": [0]}, "subsets: 0; expected a whole number from 1 up"),
        ({"subsets": 4}, "subsets: 4; expected a list"),
        ({"seeds": [1, 1]}, "seeds: .*; expected different ones"),
        ({"seeds": [True]}, "seeds: True; expected a whole number"),
        ({"epochs": 0}, "epochs: 0; expected a whole number from 1 up"),
        ({"reference": "other"}, "reference: other; expected one of the arms scratch"),
        ({"level": "patient"}, "level: patient; expected image or study"),
        ({"redraw": "yes"}, "redraw: yes; expected true or false"),
        ({"settings": {"seed": 1}}, "settings: seed; expected ids that the plan does not rule"),
        ({"settings": [1]}, "settings: .*; expected config ids"),
        ({"arms": []}, "arms: .*; expected a list of at least one arm"),
        (arm(name="../b"), "arm 2, name: ../b; expected letters"),
        (arm(name="b."), "arm 2, name: b.; expected letters"),
        (arm(name="Scratch"), "the name 'scratch' twice"),
        (arm(freeze=1), "arm 2: 'freeze'; expected only name, start"),
        (arm(start="source"), "arm 'b', start: source; expected the plan's 'source'"),
        (arm(start="imagenet"), "expected the plan's 'imagenet_weights'"),
        (arm(start="none.pt"), "start: none.pt, which is not there"),
        (arm(start="nothing"), "start: 'nothing', neither a file nor a bundle"),
        (arm(start="knee_mri_bone_segmentation"), "ships no weights"),
        (arm(frozen=["conv_0"]), "frozen layers without a start; expected a start, or `random: true`"),
        (arm(frozen=-1), "frozen: -1; expected a whole number"),
        (arm(frozen="conv_0"), "frozen: conv_0; expected a list of texts"),
        (arm(random=True), "random: True; expected layers that are frozen"),
        (arm(start="weights.pt", frozen=1, random=True), "random: True; .* no start"),
        (arm(layers=["conv_0"]), "expected them only beside a start"),
    ],
)
def test_what_is_wrong_is_said(write, changes, said):
    with pytest.raises(InputError, match=rf"plan\.yaml: .*{said}"):
        read_plan(write(**changes))


def test_a_bundle_that_is_not_there_is_named(write):
    with pytest.raises(BundleError, match="no bundle 'none'"):
        read_plan(write(bundle="none"))


def test_what_is_no_plan_is_refused(tmp_path):
    with pytest.raises(InputError, match="no such file; expected a plan in YAML"):
        read_plan(tmp_path / "none.yaml")
    for text, said in (("a: [", "not readable as YAML"), ("- 1", "no mapping"), ("", "no mapping")):
        (tmp_path / "plan.yaml").write_text(text)
        with pytest.raises(InputError, match=said):
            read_plan(tmp_path / "plan.yaml")
