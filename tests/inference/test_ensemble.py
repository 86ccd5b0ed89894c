"""Opinions are asked for one by one, mirrored back, and averaged as probabilities."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from monai.inferers import SimpleInferer
from monai.transforms import Activationsd, AsDiscreted, Compose

from monai_tasks.inference.configs import ConfigError
from monai_tasks.inference.ensemble import (
    Opinions,
    as_scores,
    check_postprocessing,
    checked_flips,
    class_probabilities,
    pool,
)


class Ramp(torch.nn.Module):
    """Two scores a voxel: the image and the image times its place along the first spatial axis."""

    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        places = torch.arange(x.shape[2]).reshape(1, 1, -1, *[1] * (x.dim() - 3))
        return torch.cat([x, self.factor * x * places], 1)


def test_each_network_answers_to_the_image_and_to_each_mirror_image():
    inputs = torch.rand(1, 4, 3, 2, generator=torch.Generator().manual_seed(1))
    networks = [Ramp(1.0), Ramp(-2.0)]
    opinions = Opinions(networks, SimpleInferer(), flips=[(0,), (0, 2)], is_map=True)
    found = list(opinions.of(inputs))
    assert len(found) == len(opinions) == 6
    image = inputs[0].numpy()
    for number, scores in enumerate(found):
        factor, mirrored = (1.0, -2.0)[number // 3], number % 3 > 0
        places = np.arange(4)[:: -1 if mirrored else 1, None, None]
        # A mirrored answer lies where its image was before: only what depends on the place differs.
        np.testing.assert_allclose(scores[0], image)
        np.testing.assert_allclose(scores[1], factor * image * places, rtol=1e-6)


def test_an_answer_without_a_grid_is_not_mirrored_back():
    network = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(6, 2))
    image = torch.rand(1, 2, 3)
    straight, mirrored = Opinions([network], SimpleInferer(), flips=[(1,)]).of(image)
    torch.testing.assert_close(straight, network(image[None])[0])
    torch.testing.assert_close(mirrored, network(image.flip(2)[None])[0])


def test_views_of_a_study_are_mirrored_one_by_one():
    seen: list[torch.Tensor] = []
    opinions = Opinions(
        [torch.nn.Identity()], lambda x, _: seen.append(x) or x[:, :, 0, 0, 0], flips=[(1,)], leading=2
    )
    views = torch.arange(12.0).reshape(2, 1, 2, 3)
    assert len(list(opinions.of(views))) == 2
    torch.testing.assert_close(seen[1][0], views.flip(3))


def test_axes_that_the_images_lack_are_refused():
    opinions = Opinions([torch.nn.Identity()], SimpleInferer(), flips=[(2,)])
    with pytest.raises(
        ConfigError, match=r"flips: \[\[2\]\] for images of 2 axes; expected axes from 0 to 1"
    ):
        list(opinions.of(torch.zeros(1, 2, 3)))


def test_probabilities_are_averaged_and_not_scores():
    opinions = [torch.tensor([9.0, 0.0]), torch.tensor([0.0, 2.0]), torch.tensor([0.0, 2.0])]
    pooled = pool(opinions, keep=lambda probabilities: probabilities.argmax(0))
    by_hand = np.mean([np.exp(one) / np.exp(one).sum() for one in np.array([[9, 0], [0, 2], [0, 2.0]])], 0)
    np.testing.assert_allclose(pooled.mean, by_hand, rtol=1e-6)
    np.testing.assert_allclose(pooled.scores.softmax(0), by_hand, rtol=1e-6)
    assert [int(vote) for vote in pooled.kept] == [0, 1, 1]
    # The mean of the scores would be for the other class.
    assert by_hand.argmax() == 1
    assert sum(opinions).argmax() == 0


def test_scores_of_certain_probabilities_are_numbers():
    certain = torch.tensor([1.0, 0.0, 0.0])
    assert torch.isfinite(as_scores(certain)).all()
    torch.testing.assert_close(as_scores(certain).softmax(0), certain)


def test_only_the_scores_of_classes_count():
    scores = torch.tensor([1.0, 2.0, 50.0])
    torch.testing.assert_close(class_probabilities(scores, 2), scores[:2].softmax(0))
    torch.testing.assert_close(class_probabilities(scores), scores.softmax(0))
    for count in (4, 1):
        with pytest.raises(ConfigError, match=f"scores of 3 channels for {count} classes"):
            class_probabilities(scores, count)


@pytest.mark.parametrize("value", ["0", [0], [[0, 0]], [[-1]], [[True]], [[]], [[0.5]]])
def test_refuses_what_are_no_axes(value):
    with pytest.raises(ConfigError, match="expected lists of axes"):
        checked_flips(value, "some_bundle")


def test_says_where_no_mirror_image_has_the_same_answer():
    assert checked_flips([[0], [0, 1]], "some_bundle") == ((0,), (0, 1))
    with pytest.raises(ConfigError, match=r"some_bundle: flips is empty, .* expected no --flips"):
        checked_flips([], "some_bundle")


def test_refuses_scores_of_labels_that_do_not_exclude_each_other():
    check_postprocessing(
        Compose([Activationsd("pred", softmax=True), AsDiscreted("pred", argmax=True)]), "some_bundle"
    )
    with pytest.raises(ConfigError, match="some_bundle: the postprocessing takes the sigmoid"):
        check_postprocessing(Compose([Activationsd("pred", sigmoid=True)]), "some_bundle")
