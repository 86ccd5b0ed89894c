"""`monai-tasks evaluate` for classifications: what is printed, how it ends, which options are refused."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
from classification_tables import items, row, study_rows, write_bundle, write_datalist, write_results
from click.testing import CliRunner

from monai_tasks.cli import main

STUDIES = {"a": ([0.9, 0.6], 1), "b": ([0.8], 1), "c": ([0.7, 0.1], 0), "d": ([0.2], 0)}


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.setattr(
        "monai_tasks.evaluation.curves.save", lambda figure, path: None
    )  # it takes most of the time
    bundle = write_bundle(tmp_path / "thing_classification")
    rows = [
        one for name, (values, _) in STUDIES.items() for one in study_rows(tmp_path / "data", name, values)
    ]
    write_results(tmp_path / "out", rows)
    listed = [one for name, (values, label) in STUDIES.items() for one in items(name, len(values), label)]
    write_datalist(tmp_path / "data", validation=listed[:4], test=listed)
    apart = {"validation": listed[:5], "test": listed[5:]}
    (tmp_path / "data" / "apart.json").write_text(json.dumps(apart))

    def run(*words, predictions="out", references="data/datalist.json", bundle=bundle):
        paths = {"--predictions": predictions, "--references": references, "-o": "result"}
        options = [word for name, path in paths.items() for word in (name, str(tmp_path / path))]
        return CliRunner().invoke(main, ["evaluate", str(bundle), *options, *words])

    return run


def test_figures_counts_and_the_page_are_printed(run, tmp_path):
    result = run("--by", "study")
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("image: AUROC 0.889, 95 % interval ")
    assert "; accuracy 0.833, 95 % interval " in lines[0]
    assert [line.split(": AUROC")[0] for line in lines[:4]] == [
        "image",
        "study, results",
        "study, at least one",
        "study, majority",
    ]
    assert lines[4:] == [
        "6 cases compared, 0 failed, 0 without a reference",
        str(tmp_path / "result" / "report.html"),
    ]
    assert run("-q").stdout == ""


def test_of_ordered_classes_grade_and_decision_are_printed(tmp_path, monkeypatch):
    monkeypatch.setattr("monai_tasks.evaluation.curves.save", lambda figure, path: None)
    classes = ("g1", "g2", "g3")
    bundle = write_bundle(tmp_path / "motion_classification", classes)
    (bundle / "configs" / "inference.json").write_text('{"ordinal": true, "rescan_from": 2}')
    said = {"a": (0, "keep"), "b": (1, "keep"), "c": (2, "scan_again"), "d": (1, "scan_again")}
    rows = [
        row(name, [float(k == grade) for k in range(3)], decision=decision, classes=classes)
        for name, (grade, decision) in said.items()
    ]
    write_results(tmp_path / "out", rows, classes)
    truth = {"a": 0, "b": 1, "c": 2, "d": 2}
    write_datalist(tmp_path, test=[{"image": f"{n}.png", "label": k, "subject": n} for n, k in truth.items()])
    words = [
        "--predictions",
        tmp_path / "out",
        "--references",
        tmp_path / "datalist.json",
        "-o",
        tmp_path / "r",
    ]
    words += ["--compare", tmp_path / "out"]
    result = CliRunner().invoke(main, ["evaluate", str(bundle), *map(str, words)])
    assert result.exit_code == 0, result.output
    lines = result.stdout.splitlines()
    assert lines[0].startswith("image: quadratic kappa 0.8")
    assert "; mean absolute error 0.250, 95 % interval " in lines[0]
    assert lines[1].startswith("image, decision: sensitivity 1.000")
    assert "; specificity 1.000" in lines[1]
    assert lines[2].startswith("difference, image: quadratic kappa 0.000")
    assert any(line.startswith("difference, image, decision: sensitivity 0.000") for line in lines)


def test_the_threshold_and_the_difference_are_printed(run, tmp_path):
    result = run("--choose-threshold", "youden", references="data/apart.json")
    assert result.exit_code == 0, result.output
    assert (
        "operating point 0.7500 by youden: sensitivity 0.667, specificity 1.000 on 5 cases" in result.stdout
    )
    assert json.loads((tmp_path / "result" / "operating_point.json").read_text())[
        "threshold"
    ] == pytest.approx(0.75)
    result = run("--compare", str(tmp_path / "out"))
    assert (
        "difference, study, majority less majority: AUROC 0.000, 95 % interval 0.000 to 0.000"
        in result.stdout
    )
    assert "difference, image: accuracy 0.000" in result.stdout


def test_a_failed_case_is_named_and_ends_with_1(run, tmp_path):
    write_results(
        tmp_path / "out",
        [
            row("a_0", 0.9, image=tmp_path / "data" / "a" / "a_0.png"),
            row("b_0", None, image=tmp_path / "data" / "b" / "b_0.png"),
        ],
    )
    result = run("--part", "validation")
    assert result.exit_code == 1
    assert "failed: image b_0: infer: a damaged file" in result.stderr
    assert "failed: image c_0: no prediction" in result.stderr
    assert "1 cases compared, 3 failed" in result.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--choose-threshold", "best"], "rule 'best'; expected youden, or sensitivity:X"),
        (["--choose-threshold", "youden", "--part", "test"], "expected the validation part"),
        (["--part", "all"], "'all' is not one of"),
        (["--by", "metal"], "no column or key 'metal'"),
        (["--images", "."], "--images: for bundles of kind segmentation"),
        (["--config", "t1t2", "--set", "a=1"], "--config, --set: for bundles of kind segmentation"),
        (["--compare", "/absent"], "does not exist"),
    ],
)
def test_wrong_words_end_with_2(run, words, message):
    result = run(*words)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.split())


def test_options_of_classifications_are_refused_for_segmentations(run, example_bundle):
    for words in (["--part", "test"], ["--by", "x"], ["--choose-threshold", "youden"], ["--compare", "."]):
        result = run(*words, bundle=example_bundle)
        assert result.exit_code == 2
        text = (
            f"{words[0]}: for bundles of kind classification; organ_mri_segmentation is of kind segmentation"
        )
        assert text in " ".join(result.stderr.split())


def test_a_classification_is_evaluated_without_torch(run, tmp_path):
    paths = ["--predictions", "out", "--references", "data/datalist.json", "-o", "result"]
    words = ["monai-tasks", "evaluate", "thing_classification", *paths, "-q"]
    code = f"import sys; sys.argv = {words}\nfrom monai_tasks.cli import main\nmain(standalone_mode=False)\n"
    code += "print('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == ["False"]
