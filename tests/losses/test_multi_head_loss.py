"""The losses of several heads, added up."""

from __future__ import annotations

import pytest
import torch
from monai.bundle import ConfigParser
from monai.losses import DiceCELoss, TverskyLoss

from monai_tasks.losses.multi_head_loss import MultiHeadLoss

CLASSES = 3


@pytest.fixture
def pair() -> tuple[torch.Tensor, torch.Tensor]:
    """Scores of two heads, (2, 6, 4, 5), and a label map, (2, 1, 4, 5)."""
    generator = torch.Generator().manual_seed(3)
    scores = torch.randn(2, 2 * CLASSES, 4, 5, generator=generator, requires_grad=True)
    return scores, torch.randint(0, CLASSES, (2, 1, 4, 5), generator=generator)


def losses() -> list[torch.nn.Module]:
    return [
        TverskyLoss(softmax=True, to_onehot_y=True),
        DiceCELoss(softmax=True, to_onehot_y=True, lambda_dice=0.0),
    ]


@pytest.mark.parametrize("weights", [None, [1, 1], [0.25, 3.0]])
def test_it_is_the_weighted_sum_of_the_losses_of_the_heads(pair, weights):
    scores, target = pair
    overlap, entropy = losses()
    a, b = weights or (1, 1)
    expected = a * overlap(scores[:, :3], target) + b * entropy(scores[:, 3:], target)
    torch.testing.assert_close(MultiHeadLoss(losses(), weights)(scores, target), expected)


def test_each_head_learns_from_its_own_loss_only(pair):
    scores, target = pair
    MultiHeadLoss(losses())(scores, target).backward()
    together = scores.grad.clone()
    scores.grad = None
    losses()[0](scores[:, :3], target).backward()
    torch.testing.assert_close(together[:, :3], scores.grad[:, :3])
    assert together[:, 3:].abs().min() > 0


def test_one_head_is_the_loss_itself(pair):
    scores, target = pair
    loss = losses()[0]
    assert torch.equal(MultiHeadLoss([loss])(scores[:, :3], target), loss(scores[:, :3], target))


def test_three_heads_in_3d():
    loss = MultiHeadLoss([torch.nn.CrossEntropyLoss()] * 3)
    value = loss(torch.zeros(1, 6, 2, 2, 2), torch.ones(1, 2, 2, 2, dtype=torch.long))
    torch.testing.assert_close(value, 3 * torch.tensor(2.0).log())


def test_channels_that_cannot_be_dealt_out_are_refused(pair):
    scores, target = pair
    with pytest.raises(ValueError, match="5 channels; expected a multiple of the 2 heads"):
        MultiHeadLoss(losses())(scores[:, :5], target)


@pytest.mark.parametrize(("count", "weights"), [(0, None), (0, []), (2, [1.0]), (1, [1.0, 2.0])])
def test_another_count_of_weights_is_refused(count, weights):
    with pytest.raises(ValueError, match=r"weights: .* expected one each"):
        MultiHeadLoss(losses()[:count], weights)


def test_a_config_names_it(pair):
    options = {"softmax": True, "to_onehot_y": True}
    config = {
        "loss": {
            "_target_": "monai_tasks.losses.multi_head_loss.MultiHeadLoss",
            "losses": [
                {"_target_": "TverskyLoss", **options},
                {"_target_": "DiceCELoss", "lambda_dice": 0.0, **options},
            ],
        }
    }
    loss = ConfigParser(config).get_parsed_content("loss")
    assert torch.equal(loss(*pair), MultiHeadLoss(losses())(*pair))
