"""Ordered classes: the grade, the decision to scan again, and the raters beside the network."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from classification_tables import row, write_bundle, write_datalist, write_results

from monai_tasks.catalog import Bundle
from monai_tasks.evaluation import curves
from monai_tasks.evaluation.class_pairing import Row
from monai_tasks.evaluation.evaluate_classification import evaluate
from monai_tasks.evaluation.graded import compare_raters, decision_rows, grades_of_bundle
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import read_table
from monai_tasks.metrics.grades import Grades

CLASSES = tuple(f"grade_{number}" for number in range(1, 6))
GRADES = Grades(5, 3)
# Case, grade that infer gave, probability to scan again, decision, consensus, raters' grades, subject, site.
CASES = [
    ("a", 1, 0.05, "keep", 1, (1, 1, 2), "p", "radius"),
    ("b", 2, 0.10, "keep", 1, (1, 2, 1), "p", "tibia"),
    ("c", 2, 0.35, "scan_again", 3, (2, 3, 3), "q", "radius"),
    ("d", 4, 0.80, "scan_again", 4, (4, 4, 3), "r", "tibia"),
    ("e", 3, 0.20, "keep", 4, (5, 3, 4), "s", "radius"),
    ("f", 5, 0.95, "scan_again", 5, (5, 5, 5), "t", "radius"),
    ("g", 2, 0.15, "keep", 2, (2, 2, 3), "u", "tibia"),
]


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """No plot is drawn, which takes most of the time."""
    monkeypatch.setattr(curves, "save", lambda figure, path: None)


def spread(grade: int, again: float) -> list[float]:
    """Probabilities with a given sum of the last two classes; the most probable class need not be the grade."""
    values = [0.0] * 5
    values[3] = again
    values[0 if grade >= 4 else grade - 1] = 1 - again
    return values


@pytest.fixture
def run(tmp_path):
    """Evaluates the cases; two are of one subject."""
    write_bundle(tmp_path / "motion_classification", CLASSES)
    order = {"ordinal": True, "rescan_from": 3}
    (tmp_path / "motion_classification" / "configs" / "inference.json").write_text(json.dumps(order))
    rows = [
        row(
            name,
            spread(grade, again),
            image=tmp_path / f"{name}.isq",
            decision=decision,
            classes=CLASSES,
            prediction=f"grade_{grade}",
        )
        for name, grade, again, decision, *_ in CASES
    ]
    write_results(tmp_path / "out", rows, CLASSES)
    items = [
        {
            "image": f"{name}.isq",
            "label": consensus - 1,
            "raters": dict(zip(("anna", "ben", "cleo"), raters, strict=True)),
            "subject": subject,
            "site": site,
        }
        for name, _, _, _, consensus, raters, subject, site in CASES
    ]
    write_datalist(tmp_path, test=items)
    (tmp_path / "validation.json").write_text(json.dumps({"validation": items}))

    def run(predictions="out", references="datalist.json", **options):
        paths = (tmp_path / name for name in ("motion_classification", predictions, references, "result"))
        return evaluate(*paths, **({"resamples": 200, "progress": False} | options))

    return run


def quadratic_kappa(true: list[int], said: list[int]) -> float:
    seen = sum((a - b) ** 2 for a, b in zip(true, said, strict=True)) / len(true)
    dealt = sum((a - b) ** 2 for a in true for b in said) / len(true) ** 2
    return 1 - seen / dealt


def metrics(summary, rule="", subgroup=""):
    rows = read_table(summary.table)
    return {
        one["metric"]: one
        for one in rows
        if (one["rule"], one["subgroup"], one["class"]) == (rule, subgroup, "")
    }


def test_the_grade_is_that_of_the_table_and_not_the_most_probable(run):
    own = metrics(run())
    said, true = [case[1] for case in CASES], [case[4] for case in CASES]
    assert float(own["quadratic_kappa"]["value"]) == pytest.approx(quadratic_kappa(true, said))
    errors = [abs(a - b) for a, b in zip(said, true, strict=True)]
    assert float(own["mean_absolute_error"]["value"]) == pytest.approx(sum(errors) / len(errors))
    assert float(own["quadratic_kappa"]["low"]) < float(own["quadratic_kappa"]["value"])
    assert own["quadratic_kappa"]["subjects"] == "6"


def test_the_decision_is_measured_as_two_classes(run):
    summary = run()
    own = metrics(summary, "decision")
    # Grade 4 and 5 are d, e, f; d and f are found, and c is scanned again for nothing.
    expected = {"sensitivity": 2 / 3, "specificity": 3 / 4, "accuracy": 5 / 7, "auroc": 11 / 12}
    assert {name: float(own[name]["value"]) for name in expected} == pytest.approx(expected)
    table = next(one for one in summary.statistics["tables"] if one["rule"] == "decision")
    assert table["of_class"] == {"keep": 4, "scan_again": 3}
    assert table["confusion"] == [[3, 1], [1, 2]]
    assert "classes" not in table
    assert summary.statistics["ordinal"] == {"rescan_from": "grade_4"}
    page = summary.page.read_text()
    assert "decision to scan again" in page
    assert "Quadratic kappa, images" in page


def test_subgroups_have_both(run):
    summary = run(by=["site"])
    assert metrics(summary, "", "site=radius")["quadratic_kappa"]["n"] == "4"
    assert float(metrics(summary, "decision", "site=radius")["sensitivity"]["value"]) == 0.5
    assert float(metrics(summary, "decision", "site=tibia")["sensitivity"]["value"]) == 1.0


def test_raters_and_network_are_measured_against_the_others(run, tmp_path):
    summary = run()
    rows = {
        (one["who"], one["against"], one["of"], one["metric"]): one
        for one in read_table(tmp_path / "result" / "raters.csv")
    }
    # The mean of the other two, half up.
    others = [math.floor((ben + cleo) / 2 + 0.5) for _, _, _, _, _, (_, ben, cleo), _, _ in CASES]
    assert others == [2, 2, 3, 4, 4, 5, 3]
    anna, network = [case[5][0] for case in CASES], [case[1] for case in CASES]
    for who, grades in (("anna", anna), ("network", network)):
        one = rows[who, "all but anna", "grade", "quadratic_kappa"]
        assert float(one["value"]) == pytest.approx(quadratic_kappa(others, grades))
        assert (one["n"], one["subjects"]) == ("7", "6")
    needed = [grade >= 4 for grade in others]
    again = [case[3] == "scan_again" for case in CASES]
    found = sum(a and b for a, b in zip(needed, again, strict=True)) / sum(needed)
    assert float(rows["network", "all but anna", "decision", "sensitivity"]["value"]) == pytest.approx(found)
    assert {who for who, *_ in rows} == {"anna", "ben", "cleo", "network"}
    assert summary.statistics["raters"]
    assert "all but cleo" in summary.page.read_text()


def test_one_rater_alone_has_nothing_to_be_compared_with(run, tmp_path):
    content = json.loads((tmp_path / "datalist.json").read_text())
    for items in content.values():
        for item in items:
            item["raters"] = {"anna": item["raters"]["anna"], "ben": None}
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    (tmp_path / "result").mkdir()
    (tmp_path / "result" / "raters.csv").write_text("of an earlier run")
    summary = run()
    assert "raters" not in summary.statistics
    assert not (tmp_path / "result" / "raters.csv").exists()


def test_a_grade_that_no_rater_can_give_is_a_failed_case(run, tmp_path):
    content = json.loads((tmp_path / "datalist.json").read_text())
    content["test"][0]["raters"]["ben"] = 7
    (tmp_path / "datalist.json").write_text(json.dumps(content))
    summary = run()
    assert summary.failures == (
        ("image a", "reference: grade 7 of rater ben; expected one of 1, 2, 3, 4, 5"),
    )


def test_the_threshold_is_that_of_scanning_again(run, tmp_path):
    options = {"references": "validation.json", "choose_threshold": "sensitivity:1"}
    point = run(**options).statistics["operating_point"]
    assert point["threshold"] == pytest.approx((0.2 + 0.15) / 2)
    assert (point["n"], point["positives"], point["part"]) == (7, 3, "validation")
    assert point["specificity"] == pytest.approx(3 / 4)
    assert json.loads((tmp_path / "result" / "operating_point.json").read_text()) == point


def test_two_runs_are_compared_by_grade_and_decision(run, tmp_path):
    rows = read_table(tmp_path / "out" / "results.csv")
    rows[4] |= {"prediction": "grade_4", "decision": "scan_again"}
    write_results(tmp_path / "better", rows, CLASSES)
    found = {
        (one["rule"], one["metric"]): one["difference"]
        for one in run("better", compare=tmp_path / "out").statistics["comparison"]
    }
    assert found["", "quadratic_kappa"] > 0
    assert found["", "mean_absolute_error"] == pytest.approx(-1 / 7)
    assert found["decision", "sensitivity"] == pytest.approx(1 / 3)
    assert found["decision", "specificity"] == 0


def test_the_worst_error_is_the_one_most_grades_off(run, tmp_path):
    rows = read_table(tmp_path / "out" / "results.csv")
    rows[5]["prediction"] = "grade_2"
    write_results(tmp_path / "out", rows, CLASSES)
    page = run().page.read_text()
    worst = page[page.index("Worst errors") :]
    assert worst.index("f: grade_2") < worst.index("b: grade_2")


def test_a_table_without_decisions_is_decided_by_the_rule():
    rows = [Row("image", "", "a", "a", "done", label=3, probabilities=(0.1, 0.1, 0.2, 0.3, 0.3), action=1)]
    (one,) = decision_rows(rows, GRADES)
    assert (one.rule, one.label, one.decision) == ("decision", 1, 1)
    assert one.probabilities == pytest.approx((0.4, 0.6))
    assert decision_rows([Row("image", "", "a", "a", "failed")], GRADES) == []
    assert compare_raters(rows, GRADES, 10) == []


def test_a_config_without_a_grade_to_scan_again_from_is_named(tmp_path):
    bundle = Bundle(write_bundle(tmp_path / "motion_classification", CLASSES))
    assert grades_of_bundle(bundle, 5) is None
    config = tmp_path / "motion_classification" / "configs" / "inference.json"
    config.write_text('{"ordinal": true}')
    with pytest.raises(InputError, match=r"inference\.json: ordinal without rescan_from"):
        grades_of_bundle(bundle, 5)
    config.write_text('{"ordinal": false}')
    assert grades_of_bundle(bundle, 5) is None
    assert np.isclose(quadratic_kappa([1, 2, 3], [1, 2, 3]), 1)
