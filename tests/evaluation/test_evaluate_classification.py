"""A whole evaluation of a classification: files, figures, subgroups, comparison, threshold, page."""

from __future__ import annotations

import json

import numpy as np
import pytest
from classification_tables import CLASSES, items, row, study_rows, write_bundle, write_datalist, write_results
from PIL import Image

from monai_tasks.catalog import BundleError
from monai_tasks.evaluation import curves
from monai_tasks.evaluation.evaluate_classification import evaluate
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table

# Of each study the probabilities of its images and its class; the third is taken for cracked, the fifth is missed.
STUDIES = {
    "a": ([0.9, 0.6], 1),
    "b": ([0.8], 1),
    "c": ([0.7, 0.1], 0),
    "d": ([0.2, 0.3], 0),
    "e": ([0.4, 0.35], 1),
    "f": ([0.05], 0),
}


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No plot is drawn, which takes most of the time; a test that looks at them undoes it."""
    monkeypatch.setattr(curves, "save", lambda figure, path: None)


@pytest.fixture
def run(tmp_path):
    """Evaluates the studies; two of them are one patient's."""
    write_bundle(tmp_path / "thing_classification")
    rows = [
        one for name, (values, _) in STUDIES.items() for one in study_rows(tmp_path / "data", name, values)
    ]
    write_results(tmp_path / "out", rows)
    subjects = {"a": "p", "b": "p"}
    listed = [
        one
        for name, (values, label) in STUDIES.items()
        for one in items(
            name, len(values), label, subjects.get(name, name), metal="yes" if name in "abc" else "no"
        )
    ]
    write_datalist(tmp_path / "data", validation=listed[:4], test=listed)
    # For a threshold: three studies of two patients, and none of theirs in the test part.
    apart = {"validation": listed[:5], "test": listed[5:]}
    (tmp_path / "data" / "apart.json").write_text(json.dumps(apart))

    def run(predictions="out", references="data/datalist.json", output="result", **options):
        paths = (tmp_path / name for name in ("thing_classification", predictions, references, output))
        return evaluate(*paths, **({"resamples": 100, "progress": False} | options))

    return run


APART = "data/apart.json"


def metrics(summary, **wanted):
    """The rows of metrics.csv of a table, by metric."""
    wanted = {"level": "image", "rule": "", "subgroup": ""} | wanted
    rows = read_table(summary.table)
    return {one["metric"]: one for one in rows if all(one[key] == value for key, value in wanted.items())}


def test_files_and_numbers(run, tmp_path, monkeypatch):
    monkeypatch.undo()
    summary = run()
    assert (summary.done, summary.failed, summary.skipped, summary.failures) == (10, 0, 0, ())
    own = metrics(summary)
    # Images: 3 of 5 cracked ones are found, one of 5 whole ones is not left alone.
    expected = {
        "accuracy": 0.7,
        "sensitivity": 0.6,
        "specificity": 0.8,
        "precision": 0.75,
        "f1": 2 / 3,
        "auroc": 0.88,
    }
    assert {name: float(own[name]["value"]) for name in expected} == pytest.approx(expected)
    assert (own["auroc"]["n"], own["auroc"]["subjects"]) == ("10", "5")
    assert float(own["accuracy"]["low"]) < 0.7 < float(own["accuracy"]["high"])
    for rule, accuracy in (("results", 4 / 6), ("at_least_one", 4 / 6), ("majority", 5 / 6)):
        study = metrics(summary, level="study", rule=rule)
        assert float(study["accuracy"]["value"]) == pytest.approx(accuracy)
        assert ("brier" in study) == (rule != "majority")
    statistics = json.loads((tmp_path / "result" / "summary.json").read_text())
    assert statistics == summary.statistics
    assert statistics["cases"] == {
        "image": {"done": 10, "failed": 0, "skipped": 0},
        "study": {"done": 6, "failed": 0, "skipped": 0},
        "of_other_parts": 0,
    }
    images = statistics["tables"][0]
    assert (images["confusion"], images["of_class"]) == ([[4, 1], [2, 3]], {"whole": 5, "cracked": 5})
    assert images["metrics"]["auroc"]["value"] == pytest.approx(0.88)
    assert {path.name for path in (tmp_path / "result").iterdir()} == {
        *("metrics.csv", "summary.json", "predictions.csv", "report.html"),
        *(
            "roc.csv",
            "pr.csv",
            "calibration.csv",
            "roc.png",
            "pr.png",
            "calibration.png",
            "probabilities.png",
        ),
        *("confusion_image.png", "confusion_study_results.png"),
        *("confusion_study_at_least_one.png", "confusion_study_majority.png"),
    }


def test_answers_stand_beside_the_truth(run, tmp_path):
    run(by=["metal"])
    rows = read_table(tmp_path / "result" / "predictions.csv")
    assert len(rows) == 10 + 3 * 6
    (one,) = [own for own in rows if own["case"] == "c_0"]
    assert {key: one[key] for key in ("study", "subject", "label", "decision", "right", "by_metal")} == {
        "study": "c",
        "subject": "c",
        "label": "whole",
        "decision": "cracked",
        "right": "0",
        "by_metal": "yes",
    }
    assert float(one["probability_cracked"]) == 0.7
    (study,) = [own for own in rows if (own["case"], own["rule"]) == ("c", "majority")]
    assert (study["decision"], study["right"], study["probability_cracked"]) == ("whole", "1", "0.5")


def test_the_points_of_curves(run, tmp_path):
    run()
    points = [own for own in read_table(tmp_path / "result" / "roc.csv") if own["level"] == "image"]
    assert points[0]["threshold"] == ""
    assert {own["class"] for own in points} == {"cracked"}
    corners = [(float(own["false_positive_rate"]), float(own["sensitivity"])) for own in points]
    assert np.trapezoid(*np.array(corners).T[::-1]) == pytest.approx(0.88)
    table = read_table(tmp_path / "result" / "calibration.csv")
    assert sum(int(own["n"]) for own in table if own["level"] == "image") == 10
    assert {own["rule"] for own in table} == {"", "results", "at_least_one"}


def test_subgroups(run):
    summary = run(by=["metal"])
    with_metal, without = (metrics(summary, subgroup=f"metal={value}") for value in ("yes", "no"))
    assert (with_metal["accuracy"]["n"], float(with_metal["accuracy"]["value"])) == ("5", 0.8)
    assert (without["accuracy"]["n"], float(without["accuracy"]["value"])) == ("5", 0.6)
    assert metrics(summary, level="study", rule="majority", subgroup="metal=no")["accuracy"]["n"] == "3"
    page = summary.page.read_text()
    assert "Subgroups" in page
    assert "metal=yes" in page


def test_the_threshold_of_the_validation_part(run, tmp_path):
    summary = run(references=APART, choose_threshold="youden")
    point = json.loads((tmp_path / "result" / "operating_point.json").read_text())
    # The validation part holds a, b and c: 0.9, 0.6, 0.8 against 0.7, 0.1.
    assert (point["part"], point["n"], point["positives"], point["level"]) == ("validation", 5, 3, "image")
    assert point["threshold"] == pytest.approx(0.75)
    assert (point["rule"], point["specificity"]) == ("youden", 1)
    assert "weights_sha256" not in point
    assert summary.statistics["operating_point"] == point
    assert summary.statistics["cases"]["of_other_parts"] > 0
    (tmp_path / "out" / "report.json").write_text('{"weights_sha256": "1234"}')
    run(references=APART, choose_threshold="sensitivity:0.9")
    point = json.loads((tmp_path / "result" / "operating_point.json").read_text())
    assert (point["rule"], point["sensitivity"], point["weights_sha256"]) == ("sensitivity:0.9", 1, "1234")
    (tmp_path / "out" / "report.json").write_text("{}")
    with pytest.raises(InputError, match="no checksum of weights"):
        run(references=APART, choose_threshold="youden")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"part": "test"}, "threshold chosen on the test part, which measures what it was fitted to"),
        ({"part": "training"}, "threshold chosen on the training part"),
        ({"choose_threshold": "best"}, "rule 'best'; expected youden"),
    ],
)
def test_a_threshold_is_chosen_on_the_validation_part_only(run, tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        run(**({"choose_threshold": "youden"} | options))
    assert not (tmp_path / "result").exists()


@pytest.mark.parametrize("part", ["training", "test"])
def test_no_threshold_is_chosen_on_subjects_or_images_of_another_part(run, tmp_path, part):
    listed = json.loads((tmp_path / APART).read_text())
    own, others = listed["validation"], listed["test"]

    def choose(other):
        (tmp_path / APART).write_text(json.dumps({"validation": own, part: other}))
        return run(references=APART, choose_threshold="youden")

    with pytest.raises(
        InputError, match=rf"c_0 of subject {own[3]['subject']} in the validation part and in"
    ):
        choose([*others, others[0] | {"subject": own[3]["subject"]}])
    with pytest.raises(InputError, match=r"b_0 in the validation part and in another; expected each subject"):
        choose([*others, own[2] | {"subject": "another name"}])
    assert not (tmp_path / "result").exists()
    # Nobody is told apart by a name that is not given.
    own, others = ([{**one, "subject": ""} for one in part] for part in (own, others))
    assert choose(others).statistics["operating_point"]["n"] == 5


def test_a_table_without_parts_is_no_validation_part(run, tmp_path):
    (tmp_path / "own.csv").write_text("case,label\na_0,1\nc_0,0\n")
    with pytest.raises(InputError, match="no part 'validation'"):
        run(references="own.csv", choose_threshold="youden")


def test_two_runs_on_the_same_studies(run, tmp_path):
    better = {"a": 0.9, "b": 0.8, "c": 0.3, "d": 0.1, "e": 0.6}
    paths = {
        name: ";".join(str(tmp_path / "data" / name / f"{name}_{k}.png") for k in range(2)) for name in better
    }
    rows = [row(name, value, image=paths[name], level="study", study=name) for name, value in better.items()]
    write_results(tmp_path / "other", rows)
    listed = run(compare=tmp_path / "other").statistics["comparison"]
    assert [(one["rule"], one["other_rule"], one["metric"]) for one in listed] == [
        (rule, "results", metric)
        for rule in ("results", "at_least_one", "majority")
        for metric in ("auroc", "accuracy", "kappa")
    ]
    accuracy = listed[1]
    # The study f is in one of them only.
    assert (accuracy["n"], accuracy["left_out"], accuracy["subjects"]) == (5, 1, 4)
    assert (accuracy["value"], accuracy["other"]) == (0.6, 1.0)
    assert accuracy["difference"] == pytest.approx(-0.4)
    assert accuracy["low"] <= -0.4 <= accuracy["high"]
    table = read_table(tmp_path / "result" / "comparison.csv")
    assert [own["difference"] for own in table] == [str(own["difference"]) for own in listed]
    page = (tmp_path / "result" / "report.html").read_text()
    assert "Comparison of two runs" in page
    same = run(compare=tmp_path / "out", output="same").statistics["comparison"]
    assert [(one["level"], one["rule"] == one["other_rule"]) for one in same] == [("image", True)] * 3 + [
        ("study", True)
    ] * 9
    assert {one["difference"] for one in same} == {0}


def test_runs_without_a_common_case_are_refused(run, tmp_path):
    write_results(tmp_path / "other", [row("f", 0.4, level="study", study="f")])
    write_results(tmp_path / "out", [row("a_0", 0.4, image=tmp_path / "data" / "a" / "a_0.png")])
    with pytest.raises(InputError, match="no case in common"):
        run(compare=tmp_path / "other")


def test_the_worst_errors_with_their_pictures(run, tmp_path):
    (tmp_path / "out" / "previews").mkdir()
    Image.new("L", (40, 30), 90).save(tmp_path / "out" / "previews" / "c_0.png")
    summary = run()
    assert [path.name for path in (tmp_path / "result" / "worst").iterdir()] == ["01.png"]
    page = summary.page.read_text()
    assert "c_0: cracked (probability 0.70), in truth whole" in page
    # Of the missed study both images are errors, the less probable one first, without pictures.
    assert page.index("e_1: whole (probability 0.65)") < page.index("e_0: whole (probability 0.60)")
    run(worst=0)
    assert not list((tmp_path / "result" / "worst").iterdir())


def test_a_bad_case_is_a_row_and_the_others_go_on(run, tmp_path):
    rows = read_table(tmp_path / "out" / "results.csv")
    kept = [own for own in rows if own["case"] not in ("d_1", "f_0", "f")]
    for own in kept:
        if own["case"] == "b_0":
            own |= {"status": "failed", "reason": "a damaged file", "probability_cracked": ""}
    write_results(tmp_path / "out", [*kept, row("x", 0.5, image=tmp_path / "x.png", study="x")])
    summary = run()
    assert (summary.done, summary.failed, summary.skipped) == (7, 4, 1)
    assert dict(summary.failures) == {
        "image b_0": "infer: a damaged file",
        "image d_1": "no prediction",
        "image f_0": "no prediction",
        "study f": "no prediction",
    }
    table = {
        own["case"]: own
        for own in read_table(tmp_path / "result" / "predictions.csv")
        if own["level"] == "image"
    }
    assert (table["b_0"]["status"], table["b_0"]["reason"]) == ("failed", "infer: a damaged file")
    assert (table["b_0"]["label"], table["b_0"]["right"]) == ("cracked", "")
    assert (table["x"]["status"], table["x"]["reason"]) == ("skipped", "no reference")
    page = summary.page.read_text()
    assert "Cases that were not compared" in page
    assert page.count('class="marked"') == 4


def test_nothing_compared_still_has_files(run, tmp_path):
    write_results(tmp_path / "out", [row("a_0", None, image=tmp_path / "data" / "a" / "a_0.png", study="a")])
    summary = run()
    assert (summary.done, summary.failed) == (0, 10)
    assert summary.page.is_file()
    assert read_table(summary.output / "predictions.csv")[0]["status"] == "failed"
    assert summary.statistics["tables"] == []


def test_several_classes(tmp_path):
    grades = ("1", "2", "3", "4", "5")
    bundle = write_bundle(tmp_path / "motion_classification", grades)
    rng = np.random.default_rng(0)
    truth = [k for k in range(5) for _ in range(6)]
    rows, listed = [], []
    for number, label in enumerate(truth):
        values = rng.random(5) + 1.2 * np.eye(5)[label]
        rows.append(
            row(
                f"s{number}",
                (values / values.sum()).tolist(),
                image=tmp_path / f"s{number}.nii",
                classes=grades,
            )
        )
        listed.append({"image": f"s{number}.nii", "label": label, "subject": f"p{number // 2}"})
    write_results(tmp_path / "out", rows, grades)
    datalist = write_datalist(tmp_path, test=listed)
    summary = evaluate(bundle, tmp_path / "out", datalist, tmp_path / "result", resamples=50, progress=False)
    own = {(one["metric"], one["class"]): one for one in read_table(summary.table)}
    assert {one["level"] for one in own.values()} == {"image"}
    assert ("quadratic_kappa", "") in own
    mean = np.mean([float(own["auroc", name]["value"]) for name in grades])
    assert float(own["macro_auroc", ""]["value"]) == pytest.approx(mean)
    (table,) = summary.statistics["tables"]
    assert np.array(table["confusion"]).shape == (5, 5)
    assert table["classes"]["3"]["sensitivity"]["value"] == pytest.approx(table["confusion"][2][2] / 6)
    page = summary.page.read_text()
    assert "Each class against the rest: Images" in page
    assert "AUROC, mean of classes" in page
    with pytest.raises(InputError, match="5 classes; expected two"):
        evaluate(bundle, tmp_path / "out", datalist, tmp_path / "result", choose_threshold="youden")


def test_classes_are_called_as_the_run_called_them(tmp_path):
    names = ("sound", "pneumonia")
    bundle = write_bundle(tmp_path / "thing_classification")
    rows = [
        row(f"s{k}", value, image=tmp_path / f"s{k}.png", classes=names) for k, value in enumerate((0.9, 0.2))
    ]
    write_results(tmp_path / "out", rows, names)
    (tmp_path / "out" / "report.json").write_text(
        json.dumps({"bundle": "thing_classification", "labels": {"0": "sound", "1": "pneumonia"}})
    )
    listed = [{"image": f"s{k}.png", "label": 1 - k, "subject": str(k)} for k in (0, 1)]
    datalist = write_datalist(tmp_path, test=listed)
    summary = evaluate(bundle, tmp_path / "out", datalist, tmp_path / "result", resamples=50, progress=False)
    assert summary.statistics["classes"] == ["sound", "pneumonia"]
    assert float(metrics(summary)["accuracy"]["value"]) == 1
    (tmp_path / "out" / "report.json").write_text(
        json.dumps({"bundle": "other", "labels": {"0": "a", "1": "b"}})
    )
    with pytest.raises(InputError, match="a run of other; expected one of thing_classification"):
        evaluate(bundle, tmp_path / "out", datalist, tmp_path / "result", resamples=50, progress=False)


def test_references_without_patients_are_told_of(run, tmp_path):
    (tmp_path / "own.csv").write_text("case,label\na_0,1\nc_0,0\n")
    write_results(tmp_path / "out", [row("a_0", 0.9), row("c_0", 0.3)])
    summary = run(references="own.csv")
    assert summary.statistics["without_subject"] == 2
    assert "2 references name no patient" in summary.page.read_text()
    assert "name no patient" not in run(predictions="out", output="named").page.read_text()


def test_a_bundle_of_one_class_is_refused(run, tmp_path):
    bundle = write_bundle(tmp_path / "one_classification", CLASSES[:1])
    with pytest.raises(BundleError, match="expected two or more, numbered from 0"):
        evaluate(bundle, tmp_path / "out", tmp_path / "data" / "datalist.json", tmp_path / "result")


def test_an_old_comparison_does_not_stay(run, tmp_path):
    run(compare=tmp_path / "out")
    run()
    assert not (tmp_path / "result" / "comparison.csv").exists()


def test_an_old_operating_point_does_not_stay_and_one_of_a_training_does(run, tmp_path):
    file = tmp_path / "result" / "operating_point.json"
    run(references=APART, choose_threshold="youden")
    assert file.exists()
    run()
    assert not file.exists()
    file.write_text('{"threshold": 0.4, "epoch": 7}')
    run()
    assert file.exists()
