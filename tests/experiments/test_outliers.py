"""The list of suspicious cases of a cross-validation that is made by hand: who is first, why, and what is kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from monai_tasks.cli import main
from monai_tasks.datasets.exclude import read_parts, take_out
from monai_tasks.experiments.outliers import find_outliers
from monai_tasks.io.errors import InputError
from monai_tasks.io.files import sha256, write_json
from monai_tasks.io.tables import read_table, write_table
from monai_tasks.phantoms.layouts import write_decathlon

CROPS, CHESTS = "hippocampus_mri_segmentation", "chest_xray_pneumothorax_classification"
SWAPPED, COPY, ORIGINAL, FAILED = "phantom_003", "phantom_007", "phantom_002", "phantom_005"


def write_run(folder: Path, bundle: str, rows: list[dict]) -> Path:
    """What `cross-validate` leaves, as far as it is read."""
    write_table(folder / "out_of_fold.csv", rows, list(rows[0]))
    write_json(folder / "cross_validation.json", {"bundle": bundle, "merged": [], "settings": {}})
    return folder


@pytest.fixture(scope="module")
def crops_run(tmp_path_factory) -> Path:
    """A run of 12 crops: one has a swapped label, one is the copy of another subject's, one could not be predicted."""
    folder = tmp_path_factory.mktemp("outliers")
    data = write_decathlon(folder / "data", 12, unlabelled=0)
    for part in ("imagesTr", "labelsTr"):
        shutil.copyfile(data / part / f"{ORIGINAL}.nii.gz", data / part / f"{COPY}.nii.gz")
    predictions = folder / "run" / "out_of_fold" / "predictions"
    predictions.mkdir(parents=True)
    rows = []
    for number, path in enumerate(sorted((data / "labelsTr").glob("*.nii.gz"))):
        case = path.name.removesuffix(".nii.gz")
        shutil.copyfile(path, predictions / path.name)
        loss = 0.1 + 0.001 * number
        row = {"case": case, "subject": case, "fold": number % 3, "status": "done", "reason": ""}
        row |= {"image": data / "imagesTr" / path.name, "label": path}
        row |= {"prediction": f"out_of_fold/predictions/{path.name}", "loss": loss, "metric": 1 - loss}
        row |= {"dice_anterior": 1 - loss, "dice_posterior": 1 - loss}
        if case == SWAPPED:
            image = nibabel.load(path)
            swapped = np.array([0, 2, 1], np.uint8)[np.asarray(image.dataobj).astype(int)]
            nibabel.save(nibabel.Nifti1Image(swapped, image.affine), path)
            row |= {"loss": 0.97, "metric": 0.03, "dice_anterior": 0.04, "dice_posterior": 0.02}
        if case == FAILED:
            row |= {"status": "failed", "reason": "the network; said no"}
            row |= dict.fromkeys(("prediction", "loss", "metric", "dice_anterior", "dice_posterior"), "")
        rows.append(row)
    return write_run(folder / "run", CROPS, rows)


@pytest.fixture(scope="module")
def found(crops_run, tmp_path_factory) -> Path:
    """The list of that run, which no test may change."""
    output = tmp_path_factory.mktemp("found")
    find_outliers(CROPS, crops_run, output, top=5, progress=False)
    return output


def test_every_case_has_a_row_and_the_planted_ones_are_first(found):
    rows = read_table(found / "review.csv")
    assert len(rows) == 12
    assert [int(row["rank"]) for row in rows] == list(range(1, 13))
    assert {row["case"] for row in rows[:4]} == {SWAPPED, COPY, ORIGINAL, FAILED}
    assert [float(row["score"]) for row in rows] == sorted(
        (float(row["score"]) for row in rows), reverse=True
    )
    assert {row["decision"] for row in rows} == {""}


def test_reasons_name_labels_and_cases_and_say_what_the_network_said(found):
    reasons = {row["case"]: row["reasons"] for row in read_table(found / "review.csv")}
    assert "Dice 0.04 for anterior, 0.02 for posterior" in reasons[SWAPPED]
    assert "way from label 1 (anterior) to label 2 (posterior)" in reasons[SWAPPED]
    assert f"copy of imagesTr/{ORIGINAL}.nii.gz" in reasons[COPY]
    assert f"copy of imagesTr/{COPY}.nii.gz" in reasons[ORIGINAL]
    # Semicolons stand between reasons.
    assert "no prediction: the network, said no" in reasons[FAILED].split("; ")
    last = read_table(found / "review.csv")[-1]
    assert last["reasons"].startswith("nothing unusual: ")
    assert f"have its loss of {float(last['loss']):.3g} or a higher one" in last["reasons"]


def test_the_first_cases_are_pictured_and_on_the_page(found):
    rows = read_table(found / "review.csv")[:5]
    pictures = sorted(path.name for path in (found / "cases").iterdir())
    assert pictures == [f"{int(row['rank']):04d}_{row['case']}.png" for row in rows]
    sheet = Image.open(found / "contact_sheet.png")
    assert sheet.width > 1000
    page = (found / "report.html").read_text(encoding="utf-8")
    assert all(f'src="cases/{name}"' in page for name in pictures)
    # The label is in colour: orange in the picture of the swapped one, white contours are the prediction.
    drawn = np.asarray(Image.open(found / "cases" / next(name for name in pictures if SWAPPED in name)))
    assert (drawn == (230, 159, 0)).all(axis=2).any()
    assert (drawn == (255, 255, 255)).all(axis=2).any()


def test_the_summary_ties_the_list_to_its_run(found, crops_run):
    facts = json.loads((found / "outliers.json").read_text())
    assert facts["cases"] == 12
    assert facts["checks"]["near-duplicate"] == 2
    assert facts["run"]["out_of_fold.csv"] == sha256(crops_run / "out_of_fold.csv")
    checks = {(row["case"], row["check"]) for row in read_table(found / "remarks.csv")}
    assert {(COPY, "near-duplicate"), (SWAPPED, "sides")} <= checks
    assert 3 <= facts["remarked"] == len({case for case, _ in checks}) < 12


def test_a_reviewed_list_is_taken_by_a_training_and_kept_by_the_next_run(found, crops_run, tmp_path):
    rows = read_table(found / "review.csv")
    for row in rows:
        row["decision"] = {SWAPPED: "exclude", COPY: "keep"}.get(row["case"], "")
    write_table(tmp_path / "review.csv", rows, list(rows[0]))
    items = [{"image": row["image"], "label": row["label"], "subject": row["subject"]} for row in rows]
    write_json(tmp_path / "datalist.json", {"training": items})
    left, excluded = take_out(
        read_parts(tmp_path / "datalist.json"), tmp_path / "review.csv", tmp_path / "datalist.json"
    )
    assert excluded.taken["training"] == 1
    assert {item["subject"] for item in left["training"]} == {row["subject"] for row in rows} - {SWAPPED}
    find_outliers(CROPS, crops_run, tmp_path, top=1, progress=False)
    again = {row["case"]: row["decision"] for row in read_table(tmp_path / "review.csv")}
    assert (again[SWAPPED], again[COPY], again[ORIGINAL]) == ("exclude", "keep", "")


def test_decisions_on_cases_that_a_run_was_made_without_are_kept(found, crops_run, tmp_path):
    review = tmp_path / "out" / "review.csv"
    review.parent.mkdir()
    rows = read_table(found / "review.csv")
    gone = rows[3] | {"decision": "exclude"}
    write_table(review, [*rows[:3], gone, *rows[4:]], list(rows[0]))
    left = [row for row in read_table(crops_run / "out_of_fold.csv") if row["case"] != gone["case"]]
    run = Path(shutil.copytree(crops_run, tmp_path / "run"))
    write_run(run, CROPS, left)
    find_outliers(CROPS, run, review.parent, top=1, progress=False)
    last = read_table(review)[-1]
    assert len(read_table(review)) == 12
    assert (last["case"], last["decision"], last["rank"]) == (gone["case"], "exclude", "")
    assert last["reasons"] == "not in this run; decided on before"


def test_a_run_with_a_failed_fold_is_refused(crops_run, tmp_path):
    run = Path(shutil.copytree(crops_run, tmp_path / "run"))
    facts = json.loads((run / "cross_validation.json").read_text())
    facts["runs"] = [{"fold": 0, "status": "done"}, {"fold": 1, "status": "failed"}]
    write_json(run / "cross_validation.json", facts)
    with pytest.raises(InputError, match="fold 1 failed, so that its cases are missing"):
        find_outliers(CROPS, run, tmp_path / "out", progress=False)


@pytest.fixture
def chests_run(tmp_path) -> Path:
    """A run of 10 pictures of two classes: the network is sure that the label of the fourth is wrong."""
    rng, rows = np.random.default_rng(5), []
    for number in range(10):
        path = tmp_path / f"chest_{number}.png"
        Image.fromarray(rng.integers(0, 256, (40, 36), np.uint8)).save(path)
        right = 0.02 if number == 3 else 0.9 - 0.01 * number
        label = number % 2
        row = {"case": path.stem, "subject": f"s{number}", "fold": number % 2, "status": "done", "reason": ""}
        row |= {
            "image": path,
            "label": label,
            "prediction": "",
            "loss": -np.log(right),
            "metric": int(right > 0.5),
        }
        row |= {"probability_none": right if label == 0 else 1 - right}
        rows.append(row | {"probability_pneumothorax": right if label == 1 else 1 - right, "predicted": ""})
    return write_run(tmp_path / "run", CHESTS, rows)


def test_the_command_says_what_a_wrong_class_looks_like(chests_run, tmp_path):
    words = ["outliers", CHESTS, "--run", chests_run, "-o", tmp_path / "out", "--top", 2]
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == 0, done.output
    assert str(tmp_path / "out" / "review.csv") in done.output
    first = read_table(tmp_path / "out" / "review.csv")[0]
    assert (first["case"], first["label"], first["metric"]) == ("chest_3", "1", "0")
    expected = (
        "labelled pneumothorax, but a network that had not seen it says none with a probability of 0.98"
    )
    assert expected in first["reasons"]
    assert (tmp_path / "out" / "cases" / "0001_chest_3.png").is_file()


def test_what_is_no_run_of_the_bundle_is_refused(chests_run, tmp_path):
    with pytest.raises(InputError, match=r"no cross_validation\.json"):
        find_outliers(CHESTS, tmp_path, tmp_path / "out")
    with pytest.raises(InputError, match=f"a cross-validation of {CHESTS}; expected {CROPS}"):
        find_outliers(CROPS, chests_run, tmp_path / "out")
    (tmp_path / "out").mkdir(exist_ok=True)
    (tmp_path / "out" / "review.csv").write_text("name\nx\n")
    with pytest.raises(InputError, match="without the columns"):
        find_outliers(CHESTS, chests_run, tmp_path / "out")
    table = chests_run / "out_of_fold.csv"
    table.write_text(table.read_text().replace("loss", "cost"))
    with pytest.raises(InputError, match="no column 'loss'"):
        find_outliers(CHESTS, chests_run, tmp_path / "new")
    assert not (tmp_path / "new").exists()
