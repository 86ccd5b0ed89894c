"""Grad-CAM is on the last features, also for the views of a study, and leaves the network alone."""

import pytest
import torch

from monai_tasks.explain.grad_cam import GradientMap


def test_it_has_the_shape_of_the_image_and_leaves_the_network_as_it_is(case):
    network, image = case
    with torch.inference_mode():
        image = image.clone()
        before = network(image[None])
        found = GradientMap(network)(image)
        assert torch.equal(network(image[None]), before)
    assert (found.shape, found.dtype) == (image.shape, torch.float32)
    assert float(found.min()) >= 0
    assert all(weight.grad is None for weight in network.parameters())


def test_it_is_the_mean_gradient_of_each_feature_times_the_feature(network):
    one = network("rx")
    image = torch.rand(1, 64, 48)
    features = one.encoder[:-2](image[None])
    logits = one.classifier(one.encoder[-2:](features))
    (gradient,) = torch.autograd.grad(logits[0, 1] - logits[0, 0], features)
    coarse = torch.zeros(features.shape[2:])
    for channel in range(features.shape[1]):
        coarse += gradient[0, channel].mean() * features[0, channel].detach()
    expected = torch.nn.functional.interpolate(
        coarse.clamp(min=0)[None, None], size=(64, 48), mode="bilinear"
    )
    assert float(expected.max()) > 0
    torch.testing.assert_close(GradientMap(one)(image), expected[0])


@pytest.mark.parametrize("name", ["study of rx", "study of resnet"])
def test_each_view_has_its_own_map_and_absent_views_are_0(network, name):
    explain = GradientMap(network(name))
    views = torch.rand(2, 1, 64, 48)
    gap = torch.full((1, 1, 64, 48), torch.nan)
    both = explain(views)
    filled = explain(torch.cat([views[:1], gap, views[1:]]))
    assert (filled[1] == 0).all()
    torch.testing.assert_close(filled[[0, 2]], both)
    torch.testing.assert_close(explain(views.flip(0)), both.flip(0), rtol=1e-4, atol=1e-6)


def test_a_network_without_pooling_is_refused():
    with pytest.raises(ValueError, match="Sequential: no adaptive pooling"):
        GradientMap(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)))
