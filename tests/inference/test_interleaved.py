"""No slice is lost, and the network sees slices at the distance that it was trained with."""

from __future__ import annotations

from itertools import pairwise
from math import ceil

import pytest
import torch
from monai.data import MetaTensor
from monai.inferers import SimpleInferer, SlidingWindowInferer

from monai_tasks.inference.interleaved import InterleavedInferer
from monai_tasks.inference.windows import FittedWindowInferer
from monai_tasks.transforms.take_slices import TakeSlices

DEPTHS = [5, 24, 25, 41, 48, 60]


def numbered(depth: int) -> torch.Tensor:
    """(2, 1, 4, 3, depth): the number of each slice from 1, and of the second image from 1001."""
    numbers = torch.arange(1, depth + 1.0) + 1000.0 * torch.arange(2)[:, None]
    return numbers[:, None, None, None, :].expand(2, 1, 4, 3, depth)


class Watched(torch.nn.Module):
    """Gives its input back and keeps what it saw."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[torch.Tensor] = []

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.seen.append(images.clone())
        return images


@pytest.mark.parametrize("depth", DEPTHS)
def test_a_network_that_changes_nothing_gives_the_image_back(depth):
    network = Watched()
    assert torch.equal(InterleavedInferer(SimpleInferer())(numbered(depth), network), numbered(depth))
    step = ceil(depth / 24)
    assert len(network.seen) == step
    for images in network.seen:
        assert images.shape == (2, 1, 4, 3, 24)
        for row in images[:, 0, 2, 1].tolist():
            places = [place for place, number in enumerate(row) if number]
            # Padding only at the ends, and k slices from one to the next.
            assert places == list(range(places[0], places[-1] + 1))
            numbers = [row[place] for place in places]
            assert {b - a for a, b in pairwise(numbers)} == {step}


@pytest.mark.parametrize("depth", DEPTHS)
def test_the_same_as_taking_the_slices_from_each_start_by_hand(depth):
    torch.manual_seed(0)
    network = torch.nn.Conv3d(1, 3, 3, padding=1)  # looks at neighbours, gives more channels
    images = torch.randn(2, 1, 6, 5, depth)
    with torch.no_grad():
        result = InterleavedInferer(SimpleInferer())(images, network)
        expected = torch.zeros(2, 3, 6, 5, depth)
        for start in range(ceil(depth / 24)):
            take = TakeSlices(24, start)
            for number in range(2):
                taken = take(images[number])
                pred = MetaTensor(network(taken.as_tensor()[None])[0], meta=taken.meta)
                pred.applied_operations = taken.applied_operations
                # Each start leaves zeros where the others have their slices.
                expected[number] += take.inverse(pred).as_tensor()
    torch.testing.assert_close(result, expected)


def test_neighbours_in_a_pass_are_two_slices_apart():
    class Next(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.roll(-1, dims=-1)

    result = InterleavedInferer(SimpleInferer())(numbered(48), Next())[0, 0, 0, 0]
    assert result.tolist() == [*range(3, 49), 1, 2]


def test_sliding_windows_inside_a_pass():
    window = {"roi_size": (4, 4, 24), "sw_batch_size": 2, "overlap": 0.5, "mode": "gaussian"}
    images = torch.rand(1, 1, 7, 9, 41)
    for inner in (SlidingWindowInferer(**window), FittedWindowInferer(**window)):
        result = InterleavedInferer(inner)(images, lambda x: torch.cat([x, 2 * x], dim=1))
        torch.testing.assert_close(result, torch.cat([images, 2 * images], dim=1))


def test_another_type_of_scores_is_kept():
    result = InterleavedInferer(SimpleInferer())(numbered(41), lambda images: images.to(torch.float64))
    assert result.dtype == torch.float64


def test_arguments_reach_the_network():
    result = InterleavedInferer(SimpleInferer())(numbered(41), lambda x, a, b: a * x + b, 2.0, b=1.0)
    torch.testing.assert_close(result, 2 * numbered(41) + 1)


def test_an_image_with_an_affine_keeps_it():
    affine = torch.diag(torch.tensor([-0.5, -0.5, 2.2, 1.0], dtype=torch.float64))
    images = MetaTensor(numbered(41)[:1].clone(), affine=affine)
    result = InterleavedInferer(SimpleInferer())(images, torch.nn.Identity())
    torch.testing.assert_close(result.affine, affine)


def test_what_cannot_be_done_is_refused():
    with pytest.raises(ValueError, match="slices: got 0"):
        InterleavedInferer(SimpleInferer(), slices=0)
    inferer = InterleavedInferer(SimpleInferer())
    for shape in ((1, 1, 4, 4), (1, 1, 4, 4, 0)):
        with pytest.raises(ValueError, match="expected \\(B, C, X, Y, Z\\)"):
            inferer(torch.zeros(shape), torch.nn.Identity())
    with pytest.raises(ValueError, match="a prediction of 12 slices; expected 24"):
        inferer(numbered(41), lambda images: images[..., ::2])
