"""Scores of studies: of whichever views are there, in any order, whatever a batch is filled up with."""

from __future__ import annotations

import pytest
import torch
from monai.networks.nets import resnet18

from monai_tasks.networks.rx import RxNet, rx_classifier, rx_encoder
from monai_tasks.networks.standard_score import StandardScoreNet
from monai_tasks.networks.study import StudyNet

SIZE = (24, 16)


def rx() -> StudyNet:
    return StudyNet(rx_encoder(blocks=3, channels=4), rx_classifier(16, hidden=(8, 8)))


def residual() -> StudyNet:
    encoder = resnet18(spatial_dims=2, n_input_channels=1, widen_factor=0.125, feed_forward=False)
    return StudyNet(encoder, torch.nn.Linear(64, 2))


@pytest.fixture(params=[rx, residual], ids=["rx", "resnet"])
def network(request) -> StudyNet:
    """In evaluation mode, with statistics that are not those of a new network."""
    torch.manual_seed(0)
    network = request.param()
    network.train()(torch.randn(8, 1, 1, *SIZE))
    return network.eval()


def views(count: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(count, 1, *SIZE, generator=torch.Generator().manual_seed(seed))


def batch(*studies: torch.Tensor, slots: int) -> torch.Tensor:
    """(B, slots, 1, H, W); what a study lacks is NaN."""
    filled = torch.full((len(studies), slots, 1, *SIZE), float("nan"))
    for row, study in zip(filled, studies, strict=True):
        row[: len(study)] = study
    return filled


def test_the_score_is_that_of_the_largest_features(network):
    study = views(3)
    with torch.inference_mode():
        encoded = [network.encoder(view[None])[0] for view in study]
        largest = torch.stack([torch.stack(values).max() for values in zip(*encoded, strict=True)])
        torch.testing.assert_close(network(study[None])[0], network.classifier(largest[None])[0])
        assert any(encoded[0][i] != largest[i] for i in range(len(largest)))


def test_order_and_filling_change_nothing(network):
    first, second = views(3, seed=1), views(1, seed=2)
    with torch.inference_mode():
        alone = torch.cat([network(first[None]), network(second[None])])
        assert not torch.allclose(alone[0], alone[1])
        for order in ([0, 1, 2], [2, 0, 1], [1, 2, 0]):
            for slots in (3, 5):
                found = network(batch(first[order], second, slots=slots))
                torch.testing.assert_close(found, alone)
        moved = batch(first, second, slots=4)[:, [3, 1, 0, 2]]  # absent views first and in between
        torch.testing.assert_close(network(moved), alone)


def test_absent_views_leave_the_statistics_alone():
    first, second = views(3, seed=1), views(2, seed=2)
    states = []
    for slots in (3, 6):
        torch.manual_seed(0)
        network = rx().train()
        network(batch(first, second, slots=slots))
        states.append(network.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])
    assert not torch.equal(states[0]["encoder.block1.norm.running_mean"], torch.zeros(4))


def test_one_view_has_the_score_of_the_image_network():
    torch.manual_seed(0)
    image_network = RxNet(blocks=3, channels=4).eval()
    network = StudyNet(image_network.encoder, image_network.classifier).eval()
    images = views(4)
    assert torch.equal(network(images[:, None]), image_network(images))


def test_absent_views_stay_absent_through_the_standard_score(network):
    scored = StandardScoreNet(network).eval()
    scored.set_statistics(0.4, 0.2)
    study = views(2)
    with torch.inference_mode():
        found = scored(batch(study, slots=4))
        torch.testing.assert_close(found, network((study[None] - 0.4) / 0.2))


def test_only_the_largest_views_are_learned_from():
    network = rx().train()
    x = batch(views(2), views(1, seed=3), slots=2).requires_grad_()
    network(x).sum().backward()
    assert torch.equal(x.grad[1, 1], torch.zeros_like(x.grad[1, 1]))
    assert x.grad[0].abs().sum() > 0
    assert all(value.grad.isfinite().all() for value in network.parameters())


def test_a_frozen_encoder_changes_in_nothing():
    torch.manual_seed(0)
    network = StudyNet(rx_encoder(blocks=3, channels=4), rx_classifier(16), freeze_encoder=True)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    optimizer = torch.optim.Adam(network.parameters(), lr=0.1)
    for seed in range(3):
        network.train()
        optimizer.zero_grad()
        network(views(4, seed)[None]).sum().backward()
        optimizer.step()
    after = network.state_dict()
    changed = {name.partition(".")[0] for name in before if not torch.equal(before[name], after[name])}
    assert changed == {"classifier"}
    assert network.classifier.training
    assert not any(module.training for module in network.encoder.modules())


def test_what_is_no_study_is_refused(network):
    with pytest.raises(ValueError, match="4 axes; expected 5"):
        network(views(2))
    with pytest.raises(ValueError, match="a study without a view"):
        network(batch(views(2), views(0), slots=2))


def test_it_is_exported(network):
    script = torch.jit.script(network)
    for x in (batch(views(3), views(1), slots=3), views(1)[None]):
        torch.testing.assert_close(script(x), network(x))
    with pytest.raises(torch.jit.Error, match="a study without a view"):
        script(batch(views(0), slots=2))
