"""MONAI's sliding window where the image is larger than a window, and no padding where it is smaller."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import torch
from monai.inferers import SlidingWindowInferer

from monai_tasks.inference.windows import FittedWindowInferer


def volume(*shape: int) -> torch.Tensor:
    return torch.randn(1, 1, *shape, generator=torch.Generator().manual_seed(sum(shape)))


class Shapes:
    """A network that depends on where a voxel is in its window, and remembers the windows that it saw."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, ...]] = []

    def __call__(self, windows: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(windows.shape[2:]))
        place = torch.arange(windows[0].numel(), dtype=windows.dtype).reshape(windows.shape[1:])
        return torch.cat([windows, windows + place], dim=1)


@pytest.mark.parametrize("shape", [(16, 16, 16), (17, 24, 16), (40, 19, 33)])
@pytest.mark.parametrize("mode", ["constant", "gaussian"])
@pytest.mark.parametrize("overlap", [0.0, 0.25, 0.5])
def test_a_larger_image_is_taken_as_monai_does(shape, mode, overlap):
    options = {"roi_size": (16, 16, 16), "sw_batch_size": 2, "overlap": overlap, "mode": mode}
    expected = SlidingWindowInferer(**options)(volume(*shape), Shapes())
    result = FittedWindowInferer(**options)(volume(*shape), Shapes())
    assert torch.equal(result, expected)


@pytest.mark.parametrize("window", [16, (16, 16, 16), (9, 12, 30)])
def test_a_smaller_image_is_one_window_without_padding(window):
    network, image = Shapes(), volume(9, 12, 7)
    result = FittedWindowInferer(window, mode="gaussian")(image, network)
    assert network.seen == [(9, 12, 7)]
    torch.testing.assert_close(result, Shapes()(image))


def test_the_window_is_cut_along_the_short_axes_only():
    network, image = Shapes(), volume(40, 10, 16)
    result = FittedWindowInferer((16, 16, 16), overlap=0.25)(image, network)
    assert set(network.seen) == {(16, 10, 16)}
    expected = SlidingWindowInferer((16, 10, 16), overlap=0.25)(image, Shapes())
    assert torch.equal(result, expected)


def test_two_dimensions():
    network = Shapes()
    FittedWindowInferer((8, 8))(volume(6, 20), network)
    assert set(network.seen) == {(6, 8)}


def test_a_window_of_minus_one_is_the_whole_axis():
    network = Shapes()
    FittedWindowInferer((8, -1, 8), overlap=0.0)(volume(16, 11, 8), network)
    assert set(network.seen) == {(8, 11, 8)}


def test_a_kept_weight_map_is_used_for_whole_windows_only():
    options = {"mode": "gaussian", "cache_roi_weight_map": True, "device": "cpu", "overlap": 0.5}
    inferer = FittedWindowInferer((16, 16, 16), **options)
    small = volume(10, 16, 20)
    expected = SlidingWindowInferer((10, 16, 16), mode="gaussian", overlap=0.5)(small, Shapes())
    assert torch.equal(inferer(small, Shapes()), expected)
    large = volume(20, 16, 20)
    expected = SlidingWindowInferer((16, 16, 16), mode="gaussian", overlap=0.5)(large, Shapes())
    assert torch.equal(inferer(large, Shapes()), expected)


def test_threads_share_one_inferer():
    """The large image begins first, and the small one runs from its beginning to its end meanwhile."""
    inferer = FittedWindowInferer((16, 16, 16), sw_batch_size=1, overlap=0.25)
    begun, ended = Barrier(2, timeout=60), Barrier(2, timeout=60)

    class Large(Shapes):
        def __call__(self, windows: torch.Tensor) -> torch.Tensor:
            if not self.seen:
                begun.wait()
                ended.wait()
            assert inferer.roi_size == (16, 16, 16)
            return super().__call__(windows)

    class Small(Shapes):
        def __call__(self, windows: torch.Tensor) -> torch.Tensor:
            assert inferer.roi_size == (16, 16, 16)
            return super().__call__(windows)

    def small() -> torch.Tensor:
        begun.wait()
        result = inferer(volume(7, 8, 9), Small())
        ended.wait()
        return result

    with ThreadPoolExecutor(2) as pool:
        results = [pool.submit(inferer, volume(33, 20, 18), Large()), pool.submit(small)]
        large, little = (result.result(timeout=60) for result in results)
    assert torch.equal(large, SlidingWindowInferer((16, 16, 16), overlap=0.25)(volume(33, 20, 18), Shapes()))
    assert torch.equal(little, SlidingWindowInferer((7, 8, 9), overlap=0.25)(volume(7, 8, 9), Shapes()))
