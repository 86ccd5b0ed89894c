"""A label map lies on the grid of its image, or is not written."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from monai.data import MetaTensor
from PIL import Image

from monai_tasks.catalog import Bundle, BundleError
from monai_tasks.inference.writers import BANDS, GridError, SegmentationWriter, save_volume, writer_class
from monai_tasks.report.preview import COLOURS

LABELS = {1: "head", 2: "tail"}


def _meta(array: np.ndarray, affine: np.ndarray) -> MetaTensor:
    return MetaTensor(torch.as_tensor(array.copy()), affine=affine, meta={"original_affine": affine})


@pytest.mark.parametrize("preview", [True, False])
def test_writes_labels_volumes_and_a_picture(grids: dict, tmp_path: Path, preview: bool) -> None:
    writer = SegmentationWriter(tmp_path, LABELS, preview)
    for name, grid in grids.items():
        labels = np.digitize(grid.array, [100.0, 150.0])
        source = writer.source(_meta(grid.array, grid.affine))
        measures = writer.write(name, _meta(labels[None].astype(np.float32), grid.affine), source)
        image = nib.load(writer.prediction(name))
        np.testing.assert_array_equal(np.asarray(image.dataobj), labels)
        np.testing.assert_allclose(image.affine, grid.affine, atol=1e-5)
        # A voxel of every grid has 1.0 x 0.8 x 1.5 mm.
        expected = {f"volume_ml_{LABELS[value]}": (labels == value).sum() * 1.2e-3 for value in (1, 2)}
        assert measures == pytest.approx(expected, abs=1e-6)
        assert writer.picture(name).exists() == preview
        if preview:
            assert Image.open(writer.picture(name)).width > 300


def test_keeps_the_first_channel_of_several_for_the_picture(grids: dict, tmp_path: Path) -> None:
    grid = grids["LPS"]
    writer = SegmentationWriter(tmp_path, LABELS)
    one = writer.source(_meta(grid.array, grid.affine))
    two = writer.source(_meta(np.stack([grid.array, -grid.array]), grid.affine))
    assert two.shape == one.shape == grid.array.shape
    np.testing.assert_array_equal(two.picture, one.picture)
    assert one.picture.dtype == np.uint8


def test_what_is_kept_shares_no_memory_with_the_image(grids: dict, tmp_path: Path) -> None:
    image = _meta(grids["RAS"].array, grids["RAS"].affine)
    source = SegmentationWriter(tmp_path, LABELS).source(image)
    before = source.picture.copy()
    image[...] = 0
    np.testing.assert_array_equal(source.picture, before)


def test_refuses_labels_off_the_grid(grids: dict, tmp_path: Path) -> None:
    grid = grids["RAS"]
    writer = SegmentationWriter(tmp_path, LABELS, preview=False)
    source = writer.source(_meta(grid.array, grid.affine))
    labels = np.zeros((1, *grid.array.shape), np.float32)
    with pytest.raises(GridError, match="shape"):
        writer.write("a", _meta(labels[:, 1:], grid.affine), source)
    with pytest.raises(GridError, match="affine"):
        writer.write("a", _meta(labels, grids["LAS"].affine), source)
    with pytest.raises(GridError, match=r"value 3; expected the labels \[1, 2\]"):
        writer.write("a", _meta(labels + 3, grid.affine), source)
    assert not writer.prediction("a").exists()


def test_sheared_grids_are_told_by_the_sform_alone(tmp_path: Path) -> None:
    affine = np.eye(4)
    affine[0, 1] = 0.2
    save_volume(tmp_path / "a.nii.gz", np.zeros((3, 4, 5), np.uint8), affine)
    header = nib.load(tmp_path / "a.nii.gz").header
    np.testing.assert_allclose(header.get_best_affine(), affine, atol=1e-6)
    assert (int(header["sform_code"]), int(header["qform_code"])) == (1, 0)


def test_other_readers_see_the_same_grid(grids: dict, tmp_path: Path) -> None:
    sitk = pytest.importorskip("SimpleITK")
    for name, grid in grids.items():
        labels = np.zeros(grid.array.shape, np.uint8)
        save_volume(tmp_path / f"{name}.nii.gz", labels, grid.affine)
        image = sitk.ReadImage(str(tmp_path / f"{name}.nii.gz"))
        place = image.TransformIndexToPhysicalPoint((3, 2, 5))
        expected = np.diag([-1.0, -1.0, 1.0, 1.0]) @ grid.affine @ (3, 2, 5, 1)
        np.testing.assert_allclose(place, expected[:3], atol=1e-3)


def test_discards_both_files_of_a_case(grids: dict, tmp_path: Path) -> None:
    writer = SegmentationWriter(tmp_path, LABELS)
    grid = grids["RAS"]
    labels = _meta(np.ones((1, *grid.array.shape), np.float32), grid.affine)
    writer.write("a", labels, writer.source(_meta(grid.array, grid.affine)))
    writer.discard("a")
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
    writer.discard("a")


def test_without_previews_no_picture_of_an_earlier_label_map_stays(grids: dict, tmp_path: Path) -> None:
    grid = grids["RAS"]
    labels = _meta(np.ones((1, *grid.array.shape), np.float32), grid.affine)
    for preview in (True, False):
        writer = SegmentationWriter(tmp_path, LABELS, preview)
        writer.write("a", labels, writer.source(_meta(grid.array, grid.affine)))
        assert writer.picture("a").exists() == preview


@pytest.mark.parametrize("preview", [True, False])
def test_the_map_of_the_uncertainty_lies_on_the_grid_of_the_input(
    grids: dict, tmp_path: Path, preview: bool
) -> None:
    writer = SegmentationWriter(tmp_path, LABELS, preview)
    for name, grid in grids.items():
        values = np.random.default_rng(2).uniform(0, 1, grid.array.shape).astype(np.float32)
        source = writer.source(_meta(grid.array, grid.affine))
        writer.write_uncertainty(name, _meta(values[None], grid.affine), source)
        image = nib.load(writer.uncertainty(name))
        assert image.get_data_dtype() == np.float32
        np.testing.assert_array_equal(np.asarray(image.dataobj), values)
        np.testing.assert_allclose(image.affine, grid.affine, atol=1e-5)
        assert writer.uncertainty_picture(name).exists() == preview
        with pytest.raises(GridError, match="shape"):
            writer.write_uncertainty(name, _meta(values[None, 1:], grid.affine), source)
        # What an earlier run wrote is not left beside another prediction.
        assert not writer.uncertainty(name).exists()
    writer.write_uncertainty("a", _meta(values[None], grid.affine), source)
    writer.write_uncertainty("a", None, source)
    assert not [path for path in tmp_path.rglob("*a.*") if path.is_file()]


def test_the_picture_of_the_uncertainty_shows_its_bands(grids: dict, tmp_path: Path) -> None:
    grid = grids["RAS"]
    writer = SegmentationWriter(tmp_path, LABELS)
    source = writer.source(_meta(grid.array, grid.affine))

    def colours(level: float) -> set[tuple[int, ...]]:
        values = np.zeros(grid.array.shape, np.float32)
        values[3:9, 4:12, 2:8] = level
        writer.write_uncertainty("a", _meta(values[None], grid.affine), source)
        picture = np.asarray(Image.open(writer.uncertainty_picture("a")))[:-28]  # without the legend
        return set(map(tuple, picture.reshape(-1, 3).tolist())) & {COLOURS[value - 1] for value in BANDS}

    found = [colours(level) for level in (0.2, 0.3, 0.6, 0.9)]
    assert found == [set(), *({COLOURS[value - 1]} for value in BANDS)]


def test_a_kind_without_a_writer_is_refused(bundle: Path) -> None:
    assert writer_class(Bundle(bundle)) is SegmentationWriter
    other = bundle.rename(bundle.with_name("mini_regression"))
    with pytest.raises(BundleError, match="kind 'regression'; expected a name that ends in segmentation"):
        writer_class(Bundle(other))
