"""Which true class belongs to which answer, for images and studies, and what has none."""

from __future__ import annotations

import pytest
from classification_tables import CLASSES, items, row, study_rows, write_datalist, write_results

from monai_tasks.evaluation.class_pairing import find_pairs
from monai_tasks.evaluation.class_predictions import read_predictions
from monai_tasks.evaluation.class_references import read_references
from monai_tasks.io.errors import InputError


@pytest.fixture
def pair(tmp_path):
    """Pairs rows of results with the parts of a datalist; rows by level, rule and case."""

    def pair(rows, part=None, classes=CLASSES, by=(), **parts):
        write_results(tmp_path / "out", rows, classes)
        known = read_references(write_datalist(tmp_path / "data", **parts), classes, part, by)
        found = find_pairs(read_predictions(tmp_path / "out", classes), known, len(classes))
        pair.rows = found.rows
        return {(one.level, one.rule, one.case): one for one in found.rows}, found.elsewhere

    return pair


@pytest.fixture
def studies(tmp_path):
    """Rows of results for studies in the folder of the data."""

    def studies(**probabilities):
        return [
            one for name, own in probabilities.items() for one in study_rows(tmp_path / "data", name, own)
        ]

    return studies


def test_images_and_studies_by_paths(pair, studies):
    rows, elsewhere = pair(
        studies(a=[0.2, 0.9], b=[0.1]), test=items("a", 2, 1, subject="p"), training=items("b", 1, 0)
    )
    assert elsewhere == 2, "an image and a study of the training part"
    assert {(key[1], one.label, one.subject, one.study) for key, one in rows.items()} == {
        ("", 1, "p", "a"),
        ("results", 1, "p", "a"),
        ("at_least_one", 1, "p", "a"),
        ("majority", 1, "p", "a"),
    }
    assert rows["study", "at_least_one", "a"].probabilities == pytest.approx((0.1, 0.9))
    assert rows["study", "majority", "a"].probabilities == (0.5, 0.5)
    assert [rows["study", rule, "a"].decision for rule in ("results", "at_least_one", "majority")] == [
        1,
        1,
        0,
    ]
    assert {one.status for one in rows.values()} == {"done"}


def test_a_study_called_otherwise_is_found_by_its_images(pair, studies):
    rows = [
        one | {"study": "folder 7", "case": one["case"].replace("a", "z")} for one in studies(a=[0.2, 0.9])
    ]
    found, _ = pair(rows, test=items("a", 2, 1))
    assert found["study", "results", "z"].key == "a"
    assert found["study", "majority", "a"].status == "done"


@pytest.mark.parametrize("of_file", [True, False])
def test_frames_are_found_by_their_file_and_by_themselves(pair, tmp_path, of_file):
    file = tmp_path / "data" / "a.dcm"
    frames = [f"{file}#frame={number}" for number in (1, 2)]
    rows = [row(f"a_F{number}", 0.8, image=path, study="a") for number, path in enumerate(frames, start=1)]
    listed = ["a.dcm"] if of_file else ["a.dcm#frame=1", "a.dcm#frame=2"]
    test = [{"image": image, "label": 1, "subject": "p", "study": "a"} for image in listed]
    found, _ = pair(rows, test=test)
    images = [one for one in pair.rows if one.level == "image"]
    assert [(one.status, one.label, one.subject) for one in images] == [("done", 1, "p")] * 2
    # In another run they are told apart.
    assert [one.key for one in images] == frames
    assert found["study", "majority", "a"].status == "done"


def test_after_a_move_names_are_enough(pair, studies):
    rows = [
        one | {"input": str(one["input"]).replace("data", "elsewhere")}
        for one in studies(a=[0.2, 0.9], b=[0.3])
    ]
    found, _ = pair(rows, test=items("a", 2, 1) + items("b", 1, 0))
    assert {one.status for one in found.values()} == {"done"}
    assert len(found) == 3 + 3 * 2


def test_after_a_move_a_name_of_several_images_is_unclear(pair, tmp_path):
    alike = {
        part: [{"image": f"{study}/S1_I1.png", "label": label, "subject": study, "study": study}]
        for part, study, label in (("test", "a", 1), ("training", "b", 0))
    }
    pair([row("S1_I1", 0.2, image=tmp_path / "elsewhere" / "b" / "S1_I1.png", study="b")], **alike)
    (image,) = [one for one in pair.rows if one.level == "image"]
    assert image.status == "failed"
    assert image.reason.startswith("2 references: ")


def test_a_name_is_no_match_where_paths_fit(pair, studies, tmp_path):
    rows = [*studies(a=[0.2]), row("b_0", 0.9, image=tmp_path / "other" / "b_0.png", study="other")]
    pair(rows, test=items("a", 1, 1) + items("b", 1, 0))
    own = [(one.status, one.reason) for one in pair.rows if one.case == "b_0"]
    assert own == [("skipped", "no reference"), ("failed", "no prediction")]


def test_a_failed_image_a_missing_one_and_one_without_a_reference(pair, studies, tmp_path):
    rows = [
        *studies(a=[0.2, 0.9]),
        row("b_0", None, image=tmp_path / "data" / "b" / "b_0.png", study="b"),
        row("c_0", 0.5, image=tmp_path / "data" / "c" / "c_0.png", study="c"),
    ]
    found, elsewhere = pair(rows, test=items("a", 3, 1) + items("b", 1, 0))
    states = {case: (one.status, one.reason) for (level, _, case), one in found.items() if level == "image"}
    assert states["b_0"] == ("failed", "infer: a damaged file")
    assert states["a_2"] == ("failed", "no prediction")
    assert states["c_0"] == ("skipped", "no reference")
    assert (states["a_0"], elsewhere) == (("done", ""), 0)
    # A study goes on without its missing image; without any it fails.
    assert found["study", "majority", "a"].probabilities == (0.5, 0.5)
    assert found["study", "at_least_one", "b"].reason == "no image of it has an answer"
    assert found["study", "results", "b"].reason == "no prediction"
    assert ("study", "results", "c") not in found


def test_a_network_for_studies(pair, tmp_path):
    data = tmp_path / "data"
    rows = [
        row("a", 0.8, image=f"{data}/a/a_0.png;{data}/a/a_1.png", level="study", study="a"),
        row("named otherwise", 0.3, image=f"{data}/b/b_0.png", level="study", study="named otherwise"),
        row("c", None, level="study", study="c"),
    ]
    test = items("a", 2, 1) + items("b", 1, 0) + items("c", 1, 0) + items("d", 1, 1)
    found, _ = pair(rows, test=test)
    assert {key[:2] for key in found} == {("study", "results")}
    states = {case: (one.key, one.label, one.status, one.reason) for (_, _, case), one in found.items()}
    assert states == {
        "a": ("a", 1, "done", ""),
        "named otherwise": ("b", 0, "done", ""),
        "c": ("c", 0, "failed", "infer: a damaged file"),
        "d": ("d", 1, "failed", "no prediction"),
    }


def test_a_study_is_positive_if_an_image_of_it_is(pair, studies):
    test = [*items("a", 1, 0, subject="p"), items("a", 2, 1, subject="p")[1]]
    found, _ = pair(studies(a=[0.2, 0.9]), test=test)
    assert [found["image", "", f"a_{k}"].label for k in (0, 1)] == [0, 1]
    assert {one.label for key, one in found.items() if key[0] == "study"} == {1}


def test_a_study_of_several_grades_has_no_class(pair, tmp_path):
    grades = ("one", "two", "three")
    rows = [
        row(
            f"a_{k}", [0.2, 0.1, 0.7], image=tmp_path / "data" / "a" / f"a_{k}.png", classes=grades, study="a"
        )
        for k in range(2)
    ]
    one, two = items("a", 2, "two")
    found, _ = pair(rows, classes=grades, test=[one, two | {"label": "three"}])
    study = found["study", "majority", "a"]
    assert (study.status, study.reason) == ("skipped", "its images are of different classes")
    assert ("study", "at_least_one", "a") not in found
    same, _ = pair(rows, classes=grades, test=[one, two])
    assert (same["study", "majority", "a"].label, same["study", "majority", "a"].decision) == (1, 2)


def test_references_that_contradict_each_other_fail(pair, studies):
    one, two = items("a", 2, 1)
    found, _ = pair(studies(a=[0.2, 0.9]), test=[one, two | {"subject": "q"}])
    assert found["study", "results", "a"].reason == "its images are of 2 subjects in the references"
    found, _ = pair(studies(a=[0.2, 0.9]), test=[one, two | {"study": "b"}])
    assert found["study", "results", "a"].reason == "its images are of 2 studies in the references"
    found, _ = pair(studies(a=[0.2, 0.9]), test=[one, one | {"label": 0}, two])
    assert found["image", "", "a_0"].reason.startswith("2 references: ")
    found, _ = pair(studies(a=[0.2, 0.9]), test=[one, two | {"label": 5}])
    assert found["image", "", "a_1"].reason == found["study", "results", "a"].reason
    assert found["image", "", "a_1"].reason.startswith("reference: class 5")


def test_without_a_patient_the_study_stands_for_it(pair, studies):
    rows = studies(a=[0.2], b=[0.3])
    bare = [{key: one[key] for key in ("image", "label")} for one in items("a", 1, 1) + items("b", 1, 0)]
    found, _ = pair(rows, test=bare)
    assert {key[2]: one.subject for key, one in found.items() if key[0] == "image"} == {
        "a_0": "a",
        "b_0": "b",
    }
    assert found["study", "majority", "a"].subject == "a"


def test_groups_of_a_study(pair, studies):
    one, two = items("a", 2, 1, view="pa", metal="no")
    found, _ = pair(studies(a=[0.2, 0.9]), by=["view", "metal"], test=[one, two | {"view": "lateral"}])
    assert found["study", "results", "a"].groups == {"view": "mixed", "metal": "no"}
    assert found["image", "", "a_1"].groups == {"view": "lateral", "metal": "no"}


def test_nothing_in_common_is_refused(pair, studies):
    with pytest.raises(
        InputError, match=r"no case that was predicted \(for example 'b_0' here, 'a_0' there\)"
    ):
        pair(studies(a=[0.2]), test=items("b", 1, 0))
    # Predictions of another part alone are as good as none.
    with pytest.raises(InputError, match="no case that was predicted"):
        pair(studies(a=[0.2]), test=items("b", 1, 0), training=items("a", 1, 0))
