"""Each slice has the scores that the network for images gives it."""

from __future__ import annotations

import pytest
import torch

from monai_tasks.networks.slice_grader import SliceGrader
from monai_tasks.networks.walle import walle_net


def test_scores_are_those_of_the_slices_in_their_order():
    torch.manual_seed(0)
    network = walle_net(num_classes=4).eval()
    scans = torch.randn(3, 1, 40, 32, 5)
    with torch.inference_mode():
        scores = SliceGrader(network)(scans)
        assert scores.shape == (3, 4, 5)
        for scan in range(3):
            for number in range(5):
                alone = network(scans[scan, ..., number][None])[0]
                torch.testing.assert_close(scores[scan, :, number], alone)


def test_batch_normalisation_sees_all_slices_at_once():
    layer = torch.nn.Sequential(torch.nn.BatchNorm2d(1, momentum=1.0), torch.nn.Flatten())
    scans = torch.randn(2, 1, 4, 3, 6)
    SliceGrader(layer.train())(scans)
    torch.testing.assert_close(layer[0].running_mean, scans.mean().reshape(1))


@pytest.mark.parametrize("shape", [(2, 1, 32, 32), (2, 1, 32, 32, 0)])
def test_other_axes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(B, C, X, Y, S\) with at least one slice"):
        SliceGrader(walle_net())(torch.zeros(shape))
