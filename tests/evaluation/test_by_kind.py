"""One call for every kind of bundle, and that it understands what `infer` writes."""

from __future__ import annotations

import json
import shutil

import pytest
from classification_bundles import level_of, write_bundle, write_image
from classification_tables import items, write_datalist

from monai_tasks.catalog import BundleError
from monai_tasks.evaluation.by_kind import evaluate
from monai_tasks.inference.runner import infer

# The probabilities of the images of each study, and its class.
STUDIES = {"a": ([0.8], 1), "b": ([0.3, 0.7], 1), "c": ([0.4, 0.1], 0), "d": ([0.2], 0)}


@pytest.fixture
def data(tmp_path, monkeypatch):
    """Images in a folder a study, with a datalist; no plots are drawn."""
    monkeypatch.setattr("monai_tasks.evaluation.curves.save", lambda figure, path: None)
    listed = []
    for name, (values, label) in STUDIES.items():
        for number, value in enumerate(values):
            write_image(tmp_path / "data" / name / f"{name}_{number}.png", level_of(value))
        listed += items(name, len(values), label)
    write_datalist(tmp_path / "data", validation=listed[:-1], test=listed)
    (tmp_path / "data" / "validation.json").write_text(json.dumps({"validation": listed[:-1]}))
    return tmp_path / "data"


def test_what_infer_writes_is_understood(data, tmp_path):
    options = {"device": "cpu", "progress": False}
    single = write_bundle(tmp_path / "mini_classification")
    joint = write_bundle(tmp_path / "mini_study_classification", studies=True)
    for bundle in (single, joint):
        # A list of the test part, and the folder, in which no study has a name but that of its folder.
        infer(bundle, data / "datalist.json", tmp_path / f"listed {bundle.name}", preview=True, **options)
        infer(bundle, data, tmp_path / f"found {bundle.name}", preview=False, **options)
    for how in ("listed", "found"):
        own, other = (tmp_path / f"{how} {bundle.name}" for bundle in (single, joint))
        images = evaluate(single, own, data / "datalist.json", tmp_path / "images", progress=False)
        assert (images.done, images.failed, images.skipped) == (6, 0, 0)
        rules = [(table["level"], table["rule"], table["n"]) for table in images.statistics["tables"]]
        assert rules == [
            ("image", "", 6),
            *(("study", rule, 4) for rule in ("results", "at_least_one", "majority")),
        ]
        accuracy = {
            table["rule"]: table["metrics"]["accuracy"]["value"] for table in images.statistics["tables"]
        }
        assert accuracy == {"": pytest.approx(5 / 6), "results": 1, "at_least_one": 1, "majority": 0.75}
        studies = evaluate(
            joint, other, data / "datalist.json", tmp_path / "studies", compare=own, progress=False
        )
        assert (studies.done, studies.failed, studies.skipped) == (4, 0, 0)
        gaps = {
            (one["other_rule"], one["metric"]): one["difference"] for one in studies.statistics["comparison"]
        }
        assert gaps["majority", "accuracy"] == 0.25
        assert gaps["at_least_one", "accuracy"] == 0
    # The only error has its preview, which the first run drew.
    evaluate(
        single, tmp_path / f"listed {single.name}", data / "datalist.json", tmp_path / "again", progress=False
    )
    assert [path.name for path in (tmp_path / "again" / "worst").iterdir()] == ["01.png"]


def test_infer_takes_the_operating_point_that_was_chosen(data, tmp_path):
    bundle = write_bundle(tmp_path / "mini_classification")
    infer(bundle, data, tmp_path / "all", device="cpu", preview=False, progress=False)
    options = {"choose_threshold": "sensitivity:1", "progress": False}
    point = evaluate(
        bundle, tmp_path / "all", data / "validation.json", tmp_path / "choice", **options
    ).statistics
    # Both images of study b count as bright, so that 0.3 must be found; 0.1 is the next below in the validation part.
    assert point["operating_point"]["threshold"] == pytest.approx(0.2, abs=1e-3)
    shutil.copy(tmp_path / "choice" / "operating_point.json", bundle / "models")
    infer(bundle, data / "datalist.json", tmp_path / "test", device="cpu", preview=False, progress=False)
    summary = evaluate(bundle, tmp_path / "test", data / "datalist.json", tmp_path / "result", progress=False)
    assert summary.statistics["tables"][0]["metrics"]["sensitivity"]["value"] == 1


def test_options_of_the_other_kind_and_other_kinds_are_refused(tmp_path, example_bundle):
    paths = [tmp_path / name for name in ("out", "datalist.json", "result")]
    bundle = write_bundle(tmp_path / "mini_classification")
    with pytest.raises(
        ValueError, match="'images' for a bundle of kind classification; expected only part, by"
    ):
        evaluate(bundle, *paths, images=tmp_path)
    with pytest.raises(ValueError, match="'part' for a bundle of kind segmentation; expected only images"):
        evaluate(example_bundle, *paths, part="test")
    other = write_bundle(tmp_path / "mini_detection")
    with pytest.raises(BundleError, match="kind 'detection'; expected segmentation or classification"):
        evaluate(other, *paths)
