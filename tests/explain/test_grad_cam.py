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


def test_it_is_the_mean_gradient_of_each_feature_times_the_feature_less_that_of_black(network):
    one = network("rx")
    image = torch.rand(1, 64, 48)
    features = one.encoder[:-2](image[None])
    black = one.encoder[:-2](torch.zeros_like(image[None])).detach()
    logits = one.classifier(one.encoder[-2:](features))
    (gradient,) = torch.autograd.grad(logits[0, 1] - logits[0, 0], features)
    coarse = torch.zeros(features.shape[2:])
    for channel in range(features.shape[1]):
        coarse += gradient[0, channel].mean() * (features[0, channel].detach() - black[0, channel])
    expected = torch.nn.functional.interpolate(
        coarse.clamp(min=0)[None, None], size=(64, 48), mode="bilinear"
    )
    assert float(expected.max()) > 0
    torch.testing.assert_close(GradientMap(one)(image), expected[0])


@pytest.mark.parametrize(("coarsest", "stage"), [(24, 4), (12, 3), (6, 2)])
def test_it_is_of_the_last_features_that_are_fine_enough_each_weighed_where_it_is(network, coarsest, stage):
    one = network("resnet")
    image = torch.rand(1, 128, 96)
    kept = []
    handle = one.network.get_submodule(f"layer{stage}").register_forward_hook(
        lambda module, given, output: kept.append(output)
    )
    logits = one(image[None])
    one(torch.zeros_like(image[None]))
    handle.remove()
    features, black = kept
    (slopes,) = torch.autograd.grad(logits[0, 1] - logits[0, 0], features)
    coarse = (slopes * (features - black).detach()).sum(1, keepdim=True).clamp(min=0)
    assert coarse.shape[-1] == 96 // 2**stage
    expected = torch.nn.functional.interpolate(coarse, size=(128, 96), mode="bilinear")
    assert float(expected.max()) > 0
    torch.testing.assert_close(GradientMap(one, coarsest)(image), expected[0], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("name", ["study of rx", "study of resnet"])
def test_each_view_has_its_own_map_and_absent_views_are_0(network, name):
    explain = GradientMap(network(name))
    views = torch.rand(2, 1, 64, 48)
    gap = torch.full((1, 1, 64, 48), torch.nan)
    both = explain(views)
    filled = explain(torch.cat([views[:1], gap, views[1:]]))
    assert (filled[1] == 0).all()
    torch.testing.assert_close(filled[[0, 2]], both)
    # A feature that is 0 in both is that of the first, whichever that is.
    torch.testing.assert_close(explain(views.flip(0)), both.flip(0), rtol=1e-4, atol=0.02 * float(both.max()))


@pytest.mark.parametrize("name", ["rx", "resnet", "study of rx"])
def test_a_black_image_has_no_map(network, name):
    image = torch.zeros((2, 1, 64, 48) if "study" in name else (1, 64, 48))
    assert (GradientMap(network(name))(image) == 0).all()


def test_a_network_without_pooling_is_refused():
    with pytest.raises(ValueError, match="Sequential: no adaptive pooling"):
        GradientMap(torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(16, 2)))
