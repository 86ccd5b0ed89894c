"""MONAI's Tversky loss is one minus F-beta on soft values, and its DiceCE loss without Dice the cross-entropy."""

from __future__ import annotations

import pytest
import torch
from monai.losses import DiceCELoss, DiceLoss, TverskyLoss

BETAS = [0.5, 1.0, 2.0]
TINY = {"smooth_nr": 0.0, "smooth_dr": 1e-30}


@pytest.fixture(params=[0, 1])
def pair(request) -> tuple[torch.Tensor, torch.Tensor]:
    """Probabilities and one-hot targets, both (2, 3, 3, 4, 2)."""
    generator = torch.Generator().manual_seed(request.param)
    scores = torch.randn(2, 3, 3, 4, 2, generator=generator, dtype=torch.float64)
    classes = torch.randint(0, 3, (2, 3, 4, 2), generator=generator)
    return scores.softmax(1), torch.nn.functional.one_hot(classes, 3).movedim(-1, 1).double()


def tversky(beta: float, **more: object) -> TverskyLoss:
    """The arguments that a config gives: `alpha` weighs false positives, `beta` false negatives."""
    return TverskyLoss(alpha=1 / (1 + beta**2), beta=beta**2 / (1 + beta**2), **TINY, **more)


def f_beta(probabilities: list[float], targets: list[float], beta: float) -> float:
    """The weighted harmonic mean of precision and recall, voxel by voxel."""
    found = predicted = present = 0.0
    for probability, target in zip(probabilities, targets, strict=True):
        found += probability * target
        predicted += probability
        present += target
    precision, recall = found / predicted, found / present
    return (1 + beta**2) / (1 / precision + beta**2 / recall)


@pytest.mark.parametrize("beta", BETAS)
def test_tversky_is_one_minus_f_beta(pair, beta):
    probabilities, targets = pair
    found = tversky(beta, reduction="none")(*pair).reshape(2, 3)
    for item in range(2):
        for label in range(3):
            values = (part[item, label].flatten().tolist() for part in (probabilities, targets))
            assert found[item, label].item() == pytest.approx(1 - f_beta(*values, beta), rel=1e-9)


@pytest.mark.parametrize("beta", BETAS)
def test_tversky_over_a_batch_counts_its_voxels_together(pair, beta):
    probabilities, targets = pair
    found = tversky(beta, batch=True)(*pair).item()
    expected = [
        1 - f_beta(probabilities[:, label].flatten().tolist(), targets[:, label].flatten().tolist(), beta)
        for label in range(3)
    ]
    assert found == pytest.approx(sum(expected) / 3, rel=1e-9)


def test_a_large_beta_is_for_recall():
    """All of the image called bone: every voxel of bone is found, and half of what is found is none."""
    target = torch.tensor([1.0, 1.0, 0.0, 0.0]).view(1, 1, 4)
    losses = [tversky(beta)(torch.ones(1, 1, 4), target).item() for beta in BETAS]
    assert losses == pytest.approx([1 - 1.25 / (2 + 0.25), 1 - 2 / 3, 1 - 5 / 6])


def test_f_1_is_dice(pair):
    torch.testing.assert_close(tversky(1.0)(*pair), DiceLoss(smooth_nr=0.0, smooth_dr=1e-30)(*pair))


@pytest.mark.parametrize("weight", [None, [0.2, 1.0, 5.0]])
def test_dice_ce_without_dice_is_cross_entropy(weight):
    generator = torch.Generator().manual_seed(5)
    scores = 20 * torch.randn(2, 3, 4, 5, generator=generator)
    target = torch.randint(0, 3, (2, 1, 4, 5), generator=generator)
    weight = None if weight is None else torch.tensor(weight)
    # With the softmax, though cross-entropy takes scores: MONAI computes the Dice part all the same, and on bare
    # scores its denominator can be 0.
    loss = DiceCELoss(to_onehot_y=True, softmax=True, lambda_dice=0.0, weight=weight)
    expected = torch.nn.functional.cross_entropy(scores, target[:, 0], weight=weight)
    torch.testing.assert_close(loss(scores, target), expected)
