"""Attention to channels and places, against its formula written out."""

from __future__ import annotations

import math

import pytest
import torch

from monai_tasks.networks.cbam import CBAM


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def restated(block: CBAM, x: torch.Tensor) -> torch.Tensor:
    """One image (C, H, W), place by place."""
    (w1, b1), (w2, b2) = ((layer.weight, layer.bias) for layer in (block.channels[0], block.channels[2]))
    channels, height, width = x.shape

    def scores(pooled: list[float]) -> list[float]:
        hidden = [
            max(0.0, float(b1[h]) + sum(float(w1[h, c]) * pooled[c] for c in range(channels)))
            for h in range(len(b1))
        ]
        return [
            float(b2[c]) + sum(float(w2[c, h]) * value for h, value in enumerate(hidden))
            for c in range(channels)
        ]

    mean = scores([float(x[c].sum()) / (height * width) for c in range(channels)])
    largest = scores([float(x[c].max()) for c in range(channels)])
    weighed = torch.stack([x[c] * sigmoid(mean[c] + largest[c]) for c in range(channels)])
    kernel, result = block.places.weight[0], torch.empty_like(x)
    half = kernel.shape[-1] // 2
    maps = [weighed.sum(0) / channels, weighed.max(0)[0]]
    for row in range(height):
        for column in range(width):
            total = 0.0
            for number, values in enumerate(maps):
                for i in range(-half, half + 1):
                    for j in range(-half, half + 1):
                        if 0 <= row + i < height and 0 <= column + j < width:
                            total += float(kernel[number, half + i, half + j] * values[row + i, column + j])
            result[:, row, column] = weighed[:, row, column] * sigmoid(total)
    return result


def test_it_is_the_formula():
    torch.manual_seed(0)
    block = CBAM(2, channels=6, reduction=2, kernel_size=3)
    for layer in block.channels:
        if isinstance(layer, torch.nn.Linear):
            torch.nn.init.normal_(layer.weight)
    torch.nn.init.normal_(block.places.weight)
    x = torch.randn(2, 6, 5, 4)
    with torch.no_grad():
        found = block(x)
        for image, expected in zip(found, x, strict=True):
            torch.testing.assert_close(image, restated(block, expected), atol=1e-5, rtol=1e-4)


def test_few_channels_keep_one_hidden_feature_and_volumes_fit():
    block = CBAM(3, channels=3, reduction=16)
    assert block.channels[0].out_features == 1
    assert block(torch.randn(1, 3, 4, 5, 6)).shape == (1, 3, 4, 5, 6)


@pytest.mark.parametrize("options", [{"channels": 0}, {"reduction": 0}, {"kernel_size": 4}])
def test_what_cannot_be_built_is_refused(options):
    with pytest.raises(ValueError, match="expected channels and a reduction of at least 1 and an odd kernel"):
        CBAM(**options)
