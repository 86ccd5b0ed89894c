"""A whole evaluation: files written, bad cases set apart, pictures and page."""

from __future__ import annotations

import json
import os

import numpy as np
import pytest
from PIL import Image

from monai_tasks.catalog import open_bundle
from monai_tasks.evaluation.evaluate import COLUMNS, evaluate
from monai_tasks.inference.configs import ConfigError
from monai_tasks.io.tables import read_table
from monai_tasks.io.volume_reader import VolumeReader


@pytest.fixture
def compare(tmp_path, example_bundle):
    def compare(**kwargs):
        return evaluate(
            open_bundle(example_bundle), tmp_path / "out", tmp_path / "labels", tmp_path / "result", **kwargs
        )

    return compare


@pytest.fixture
def case(save, boxes):
    """Writes the prediction and the reference of a case whose Dice is 1 - shift / 4."""

    def case(name, shift):
        save(f"out/{name}.nii.gz", boxes(shift))
        save(f"labels/{name}.nii.gz")

    return case


def test_files_and_numbers(compare, case, tmp_path):
    for name, shift in {"a": 0, "b": 1, "c": 2}.items():
        case(name, shift)
    summary = compare()
    assert (summary.done, summary.failed, summary.skipped, summary.failures) == (3, 0, 0, ())
    rows = read_table(tmp_path / "result" / "metrics.csv")
    assert list(rows[0]) == list(COLUMNS)
    assert [(r["case"], r["label_name"], float(r["dice"])) for r in rows] == [
        (name, label, dice)
        for name, dice in (("a", 1.0), ("b", 0.75), ("c", 0.5))
        for label in ("anterior", "posterior")
    ]
    assert float(rows[2]["jaccard"]) == pytest.approx(0.6)
    assert float(rows[2]["volume_ml"]) == pytest.approx(4 * 4 * 6 * 2 / 1000)
    statistics = json.loads((tmp_path / "result" / "summary.json").read_text())
    assert statistics == summary.statistics
    assert statistics["bundle"] == "organ_mri_segmentation"
    assert statistics["labels"]["anterior"]["metrics"]["dice"]["mean"] == pytest.approx(0.75)
    assert summary.page == tmp_path / "result" / "report.html"
    assert {path.name for path in (tmp_path / "result").iterdir()} == {
        "metrics.csv",
        "summary.json",
        "boxplots.png",
        "report.html",
        "worst",
    }


def test_a_bad_case_is_a_row_and_the_others_go_on(compare, case, save, boxes, tmp_path):
    case("good", 1)
    case("text", 0)
    (tmp_path / "out" / "text.nii.gz").write_text("no image")
    case("cut", 0)
    whole = (tmp_path / "labels" / "cut.nii.gz").read_bytes()
    (tmp_path / "labels" / "cut.nii.gz").write_bytes(whole[: len(whole) // 2])
    save("out/small.nii.gz", boxes()[1:])
    save("labels/small.nii.gz")
    save("labels/lost.nii.gz")
    save("out/alone.nii.gz")
    summary = compare()
    assert (summary.done, summary.failed, summary.skipped) == (1, 4, 1)
    assert [name for name, _ in summary.failures] == ["cut", "lost", "small", "text"]
    rows = {row["case"]: row for row in read_table(summary.table)}
    expected = "prediction: shape 11x14x10; expected 12x14x10, the shape of small.nii.gz"
    assert rows["small"]["reason"] == expected
    assert (rows["lost"]["status"], rows["lost"]["reason"]) == ("failed", "no prediction")
    assert (rows["alone"]["status"], rows["alone"]["reason"]) == ("skipped", "no reference")
    assert rows["cut"]["reason"].startswith("reference: a truncated gzip file")
    assert rows["cut"]["reference"].endswith("labels/cut.nii.gz")
    assert rows["cut"]["dice"] == ""
    html = summary.page.read_text(encoding="utf-8")
    assert "Cases that were not compared" in html
    assert html.count('class="marked"') == 4


def test_the_worst_cases_are_pictured(compare, case, save, tmp_path):
    for name, shift in {"a": 0, "b": 3, "c": 2, "d": 1}.items():
        case(name, shift)
    rng = np.random.default_rng(0)
    for name in "bc":
        save(f"scans/{name}.nii.gz", rng.normal(100, 20, (12, 14, 10)).astype(np.float32))
    summary = compare(worst=2, images=tmp_path / "scans")
    pictures = sorted((tmp_path / "result" / "worst").iterdir())
    assert [path.name for path in pictures] == ["01.png", "02.png"]
    html = summary.page.read_text(encoding="utf-8")
    assert "b. Dice: anterior 0.250, posterior 0.250" in html
    assert html.index("worst/01.png") < html.index("b. Dice") < html.index("worst/02.png")
    grey = [np.ptp(np.asarray(Image.open(path).convert("RGB")).astype(int), axis=2) == 0 for path in pictures]
    with_image = [
        len(np.unique(np.asarray(Image.open(p).convert("L"))[g])) for p, g in zip(pictures, grey, strict=True)
    ]
    compare(worst=1)
    left = list((tmp_path / "result" / "worst").iterdir())
    assert [path.name for path in left] == ["01.png"]
    plain = np.asarray(Image.open(left[0]).convert("RGB"))
    without = len(np.unique(plain[np.ptp(plain.astype(int), axis=2) == 0]))
    assert min(with_image) > without, "the image is under the contours where there is one"


def test_an_unreadable_image_leaves_the_picture_without_ground(compare, case, tmp_path):
    case("a", 1)
    (tmp_path / "scans").mkdir()
    (tmp_path / "scans" / "a.nii.gz").write_text("no image")
    assert compare(images=tmp_path / "scans").failed == 0
    assert (tmp_path / "result" / "worst" / "01.png").is_file()


def test_an_image_on_another_grid_is_no_ground(compare, case, save, tmp_path):
    case("a", 1)
    scan = np.random.default_rng(0).normal(100, 20, (12, 14, 10)).astype(np.float32)
    pictures = {}
    same, turned = np.diag([-1.0, 1, 2, 1]), np.diag([1.0, 1, 2, 1])
    moved = same.copy()
    moved[0, 3] = 3.0
    for name, affine in {"same": same, "moved": moved, "turned": turned}.items():
        save("scans/a.nii.gz", scan, affine)
        compare(images=tmp_path / "scans")
        pictures[name] = (tmp_path / "result" / "worst" / "01.png").read_bytes()
    (tmp_path / "scans" / "a.nii.gz").write_text("no image")
    compare(images=tmp_path / "scans")
    black = (tmp_path / "result" / "worst" / "01.png").read_bytes()
    assert pictures["same"] != black
    assert pictures["moved"] == black
    assert pictures["turned"] == black


def test_an_image_that_may_not_be_opened_does_not_end_the_evaluation(
    compare, case, save, tmp_path, monkeypatch
):
    case("a", 1)
    save("scans/a.nii.gz", np.random.default_rng(0).normal(100, 20, (12, 14, 10)).astype(np.float32))

    class Refused(VolumeReader):
        def get_data(self, img):
            raise PermissionError(13, "Permission denied", str(img[0]))

    monkeypatch.setattr("monai_tasks.evaluation.evaluate.VolumeReader", Refused)
    assert compare(images=tmp_path / "scans").failed == 0
    assert (tmp_path / "result" / "worst" / "01.png").is_file()


def test_file_names_that_are_not_utf8_are_compared_as_others(compare, save, tmp_path):
    good, bad = (os.fsdecode(name) for name in (b"scan_\xff", b"broken_\xfe"))
    try:
        for name in (good, bad):
            save("out/plain.nii.gz").rename(tmp_path / "out" / f"{name}.nii.gz")
            save("labels/plain.nii.gz").rename(tmp_path / "labels" / f"{name}.nii.gz")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (tmp_path / "out" / f"{bad}.nii.gz").write_bytes(b"")
    summary = compare()
    assert (summary.done, summary.failed) == (1, 1)
    done = [row for row in read_table(summary.table) if row["status"] == "done"]
    assert done[0]["prediction"] == str(tmp_path / "out" / f"{good}.nii.gz")
    assert summary.page.is_file()


def test_an_unrelated_setting_does_not_map_the_references(compare, save, boxes, tmp_path, example_bundle):
    config = {"label_groups": [[17], [53]], "label_names": ["anterior", "posterior"], "overlap": 0.25}
    (example_bundle / "configs" / "inference.json").write_text(json.dumps(config))
    save("out/a.nii.gz")
    save("labels/a.nii.gz")
    (tmp_path / "other.json").write_text('{"overlap": 0.5}')
    for options in ({"settings": {"overlap": 0.5}}, {"configs": [str(tmp_path / "other.json")]}):
        summary = compare(**options)
        assert summary.statistics["labels"]["anterior"]["metrics"]["dice"]["mean"] == 1
    assert list(compare(settings={"label_names": ["x", "y"]}).statistics["labels"]) == ["x", "y"]
    save("labels/a.nii.gz", np.select([boxes() == 1, boxes() == 2], [2, 1], 0).astype(np.uint8))
    for key, value in (("label_groups", [[2], [1]]), ("label_groups#0", [2])):
        mapped = compare(settings={key: value, "label_groups#1": [1]})
        assert mapped.statistics["labels"]["posterior"]["metrics"]["dice"]["mean"] == 1


def test_groups_and_names_of_different_number_are_refused(compare, save, example_bundle, tmp_path):
    save("out/a.nii.gz")
    save("labels/a.nii.gz")
    for names in (["left"], ["left", "right", "both"]):
        (tmp_path / "sides.json").write_text(json.dumps({"label_groups": [[17], [53]], "label_names": names}))
        with pytest.raises(ConfigError, match="expected one name for each group"):
            compare(configs=[str(tmp_path / "sides.json")])
    (tmp_path / "sides.json").write_text('{"label_groups": [[17], [53]]}')
    with pytest.raises(ConfigError, match="label_names None; expected one name for each group"):
        compare(configs=[str(tmp_path / "sides.json")])
    assert not (tmp_path / "result").exists()


def test_other_labels_and_reference_values(compare, save, boxes, tmp_path):
    save("out/a.nii.gz")
    aseg = np.select([boxes() == 1, boxes() == 2], [17, 53], 4).astype(np.int16)
    save("labels/a.nii.gz", aseg)
    (tmp_path / "sides.json").write_text('{"label_groups": [[17], [53]], "label_names": ["left", "right"]}')
    summary = compare(configs=[str(tmp_path / "sides.json")])
    assert [summary.statistics["labels"][side]["metrics"]["dice"]["mean"] for side in ("left", "right")] == [
        1,
        1,
    ]
    assert compare().failures[0][1].endswith("label values 4, 17, 53; expected only 0, 1, 2")
    with pytest.raises(ConfigError, match="no config id 'label_group'"):
        compare(settings={"label_group": [[17], [53]]})


@pytest.fixture
def bones(save, boxes, tmp_path, example_bundle):
    """Two cases with channels for references, a bundle that merges them, and the datalist."""
    config = {"label_groups": [[1, 2]], "label_names": ["organ"]}
    (example_bundle / "configs" / "inference.json").write_text(json.dumps(config))
    metadata = json.loads((example_bundle / "configs" / "metadata.json").read_text())
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "background", "1": "organ"}
    (example_bundle / "configs" / "metadata.json").write_text(json.dumps(metadata))
    channels = [(boxes() == value).astype(np.uint8) for value in (1, 2)]
    for name in "ab":
        save(f"out/{name}.nii.gz", (boxes() > 0).astype(np.uint8))
    files = [str(save(f"truth/a_{value}.nii.gz", one)) for value, one in enumerate(channels, start=1)]
    merged = str(save("truth/b_maps.nii.gz", np.stack(channels, axis=-1)))
    items = [{"image": "a.nii.gz", "label": files}, {"image": "b.nii.gz", "label": merged}]
    (tmp_path / "list.json").write_text(json.dumps({"test": items}))
    return files


def test_references_of_channels_are_merged_as_the_bundle_does(bones, tmp_path, example_bundle):
    bundle, names = open_bundle(example_bundle), ("out", "list.json", "result")
    summary = evaluate(bundle, *(tmp_path / name for name in names))
    assert (summary.done, summary.failures) == (2, ())
    assert summary.statistics["labels"]["organ"]["metrics"]["dice"]["low"] == 1
    rows = {row["case"]: row for row in read_table(summary.table)}
    assert rows["a"]["reference"] == ";".join(bones)
    assert len(list((tmp_path / "result" / "worst").iterdir())) == 2
    settings = {"label_groups": [[2], [1]], "label_names": ["one", "two"]}
    labels = evaluate(bundle, *(tmp_path / name for name in names), settings=settings).statistics["labels"]
    assert labels["one"]["metrics"]["sensitivity"]["mean"] == 1
    assert labels["one"]["metrics"]["precision"]["mean"] == 0.5
    assert labels["two"]["empty"]["prediction_only"] == 2


def test_a_label_map_of_all_channels_is_merged_as_the_bundle_does(
    bones, save, boxes, tmp_path, example_bundle
):
    save("labels/a.nii.gz")
    save("labels/b.nii.gz", boxes() * np.uint8(2))
    names = ("out", "labels", "result")
    summary = evaluate(open_bundle(example_bundle), *(tmp_path / name for name in names))
    assert summary.statistics["labels"]["organ"]["metrics"]["dice"]["mean"] == 1
    assert summary.failures == (("b", "reference: label values 2, 4; expected only 0, 1"),)


def test_values_that_the_bundle_calls_background_are_background(bones, save, boxes, tmp_path, example_bundle):
    """As oedema is, where the core of a tumour is compared; other values are refused as before."""
    config = example_bundle / "configs" / "inference.json"
    content = json.loads(config.read_text(encoding="utf-8"))
    config.write_text(json.dumps(content | {"background_labels": [7]}), encoding="utf-8")
    around = boxes().astype(np.uint8)
    save("labels/a.nii.gz", np.where(around == 0, 7, around).astype(np.uint8))
    save("labels/b.nii.gz", np.where(around == 0, 8, around).astype(np.uint8))
    names = ("out", "labels", "result")
    summary = evaluate(open_bundle(example_bundle), *(tmp_path / name for name in names))
    assert summary.statistics["labels"]["organ"]["metrics"]["dice"]["mean"] == 1
    assert summary.failures == (("b", "reference: label values 2, 8; expected only 0, 1"),)


def test_without_groups_each_channel_is_a_label(compare, save, boxes, tmp_path):
    save("out/a.nii.gz")
    save("labels/a.nii.gz", np.stack([boxes() == 1, boxes() == 2], axis=-1).astype(np.uint8))
    labels = compare().statistics["labels"]
    assert [labels[name]["metrics"]["dice"]["mean"] for name in ("anterior", "posterior")] == [1, 1]


def test_a_damaged_channel_is_named(bones, tmp_path, example_bundle):
    (tmp_path / "truth" / "a_2.nii.gz").write_text("no image")
    summary = evaluate(
        open_bundle(example_bundle), *(tmp_path / name for name in ("out", "list.json", "result"))
    )
    assert summary.done == 1
    ((case, reason),) = summary.failures
    assert (case, reason.split(":")[0]) == ("a", "reference a_2.nii.gz")


def test_a_single_case_without_intervals_has_a_page(compare, case):
    case("only", 1)
    summary = compare()
    dice = summary.statistics["labels"]["anterior"]["metrics"]["dice"]
    assert (dice["mean"], dice["low"], dice["method"]) == (0.75, None, "single")
    assert "0.750" in summary.page.read_text(encoding="utf-8")


def test_nothing_compared_still_has_files(compare, case, tmp_path):
    case("only", 0)
    (tmp_path / "out" / "only.nii.gz").write_bytes(b"")
    summary = compare()
    assert (summary.done, summary.failed) == (0, 1)
    assert summary.page.is_file()
