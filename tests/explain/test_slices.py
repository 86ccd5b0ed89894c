"""Each slice of a scan is explained by itself: red speaks for a higher grade."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
import torch

from monai_tasks.explain.relevance import ConservationWarning
from monai_tasks.explain.slices import SliceExplainer
from monai_tasks.networks.motion_net import MotionNet
from monai_tasks.networks.slice_grader import SliceGrader
from monai_tasks.networks.standard_score import StandardScoreNet
from monai_tasks.networks.walle import walle_net

MAKERS = {
    "ours": lambda: MotionNet(channels=(4, 6, 8)),
    "ours without norm": lambda: MotionNet(channels=(4, 6, 8), norm=None, activation="elu"),
    "ours without attention": lambda: MotionNet(channels=(4, 6), attention=False),
    "walle": walle_net,
}


def grader(name: str) -> StandardScoreNet:
    """A network for slices with biases and statistics as training leaves them."""
    torch.manual_seed(3)
    network = StandardScoreNet(SliceGrader(MAKERS[name]()))
    network.set_statistics(0.4, 0.2)
    for key, value in network.state_dict().items():
        if value.is_floating_point() and key.rpartition(".")[2] not in ("mean", "deviation"):
            value += 0.1 * torch.rand_like(value)
    return network.eval()


def scan(slices: int = 3, side: int = 40) -> torch.Tensor:
    return torch.rand(1, side, side, slices, generator=torch.Generator().manual_seed(5))


def score(network: torch.nn.Module, image: torch.Tensor) -> torch.Tensor:
    """(S,): what is explained of each slice, written out."""
    with torch.inference_mode():
        logits = network(image[None])[0]
    return sum((number - 2) * logits[number] for number in range(5))


@pytest.mark.parametrize("name", MAKERS)
def test_relevance_sums_to_the_score_of_each_slice(name):
    network, image = grader(name), scan()
    explain = SliceExplainer("relevance", network, 5)
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConservationWarning)
        found = explain(image)
    assert found.shape == image.shape
    assert explain.problem == ""
    sums = found.sum((0, 1, 2)) * image.shape[-1]
    assert sums.tolist() == pytest.approx(score(network, image).tolist(), rel=0.02, abs=1e-3)


def test_a_slice_is_explained_as_if_it_were_alone():
    network, image = grader("ours"), scan()
    for name in ("relevance", "gradcam"):
        explain = SliceExplainer(name, network, 5)
        together = explain(image)
        for number in range(image.shape[-1]):
            alone = explain(image[..., number : number + 1]) / image.shape[-1]
            torch.testing.assert_close(together[..., number : number + 1], alone)
        assert float(together.abs().sum()) > 0


def test_what_is_wrong_with_a_slice_is_told():
    class Lost(torch.nn.Module):
        """Scores that depend on no pixel of dark slices."""

        def __init__(self):
            super().__init__()
            self.convolution = torch.nn.Conv2d(1, 2, 1)
            self.pool = torch.nn.AdaptiveAvgPool2d(1)
            self.linear = torch.nn.Linear(2, 5)
            torch.nn.init.constant_(self.convolution.weight, 1.0)
            torch.nn.init.constant_(self.convolution.bias, -0.5)
            self.activation = torch.nn.ReLU()

        def forward(self, x):
            return self.linear(self.pool(self.activation(self.convolution(x))).flatten(1))

    torch.manual_seed(0)
    explain = SliceExplainer("relevance", SliceGrader(Lost()), 5)
    image = torch.ones(1, 8, 8, 2)
    image[..., 1] = 0.1
    with pytest.warns(ConservationWarning):
        explain(image)
    assert explain.problem.startswith("slice 2 of 2: relevance sums to")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        explain(image[..., :1])
    assert explain.problem == ""


@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 8, 8, 3)])
def test_other_axes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(1, X, Y, S\)"):
        SliceExplainer("gradcam", grader("walle"), 5)(torch.zeros(shape))


def test_the_picture_has_four_slices_a_row(tmp_path):
    from PIL import Image

    from monai_tasks.explain.picture import draw

    rng = np.random.default_rng(0)
    image = rng.random((6, 1, 40, 40), dtype=np.float32)
    draw(image, image - 0.5, tmp_path / "six.png")
    draw(image[:4], image[:4] - 0.5, tmp_path / "four.png")
    six, four = (Image.open(tmp_path / f"{name}.png").size for name in ("six", "four"))
    assert six[0] == four[0]
    assert six[1] == pytest.approx(2 * four[1], abs=20)
