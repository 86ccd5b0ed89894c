"""A few slices of a scan: the right ones, no others read, in their place in space."""

from __future__ import annotations

from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
from monai.data import MetaTensor, decollate_batch, list_data_collate, set_track_meta
from monai.transforms import Compose

from monai_tasks.transforms import sample_slices
from monai_tasks.transforms.sample_slices import SampleSlices, SampleSlicesd


@dataclass
class Scan:
    """A scan in memory that counts what is read of it."""

    array: np.ndarray
    affine: np.ndarray = field(default_factory=lambda: np.diag([0.5, 0.5, 2.0, 1.0]))
    path: Path = Path("scans/one.ISQ")
    asked: list[int] = field(default_factory=list)

    @property
    def shape(self) -> tuple[int, ...]:
        return self.array.shape

    def read(self, indices) -> np.ndarray:
        self.asked += indices
        return self.array[..., indices].astype(np.float32)


def numbered(depth: int) -> np.ndarray:
    """(3, 4, depth): each voxel tells its slice."""
    return np.broadcast_to(np.arange(depth), (3, 4, depth))


def restated(depth: int, count: int) -> list[int]:
    """The slice whose middle is nearest to the middle of each piece; of two as near, the upper one."""
    middles = [(Fraction(2 * piece + 1, 2) * depth) / count for piece in range(count)]
    return [min(range(depth), key=lambda z: (abs(z + Fraction(1, 2) - m), -z)) for m in middles]


@pytest.mark.parametrize("count", [1, 2, 3, 7, 8])
def test_the_slices_are_the_middles_of_equal_pieces(count):
    for depth in [*range(count, 40), 110, 168]:
        indices = SampleSlices(count).indices(depth)
        assert indices == restated(depth, count)
        assert len(set(indices)) == count
        assert indices[0] >= 0
        assert indices[-1] < depth


def test_the_numbers_of_two_scanners():
    assert SampleSlices(8).indices(168) == [10, 31, 52, 73, 94, 115, 136, 157]
    assert SampleSlices(8).indices(110) == [6, 20, 34, 48, 61, 75, 89, 103]


def test_only_the_slices_taken_are_read():
    scan = Scan(numbered(110))
    taken = SampleSlices(8)(scan)
    assert scan.asked == SampleSlices(8).indices(110) == taken.meta["slice_indices"]
    assert taken.shape == (1, 3, 4, 8)
    assert taken.dtype == torch.float32
    assert taken[0, 2, 1].tolist() == scan.asked
    assert taken.meta["filename_or_obj"] == "scans/one.ISQ"


@pytest.mark.parametrize("name", ["RAS", "LAS", "LPS", "oblique"])
@pytest.mark.parametrize("lazy", [True, False])
def test_slices_stay_where_they_are_in_space(grids, name, lazy):
    array, affine = grids[name]  # 11 slices
    if lazy:
        taken = SampleSlices(3)(Scan(array, affine))
    else:
        taken = SampleSlices(3)(MetaTensor(torch.as_tensor(array)[None], affine=torch.as_tensor(affine)))
    assert taken.meta["slice_indices"] == [1, 5, 9]
    for number, index in enumerate((1, 5, 9)):
        np.testing.assert_array_equal(taken[0, ..., number], array[..., index])
        expected = affine @ (2, 3, index, 1)
        np.testing.assert_allclose(taken.affine.numpy() @ (2, 3, number, 1), expected, atol=1e-9)
    np.testing.assert_allclose(taken.pixdim, np.linalg.norm(affine[:3, :3], axis=0) * (1, 1, 4))


def test_uneven_steps_have_the_mean_spacing_and_one_slice_keeps_its_own():
    scan = Scan(numbered(110))
    assert float(SampleSlices(8)(scan).pixdim[2]) == pytest.approx(2.0 * (103 - 6) / 7)
    one = SampleSlices(1)(scan)
    assert float(one.pixdim[2]) == 2.0
    assert one.affine[2, 3] == 2.0 * 55


def test_a_loaded_image_keeps_its_channels_and_metadata():
    image = MetaTensor(
        torch.as_tensor(numbered(9).copy()).repeat(2, 1, 1, 1), meta={"filename_or_obj": "a.nii.gz"}
    )
    taken = SampleSlicesd("image", 3)({"image": image, "subject": "p1"})
    assert taken["subject"] == "p1"
    assert taken["image"].shape == (2, 3, 4, 3)
    assert taken["image"].meta["filename_or_obj"] == "a.nii.gz"
    assert image.shape == (2, 3, 4, 9)
    assert "slice_indices" not in image.meta


@pytest.mark.parametrize("kind", [np.asarray, torch.as_tensor])
def test_arrays_and_tensors_without_metadata(kind):
    assert SampleSlices(2)(kind(numbered(4).copy()[None]))[0, 0, 0].tolist() == [1, 3]
    set_track_meta(False)
    try:
        for given in (kind(numbered(4).copy()[None]), Scan(numbered(4))):
            taken = SampleSlices(2)(given)
            assert type(taken) is torch.Tensor
            assert taken[0, 0, 0].tolist() == [1, 3]
    finally:
        set_track_meta(True)


def test_indices_survive_batches():
    chain = Compose([SampleSlicesd("image", 3)])
    batch = list_data_collate([chain({"image": Scan(numbered(depth))}) for depth in (9, 12)])
    found = [item["image"].meta["slice_indices"] for item in decollate_batch(batch)]
    assert [[int(index) for index in indices] for indices in found] == [[1, 4, 7], [2, 6, 10]]


def test_what_cannot_be_done_is_refused():
    with pytest.raises(ValueError, match="count: got 0"):
        SampleSlices(0)
    with pytest.raises(
        ValueError, match=r"one\.ISQ: shape \(3, 4, 7\); expected \(X, Y, Z\) with at least 8"
    ):
        SampleSlices(8)(Scan(numbered(7)))
    with pytest.raises(ValueError, match=r"an image: shape .* expected \(C, X, Y, Z\) with at least 8"):
        SampleSlices(8)(torch.zeros(1, 3, 4, 7))
    for shape in ((8, 8, 8), (1, 8, 8, 8, 8)):
        with pytest.raises(ValueError, match="with at least 8 slices"):
            SampleSlices(8)(torch.zeros(shape))
    with pytest.raises(KeyError, match="image"):
        SampleSlicesd("image")({})
    assert SampleSlicesd("image", allow_missing_keys=True)({"subject": 1}) == {"subject": 1}


def test_the_other_names_that_monai_gives_dictionary_transforms():
    assert sample_slices.SampleSlicesD is sample_slices.SampleSlicesDict is SampleSlicesd
