"""Rx with 4 and 8 blocks: the deep one learns too, the plain one does not, and any size of image fits."""

from __future__ import annotations

import math

import pytest
import torch

from monai_tasks.networks.rx import RxNet, rx_classifier, rx_encoder, smallest, widths

SIZES = {"lite": 4, "large": 8}
CHANNELS = 8


def problem(count: int, size: tuple[int, int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Noise, in half of the images with a short bright bar at some place."""
    generator = torch.Generator().manual_seed(seed)
    images = torch.randn(count, 1, *size, generator=generator)
    labels = torch.arange(count) % 2
    for place in labels.nonzero().flatten().tolist():
        row, column = (int(torch.randint(0, edge - 8, (), generator=generator)) for edge in size)
        images[place, 0, row : row + 2, column : column + 8] += 3
    return images, labels


def gradients(network: RxNet, images: torch.Tensor, labels: torch.Tensor) -> list[float]:
    """How long the gradient of each block's kernels is."""
    torch.nn.functional.cross_entropy(network(images), labels).backward()
    kernels = [module.weight for module in network.encoder.modules() if isinstance(module, torch.nn.Conv2d)]
    return [kernel.grad.norm().item() for kernel in kernels]


@pytest.mark.parametrize("seed", [0, 1])
def test_the_gradient_reaches_the_first_layer_of_large(seed):
    """Of the plain form's, less than a thousandth arrives, and its scores hardly depend on the image."""
    images, labels = problem(2, (smallest(8), smallest(8)), seed)
    found, spread = {}, {}
    for plain in (False, True):
        torch.manual_seed(seed)
        network = RxNet(blocks=SIZES["large"], channels=[4] * 8, plain=plain)
        found[plain] = gradients(network, images, labels)
        spread[plain] = network(images).std(0).min().item()
    assert len(found[False]) == len(found[True]) == 8
    assert found[False][0] > 0.1 * found[False][-1] > 0
    assert found[True][0] < 1e-3 * found[False][0]
    assert spread[True] < 1e-2 * spread[False]


@pytest.mark.parametrize("name", SIZES)
def test_both_sizes_learn(name):
    torch.manual_seed(0)
    network = RxNet(blocks=SIZES[name], channels=[CHANNELS] * SIZES[name], hidden=(16, 8))
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    images, labels = problem(160, (32, 24), seed=1)
    network.train()
    for _ in range(12):
        for part in torch.randperm(len(images)).split(32):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(network(images[part]), labels[part]).backward()
            optimizer.step()
    unseen, expected = problem(100, (32, 24), seed=2)
    with torch.inference_mode():
        right = (network.eval()(unseen).argmax(1) == expected).float().mean().item()
    assert right > 0.85


@pytest.mark.parametrize("size", [(512, 341), (32, 32), (5, 3), (1, 7)])
@pytest.mark.parametrize("blocks", SIZES.values())
def test_any_size_of_image_has_scores(blocks, size):
    network = RxNet(blocks=blocks, channels=2, num_classes=3).eval()
    with torch.inference_mode():
        assert network(torch.zeros(2, 1, *size)).shape == (2, 3)


@pytest.mark.parametrize("blocks", [1, 4, 8])
def test_the_smallest_image_of_the_plain_form(blocks):
    network = RxNet(blocks=blocks, channels=1, plain=True).eval()
    edge = smallest(blocks)
    with torch.inference_mode():
        assert network(torch.zeros(1, 1, edge, edge)).isfinite().all()
        with pytest.raises(RuntimeError):
            network(torch.zeros(1, 1, edge, edge - 1))
    assert (smallest(4), smallest(8)) == (46, 766)


def test_each_form_is_built_as_described():
    def kinds(network: torch.nn.Module) -> list[str]:
        return [type(one).__name__ for one in network.modules() if not list(one.children())]

    last = ["AdaptiveAvgPool2d", "Flatten", "Linear", "ReLU", "Linear", "ReLU", "Linear"]
    assert kinds(RxNet(blocks=2)) == ["Conv2d", "BatchNorm2d", "MaxPool2d", "ReLU"] * 2 + last
    assert kinds(RxNet(blocks=2, plain=True)) == ["Conv2d", "MaxPool2d", "ReLU"] * 2 + last
    for module in RxNet(plain=True).modules():
        if isinstance(module, torch.nn.Conv2d):
            assert (module.padding, module.kernel_size) == ((0, 0), (3, 3))


def test_the_plain_form_has_torchs_initial_weights_and_the_other_has_hes():
    for plain in (True, False):
        torch.manual_seed(0)
        kernel = RxNet(blocks=4, plain=plain).encoder.block4.conv.weight
        inputs = kernel[0].numel()
        expected = 1 / math.sqrt(3 * inputs) if plain else math.sqrt(2 / inputs)
        assert kernel.std().item() == pytest.approx(expected, rel=0.02)


def test_weights_are_carried_over_by_name():
    network = RxNet(blocks=3, channels=4)
    encoder, classifier = rx_encoder(blocks=3, channels=4), rx_classifier(16)
    encoder.load_state_dict(network.encoder.state_dict())
    classifier.load_state_dict(network.classifier.state_dict())
    images = torch.randn(2, 1, 16, 16)
    assert torch.equal(classifier.eval()(encoder.eval()(images)), network.eval()(images))
    assert {name.partition(".")[0] for name in network.state_dict()} == {"encoder", "classifier"}


def test_channels_double_up_to_a_limit_or_are_as_given():
    assert widths(4, 32) == [32, 64, 128, 256]
    assert widths(6, 32) == [32, 64, 128, 256, 256, 256]
    assert widths(2, 300) == [300, 300]
    assert widths(3, [8, 6, 4]) == [8, 6, 4]
    with pytest.raises(ValueError, match=r"blocks 3, channels \[8, 6\]; expected one number a block"):
        widths(3, [8, 6])
    with pytest.raises(ValueError, match="blocks 0"):
        RxNet(blocks=0)


def test_it_is_exported():
    network = RxNet(blocks=8, channels=2).eval()
    images = torch.randn(2, 1, 20, 14)
    torch.testing.assert_close(torch.jit.script(network)(images), network(images))
