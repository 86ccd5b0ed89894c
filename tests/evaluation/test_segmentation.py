"""Metrics of one case against slow restatements, and the files that are refused."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk

from monai_tasks.evaluation.segmentation import METRICS, VOLUMES, compare_masks, evaluate_case
from monai_tasks.io.errors import InputError

LABELS = {1: "anterior", 2: "posterior"}


def surface(mask: np.ndarray) -> list[tuple[int, ...]]:
    """Voxels of a mask with a face neighbour outside of it; all beyond the image is outside."""
    found = []
    for voxel in zip(*np.nonzero(mask), strict=True):
        for axis in range(3):
            for step in (-1, 1):
                near = list(voxel)
                near[axis] += step
                inside = 0 <= near[axis] < mask.shape[axis]
                if not (inside and mask[tuple(near)]):
                    found.append(voxel)
    return list(dict.fromkeys(found))


def directed(first: list, second: list, affine: np.ndarray) -> list[float]:
    """From each surface voxel of the first mask to the nearest of the second, in mm, through world space."""
    world = [affine[:3, :3] @ np.array(voxel, dtype=float) for voxel in second]
    return [
        min(float(np.linalg.norm(affine[:3, :3] @ np.array(voxel, dtype=float) - other)) for other in world)
        for voxel in first
    ]


def restated(predicted: np.ndarray, true: np.ndarray, affine: np.ndarray) -> dict[str, float]:
    """Every metric of two masks that are not empty, by loops over voxels."""
    tp = fp = fn = tn = 0
    for guess, truth in zip(predicted.flat, true.flat, strict=True):
        tp += bool(guess and truth)
        fp += bool(guess and not truth)
        fn += bool(truth and not guess)
        tn += bool(not guess and not truth)
    there = directed(surface(predicted), surface(true), affine)
    back = directed(surface(true), surface(predicted), affine)
    voxel = float(np.prod([np.linalg.norm(affine[:3, axis]) for axis in range(3)])) / 1000
    return {
        "dice": 2 * tp / (2 * tp + fp + fn),
        "jaccard": tp / (tp + fp + fn),
        "precision": tp / (tp + fp),
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "accuracy": (tp + tn) / (tp + tn + fp + fn),
        "hd95_mm": max(np.percentile(there, 95), np.percentile(back, 95)),
        "mean_surface_distance_mm": sum(there + back) / len(there + back),
        "volume_ml": (tp + fp) * voxel,
        "reference_volume_ml": (tp + fn) * voxel,
        "volume_error_ml": (fp - fn) * voxel,
        "volume_error_percent": 100 * (fp - fn) / (tp + fn),
    }


def ball(shape, centre, radius) -> np.ndarray:
    places = np.indices(shape) - np.reshape(centre, (3, 1, 1, 1))
    return np.sum((places / np.reshape(radius, (3, 1, 1, 1))) ** 2, axis=0) <= 1


def masks(case: str) -> tuple[np.ndarray, np.ndarray]:
    if case == "balls":
        return ball((14, 18, 11), (6, 8, 5), (4, 5, 3)), ball((14, 18, 11), (7, 9, 5), (4, 5, 2))
    if case == "apart":
        return ball((14, 18, 11), (3, 3, 3), (2, 2, 2)), ball((14, 18, 11), (11, 14, 8), (2, 3, 2))
    if case == "at the edge":
        return ball((14, 18, 11), (0, 8, 10), (4, 5, 3)), ball((14, 18, 11), (1, 8, 10), (4, 6, 3))
    noise = np.random.default_rng(3).random((2, 9, 8, 7)) < 0.2
    return noise[0], noise[1]


@pytest.mark.parametrize("case", ["balls", "apart", "at the edge", "speckles"])
@pytest.mark.parametrize("grid", ["RAS", "LPS", "oblique"])
def test_metrics_agree_with_loops_over_voxels(grids, case, grid):
    predicted, true = masks(case)
    affine = grids[grid].affine
    assert len(set(np.round(nib.affines.voxel_sizes(affine), 3))) == 3, "the spacing must be anisotropic"
    result = compare_masks(predicted, true, affine)
    assert set(result) == {*METRICS, *VOLUMES}
    assert result == pytest.approx(restated(predicted, true, affine), rel=1e-5, abs=1e-6)


def test_equal_masks_are_perfect(grids):
    mask = masks("balls")[0]
    result = compare_masks(mask, mask, grids["LAS"].affine)
    shares = ("dice", "jaccard", "precision", "sensitivity", "specificity", "accuracy")
    assert [result[name] for name in shares] == [1.0] * 6
    assert [result[name] for name in ("hd95_mm", "mean_surface_distance_mm", "volume_error_ml")] == [0.0] * 3


SHAPE = (6, 5, 4)
NOTHING, SOMETHING = np.zeros(SHAPE, bool), ball(SHAPE, (3, 2, 2), (1, 1, 1))


@pytest.mark.parametrize(
    ("predicted", "true", "overlap", "precision", "sensitivity", "percent"),
    [
        (NOTHING, NOTHING, 1.0, None, None, None),
        (NOTHING, SOMETHING, 0.0, None, 0.0, -100.0),
        (SOMETHING, NOTHING, 0.0, 0.0, None, None),
    ],
    ids=["both empty", "no prediction", "no reference"],
)
def test_empty_masks_follow_the_rule(predicted, true, overlap, precision, sensitivity, percent):
    result = compare_masks(predicted, true, np.diag([1.0, 2.0, 3.0, 1.0]))
    assert (result["dice"], result["jaccard"]) == (overlap, overlap)
    assert (result["precision"], result["sensitivity"]) == (precision, sensitivity)
    assert result["hd95_mm"] is None
    assert result["mean_surface_distance_mm"] is None
    assert result["volume_error_percent"] == percent
    assert result["volume_error_ml"] == pytest.approx((predicted.sum() - true.sum()) * 0.006)
    assert result["specificity"] == pytest.approx(1 - predicted.sum() / predicted.size)
    assert result["accuracy"] == pytest.approx((predicted == true).mean())


def test_full_masks_leave_specificity_blank():
    full = np.ones(SHAPE, bool)
    result = compare_masks(full, full, np.eye(4))
    assert (result["dice"], result["accuracy"]) == (1, 1)
    assert result["specificity"] is None


@pytest.fixture
def write(tmp_path, grids):
    def write(name, values, affine=None):
        path = tmp_path / name
        nib.save(nib.Nifti1Image(values, grids["oblique"].affine if affine is None else affine), path)
        return path

    return write


def label_map(case: str = "balls") -> np.ndarray:
    first, second = masks(case)
    return (first + second.astype(np.uint8)).astype(np.uint8)


def test_each_label_is_compared_by_itself(write, grids):
    predicted = label_map()
    true = np.roll(predicted, 1, axis=1)
    results = evaluate_case(write("p.nii.gz", predicted), write("r.nii.gz", true.astype(np.float32)), LABELS)
    assert list(results) == [1, 2]
    for value in LABELS:
        expected = restated(predicted == value, true == value, grids["oblique"].affine)
        assert results[value] == pytest.approx(expected, rel=1e-4, abs=1e-6)


def test_reference_values_can_be_mapped(write):
    true = label_map()
    free_surfer = np.select([true == 1, true == 2], [17, 53], 2).astype(np.int32)
    results = evaluate_case(write("p.nii.gz", true), write("aseg.mgz", free_surfer), LABELS, {17: 1, 53: 2})
    assert [results[value]["dice"] for value in LABELS] == [1.0, 1.0]
    merged = evaluate_case(
        write("p1.nii.gz", (true > 0).astype(np.uint8)), write("a.mgz", free_surfer), {1: "h"}, {17: 1, 53: 1}
    )
    assert merged[1]["dice"] == 1.0


BONES = {1: "femur", 2: "tibia", 3: "fibula"}
APART, MERGED = [[1], [2], [3]], [[1, 2, 3]]


def bones() -> np.ndarray:
    """Three channels of 0 and 1, (3, X, Y, Z), that nowhere overlap."""
    centres = ((4, 5, 5), (9, 9, 5), (11, 14, 8))
    return np.stack([ball((14, 18, 11), centre, (2, 3, 2)) for centre in centres]).astype(np.uint8)


@pytest.fixture
def channels(write, grids, tmp_path):
    """One label of three channels as three files, as a NIfTI of four dimensions and as an MHD of vectors."""

    def files(kind):
        if kind == "files":
            return [write(f"{bone}.nii.gz", one) for bone, one in zip(BONES.values(), bones(), strict=True)]
        if kind == "nifti":
            return write("bones.nii.gz", np.moveaxis(bones(), 0, -1))
        image = sitk.GetImageFromArray(bones().transpose(3, 2, 1, 0), isVector=True)
        lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grids["oblique"].affine
        spacing = np.linalg.norm(lps[:3, :3], axis=0)
        image.SetSpacing(spacing.tolist())
        image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
        image.SetOrigin(lps[:3, 3].tolist())
        sitk.WriteImage(image, str(tmp_path / "bones.mhd"))
        return tmp_path / "bones.mhd"

    return files


@pytest.mark.parametrize("kind", ["files", "nifti", "vectors"])
def test_channels_are_merged_by_groups(write, channels, kind):
    values = np.arange(1, 4)[:, None, None, None]
    prediction = write("p.nii.gz", (bones() * values).sum(0).astype(np.uint8))
    results = evaluate_case(prediction, channels(kind), BONES, groups=APART)
    assert [results[value]["dice"] for value in BONES] == [1.0] * 3
    swapped = evaluate_case(prediction, channels(kind), BONES, groups=[[2], [1], [3]])
    assert [swapped[value]["dice"] for value in BONES] == [0.0, 0.0, 1.0]
    whole = write("w.nii.gz", bones().any(0).astype(np.uint8))
    assert evaluate_case(whole, channels(kind), {1: "bone"}, groups=MERGED)[1]["dice"] == 1.0
    fibula = evaluate_case(whole, channels(kind), {1: "fibula"}, groups=[[3]])[1]
    assert fibula["reference_volume_ml"] == pytest.approx(
        fibula["volume_ml"] * bones()[2].mean() / bones().any(0).mean()
    )


def test_groups_leave_a_label_map_as_it_is(write):
    path = write("r.nii.gz", label_map())
    results = evaluate_case(path, path, LABELS, groups=[[2], [1]])
    assert [results[value]["dice"] for value in LABELS] == [1.0, 1.0]


def test_groups_merge_a_label_map_of_more_values(write):
    values = np.arange(1, 4, dtype=np.uint8)[:, None, None, None]
    three = write("three.nii.gz", (bones() * values).sum(0).astype(np.uint8))
    whole = write("whole.nii.gz", bones().any(0).astype(np.uint8))
    for reference in (three, whole):
        assert evaluate_case(whole, reference, {1: "bone"}, groups=MERGED)[1]["dice"] == 1.0
    for groups in ([[1, 2]], [[3]], None):
        with pytest.raises(InputError, match=r"three\.nii\.gz: label values 2, 3; expected only 0, 1$"):
            evaluate_case(whole, three, {1: "bone"}, groups=groups)
    with pytest.raises(InputError, match=r"three\.nii\.gz: label values 2, 3"):
        evaluate_case(three, whole, {1: "bone"}, groups=MERGED)


def test_channels_that_do_not_fit_are_refused(write, channels):
    prediction = write("p.nii.gz", np.zeros((14, 18, 11), np.uint8))
    with pytest.raises(InputError, match=r"femur\.nii\.gz: 3 channels; expected at least 4, for the groups"):
        evaluate_case(prediction, channels("files"), {1: "patella"}, groups=[[4]])
    with pytest.raises(InputError, match=r"3 channels, for the groups \[\[0\]\]; expected .* from 1"):
        evaluate_case(prediction, channels("files"), {1: "none"}, groups=[[0]])
    with pytest.raises(InputError, match=r"femur\.nii\.gz: one of 3 channels; expected one label map"):
        evaluate_case(prediction, channels("files"), BONES)
    with pytest.raises(InputError, match=r"bones\.nii\.gz: 4 dimensions"):
        evaluate_case(channels("nifti"), channels("files"), BONES, groups=APART)
    small = write("small.nii.gz", bones()[2, 1:])
    with pytest.raises(
        InputError, match=r"small\.nii\.gz: 13 x 18 x 11 voxels; expected 14 x 18 x 11 as in femur"
    ):
        evaluate_case(prediction, [*channels("files")[:2], small], BONES, groups=APART)


def test_empty_label_maps_are_compared(write):
    empty = np.zeros((14, 18, 11), np.uint8)
    results = evaluate_case(write("p.nii.gz", empty), write("r.nii.gz", label_map()), LABELS)
    assert [results[value]["dice"] for value in LABELS] == [0.0, 0.0]


def shifted(affine: np.ndarray, millimetres: float) -> np.ndarray:
    moved = affine.copy()
    moved[0, 3] += millimetres
    return moved


def test_grids_may_differ_by_rounding_only(write, grids):
    affine = grids["oblique"].affine
    reference = write("r.nii.gz", label_map())
    near = evaluate_case(write("p.nii.gz", label_map(), shifted(affine, 1e-3)), reference, LABELS)
    assert near[1]["dice"] == 1.0
    with pytest.raises(InputError, match=r"p.nii.gz: a grid up to 0.1 mm off; expected the grid of r.nii.gz"):
        evaluate_case(write("p.nii.gz", label_map(), shifted(affine, 0.1)), reference, LABELS)
    with pytest.raises(InputError, match=r"p.nii.gz: a grid up to .* mm off"):
        evaluate_case(write("p.nii.gz", label_map(), grids["LPS"].affine), reference, LABELS)
    with pytest.raises(InputError, match=r"shape 13x18x11; expected 14x18x11, the shape of r.nii.gz"):
        evaluate_case(write("p.nii.gz", label_map()[1:]), reference, LABELS)


def test_files_that_are_no_label_maps_are_refused(write, tmp_path):
    good = write("good.nii.gz", label_map())
    fractions = write("fractions.nii.gz", label_map() * np.float32(0.5))
    with pytest.raises(InputError, match="values that are not whole numbers; expected a label map"):
        evaluate_case(fractions, good, LABELS)
    foreign = write("foreign.nii.gz", label_map() * np.uint8(17))
    with pytest.raises(InputError, match=r"foreign\.nii\.gz: label values 17, 34; expected only 0, 1, 2"):
        evaluate_case(good, foreign, LABELS)
    with pytest.raises(InputError, match=r"foreign\.nii\.gz: label values 17, 34"):
        evaluate_case(foreign, good, LABELS)
    (tmp_path / "text.nii.gz").write_text("no image")
    with pytest.raises(InputError, match=r"text.nii.gz"):
        evaluate_case(tmp_path / "text.nii.gz", good, LABELS)
