"""Planted faults are remarked, in words that say what was found, and a clean set is left alone."""

from __future__ import annotations

import dataclasses

import nibabel
import numpy as np
import pytest

from monai_tasks.datasets import decathlon
from monai_tasks.datasets.checks import Findings, examine
from monai_tasks.datasets.checks_compare import CHECKS, MOST_REMARKS, compare
from monai_tasks.io.picture import write_png
from monai_tasks.phantoms.layouts import write_decathlon

CASES, FAULTY = 24, 5


@pytest.fixture(scope="module")
def items(tmp_path_factory):
    folder = write_decathlon(tmp_path_factory.mktemp("crops"), CASES, seed=3, unlabelled=0)
    content = decathlon.datalist(folder)
    items = [item for part in ("training", "validation", "test") for item in content[part]]
    return sorted(items, key=lambda item: item["subject"])


@pytest.fixture(scope="module")
def clean(items):
    return [examine(item, "segmentation") for item in items]


@pytest.fixture
def plant(items, clean, tmp_path):
    """The remarks on one case whose image and label a function changes; other cases must have none."""

    def remarks(change):
        item = items[FAULTY]
        image, label = nibabel.load(item["image"]), nibabel.load(item["label"])
        arrays = change(np.asarray(image.dataobj), np.asarray(label.dataobj))
        files = {"image": str(tmp_path / "image.nii.gz"), "label": str(tmp_path / "label.nii.gz")}
        for path, array in zip(files.values(), arrays, strict=True):
            nibabel.save(nibabel.Nifti1Image(array, image.affine), path)
        findings = list(clean)
        findings[FAULTY] = examine({**files, "subject": item["subject"]}, "segmentation")
        found = compare(findings)
        assert {remark.case for remark in found} <= {FAULTY}
        return {remark.check: remark for remark in reversed(found)}

    return remarks


def test_a_clean_set_has_no_remarks(clean):
    assert compare(clean) == []


def test_swapped_labels(plant):
    found = plant(lambda image, label: (image, np.choose(label, (0, 2, 1)).astype(np.uint8)))
    assert found["sides"].strength > 0.5
    assert "angle to its usual direction" in found["sides"].text


def test_a_case_mirrored_from_back_to_front(plant):
    assert "sides" in plant(lambda image, label: (image[:, ::-1].copy(), label[:, ::-1].copy()))


def test_an_image_that_is_mirrored_without_its_label(plant):
    assert "label on image" in plant(lambda image, label: (image[:, :, ::-1].copy(), label))


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_label_that_is_shifted(plant, axis):
    found = plant(lambda image, label: (image, np.roll(label, 6, axis)))
    assert "label on image" in found


def test_a_crop(plant):
    found = plant(lambda image, label: (image[:, :30].copy(), label[:, :30].copy()))
    assert {"field of view", "place"} <= found.keys()
    assert "mm; usual is" in found["field of view"].text


def test_a_label_that_is_empty_or_unknown(plant):
    found = plant(lambda image, label: (image, np.where(label == 2, 7, label).astype(np.uint8)))
    text = found["label"].text
    assert "label 2 is empty, in 1 of 24" in text or "label 7 is there, in 1 of 24" in text


def test_a_label_on_another_grid(plant):
    found = plant(lambda image, label: (image, label[1:].copy()))
    assert found["label grid"].strength == 1.0


def test_a_second_piece_far_from_the_first(plant):
    def change(image, label):
        label = label.copy()
        label[:6, :6, -6:] = 1
        return image, label

    found = plant(change)
    assert found.keys() & {"label", "cropping"}


def test_a_part_of_the_image_that_is_blank(plant):
    def change(image, label):
        image = image.copy()
        image[:, :18] = image.min()
        return image, label

    assert "pixels at the lowest value is" in plant(change)["intensity"].text


def test_remarks_are_ordered_few_and_of_known_checks(clean):
    findings = list(clean)
    far = {
        value: {name: 5 * number for name, number in own.items()}
        for value, own in clean[0].label.measures.items()
    }
    findings[0] = dataclasses.replace(clean[0], label=dataclasses.replace(clean[0].label, measures=far))
    findings[1] = Findings("nobody", "segmentation", problems=("a: no such file", "b: no such file"))
    remarks = compare(findings)
    assert [(remark.check, remark.strength) for remark in remarks if remark.case == 1] == [
        ("unreadable", 1.0)
    ] * 2
    own = [remark for remark in remarks if remark.case == 0]
    assert [remark.strength for remark in own] == sorted((remark.strength for remark in own), reverse=True)
    checks = [remark.check for remark in own]
    assert checks
    assert max(map(checks.count, checks)) == MOST_REMARKS
    assert set(checks) <= CHECKS.keys()
    assert all(0 < remark.strength <= 1 for remark in remarks)


def test_few_cases_say_nothing_about_what_is_usual(clean):
    findings = clean[:5]
    findings[0] = dataclasses.replace(findings[0], label=None, problems=("damaged",))
    assert [(remark.case, remark.check) for remark in compare(findings)] == [(0, "unreadable")]
    assert compare([]) == []


def test_a_rare_orientation_is_remarked_and_a_frequent_one_is_not(clean):
    def turned(count):
        for number, found in enumerate(clean):
            image = dataclasses.replace(found.images[0], orientation="LPS" if number < count else "RAS")
            yield dataclasses.replace(found, images=(image,))

    (remark,) = compare(list(turned(1)))
    assert (remark.case, remark.check) == (0, "grid")
    assert remark.text == "orientation of the file is LPS, in 1 of 24; usual is RAS"
    assert compare(list(turned(12))) == []


@pytest.fixture
def pictures(tmp_path):
    """Ten smooth pictures, of which the last is the third one mirrored, of another subject and class."""
    rng = np.random.default_rng(6)
    findings = []
    arrays = [np.kron(rng.integers(0, 60000, (6, 5)), np.ones((10, 12))) for _ in range(9)]
    for number, array in enumerate([*arrays, arrays[2][:, ::-1]]):
        path = tmp_path / "wrists" / f"{number}.png"
        path.parent.mkdir(exist_ok=True)
        write_png(path, np.clip(array + rng.normal(0, 200, array.shape), 0, 65535).astype(np.uint16))
        item = {"image": str(path), "label": int(number == 9), "subject": f"P{number}"}
        findings.append(examine(item, "classification"))
    return findings


def test_a_mirrored_copy_of_another_class(pictures):
    copies = [remark for remark in compare(pictures) if remark.check == "near-duplicate"]
    assert [remark.case for remark in copies] == [2, 9]
    assert copies[0].text.startswith(
        "nearly a mirrored copy of wrists/9.png of P9, whose class is 1, not 0 (corr"
    )
    assert copies[1].strength > 0.5


def test_a_copy_in_a_view_of_another_study(pictures):
    study = dataclasses.replace(pictures[0], images=(*pictures[0].images, *pictures[4].images))
    found = [remark for remark in compare([study, *pictures[1:]]) if remark.check == "near-duplicate"]
    assert {remark.case for remark in found} == {0, 4, 2, 9}


def test_real_cases_have_few_remarks(shared_data):
    content = decathlon.datalist(shared_data / "hippocampus")
    findings = [examine(item, "segmentation") for item in content["training"][:40]]
    # Their intensities are on several scales, of which some are rare among so few.
    assert len({remark.case for remark in compare(findings) if remark.check != "intensity"}) <= 2
