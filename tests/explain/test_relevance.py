"""Relevance sums to the score that it explains, follows the rules, and leaves the network alone."""

import copy
import warnings

import numpy as np
import pytest
import torch

from monai_tasks.explain.relevance import ConservationWarning, Relevance, late_convolutions
from monai_tasks.explain.score import direction
from monai_tasks.networks.rx import RxNet
from monai_tasks.networks.standard_score import StandardScoreNet
from monai_tasks.networks.study import StudyNet


def score(network, image):
    logits = network(image[None]).detach()
    return float((logits * direction(logits)).sum()), float(logits.abs().sum())


def test_relevance_sums_to_the_score(case):
    network, image = case
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConservationWarning)
        relevance = Relevance(network)(image)
    expected, size = score(network, image)
    assert relevance.shape == image.shape
    assert relevance.dtype == torch.float32
    assert float(relevance.double().sum()) == pytest.approx(expected, abs=1e-3 * size)
    assert float(relevance.abs().max()) > 0


def test_the_network_is_as_before_also_inside_inference_mode(case):
    network, image = case
    with torch.inference_mode():
        image = image.clone()  # a tensor of inference mode
        before = network(image[None])
        relevance = Relevance(network)(image)
        assert torch.equal(network(image[None]), before)
    assert not relevance.is_inference()
    assert torch.equal(Relevance(network)(image), relevance)
    assert all(weight.requires_grad and weight.grad is None for weight in network.parameters())


def test_a_network_that_was_built_in_inference_mode_is_explained_too():
    with torch.inference_mode():
        network = RxNet(blocks=2, channels=4).eval()
        image = torch.rand(1, 32, 32)
        relevance = Relevance(network)(image)
        expected, size = score(network, image)
    assert float(relevance.sum()) == pytest.approx(expected, abs=1e-3 * size)


def test_a_small_network_against_loops():
    """A convolution by the flat rule, max pooling, ReLU, and two linear layers by epsilon with shared biases."""
    torch.manual_seed(5)
    network = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3),
        torch.nn.MaxPool2d(2),
        torch.nn.ReLU(),
        torch.nn.Flatten(),
        torch.nn.Linear(8, 3),
        torch.nn.ReLU(),
        torch.nn.Linear(3, 2),
    ).eval()
    image = torch.rand(1, 6, 6)
    expected = _loops(network, image[0].double().numpy())
    np.testing.assert_allclose(Relevance(network)(image)[0], expected, rtol=1e-4, atol=1e-6)


def _loops(network, image):
    convolution, _, _, _, first, _, second = network
    kernel, offset = (
        value.detach().double().numpy() for value in (convolution.weight[:, 0], convolution.bias)
    )
    maps = np.zeros((2, 4, 4))
    for channel, row, column in np.ndindex(2, 4, 4):
        window = image[row : row + 3, column : column + 3]
        maps[channel, row, column] = (window * kernel[channel]).sum() + offset[channel]
    winners, features = [], []
    for channel, row, column in np.ndindex(2, 2, 2):
        places = [(channel, 2 * row + a, 2 * column + b) for a in range(2) for b in range(2)]
        winners.append(max(places, key=lambda place: maps[place]))
        features.append(max(maps[winners[-1]], 0.0))
    hidden = _linear(first, features)
    active = [max(value, 0.0) for value in hidden]
    assert any(active)
    logits = _linear(second, active)
    relevance = _epsilon(first, features, hidden, _epsilon(second, active, logits, [-logits[0], logits[1]]))
    pixels = np.zeros(image.shape)
    for place, value in zip(winners, relevance, strict=True):
        _, row, column = place
        pixels[row : row + 3, column : column + 3] += value / 9
    return pixels


def _linear(layer, values):
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    return [
        sum(w * v for w, v in zip(row, values, strict=True)) + b for row, b in zip(weight, bias, strict=True)
    ]


def _epsilon(layer, values, outputs, relevance):
    weight, bias = layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()
    shares = [0.0] * len(values)
    for k, (z, above) in enumerate(zip(outputs, relevance, strict=True)):
        size = sum(abs(weight[k, i] * value) for i, value in enumerate(values))
        for i, value in enumerate(values):
            part = weight[k, i] * value
            shares[i] += (part + bias[k] * abs(part) / size) / z * above
    return shares


def test_what_speaks_for_class_1_is_positive_whichever_is_predicted(network):
    one = network("rx")
    image = torch.rand(1, 64, 48)
    swapped = copy.deepcopy(one)
    last = swapped.classifier[-1]
    last.weight.data, last.bias.data = last.weight.data.flip(0), last.bias.data.flip(0)
    torch.testing.assert_close(Relevance(swapped)(image), -Relevance(one)(image), rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("late", [0.0, 0.5, 1.0])
def test_relevance_sums_to_the_score_whatever_share_of_the_layers_is_signed(network, late):
    one, image = network("resnet"), torch.rand(1, 64, 48)
    expected, size = score(one, image)
    relevance = Relevance(one, late)(image)
    assert float(relevance.double().sum()) == pytest.approx(expected, abs=1e-3 * size)
    assert not torch.allclose(relevance, Relevance(one)(image), rtol=1e-2)


def test_the_last_quarter_of_the_convolutions_is_signed_and_never_the_first(network):
    resnet = network("resnet").network
    stage = [f"layer4.{name}" for name in ("0.conv1", "0.conv2", "0.downsample.0", "1.conv1", "1.conv2")]
    assert late_convolutions(resnet, 0.25) == stage
    rx = network("rx large")
    assert late_convolutions(rx, 0.25) == ["encoder.block7.conv", "encoder.block8.conv"]
    assert len(late_convolutions(rx, 1.0)) == 7
    assert late_convolutions(network("rx plain"), 0.25) == []


def test_relevance_is_that_of_the_standard_score(network):
    inner = network("rx")
    outer = StandardScoreNet(inner).eval()
    outer.set_statistics(30.0, 0.02)
    image = torch.rand(1, 64, 48)
    raw = image * 0.02 + 30.0
    torch.testing.assert_close(
        Relevance(outer)(raw), Relevance(inner)((raw - 30.0) / 0.02), rtol=1e-3, atol=1e-6
    )


@pytest.mark.parametrize("name", ["study of rx", "study of resnet"])
def test_absent_views_are_0_and_change_nothing(network, name):
    explain = Relevance(network(name))
    views = torch.rand(2, 1, 64, 48)
    gap = torch.full((1, 1, 64, 48), torch.nan)
    both, filled = explain(views), explain(torch.cat([views[:1], gap, views[1:]]))
    assert (filled[1] == 0).all()
    torch.testing.assert_close(filled[[0, 2]], both)


def test_a_study_of_one_view_is_explained_as_that_view(network):
    rx = network("rx")
    study = StudyNet(rx.encoder, rx.classifier).eval()
    image = torch.rand(1, 64, 48)
    torch.testing.assert_close(Relevance(study)(image[None])[0], Relevance(rx)(image))


def test_the_view_with_the_largest_features_gets_all_of_the_relevance():
    encoder = torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3, bias=False),
        torch.nn.ReLU(),
        torch.nn.AdaptiveAvgPool2d(1),
        torch.nn.Flatten(),
    )
    torch.nn.init.constant_(encoder[0].weight, 1.0)
    explain = Relevance(StudyNet(encoder, torch.nn.Linear(2, 2)).eval())
    relevance = explain(torch.stack([torch.full((1, 8, 8), value) for value in (0.2, 0.9, 0.5)]))
    assert (relevance[[0, 2]] == 0).all()
    assert float(relevance[1].abs().sum()) > 0


def test_a_score_that_no_pixel_moves_has_no_relevance():
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(16, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2)
    )
    torch.nn.init.constant_(network[1].bias, -100.0)
    explain = Relevance(network)
    with pytest.warns(ConservationWarning, match="sums to 0; expected the score"):
        assert (explain(torch.rand(1, 4, 4)) == 0).all()
    assert "expected the score" in explain.problem
    torch.nn.init.constant_(network[1].bias, 0.0)
    explain = Relevance(network)
    explain(torch.rand(1, 4, 4))
    assert explain.problem == ""


class Doubling(torch.nn.Module):
    """A sum that no rule knows."""

    def forward(self, x):
        return x + x


def test_a_layer_without_a_rule_is_told():
    network = torch.nn.Sequential(
        torch.nn.Flatten(), torch.nn.Linear(16, 4), Doubling(), torch.nn.Linear(4, 2)
    )
    with pytest.warns(ConservationWarning, match="expected the score"):
        Relevance(network)(torch.rand(1, 4, 4))


@pytest.mark.parametrize("shape", [(8, 8), (1, 1, 1, 8, 8)])
def test_other_axes_are_refused(shape):
    with pytest.raises(ValueError, match=r"expected \(1, H, W\) or \(V, 1, H, W\)"):
        Relevance(RxNet(blocks=1, channels=2))(torch.rand(shape))


def test_a_study_without_a_view_is_refused(network):
    with pytest.raises(ValueError, match="no finite value"):
        Relevance(network("study of rx"))(torch.full((2, 1, 64, 48), torch.nan))


def test_what_a_batch_norm_makes_of_an_inactive_feature_gets_no_relevance(network):
    """The share of a norm before a linear layer goes to the active features, so that none of it is lost."""
    one, image = network("densenet of two poolings"), torch.rand(1, 64, 48)
    last = one.network.features.norm5
    last.weight.data[::2], last.bias.data[::2] = 0.0, -1.0  # never above 0 behind the ReLU
    expected, size = score(one, image)
    assert float(Relevance(one)(image).double().sum()) == pytest.approx(expected, abs=1e-3 * size)
