"""Views of a study: each through the same transforms, some of them at a time, and batches filled up with NaN."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.data import CacheDataset, DataLoader, ImageReader, MetaTensor
from monai.data.utils import set_rnd
from monai.transforms import Compose, EnsureChannelFirstd, Lambdad, LoadImaged, RandLambdad, Resized

from monai_tasks.transforms.views import ApplyToViewsd, RandApplyToViewsd, RandTakeViewsd, collate_studies


class NumberReader(ImageReader):
    """An image whose pixels are the number that its file's name ends with."""

    def verify_suffix(self, filename) -> bool:
        return True

    def read(self, data, **kwargs):
        return data[0] if isinstance(data, tuple) else data

    def get_data(self, img):
        number = int(str(img).rpartition("_")[2])
        pixels = np.full((4 + number, 3), number, np.float32)
        return pixels, {
            "affine": np.eye(4),
            "original_affine": np.eye(4),
            "spatial_shape": np.asarray(pixels.shape),
            "original_channel_dim": float("nan"),
        }


def load(reader: ImageReader | None = None) -> ApplyToViewsd:
    """Files of different sizes to (V, 1, 2, 2)."""
    return ApplyToViewsd(
        "image",
        [
            LoadImaged("image", reader=reader or NumberReader()),
            EnsureChannelFirstd("image"),
            Resized("image", [2, 2], mode="area"),
        ],
    )


def noise(pixel: torch.Tensor) -> torch.Tensor:
    return pixel + 1


def values(views: torch.Tensor) -> list[float]:
    return views[:, 0, 0, 0].tolist()


@pytest.mark.parametrize(
    ("given", "expected"), [(["a_3", "b_1", "c_2"], [3, 1, 2]), ("a_5", [5]), (("a_4", "b_1"), [4, 1])]
)
def test_one_file_or_several(given, expected):
    item = load()({"image": given, "label": 1})
    assert item["image"].shape == (len(expected), 1, 2, 2)
    assert values(item["image"]) == expected
    assert item["label"] == 1
    assert item["image"].meta["views"] == ([given] if isinstance(given, str) else list(given))


def test_views_that_are_loaded_are_transformed_one_by_one():
    seen = []
    apply = ApplyToViewsd(
        "image", [Lambdad("image", lambda view: seen.append(tuple(view.shape)) or view * 2)]
    )
    views = torch.arange(3.0).reshape(3, 1, 1, 1).expand(3, 1, 2, 4)
    assert torch.equal(apply({"image": views})["image"], views * 2)
    assert seen == [(1, 2, 4)] * 3


def test_a_study_without_a_view_is_refused():
    with pytest.raises(ValueError, match="image: a study without a view"):
        load()({"image": []})


def chain(reader: ImageReader | None = None) -> Compose:
    return Compose(
        [
            load(reader),
            RandTakeViewsd("image", 2),
            RandApplyToViewsd("image", [RandLambdad("image", noise, prob=0.5)]),
        ]
    )


def drawn(seed: int, times: int = 20) -> list[list[float]]:
    dataset = CacheDataset([{"image": ["a_10", "b_20", "c_30"]}], chain(), progress=False)
    set_rnd(dataset, seed)
    return [values(dataset[0]["image"]) for _ in range(times)]


def test_draws_are_new_for_each_view_and_the_same_for_a_seed():
    found = drawn(0)
    assert found == drawn(0) != drawn(1)
    assert all(len(views) == 2 for views in found)
    added = {tuple(value % 10 for value in views) for views in found}
    assert added == {(0, 0), (0, 1), (1, 0), (1, 1)}
    taken = {tuple(value // 10 for value in views) for views in found}
    assert taken == {(1, 2), (1, 3), (2, 3)}


def test_only_what_is_drawn_is_left_out_of_a_cache():
    reads = []

    class Counted(NumberReader):
        def read(self, data, **kwargs):
            reads.append(data)
            return super().read(data)

    steps = chain(Counted())
    dataset = CacheDataset([{"image": ["a_1", "b_2"]}], steps, progress=False)
    for _ in range(3):
        dataset[0]
    assert len(reads) == 2


@pytest.mark.parametrize("count", [None, 3, 7])
def test_few_views_are_all_taken(count):
    views = torch.arange(3.0).reshape(3, 1, 1, 1)
    assert torch.equal(RandTakeViewsd("image", count)({"image": views})["image"], views)


def test_a_count_below_one_is_refused():
    with pytest.raises(ValueError, match="count: got 0; expected 1 or more"):
        RandTakeViewsd("image", 0)


def test_a_batch_is_filled_up_with_nan():
    items = [
        {"image": [f"v_{n}" for n in range(1, count + 1)], "label": count % 2, "study": f"s{count}"}
        for count in (1, 3, 2)
    ]
    loader = DataLoader(
        CacheDataset(items, Compose([load()]), progress=False), batch_size=3, collate_fn=collate_studies
    )
    (batch,) = list(loader)
    assert batch["image"].shape == (3, 3, 1, 2, 2)
    assert not isinstance(batch["image"], MetaTensor)
    nan = float("nan")
    expected = torch.tensor([[1, nan, nan], [1, 2, 3], [1, 2, nan]])
    torch.testing.assert_close(batch["image"][..., 0, 0, 0], expected, equal_nan=True)
    assert batch["label"].tolist() == [1, 1, 0]
    assert batch["study"] == ["s1", "s3", "s2"]
