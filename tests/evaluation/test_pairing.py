"""Which reference belongs to which prediction."""

from __future__ import annotations

import json

import pytest

from monai_tasks.evaluation.pairing import find_pairs, shown
from monai_tasks.io.errors import InputError
from monai_tasks.io.tables import write_table


@pytest.fixture
def pairs(tmp_path):
    """Pairs of `out` with a source of references, by name."""

    def pairs(references="labels", **kwargs):
        return {pair.name: pair for pair in find_pairs(tmp_path / "out", tmp_path / references, **kwargs)}

    return pairs


@pytest.mark.parametrize("folder", ["out", "out/predictions"])
def test_cases_are_matched_by_file_name(save, pairs, tmp_path, folder):
    a, b = save(f"{folder}/a.nii.gz"), save(f"{folder}/b.nii")
    reference_a, reference_b = save("labels/site/a.nii"), save("labels/b.nii.gz")
    save("labels/.hidden/c.nii.gz")
    (tmp_path / "labels" / "notes.txt").write_text("not a label map")
    found = pairs()
    assert list(found) == ["a", "b"]
    assert [(pair.prediction, pair.reference) for pair in found.values()] == [
        (a, reference_a),
        (b, reference_b),
    ]
    assert [pair.problem for pair in found.values()] == ["", ""]


def test_the_predictions_folder_itself_can_be_named(save, tmp_path):
    save("out/predictions/a.nii.gz")
    save("labels/a.nii.gz")
    assert find_pairs(tmp_path / "out" / "predictions", tmp_path / "labels")[0].reference


def test_names_are_made_safe_on_both_sides(save, pairs):
    save("out/a_b.nii.gz")
    reference = save("labels/a b.nii.gz")
    assert pairs()["a_b"].reference == reference


def test_what_has_no_partner_is_told(save, pairs, tmp_path):
    for name in ("a", "extra"):
        save(f"out/predictions/{name}.nii.gz")
    for name in ("a", "lost", "broken"):
        save(f"labels/{name}.nii.gz")
    rows = [{"case": "broken", "input": "x.nii.gz", "reason": "a truncated gzip file"}]
    write_table(tmp_path / "out" / "results.csv", rows, ("case", "input", "reason"))
    found = pairs()
    assert found["a"].problem == ""
    assert (found["extra"].reference, found["extra"].problem) == (None, "")
    assert (found["lost"].prediction, found["lost"].problem) == (None, "no prediction")
    assert found["broken"].problem == "no prediction (infer: a truncated gzip file)"


def datalist(tmp_path, **parts):
    (tmp_path / "list.json").write_text(json.dumps({"name": "x", "labels": {}, **parts}))


def test_a_datalist_matches_by_image_label_and_subject(save, pairs, tmp_path):
    for name in ("img", "seg", "subject"):
        save(f"out/{name}.nii.gz")
    labels = {name: save(f"truth/{name}_true.nii.gz") for name in ("one", "three")}
    labels["two"] = save("truth/seg.nii.gz")
    datalist(
        tmp_path,
        test=[
            {
                "image": ["scans/img.nii.gz", "scans/img_t2.nii.gz"],
                "label": str(labels["one"]),
                "subject": "1",
            },
            {"image": "scans/other.nii.gz", "label": "truth/seg.nii.gz"},
            {"image": "scans/third.nii.gz", "label": "truth/three_true.nii.gz", "subject": "subject"},
        ],
    )
    found = pairs("list.json")
    assert {name: pair.reference for name, pair in found.items()} == {
        "img": labels["one"],
        "seg": labels["two"],
        "subject": labels["three"],
    }
    assert found["img"].image == tmp_path / "scans" / "img.nii.gz"


def test_a_label_of_several_files_is_one_reference(save, pairs, tmp_path):
    for name in ("epi_k1", "jopp_k1"):
        save(f"out/{name}.nii.gz")
    bones = ("femur", "tibia", "fibula")
    items = [
        {
            "image": f"{source}/k1.nii",
            "label": [f"{source}/k1_{b}.nii" for b in bones],
            "subject": f"{source}/k1",
        }
        for source in ("epi", "jopp")
    ]
    broken = [{"image": "a.nii", "label": []}, {"image": "b.nii", "label": ["b.nii", 3]}, {"image": "c.nii"}]
    datalist(tmp_path, test=items + broken)
    found = pairs("list.json")
    assert list(found) == ["epi_k1", "jopp_k1"]
    expected = tuple(tmp_path / "jopp" / f"k1_{bone}.nii" for bone in bones)
    assert found["jopp_k1"].reference == expected
    assert shown(found["jopp_k1"].reference) == ";".join(map(str, expected))
    assert shown(tmp_path / "a.nii") == str(tmp_path / "a.nii")
    assert shown(None) == ""


def test_a_channel_does_not_ask_for_the_whole_label(save, pairs, tmp_path):
    for name in ("k1", "k1_femur"):
        save(f"out/{name}.nii.gz")
    datalist(tmp_path, test=[{"image": "k1.nii", "label": ["k1_femur.nii", "k1_tibia.nii"]}])
    assert pairs("list.json")["k1_femur"].reference is None


def test_the_image_that_infer_read_decides_before_the_name(save, pairs, tmp_path):
    save("out/predictions/case_7.nii.gz")
    wanted = save("truth/b.nii.gz")
    items = [{"image": f"scans/{name}/t1.nii.gz", "label": f"truth/{name}.nii.gz"} for name in ("a", "b")]
    datalist(tmp_path, testing=items)
    row = {"case": "case_7", "input": f"{tmp_path}/scans/b/t1.nii.gz;{tmp_path}/scans/b/t2.nii.gz"}
    write_table(tmp_path / "out" / "results.csv", [row], ("case", "input"))
    found = pairs("list.json")
    assert found["case_7"].reference == wanted
    assert found["case_7"].image == tmp_path / "scans" / "b" / "t1.nii.gz"


def test_only_predicted_parts_of_a_datalist_are_asked_for(save, pairs, tmp_path):
    save("out/a.nii.gz")
    part = [{"image": f"{name}.nii.gz", "label": f"truth/{name}.nii.gz"} for name in "abc"]
    datalist(tmp_path, training=part[2:], validation=[], test=part[:2])
    found = pairs("list.json")
    assert {name: pair.problem for name, pair in found.items()} == {"a": "", "b": "no prediction"}


def test_several_references_for_a_case_are_a_problem(save, pairs, tmp_path):
    save("out/s.nii.gz")
    items = [{"image": f"{n}.nii.gz", "label": f"truth/{n}.nii.gz", "subject": "s"} for n in "ab"]
    datalist(tmp_path, test=items)
    found = pairs("list.json")
    assert list(found) == ["s"]
    assert found["s"].problem.startswith("2 references: ")


def test_images_for_pictures_can_be_named(save, pairs, tmp_path):
    save("out/a.nii.gz")
    save("labels/a.nii.gz")
    image = save("scans/a.nii.gz")
    assert pairs()["a"].image is None
    assert pairs(images=tmp_path / "scans")["a"].image == image


def test_a_foreign_results_table_is_passed_over(save, pairs, tmp_path):
    save("out/predictions/a.nii.gz")
    save("labels/a.nii.gz")
    (tmp_path / "out" / "results.csv").write_text("patient;score\n1;2\n")
    assert pairs()["a"].problem == ""
    (tmp_path / "out" / "results.csv").write_bytes(b"\xff\xfe\x00")
    assert pairs()["a"].problem == ""


def test_what_cannot_be_matched_at_all_is_refused(save, pairs, tmp_path):
    save("out/a.nii.gz")
    with pytest.raises(InputError, match=r"labels: no such file or folder"):
        pairs()
    (tmp_path / "labels").mkdir()
    with pytest.raises(InputError, match=r"labels: a folder without images"):
        pairs()
    save("labels/b.nii.gz")
    with pytest.raises(
        InputError, match=r"no case that is also in .*labels \(for example 'a' here, 'b' there\)"
    ):
        pairs()
    (tmp_path / "list.json").write_text("{")
    with pytest.raises(InputError, match="not JSON"):
        pairs("list.json")
    (tmp_path / "list.json").write_text('["a.nii.gz"]')
    with pytest.raises(InputError, match="no item with a `label`"):
        pairs("list.json")
    with pytest.raises(InputError, match="absent: no such folder"):
        find_pairs(tmp_path / "absent", tmp_path / "labels")
