"""N4 takes a known field out of generated images; fields are kept, found again, and fitted again where they must be."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from monai.data import CacheDataset, DataLoader, Dataset, MetaTensor, PersistentDataset, ThreadDataLoader
from monai.transforms import Compose, Flipd, Invertd

from monai_tasks.transforms import bias_field_correction
from monai_tasks.transforms.bias_field_correction import (
    BiasFieldCorrection,
    BiasFieldCorrectiond,
    limited_threads,
)

SHAPE = (64, 56, 8)
AFFINE = torch.tensor(np.diag([-1.5, 1.5, 6.0, 1.0]))
CONTAINERS = {
    "numpy": np.asarray,
    "torch": torch.as_tensor,
    "MetaTensor": lambda array: MetaTensor(torch.as_tensor(array), affine=AFFINE),
}
QUICK = {"shrink": (4, 4, 1), "fitting_levels": 2, "iterations": 10}


def leg(seed: int = 0, shape: tuple[int, ...] = SHAPE) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A round leg of three tissues in air under a strong smooth field: image, field, where the leg is."""
    rng = np.random.default_rng(seed)
    axes = np.meshgrid(*(np.linspace(-1, 1, size) for size in shape), indexing="ij")
    radius = np.hypot(axes[0], axes[1])
    tissue = np.select([radius < 0.35, radius < 0.7, radius < 0.85], [0.8, 0.45, 1.0], 0.0)
    field = np.exp(0.5 * axes[0] - 0.3 * axes[1] ** 2 + 0.2 * axes[-1] * axes[1])
    noise = 0.02 * rng.standard_normal((2, *shape))
    image = 500 * np.hypot(tissue * field + noise[0], noise[1])
    return image.astype(np.float32)[None], field, tissue > 0


def spread(field: np.ndarray, image: np.ndarray, result: np.ndarray, inside: np.ndarray) -> float:
    """Coefficient of variation of the true field over the one that was divided by."""
    left = (field * result[0] / image[0])[inside]
    return left.std() / left.mean()


def test_most_of_a_known_field_is_taken_out():
    image, field, inside = leg()
    before = field[inside].std() / field[inside].mean()
    result = BiasFieldCorrection(shrink=(4, 4, 1))(image)
    assert spread(field, image, result, inside) < before / 3


def test_the_field_is_that_of_simpleitk_on_the_image_without_shrinking():
    image, _, _ = leg(shape=(32, 28, 6))
    settings = {**QUICK, "shrink": (1, 1, 1), "clip": 100}
    result = BiasFieldCorrection(**settings, mask=lambda volume: volume > 100)(image)
    volume = sitk.GetImageFromArray(image[0])
    n4 = sitk.N4BiasFieldCorrectionImageFilter()
    n4.SetMaximumNumberOfIterations([10, 10])
    plain = sitk.GetArrayFromImage(n4.Execute(volume, volume > 100))
    ratio = result[0] / plain
    np.testing.assert_allclose(ratio, ratio.mean(), rtol=2e-3)


def test_between_the_blocks_the_field_is_the_spline_that_n4_has(monkeypatch):
    """The blocks of the image are even here, so that SimpleITK's own full field has the same places."""
    log = np.polynomial.polynomial.polyval(np.linspace(-1, 1, 64), [0.1, 0.5, -0.4, 0.2])
    coarse = log.reshape(16, 4).mean(1)[:, None] * np.ones((1, 8))
    fine = bias_field_correction._spread(coarse, (4, 1), (64, 8))
    np.testing.assert_allclose(fine, log[:, None] * np.ones((1, 8)), atol=2e-3)


def test_blocks_at_the_far_edge_may_be_shorter():
    image, field, inside = leg(shape=(61, 55, 7))
    result = BiasFieldCorrection(shrink=(4, 4, 2))(image)
    before = field[inside].std() / field[inside].mean()
    assert spread(field, image, result, inside) < before / 2.5


@pytest.mark.parametrize("shape", [(64, 56, 3), (64, 56, 2), (64, 56, 1), (64, 56), (1, 64, 56)])
def test_few_slices_and_planes(shape):
    image, field, inside = leg(shape=(64, 56, shape[2] if len(shape) > 2 and shape[0] > 1 else 2))
    if len(shape) == 2 or 1 in shape:
        image, field, inside = (part[..., 0] for part in (image, field, inside))
    image, field, inside = image.reshape(1, *shape), field.reshape(shape), inside.reshape(shape)
    result = BiasFieldCorrection(shrink=(1, 2, 2) if shape[0] == 1 else (2, 2, 1))(image)
    assert result.shape == image.shape
    before = field[inside].std() / field[inside].mean()
    assert spread(field, image, result, inside) < before / 2


def test_the_mean_of_the_foreground_stays():
    image, _, inside = leg()
    result = BiasFieldCorrection(**QUICK, clip=100, mask=lambda volume: inside)(image)
    np.testing.assert_allclose(result[0][inside].mean(), image[0][inside].mean(), rtol=1e-4)


@pytest.mark.parametrize("factor", [0.001, 64.0, 37.0])
def test_the_scale_of_the_image_does_not_matter(factor):
    image, _, _ = leg()
    correct = BiasFieldCorrection(**QUICK)
    np.testing.assert_allclose(correct(image * np.float32(factor)) / factor, correct(image), rtol=1e-3)


def test_outliers_hardly_move_the_field():
    image, _, inside = leg()
    spoilt = image.copy()
    spoilt[0, 36:42, 20:26, 3:5] = 30000
    correct = BiasFieldCorrection(shrink=(4, 4, 1), iterations=15)
    fields = [part / correct(part) for part in (image, spoilt)]
    shift = np.log(fields[1] / fields[0])[0][inside]
    assert np.log(fields[0][0][inside]).std() > 0.1
    assert shift.std() < 0.02
    with pytest.raises(ValueError, match="samples of foreground"):  # they alone would be the foreground
        BiasFieldCorrection(shrink=(4, 4, 1), clip=100)(spoilt)


def test_air_stays_air_and_nothing_is_negative_or_undefined():
    image, _, inside = leg()
    image[0, :6] = 0  # as padding is
    result = BiasFieldCorrection(**QUICK)(image)
    assert (result[0, :6] == 0).all()
    assert np.isfinite(result).all()
    assert (result >= 0).all()
    assert result[0][~inside].max() < 0.3 * result[0][inside].mean()


@pytest.mark.parametrize("container", CONTAINERS)
@pytest.mark.parametrize("dtype", ["int16", "float64"])
def test_the_container_is_kept_and_the_input_not_changed(container, dtype):
    array = leg()[0].astype(dtype)
    image = CONTAINERS[container](array.copy())
    result = BiasFieldCorrection(**QUICK)(image)
    assert type(result) is type(image)
    assert str(result.dtype).removeprefix("torch.") == "float32"
    np.testing.assert_array_equal(np.asarray(image), array)
    # The spacing of a MetaTensor changes the last bits inside SimpleITK.
    np.testing.assert_allclose(np.asarray(result), BiasFieldCorrection(**QUICK)(array), rtol=1e-5)
    if container == "MetaTensor":
        torch.testing.assert_close(result.affine, AFFINE)


def test_each_channel_is_corrected_alone():
    first, second = leg(0)[0], leg(1)[0][:, ::-1]
    correct = BiasFieldCorrection(**QUICK)
    np.testing.assert_array_equal(
        correct(np.concatenate([first, second])), np.concatenate([correct(first), correct(second)])
    )


def test_the_lattice_follows_the_spacing_where_cells_are_given_in_mm(monkeypatch):
    seen = []
    original = sitk.N4BiasFieldCorrectionImageFilter.Execute

    def execute(self, image, mask):
        seen.append((self.GetNumberOfControlPoints()[::-1], image.GetSpacing()[::-1]))
        return original(self, image, mask)

    monkeypatch.setattr(sitk.N4BiasFieldCorrectionImageFilter, "Execute", execute)
    image = CONTAINERS["MetaTensor"](leg()[0])  # 96 x 84 x 48 mm
    BiasFieldCorrection(**QUICK)(image)
    BiasFieldCorrection(**QUICK, spline_distance=30)(image)
    BiasFieldCorrection(**QUICK, spline_distance=30)(leg()[0])
    assert [points for points, _ in seen] == [(4, 4, 4), (6, 6, 5), (5, 5, 4)]
    assert [spacing for _, spacing in seen] == [(6, 6, 6), (6, 6, 6), (4, 4, 1)]


def test_factors_that_leave_too_few_samples_are_made_smaller(monkeypatch):
    seen = []
    original = sitk.N4BiasFieldCorrectionImageFilter.Execute

    def execute(self, image, mask):
        seen.append(image.GetSize()[::-1])
        return original(self, image, mask)

    monkeypatch.setattr(sitk.N4BiasFieldCorrectionImageFilter, "Execute", execute)
    BiasFieldCorrection(shrink=(100, 100, 100), iterations=2, mask=None)(leg()[0])
    assert seen == [(4, 4, 4)]


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((1, *SHAPE), np.float32), "no value above 0"),
        (np.full((1, *SHAPE), -3, np.float32), "no value above 0"),
        (np.full((1, *SHAPE), 7, np.float32), "samples of foreground"),
        (np.where(np.arange(64)[:, None, None] == 5, np.float32(9), 0) * np.ones((1, *SHAPE)), "samples"),
        (np.full((1, *SHAPE), np.nan, np.float32), "NaN"),
        (np.ones((1, 64, 3, 3), np.float32), "two axes"),
        (np.ones((64,), np.float32), "shape"),
        (np.ones((1, 8, 8, 8, 8), np.float32), "shape"),
    ],
)
def test_images_that_have_no_field_are_refused(image, message):
    with pytest.raises(ValueError, match=message):
        BiasFieldCorrection(**QUICK)(image)


@pytest.mark.parametrize(
    "settings",
    [
        {"shrink": (0, 8, 1)},
        {"shrink": (1.5, 8, 1)},
        {"shrink": ()},
        {"fitting_levels": 0},
        {"iterations": 0},
        {"threads": 0},
        {"spline_distance": 0},
        {"clip": 0},
        {"clip": 101},
        {"mask": "huang"},
    ],
)
def test_settings_out_of_range_are_refused(settings):
    with pytest.raises(ValueError, match=f"{next(iter(settings))}.*: got"):
        BiasFieldCorrection(**settings)


def test_a_mask_of_another_shape_is_refused():
    with pytest.raises(ValueError, match="mask: got shape"):
        BiasFieldCorrection(mask=lambda volume: volume[..., 0] > 0)(leg()[0])


# threads


def test_the_process_default_does_not_decide_how_many_threads_fit():
    """Another number of threads adds up in another order, which shows in the last bits."""
    image, _, _ = leg()
    default = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    results = {}
    try:
        for threads in (1, 3):
            for others in (1, 2, 5):
                sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(others)
                results[threads, others] = BiasFieldCorrection(**QUICK, threads=threads)(image).tobytes()
                assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == others
    finally:
        sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(default)
    assert len({results[1, others] for others in (1, 2, 5)}) == 1
    assert len({results[3, others] for others in (1, 2, 5)}) == 1
    assert results[1, 1] != results[3, 1]


def test_the_filter_itself_has_the_threads(monkeypatch):
    seen = []

    def execute(self, image, mask):
        seen.append((self.GetNumberOfThreads(), sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()))
        raise RuntimeError("enough")

    monkeypatch.setattr(sitk.N4BiasFieldCorrectionImageFilter, "Execute", execute)
    before = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads()
    with pytest.raises(RuntimeError, match="enough"):
        BiasFieldCorrection(**QUICK, threads=before + 3)(leg()[0])
    assert seen == [(before + 3, before + 3)]
    assert sitk.ProcessObject.GetGlobalDefaultNumberOfThreads() == before


def test_limits_that_overlap_put_back_what_was_there_before_the_first():
    default = sitk.ProcessObject.GetGlobalDefaultNumberOfThreads
    before = default()
    first, second = limited_threads(before + 1), limited_threads(before + 2)
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert default() == before + 2
    second.__exit__(None, None, None)
    assert default() == before


# in chains


def test_copies_and_pickles_correct_alike(tmp_path):
    image, _, _ = leg()
    correct = BiasFieldCorrection(**QUICK, cache_dir=tmp_path)
    expected = correct(image)
    for other in (copy.deepcopy(correct), pickle.loads(pickle.dumps(correct))):
        np.testing.assert_array_equal(other(image), expected)


def test_the_dictionary_form_corrects_its_keys_only():
    item = {"image": leg()[0], "label": leg()[0], "subject": "a"}
    result = BiasFieldCorrectiond("image", **QUICK)(item)
    np.testing.assert_array_equal(result["image"], BiasFieldCorrection(**QUICK)(item["image"]))
    assert result["label"] is item["label"]
    assert result["subject"] == "a"
    np.testing.assert_array_equal(item["image"], leg()[0])
    with pytest.raises(KeyError, match="image"):
        BiasFieldCorrectiond("image")({})
    assert BiasFieldCorrectiond("image", allow_missing_keys=True)({"a": 1}) == {"a": 1}


def test_the_other_names_that_monai_gives_dictionary_transforms():
    names = (bias_field_correction.BiasFieldCorrectionD, bias_field_correction.BiasFieldCorrectionDict)
    assert set(names) == {BiasFieldCorrectiond}


def test_datasets_and_loaders_of_monai(tmp_path):
    items = [{"image": leg(seed)[0]} for seed in (0, 1)]
    correct = BiasFieldCorrectiond("image", **QUICK, cache_dir=tmp_path / "fields")
    expected = np.stack([correct(item)["image"] for item in items])
    cached = CacheDataset(items, correct, num_workers=2, progress=False)
    persistent = PersistentDataset(items, correct, tmp_path / "items")
    for dataset in (cached, persistent):
        (batch,) = ThreadDataLoader(dataset, batch_size=2, num_workers=0)
        np.testing.assert_array_equal(batch["image"], expected)


def test_worker_processes_correct_as_this_one_does(tmp_path):
    items = [{"image": leg(seed)[0]} for seed in (0, 1)]
    correct = BiasFieldCorrectiond("image", **QUICK, cache_dir=tmp_path)
    expected = np.stack([BiasFieldCorrection(**QUICK)(item["image"]) for item in items])
    loader = DataLoader(Dataset(items, correct), batch_size=2, num_workers=2)
    for _ in range(2):  # fitted by the workers, then read
        (batch,) = loader
        np.testing.assert_array_equal(batch["image"], expected)
    assert len(list(tmp_path.iterdir())) == 2


def test_a_chain_with_it_is_inverted():
    chain = Compose([Flipd("image", 0), BiasFieldCorrectiond("image", **QUICK), Flipd("image", 1)])
    image = CONTAINERS["MetaTensor"](leg()[0])
    item = chain({"image": image})
    item["pred"] = (item["image"] > 200).to(torch.uint8)
    back = Invertd("pred", chain, orig_keys="image")(item)
    expected = np.flip(np.asarray(item["image"] > 200), (1, 2))
    np.testing.assert_array_equal(np.asarray(back["pred"]), expected)
    torch.testing.assert_close(back["pred"].affine, AFFINE)
