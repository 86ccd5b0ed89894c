"""The pipeline: steps from configs in their order, parameters, and what is told of each change."""

from __future__ import annotations

import dataclasses
import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from monai_tasks.datasets.radiographs import COLUMNS
from monai_tasks.io.errors import InputError
from monai_tasks.radiographs import alignment, colour_inversion, foreground, parts
from monai_tasks.radiographs.pipeline import (
    DEFAULT,
    Change,
    PipelineError,
    changes_between,
    load_pipeline,
    run_steps,
)
from monai_tasks.radiographs.study import Image, Step, Study

BODY_PART = {"_target_": "monai_tasks.radiographs.body_part.BodyPartFilter"}


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    """Writes a config file of some steps."""

    def write(steps: object) -> Path:
        path = tmp_path / "config.json"
        path.write_text(json.dumps({"steps": steps}))
        return path

    return write


def test_the_shipped_config_has_every_step_with_every_parameter_at_its_default():
    pipeline = load_pipeline()
    assert [step.name for step in pipeline.steps] == list(json.loads(DEFAULT.read_text())["steps"])
    assert [step.name for step in pipeline.steps] == ["body_part", "colour_inversion", "parts", "alignment"]
    for step in pipeline.steps:
        assert isinstance(step, Step)
        parameters = {field.name for field in dataclasses.fields(step)}
        assert set(pipeline.config[step.name]) == {"_target_", *parameters}
        assert step == type(step)()
        # Other processes get the steps as they are.
        assert pickle.loads(pickle.dumps(step)) == step


def test_steps_are_picked_by_name_in_the_order_of_the_config():
    assert [step.name for step in load_pipeline(steps=["alignment", "body_part"]).steps] == [
        "body_part",
        "alignment",
    ]


def test_parameters_come_from_the_config_and_are_set(config):
    path = config({"body_part": {**BODY_PART, "minimum_score": 70}})
    (step,) = load_pipeline(path).steps
    assert (step.minimum_score, step.keep_empty) == (70, True)
    pipeline = load_pipeline(path, settings={"body_part#keep_empty": False, "body_part#parts": ["hand"]})
    assert (pipeline.steps[0].minimum_score, pipeline.steps[0].keep_empty) == (70, False)
    assert pipeline.steps[0].parts == ("hand",)
    assert pipeline.config["body_part"]["parts"] == ["hand"]


def test_the_config_may_be_yaml(tmp_path):
    pytest.importorskip("yaml", reason="PyYAML is not installed")
    path = tmp_path / "config.yaml"
    path.write_text(f"steps:\n  body_part:\n    _target_: {BODY_PART['_target_']}\n    keep_empty: false\n")
    assert load_pipeline(path).steps[0].keep_empty is False
    path.write_text("steps: [unclosed")
    with pytest.raises(InputError, match="not readable as a config"):
        load_pipeline(path)


def test_the_fingerprint_follows_steps_parameters_and_files(config, tmp_path):
    terms = tmp_path / "terms.json"
    terms.write_text(json.dumps({"parts": {"wrist": ["pols"]}, "ignored": [], "attached": []}))
    path = config({"body_part": {**BODY_PART, "terms": str(terms)}})
    prints = [load_pipeline(path).fingerprint()]
    assert load_pipeline(path).fingerprint() == prints[0]
    prints.append(load_pipeline(path, settings={"body_part#minimum_score": 90}).fingerprint())
    terms.write_text(json.dumps({"parts": {"wrist": ["polso"]}, "ignored": [], "attached": []}))
    prints.append(load_pipeline(path).fingerprint())
    assert len(set(prints)) == 3


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({}, "no steps"),
        ([BODY_PART], "no steps"),
        ({"body_part": {"parts": ["hand"]}}, "a step without `_target_`"),
    ],
)
def test_a_config_without_steps_is_refused(config, steps, message):
    with pytest.raises(InputError, match=message):
        load_pipeline(config(steps))


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ({"body_part": {**BODY_PART, "colour": 1}}, "'body_part' cannot be built from its config: .*colour"),
        ({"body_part": {**BODY_PART, "parts": ["wing"]}}, r"parts \['wing'\]; expected one or more of wrist"),
        ({"body_part": {"_target_": "monai_tasks.absent.Step"}}, "'body_part' cannot be built"),
        ({"other": BODY_PART}, "'other' of the config builds 'body_part'"),
        ({"dict": {"_target_": "builtins.dict"}}, "'dict' of the config builds 'dict'"),
    ],
)
def test_a_step_that_cannot_be_built_is_named(config, steps, message):
    with pytest.raises(PipelineError, match=message):
        load_pipeline(config(steps))


def test_a_step_whose_module_cannot_be_imported_is_named(config, tmp_path, monkeypatch):
    (tmp_path / "halting_steps.py").write_text("import a_module_that_is_not_there")
    monkeypatch.syspath_prepend(str(tmp_path))
    with pytest.raises(PipelineError, match=r"'a' cannot be built .*a_module_that_is_not_there"):
        load_pipeline(config({"a": {"_target_": "halting_steps.Step"}}))


def test_unknown_names_are_refused(tmp_path):
    with pytest.raises(PipelineError, match="no step 'rotation'; expected one or more of body_part, "):
        load_pipeline(steps=["rotation"])
    for key in ("rotation#x", "body_part", "alignment#x"):
        with pytest.raises(PipelineError, match=f"no parameter '{key}'; expected STEP#PARAMETER"):
            load_pipeline(steps=["body_part"], settings={key: 1})
    with pytest.raises(InputError, match="no such file; expected a JSON or YAML file"):
        load_pipeline(tmp_path / "absent.json")
    (tmp_path / "broken.json").write_text("{")
    with pytest.raises(InputError, match="not readable as a config"):
        load_pipeline(tmp_path / "broken.json")


def image(name: str, value: int = 1) -> Image:
    return Image({"image": f"broken/s/{name}.png"}, np.full((3, 2), value, np.uint16))


@dataclass(frozen=True)
class Scripted:
    """Gives the images that it is told to."""

    name: str
    change: Callable[[Study], Study]

    def __call__(self, study: Study) -> Study:
        return self.change(study)


def last(study: Study, *steps: Step) -> tuple[Study, list[Change]]:
    """The study after the last step, and what that step changed."""
    *_, result = run_steps(study, steps)
    return result


def test_changes_to_pixels_are_told_and_no_others():
    first, second, third, fourth = (image(name) for name in "abcd")

    def change(study: Study) -> Study:
        parts = [
            second.with_pixels(second.pixels[:1], image="broken/s/b_P1.png"),
            second.with_pixels(second.pixels[1:], image="broken/s/b_P2.png"),
        ]
        same = third.with_pixels(third.pixels.copy(), rotation_degrees="0")
        study = study.without(fourth, "no good")
        return study.with_images([first.with_columns(part="x"), *parts, same])

    study, told = last(Study("s", "broken", (first, second, third, fourth)), Scripted("x", change))
    assert [row.row["image"][9:] for row in study.images] == ["a.png", "b_P1.png", "b_P2.png", "c.png"]
    assert [(one.step, one.before, len(one.after), one.reason) for one in told] == [
        ("x", second, 2, ""),
        ("x", fourth, 0, "no good"),
    ]
    before = Study("s", "broken", (first,))
    (changed,) = changes_between("x", before, before.with_images([first.with_pixels(~first.pixels)]))
    np.testing.assert_array_equal(changed.after[0].pixels, 65534)


def test_files_that_nobody_read_are_not_read_to_compare_them(tmp_path):
    unread = Image({"image": "broken/s/a.png"}, file=tmp_path / "absent.png")
    before = Study("s", "broken", (unread,))
    after = before.with_images([unread.with_columns(body_part_match="wrist")])
    assert changes_between("x", before, after) == []


def test_nothing_is_run_on_a_study_without_images():
    dropped = Scripted("a", lambda study: study.without(study.images[0], "no good"))
    never = Scripted("b", lambda study: pytest.fail("was run"))
    assert last(Study("s", "broken", (image("a"),)), dropped, never)[0].images == ()


def test_two_images_of_one_name_are_refused():
    twice = Scripted("a", lambda study: study.with_images([*study.images, *study.images]))
    with pytest.raises(PipelineError, match="study s: two images of one name"):
        last(Study("s", "broken", (image("a"),)), twice)


@pytest.mark.parametrize(("inverted", "times"), [(False, 1), (True, 2)])
def test_the_body_is_looked_for_again_only_after_pixels_changed(monkeypatch, inverted, times):
    pixels = np.full((300, 200), 9000, np.uint16)
    pixels[40:, 70:130] = 45000
    pixels += np.random.default_rng(0).integers(0, 900, pixels.shape).astype(np.uint16)
    # What tells the colours has tests of its own.
    monkeypatch.setattr(
        colour_inversion, "score", lambda small, field: 20 * small[-1, small.shape[1] // 2] - 10
    )
    calls = []
    found = foreground.exposed_field
    monkeypatch.setattr(foreground, "exposed_field", lambda small: calls.append(small) or found(small))
    steps = [colour_inversion.ColourInversion(), parts.PartSplitter(), alignment.RotationAlignment()]
    row = dict.fromkeys(COLUMNS, "") | {"image": "broken/a/S1_I1.png"}
    study = Study("a", "broken", (Image(row, 65535 - pixels if inverted else pixels),))
    *_, (done, _) = run_steps(study, steps)
    whole = [small for small in calls if small.shape == (150, 100)]  # the splitter also looks at pieces
    assert len(whole) == times
    assert done.images[0].row["colour_inverted"] == ("yes" if inverted else "no")
    np.testing.assert_array_equal(done.images[0].pixels, pixels)
